"""Shuffled responses keep what they should and lose what they should."""

import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from sklearn_sae_encoding.metrics import shuffle_responses, voxelwise_pearson


def _numbered(n_samples, n_voxels):
    """Every entry tells its row, in every voxel."""
    return np.tile(np.arange(n_samples)[:, None], (1, n_voxels))


@settings(deadline=None, max_examples=50)
@given(st.integers(1, 20), st.integers(1, 6), st.integers(0, 100), st.booleans(), st.booleans())
def test_every_voxel_keeps_its_values_and_the_input_its_order(n_samples, n_voxels, seed, by_row, by_voxel):
    Y = np.random.default_rng(seed).normal(size=(n_samples, n_voxels))
    before = Y.copy()
    groups = np.arange(n_samples) % 3 if by_row else None
    voxel_groups = np.arange(n_voxels) % 2 if by_voxel else None
    shuffled = shuffle_responses(Y, seed, groups=groups, voxel_groups=voxel_groups)
    np.testing.assert_array_equal(np.sort(shuffled, axis=0), np.sort(Y, axis=0))
    np.testing.assert_array_equal(Y, before)


def test_each_voxel_has_a_permutation_of_its_own():
    shuffled = shuffle_responses(_numbered(50, 20), 0)
    assert len(np.unique(shuffled, axis=1).T) == 20


def test_voxels_of_one_group_share_a_permutation():
    shuffled = shuffle_responses(_numbered(50, 6), 0, voxel_groups=["p1", "p2", "p1", "p2", "p2", "p3"])
    np.testing.assert_array_equal(shuffled[:, 0], shuffled[:, 2])
    np.testing.assert_array_equal(shuffled[:, 1], shuffled[:, 3])
    np.testing.assert_array_equal(shuffled[:, 1], shuffled[:, 4])
    assert len(np.unique(shuffled, axis=1).T) == 3


@pytest.mark.parametrize("voxel_groups", [None, [0, 0, 1]])
def test_rows_stay_within_their_group(voxel_groups):
    groups = np.array(["run2", "run1"] * 20)
    shuffled = shuffle_responses(_numbered(40, 3), 0, groups=groups, voxel_groups=voxel_groups)
    assert (groups[shuffled] == groups[:, None]).all()
    assert (shuffled != _numbered(40, 3)).any()


def test_every_permutation_is_equally_likely():
    shuffled = shuffle_responses(_numbered(3, 60_000), 0)
    _, counts = np.unique(shuffled, axis=1, return_counts=True)
    assert len(counts) == 6
    np.testing.assert_allclose(counts, 10_000, rtol=0.05)


def test_shuffled_responses_have_nothing_to_do_with_the_measured_ones():
    Y = np.random.default_rng(0).normal(size=(200, 1000))
    r = voxelwise_pearson(Y, shuffle_responses(Y, 0))
    assert abs(r.mean()) < 0.01
    assert r.std() == pytest.approx(1 / np.sqrt(199), rel=0.1)


def test_a_seed_repeats_itself_and_random_states_move_on():
    Y = _numbered(30, 4)
    np.testing.assert_array_equal(shuffle_responses(Y, 1), shuffle_responses(Y, 1))
    assert not np.array_equal(shuffle_responses(Y, 1), shuffle_responses(Y, 2))
    state = np.random.RandomState(0)
    assert not np.array_equal(shuffle_responses(Y, state), shuffle_responses(Y, state))


def test_one_dimension_stays_one_dimension():
    assert shuffle_responses(np.arange(5.0), 0).shape == (5,)


def test_labels_that_do_not_fit_are_refused():
    with pytest.raises(ValueError, match=r"groups must hold one label a row, \(4,\), got shape \(3,\)"):
        shuffle_responses(np.zeros((4, 2)), groups=[0, 1, 1])
    with pytest.raises(ValueError, match=r"voxel_groups must hold one label a voxel, \(2,\), got shape \(4,\)"):
        shuffle_responses(np.zeros((4, 2)), voxel_groups=[0, 1, 1, 0])
    with pytest.raises(ValueError, match=r"shape \(n_samples, n_voxels\), got \(2, 2, 2\)"):
        shuffle_responses(np.zeros((2, 2, 2)))


@pytest.mark.parametrize("voxel_groups", [None, np.arange(20_000) % 8])
def test_shuffling_many_voxels_copies_them_once(voxel_groups):
    Y = np.random.default_rng(0).normal(size=(100, 20_000))
    tracemalloc.start()
    shuffle_responses(Y, 0, voxel_groups=voxel_groups)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 1.5 * Y.nbytes
