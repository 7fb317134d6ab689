"""Noise ceilings against their definition, spelled out, and against simulated truth."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_sae_encoding.metrics import (
    _ceilings,
    ncsnr_from_repeats,
    noise_ceiling,
    noise_ceiling_from_repeats,
    split_half_noise_ceiling,
    voxelwise_pearson,
)


def _simulate(ncsnr, n_repeats=3, n_samples=3000, seed=0):
    rng = np.random.default_rng(seed)
    ncsnr = np.asarray(ncsnr)
    signal = ncsnr * rng.normal(size=(n_samples, len(ncsnr)))
    return signal, 4 + signal + rng.normal(size=(n_repeats, n_samples, len(ncsnr)))


def _plain_ncsnr(repeats):
    """One voxel, loops only: noise variance pooled within items, signal variance what is left, at least 0."""
    squares, degrees, everything = 0.0, 0, []
    for item in repeats.T:
        measured = item[~np.isnan(item)]
        squares += sum((measured - measured.mean()) ** 2) if len(measured) else 0.0
        degrees += max(len(measured) - 1, 0)
        everything.extend(measured)
    noise = squares / degrees
    return np.sqrt(max(0.0, np.var(everything, ddof=1) - noise)) / np.sqrt(noise)


def test_the_ceiling_squared_is_the_published_percentage():
    ncsnr = np.array([0.2, 0.4, 1.3])
    np.testing.assert_allclose(100 * noise_ceiling(ncsnr, 3) ** 2, 100 * ncsnr**2 / (ncsnr**2 + 1 / 3))


def test_no_signal_has_ceiling_zero_and_no_noise_has_ceiling_one():
    np.testing.assert_array_equal(noise_ceiling([0.0, np.inf], 3), [0.0, 1.0])


@settings(deadline=None)
@given(st.floats(0, 100), st.integers(1, 50))
def test_more_repeats_raise_the_ceiling_up_to_one(ncsnr, n_repeats):
    assert 0 <= noise_ceiling(ncsnr, n_repeats) <= noise_ceiling(ncsnr, n_repeats + 1) <= 1


def test_the_signal_correlates_with_the_mean_of_repeats_as_the_ceiling_says():
    signal, repeats = _simulate([0.3, 0.6, 1.5], n_samples=50_000)
    observed = voxelwise_pearson(repeats.mean(axis=0), signal)
    np.testing.assert_allclose(observed, noise_ceiling([0.3, 0.6, 1.5], 3), atol=0.01)


def test_ncsnr_is_found_again_in_simulated_repeats():
    _, repeats = _simulate([0.0, 0.3, 0.6, 1.5], n_samples=20_000)
    np.testing.assert_allclose(ncsnr_from_repeats(repeats), [0.0, 0.3, 0.6, 1.5], atol=0.06)
    np.testing.assert_allclose(ncsnr_from_repeats(repeats)[1:], [0.3, 0.6, 1.5], atol=0.02)


def test_ncsnr_equals_a_plain_reimplementation():
    _, repeats = _simulate([0.3, 1.0], n_samples=30)
    np.testing.assert_allclose(ncsnr_from_repeats(repeats), [_plain_ncsnr(repeats[..., v]) for v in range(2)])


def test_ncsnr_equals_a_plain_reimplementation_with_unequal_repeats():
    _, repeats = _simulate([0.3, 1.0], n_repeats=4, n_samples=30)
    repeats[3, :10] = np.nan
    repeats[1:, 5] = np.nan  # measured once
    repeats[:, 7] = np.nan  # never measured
    expected = [_plain_ncsnr(repeats[..., v]) for v in range(2)]
    np.testing.assert_allclose(ncsnr_from_repeats(repeats), expected)
    per_text = 1 / np.delete((~np.isnan(repeats[..., 0])).sum(axis=0), 7)
    np.testing.assert_allclose(noise_ceiling_from_repeats(repeats), noise_ceiling(expected, 1 / per_text.mean()))


def test_with_equal_repeats_the_ceiling_is_that_of_ncsnr():
    _, repeats = _simulate([0.3, 1.0], n_samples=50)
    np.testing.assert_allclose(noise_ceiling_from_repeats(repeats), noise_ceiling(ncsnr_from_repeats(repeats), 3))


def test_signs_of_identical_constant_and_noiseless_voxels():
    rng = np.random.default_rng(0)
    repeats = np.stack([np.column_stack([0.1 * rng.normal(size=20), np.full(20, 0.1)])] * 3)
    assert ncsnr_from_repeats(repeats)[0] == np.inf
    assert ncsnr_from_repeats(repeats)[1] == 0.0
    np.testing.assert_array_equal(noise_ceiling_from_repeats(repeats), [1.0, 0.0])


@pytest.mark.parametrize("unit", [1e-9, 1.0, 1e9])
def test_texts_that_differ_by_rounding_alone_have_no_signal_whatever_the_unit(unit):
    responses = unit * (1 + np.finfo(float).eps * np.tile([0, 1], 10))
    np.testing.assert_array_equal(ncsnr_from_repeats(np.stack([responses] * 3)[..., None]), [0.0])


def test_float32_repeats_give_the_ratio_of_float64():
    _, repeats = _simulate([0.3], n_samples=100)
    narrow = (repeats + 1000).astype(np.float32)
    np.testing.assert_allclose(ncsnr_from_repeats(narrow), ncsnr_from_repeats(narrow.astype(np.float64)), rtol=1e-12)


@settings(deadline=None, max_examples=30)
@given(st.floats(0.01, 100), st.floats(-50, 50), st.integers(0, 100))
def test_ncsnr_does_not_depend_on_units(scale, shift, seed):
    _, repeats = _simulate([0.5], n_samples=20, seed=seed)
    np.testing.assert_allclose(ncsnr_from_repeats(scale * repeats + shift), ncsnr_from_repeats(repeats), rtol=1e-6)


def test_one_repeat_cannot_tell_signal_from_noise():
    with pytest.raises(ValueError, match="at least 2 repeats of some text, but voxel 0 has at most 1"):
        ncsnr_from_repeats(np.zeros((1, 5, 2)))
    repeats = np.zeros((2, 5, 2))
    repeats[1, :, 1] = np.nan
    with pytest.raises(ValueError, match="voxel 1 has at most 1"):
        noise_ceiling_from_repeats(repeats)


def test_repeats_of_another_shape_or_with_infinities_are_refused():
    with pytest.raises(ValueError, match=r"\(n_repeats, n_samples, n_voxels\), got \(5, 2\)"):
        ncsnr_from_repeats(np.zeros((5, 2)))
    with pytest.raises(ValueError, match="got an infinity"):
        ncsnr_from_repeats(np.full((2, 5, 2), np.inf))


def test_impossible_ratios_and_repeats_are_refused():
    with pytest.raises(ValueError, match=r"cannot be negative, got -0\.1"):
        noise_ceiling([-0.1, 0.2], 3)
    with pytest.raises(ValueError, match="n_repeats must be positive, got 0"):
        noise_ceiling(0.2, 0)


# Split halves


def test_halves_of_one_size_give_spearman_and_brown():
    _, repeats = _simulate([0.3, 1.0], n_repeats=2, n_samples=50, seed=1)
    r = voxelwise_pearson(*repeats)
    np.testing.assert_allclose(split_half_noise_ceiling(repeats), np.sqrt(2 * r / (1 + r)))


@pytest.mark.parametrize("n_repeats", [2, 3, 4, 5, 12])
def test_split_halves_find_the_ceiling_whatever_the_number_of_repeats(n_repeats):
    _, repeats = _simulate([0.4, 1.0], n_repeats=n_repeats, n_samples=20_000)
    ceiling = split_half_noise_ceiling(repeats, random_state=0)
    np.testing.assert_allclose(ceiling, noise_ceiling([0.4, 1.0], n_repeats), atol=0.02)
    np.testing.assert_allclose(ceiling, noise_ceiling_from_repeats(repeats), atol=0.02)


@pytest.mark.parametrize(("n_repeats", "n_splits"), [(2, 1), (3, 3), (4, 3), (5, 10), (6, 10), (12, 50)])
def test_every_split_is_taken_once_where_there_are_few(n_repeats, n_splits):
    halves = _ceilings._halves(n_repeats, 50, np.random.RandomState(0))
    assert len(halves) == n_splits
    for first, second in halves:
        assert sorted([*first, *second]) == list(range(n_repeats))
        assert len(first) == n_repeats // 2
    if n_splits < 50:
        assert len({frozenset([frozenset(first), frozenset(second)]) for first, second in halves}) == n_splits


def test_halves_that_agree_have_ceiling_one_and_halves_that_disagree_zero():
    Y = np.random.default_rng(0).normal(size=(30, 1))
    np.testing.assert_allclose(split_half_noise_ceiling(np.stack([Y, Y, Y])), [1.0])
    np.testing.assert_array_equal(split_half_noise_ceiling(np.stack([Y, -Y])), [0.0])


def test_a_constant_half_has_no_split_half_ceiling():
    repeats = np.random.default_rng(0).normal(size=(2, 30, 2))
    repeats[0, :, 1] = 0.1
    assert np.isnan(split_half_noise_ceiling(repeats)).tolist() == [False, True]


def test_halves_need_all_repeats():
    repeats = np.random.default_rng(0).normal(size=(2, 30, 2))
    repeats[0, 3, 1] = np.nan
    with pytest.raises(ValueError, match=r"got a NaN\. Use noise_ceiling_from_repeats"):
        split_half_noise_ceiling(repeats)
    with pytest.raises(ValueError, match="at least 2 repeats"):
        split_half_noise_ceiling(repeats[:1])


def test_no_large_copy_is_made_of_many_voxels():
    repeats = np.random.default_rng(0).normal(size=(3, 100, 20_000)).astype(np.float32)
    tracemalloc.start()
    noise_ceiling_from_repeats(repeats)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < repeats.nbytes
