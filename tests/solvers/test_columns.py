"""Products with columns, some kept dense and some sparse, are those of numpy."""

import numpy as np
import pytest
from numba import njit
from scipy import sparse

from sklearn_sae_encoding._solvers import columns
from sklearn_sae_encoding._solvers.columns import LINE, aligned, as_columns


# Kernels that other kernels alone call have no entry from Python.
@njit
def column_dots(of, features, count, slot, vector, out):
    columns.column_dots(of, features, count, slot, vector, out)


@njit
def column_dots_of_two(of, features, count, vectors, out):
    columns.column_dots_of_two(of, features, count, vectors, out)


@njit
def add_columns(of, features, count, factors, out):
    columns.add_columns(of, features, count, factors, out)


def mixed(layout):
    """Columns of 0 to 50 non-zero values, in no order: those with more than 3 are kept dense."""
    rng = np.random.default_rng(0)
    rates = rng.permutation(np.r_[np.zeros(3), np.geomspace(0.02, 1, 27)])
    X = rng.normal(size=(50, 30)) * (rng.random((50, 30)) < rates)
    return rng, X, as_columns(layout(X))


@pytest.mark.parametrize("layout", [np.asarray, sparse.csc_array], ids=["dense", "sparse"])
@pytest.mark.parametrize("count", [*range(10), 29])
def test_products_and_sums_of_columns_of_both_kinds(layout, count):
    rng, X, of = mixed(layout)
    features = rng.permutation(30).astype(np.int32)
    asked, vectors, factors = X[:, features[:count]], rng.normal(size=(2, 50)), rng.normal(size=30)
    out, every = np.full((2, 30), 7.0), np.zeros(0, dtype=np.int64)
    column_dots(of, features, count, every, vectors[0], out[0])
    np.testing.assert_allclose(out[0, :count], vectors[0] @ asked, atol=1e-12)
    assert np.all(out[0, count:] == 7.0)

    out[:] = 7.0
    column_dots_of_two(of, features, count, vectors, out)
    np.testing.assert_allclose(out[:, :count], vectors @ asked, atol=1e-12)
    assert np.all(out[:, count:] == 7.0)

    factors[::3] = 0.0
    total = vectors[0].copy()
    add_columns(of, features, count, factors, total)
    np.testing.assert_allclose(total, vectors[0] + asked @ factors[:count], atol=1e-12)


@pytest.mark.parametrize("layout", [np.asarray, sparse.csc_array], ids=["dense", "sparse"])
def test_features_in_a_slot_are_left_out(layout):
    rng, X, of = mixed(layout)
    features, vector = rng.permutation(30).astype(np.int32), rng.normal(size=50)
    slot, out = np.where(rng.random(30) < 0.4, 5, -1), np.full(30, 7.0)
    column_dots(of, features, 30, slot, vector, out)
    np.testing.assert_allclose(out, np.where(slot < 0, vector @ X[:, features], 7.0), atol=1e-12)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("shape", [(5,), (3, 7, 2)])
def test_arrays_start_at_a_line_of_the_cache(shape, dtype):
    for _ in range(20):  # one may lie there by chance
        array = aligned(shape, dtype)
        assert (array.shape, array.dtype, array.ctypes.data % LINE) == (shape, dtype, 0)
    assert as_columns(sparse.csc_array(np.ones((9, 5)))).dense.ctypes.data % LINE == 0
