"""How many voxels are solved together, in which memory, and which of them stop early."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from path_cases import CASES, LAYOUTS, example, own_grid, penalty_of, prepared, whole_data

from sklearn_sae_encoding._solvers.lasso import path
from sklearn_sae_encoding._solvers.lasso.active_sets import Spare, grown, new_active_sets
from sklearn_sae_encoding._solvers.lasso.cross_validation import CHUNK, INVERSES, voxels_of_a_chunk
from sklearn_sae_encoding._solvers.lasso.path import solve_paths
from sklearn_sae_encoding._solvers.lasso.problems import new_progress


@pytest.mark.parametrize("n_samples", [50, 200, 256, 257, 400, 1000, 20_000])
@pytest.mark.parametrize("n_folds", [0, 5, 10, 64])
@pytest.mark.parametrize("l1_ratio", [1.0, 0.5])
def test_inverses_of_active_sets_as_large_as_the_data_allow_stay_within_bounds(n_samples, n_folds, l1_ratio):
    n_voxels = voxels_of_a_chunk(n_folds, n_samples, l1_ratio)
    n_problems = n_voxels * max(1, n_folds)
    assert n_voxels >= 1
    assert n_problems <= CHUNK
    one = new_active_sets(np.zeros((1, 1)), min(n_samples, 256) + 1)
    if n_samples > 256 or l1_ratio < 1:  # an elastic net may have more active features than samples
        for _ in range(10):
            one = grown(one, 2 * one.features.shape[1])  # as path.py does
    largest = one.inverses.matrix.nbytes
    assert n_problems * largest <= INVERSES


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize("case", CASES)
def test_what_spare_memory_held_before_changes_no_bit(case, layout):
    X, y = example(60, 300)  # paths reach active sets as large as the samples allow
    penalty, spare = penalty_of(CASES[case], X), Spare()
    spare.numbers = np.full(12 * 100 * 100, np.nan)
    asked = *prepared(LAYOUTS[layout](X), penalty), whole_data(y, own_grid(X, y, penalty, eps=1e-4)), penalty
    expected = solve_paths(*asked)
    for _ in range(2):
        found = solve_paths(*asked, spare=spare)
        for name in ("features", "weights", "sizes", "fitted"):
            np.testing.assert_array_equal(getattr(found.state, name), getattr(expected.state, name))
        np.testing.assert_array_equal(found.gaps, expected.gaps)
    assert not np.isnan(spare.numbers).all()  # it was used


def test_spare_memory_is_that_of_one_thread_and_as_large_as_the_largest_chunk():
    spare = Spare()
    large = spare.take(3, 5, 5)
    assert np.shares_memory(spare.take(2, 4, 4), large)
    assert spare.take(4, 5, 5).shape == (4, 5, 5)
    with ThreadPoolExecutor(1) as pool:
        assert not np.shares_memory(pool.submit(spare.take, 2, 4, 4).result(), spare.numbers)


def stops_by_a_loop(errors, alive, reached, patience):
    """Which voxels' errors turned up, one after another; `errors` is (n_voxels, n_folds, n_alphas)."""
    turned = []
    for voxel_errors, voxel_alive, voxel_reached in zip(errors, alive, reached, strict=True):
        seen = voxel_errors[:, : voxel_reached.min()]
        mean = np.where(np.isnan(seen.mean(axis=0)), np.inf, seen.mean(axis=0))
        turned.append(False)
        if voxel_alive.any() and mean.size and mean.argmin() < len(mean) - patience:
            best = seen[:, mean.argmin()]
            turned[-1] = seen.mean(axis=0)[-1] > best.mean() + best.std() / np.sqrt(max(len(best) - 1, 1))
    return np.array(turned)


@pytest.mark.parametrize("n_folds", [1, 2, 5])
def test_paths_stop_on_all_folds_once_their_mean_error_has_turned_up(n_folds):
    rng = np.random.default_rng(n_folds)
    n_voxels, n_alphas = 400, 14
    errors = 1 + np.cumsum(rng.normal(size=(n_voxels, n_folds, n_alphas)), axis=2) * 0.1
    reached = rng.integers(0, n_alphas + 1, size=(n_voxels, n_folds))
    reached[::2] = reached[::2, :1]
    errors[np.arange(n_alphas) >= reached[:, :, None]] = np.nan
    errors[rng.random(errors.shape) < 0.01] = np.nan  # given up
    alive = rng.random((n_voxels, n_folds)) < 0.8
    progress = new_progress(np.ones(alive.size), n_alphas)
    progress.errors[:], progress.alive[:], progress.reached[:] = (
        errors.reshape(-1, n_alphas),
        alive.ravel(),
        reached.ravel(),
    )
    path._stop_where_errors_turned_up(SimpleNamespace(targets=np.zeros((n_voxels, 3))), progress)
    turned = stops_by_a_loop(errors, alive, reached, path.PATIENCE)
    np.testing.assert_array_equal(progress.alive.reshape(alive.shape), alive & ~turned[:, None])
    assert 20 < turned.sum() < 300
