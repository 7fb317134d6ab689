"""Voxelwise scores against scipy and scikit-learn."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from sklearn.metrics import r2_score

from sklearn_sae_encoding.metrics import fisher_mean, fisher_sem, normalize_scores, voxelwise_pearson, voxelwise_r2


def _pair(n_samples=40, n_voxels=7, seed=0):
    rng = np.random.default_rng(seed)
    Y_true = 3 + rng.normal(size=(n_samples, n_voxels))
    return Y_true, 5 + 0.5 * Y_true + rng.normal(size=Y_true.shape)


def test_pearson_of_each_voxel_equals_scipy():
    Y_true, Y_pred = _pair()
    expected = [stats.pearsonr(t, p).statistic for t, p in zip(Y_true.T, Y_pred.T, strict=True)]
    np.testing.assert_allclose(voxelwise_pearson(Y_true, Y_pred), expected, rtol=1e-12)


def test_r2_of_each_voxel_equals_scikit_learn():
    Y_true, Y_pred = _pair()
    expected = r2_score(Y_true, Y_pred, multioutput="raw_values")
    np.testing.assert_allclose(voxelwise_r2(Y_true, Y_pred), expected, rtol=1e-12)


@pytest.mark.parametrize("score", [voxelwise_pearson, voxelwise_r2])
def test_more_voxels_than_a_block_score_as_they_do_one_by_one(score):
    Y_true, Y_pred = _pair(n_samples=5, n_voxels=2050)
    one_by_one = [score(Y_true[:, [j]], Y_pred[:, [j]])[0] for j in (0, 2047, 2048, 2049)]
    np.testing.assert_allclose(score(Y_true, Y_pred)[[0, 2047, 2048, 2049]], one_by_one, rtol=1e-13)


@pytest.mark.parametrize("score", [voxelwise_pearson, voxelwise_r2])
def test_one_dimension_is_one_voxel(score):
    Y_true, Y_pred = _pair(n_voxels=1)
    np.testing.assert_allclose(score(Y_true[:, 0], Y_pred[:, 0]), score(Y_true, Y_pred))


def test_rounding_carries_no_correlation_beyond_one():
    Y_true, _ = _pair(n_voxels=500)
    r = voxelwise_pearson(Y_true, 0.3 * Y_true)
    assert r.max() == 1.0
    assert voxelwise_pearson(Y_true, -0.3 * Y_true).min() == -1.0
    np.testing.assert_allclose(r, 1.0)


@pytest.mark.parametrize("constant", [0.0, 0.1, -1e6, 1e-30])
@pytest.mark.parametrize("dtype", [np.float64, np.float32])
def test_a_constant_prediction_has_correlation_zero(constant, dtype):
    Y_true, _ = _pair(n_voxels=1)
    assert voxelwise_pearson(Y_true, np.full(Y_true.shape, constant, dtype))[0] == 0.0


def test_a_prediction_that_is_constant_up_to_rounding_has_correlation_zero():
    Y_true, _ = _pair(n_voxels=1)
    noise = np.random.default_rng(0).choice([-1, 0, 1], size=Y_true.shape) * np.finfo(float).eps
    assert voxelwise_pearson(Y_true, 0.7 * (1 + noise))[0] == 0.0


def test_a_small_prediction_still_counts():
    Y_true, Y_pred = _pair()
    np.testing.assert_allclose(voxelwise_pearson(Y_true, Y_pred * 1e-200), voxelwise_pearson(Y_true, Y_pred))


@pytest.mark.parametrize("score", [voxelwise_pearson, voxelwise_r2])
def test_a_constant_measured_response_has_no_score(score):
    Y_true, Y_pred = _pair(n_voxels=3)
    Y_true[:, 1] = 0.3
    Y_pred[:, 2] = Y_true[:, 2]
    result = score(Y_true, Y_pred)
    assert np.isnan(result[1])
    assert np.isfinite(result[[0, 2]]).all()


def test_a_constant_prediction_of_a_constant_response_has_no_score():
    assert np.isnan(voxelwise_pearson(np.full((4, 1), 2.0), np.full((4, 1), 2.0))[0])


@pytest.mark.parametrize("score", [voxelwise_pearson, voxelwise_r2])
@pytest.mark.parametrize("where", ["measured", "predicted"])
def test_a_nan_spoils_its_own_voxel_only(score, where):
    Y_true, Y_pred = _pair(n_voxels=3)
    clean = score(Y_true, Y_pred)
    (Y_true if where == "measured" else Y_pred)[5, 1] = np.nan
    result = score(Y_true, Y_pred)
    assert np.isnan(result[1])
    np.testing.assert_allclose(result[[0, 2]], clean[[0, 2]])


def test_a_nan_in_a_response_with_a_constant_prediction_is_nan():
    Y_true = np.array([[1.0], [np.nan], [2.0]])
    assert np.isnan(voxelwise_pearson(Y_true, np.ones((3, 1)))[0])


@pytest.mark.parametrize("score", [voxelwise_pearson, voxelwise_r2])
def test_shapes_that_differ_are_refused(score):
    with pytest.raises(ValueError, match=r"same shape.*\(4, 2\) and \(4, 3\)"):
        score(np.zeros((4, 2)), np.zeros((4, 3)))
    with pytest.raises(ValueError, match="at least 2 samples, got 1"):
        score(np.zeros((1, 2)), np.zeros((1, 2)))


@settings(deadline=None, max_examples=50)
@given(st.floats(0.01, 100), st.floats(-100, 100), st.booleans(), st.integers(0, 10))
def test_pearson_ignores_scale_and_shift_and_follows_the_sign(scale, shift, flip, seed):
    Y_true, Y_pred = _pair(n_voxels=2, seed=seed)
    sign = -1 if flip else 1
    np.testing.assert_allclose(
        voxelwise_pearson(Y_true, sign * scale * Y_pred + shift), sign * voxelwise_pearson(Y_true, Y_pred), atol=1e-9
    )


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 30), st.integers(0, 1000))
def test_the_least_squares_line_has_r2_equal_to_r_squared(n_samples, seed):
    Y_true, Y_pred = _pair(n_samples, 1, seed)
    slope, intercept = np.polyfit(Y_pred[:, 0], Y_true[:, 0], 1)
    r2 = voxelwise_r2(Y_true, slope * Y_pred + intercept)
    np.testing.assert_allclose(r2, voxelwise_pearson(Y_true, Y_pred) ** 2, atol=1e-8)


def test_fisher_mean_is_the_mean_on_the_z_scale():
    r = np.array([[0.1, -0.5], [0.3, 0.0], [0.9, 0.2]])
    np.testing.assert_allclose(fisher_mean(r), np.tanh(np.arctanh(r).mean(axis=0)))
    np.testing.assert_allclose(fisher_mean(r, axis=None), np.tanh(np.arctanh(r).mean()))


def test_fisher_mean_of_perfect_correlations_is_finite():
    assert fisher_mean([1.0, 1.0]) == pytest.approx(1.0)
    assert fisher_mean([1.0, -1.0]) == pytest.approx(0.0)
    assert 0.99 < fisher_mean([1.0, 0.0, 0.0, 0.0, 0.0]) < 1.0


def test_fisher_mean_passes_nan_on():
    np.testing.assert_array_equal(np.isnan(fisher_mean([[0.1, np.nan], [0.2, 0.3]])), [False, True])


def test_the_standard_error_of_a_fisher_mean_is_scipys_on_the_z_scale():
    r = np.random.default_rng(3).uniform(-0.9, 0.9, size=(5, 4))
    z = np.arctanh(r)
    expected = np.tanh(z.mean(axis=0) + stats.sem(z, axis=0)) - np.tanh(z.mean(axis=0))
    np.testing.assert_allclose(fisher_sem(r), expected, rtol=1e-12)
    with pytest.raises(ValueError, match=r"at least two values along axis 0, got shape \(1, 4\)"):
        fisher_sem(r[:1])


def test_a_standard_error_of_one_number_or_along_an_axis_of_nothing_is_refused():
    with pytest.raises(ValueError, match=r"at least two values along axis 0, got shape \(\)"):
        fisher_sem(0.5)
    with pytest.raises(ValueError, match=r"axis must be one of \[0\] for r of shape \(5,\), got 1"):
        fisher_sem(np.zeros(5), axis=1)


@pytest.mark.parametrize("axis", [2, -3, None])
def test_a_standard_error_along_an_axis_that_is_not_there_names_those_that_are(axis):
    with pytest.raises(ValueError, match=rf"axis must be one of \[0, 1\] for r of shape \(5, 4\), got {axis}"):
        fisher_sem(np.zeros((5, 4)), axis=axis)


def test_fisher_mean_refuses_what_is_no_correlation():
    with pytest.raises(ValueError, match=r"lie in \[-1, 1\], got 1.5"):
        fisher_mean([0.2, 1.5])


@settings(deadline=None)
@given(st.lists(st.floats(-1, 1), min_size=1, max_size=8))
def test_fisher_mean_lies_between_its_values(values):
    assert min(values) - 1e-9 <= fisher_mean(values) <= max(values) + 1e-9


def test_normalized_scores_are_nan_where_there_is_no_signal():
    normalized = normalize_scores([[0.3, 0.2, 0.1], [0.6, 0.2, 0.1]], [0.6, 0.0, np.nan])
    np.testing.assert_array_equal(normalized, [[0.5, np.nan, np.nan], [1.0, np.nan, np.nan]])
    np.testing.assert_array_equal(normalize_scores([0.2, 0.4], 0.5), [0.4, 0.8])


def test_ceilings_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"2 voxel\(s\) with scores but noise ceilings of shape \(3,\)"):
        normalize_scores([0.1, 0.2], [0.5, 0.5, 0.5])
    with pytest.raises(ValueError, match=r"cannot be negative, got -0.5 for voxel 1"):
        normalize_scores([0.1, 0.2], [0.5, -0.5])


@pytest.mark.parametrize("score", [voxelwise_pearson, voxelwise_r2])
def test_no_large_copy_is_made_of_many_voxels(score):
    Y_true, Y_pred = _pair(100, 50_000)
    tracemalloc.start()
    score(Y_true, Y_pred)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 0.5 * Y_true.nbytes
