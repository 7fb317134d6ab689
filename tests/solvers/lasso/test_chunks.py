"""How many voxels are solved together, and in which memory."""

from concurrent.futures import ThreadPoolExecutor
from types import SimpleNamespace

import numpy as np
import pytest
from path_cases import CASES, LAYOUTS, example, own_grid, penalty_of, prepared, whole_data

from sklearn_sae_encoding._solvers.lasso.active_sets import Spare, grown, new_active_sets
from sklearn_sae_encoding._solvers.lasso.cross_validation import CHUNK, INVERSES, voxels_of_a_chunk
from sklearn_sae_encoding._solvers.lasso.path import solve_paths


@pytest.mark.parametrize("n_samples", [50, 200, 256, 257, 400, 1000, 20_000])
@pytest.mark.parametrize("n_folds", [0, 5, 10, 64])
def test_inverses_of_active_sets_as_large_as_the_data_allow_stay_within_bounds(n_samples, n_folds):
    n_voxels = voxels_of_a_chunk(SimpleNamespace(folds=SimpleNamespace(train=np.ones((n_folds, n_samples)))))
    n_problems = n_voxels * max(1, n_folds)
    assert n_voxels >= 1
    assert n_problems <= CHUNK
    one = new_active_sets(np.zeros((1, 1)), min(n_samples, 256) + 1)
    if n_samples > 256:
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
