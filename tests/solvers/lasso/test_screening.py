"""Screening lists what a product of all features says, for any number of residuals side by side."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose, assert_array_equal
from path_cases import prepared
from scipy import sparse

from sklearn_sae_encoding._solvers.lasso import lanes
from sklearn_sae_encoding._solvers.lasso.ftest import EVERY_FEATURE
from sklearn_sae_encoding._solvers.lasso.lanes import LANES
from sklearn_sae_encoding._solvers.lasso.problems import make_penalty
from sklearn_sae_encoding._solvers.lasso.screening import Eligible, largest, scan


@njit
def times_lanes(column, vectors, threshold, out):
    data, indices, start, end = column
    return lanes.column_times_lanes(data, indices, start, end, vectors, threshold, out)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", [0, LANES])
@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_column_meets_every_vector(length, first, dtype):
    rng = np.random.default_rng(length)
    vectors = rng.normal(size=(20, 3 * LANES)).astype(dtype)
    data, indices = rng.normal(size=9).astype(dtype), rng.permutation(20)[:9].astype(np.uint32)
    expected = data[1 : 1 + length] @ vectors[indices[1 : 1 + length], first : first + LANES]
    out, most = np.full(LANES, np.nan, dtype), dtype(np.abs(expected).max())
    for threshold, above in ((most * dtype(1.01) + dtype(1e-3), False), (most * dtype(0.99) - dtype(1e-3), True)):
        assert times_lanes((data, indices, 1, 1 + length), vectors[:, first : first + LANES], threshold, out) == above
        assert_allclose(out, expected, rtol=1e-5 if dtype == np.float32 else 1e-13, atol=1e-6)


def test_numbers_of_two_kinds_are_refused():
    column = np.ones(3), np.arange(3, dtype=np.uint32), 0, 3
    with pytest.raises(Exception, match="must have one dtype"):
        times_lanes(column, np.ones((3, LANES), np.float32), 1.0, np.ones(LANES, np.float32))


@pytest.mark.parametrize("n_problems", [1, LANES - 1, LANES, LANES + 1, 70])
@pytest.mark.parametrize("far", [False, True], ids=["single precision", "double precision"])
@pytest.mark.parametrize("positive", [False, True])
@pytest.mark.parametrize("restricted", [False, True])
def test_every_feature_above_the_bound_is_listed_and_hardly_any_other(restricted, positive, far, n_problems):
    rng = np.random.default_rng(n_problems)
    X = rng.normal(size=(50, 300)) * (rng.random((50, 300)) < rng.choice([0.02, 0.1, 0.5], 300))
    if far:  # sparse features, one of which lies so far from zero that single precision would not do
        X[:, 7] = 0.0
        X[:16, 7] = 1e3 + rng.random(16)
    penalty = make_penalty(rng.uniform(0.5, 2.0, 300), usable=X.std(axis=0) > 0, positive=positive)
    _, screened = prepared(sparse.csc_array(X), penalty)
    residuals = rng.normal(size=(n_problems, 50))
    residuals -= residuals.mean(axis=1, keepdims=True)
    allowed = (rng.random((3, 300)) < 0.5).astype(np.uint8) if restricted else EVERY_FEATURE
    eligible = Eligible(allowed, rng.integers(0, 3, n_problems), positive)
    sizes = residuals @ X * penalty.inverse_factors
    sizes = sizes if positive else np.abs(sizes)
    if restricted:
        sizes[allowed[eligible.rows] == 0] = 0.0
    kept = np.zeros(300, dtype=bool)
    kept[screened.features] = True  # pruned ones are always preceded
    assert_allclose(largest(screened, residuals, eligible), sizes.max(axis=1), rtol=1e-4)
    bounds = rng.uniform(0.3, 0.8, n_problems) * sizes.max(axis=1)
    lists, lengths = scan(screened, residuals, bounds, eligible, 2)
    for size, bound, listed, length in zip(sizes, bounds, lists, lengths, strict=True):
        found = np.sort(listed[:length])
        assert_array_equal(np.unique(found), found)
        assert set(np.flatnonzero((size > bound) & kept)) <= set(found)
        assert np.all(size[found] > (1 - 1e-3) * bound)
