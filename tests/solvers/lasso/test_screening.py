"""Screening lists what a product of all features says, for any number of residuals side by side."""

import numpy as np
import pytest
from numba import njit
from numpy.testing import assert_allclose
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


@njit
def set_bits(bits):
    found = [np.int64(0) for _ in range(0)]
    while bits != 0:
        found.append(lanes.lowest_bit(bits))
        bits &= bits - np.uint32(1)
    return found


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("first", [0, LANES])
@pytest.mark.parametrize("length", [0, 1, 7])
def test_a_column_meets_every_vector(length, first, dtype):
    rng = np.random.default_rng(length)
    vectors = rng.normal(size=(20, 3 * LANES)).astype(dtype)
    data, indices = rng.normal(size=9).astype(dtype), rng.permutation(20)[:9].astype(np.uint32)
    expected = data[1 : 1 + length] @ vectors[indices[1 : 1 + length], first : first + LANES]
    sizes, out = np.sort(np.abs(expected)), np.full(LANES, np.nan, dtype)
    # Above all of them, between the middle two, below all.
    for threshold in (sizes[-1] * 1.01 + 1e-3, sizes[15:17].mean(), sizes[0] * 0.99 - 1e-3):
        bits = times_lanes((data, indices, 1, 1 + length), vectors[:, first : first + LANES], dtype(threshold), out)
        assert set_bits(bits) == list(np.flatnonzero(np.abs(expected) > threshold))
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
    for size, bound, listed, upper, length in zip(
        sizes, bounds, *scan(screened, residuals, bounds, eligible, 2), strict=True
    ):
        found, upper = listed[:length], upper[:length]
        assert len(set(found)) == length
        assert np.all(size[found] / bound <= upper)
        assert np.all(upper <= size[found] / bound * (1 + 1e-2))
        assert set(np.flatnonzero((size > bound) & kept)) <= set(found)
        assert np.all(size[found] > (1 - 1e-3) * bound)


@pytest.mark.parametrize("positive", [False, True])
def test_products_that_single_precision_rounds_to_the_other_side_of_zero_are_listed(positive):
    rng = np.random.default_rng(0)
    residual = rng.normal(size=60)
    residual -= residual.mean()
    # Two values a column that all but cancel, as at a penalty that is a ten-millionth of the largest.
    X = np.zeros((60, 300))
    for column in X.T:
        first, second = rng.permutation(60)[:2]
        column[first] = 1.0
        column[second] = (1e-8 * rng.uniform(0.5, 2.0) - residual[first]) / residual[second]
    _, screened = prepared(sparse.csc_array(X), make_penalty(np.ones(300), positive=positive))
    assert np.any(residual.astype(np.float32) @ X.astype(np.float32) < 0)
    eligible = Eligible(EVERY_FEATURE, np.zeros(1, dtype=np.int64), positive)
    listed, _, lengths = scan(screened, residual[None], np.array([4e-9]), eligible, 300)
    assert set(screened.features) <= set(listed[0, : lengths[0]])
