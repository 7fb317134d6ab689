"""Rows of tokens to rows of words: dense and sparse agree with numpy."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import sparse

from sklearn_sae_encoding._tokens.pooling import POOLINGS, pool_ranges

BY_NUMPY = {
    "mean": lambda rows: rows.mean(axis=0),
    "sum": lambda rows: rows.sum(axis=0),
    "max": lambda rows: rows.max(axis=0),
    "last": lambda rows: rows[-1],
    "first": lambda rows: rows[0],
}


@st.composite
def values_and_ranges(draw):
    rng = np.random.default_rng(draw(st.integers(0, 2**32)))
    n_rows = draw(st.integers(1, 12))
    values = rng.normal(size=(n_rows, 5)) * (rng.random((n_rows, 5)) < 0.4)
    first = rng.integers(0, n_rows, size=draw(st.integers(1, 6)))
    return values.astype(np.float32), np.column_stack([first, rng.integers(first + 1, n_rows + 1)])


@pytest.mark.parametrize("pooling", POOLINGS)
@settings(max_examples=40, deadline=None)
@given(case=values_and_ranges())
def test_ranges_are_pooled_as_numpy_does_it_dense_and_sparse(pooling, case):
    values, ranges = case
    expected = np.stack([BY_NUMPY[pooling](values[a:b].astype(np.float64)) for a, b in ranges])
    dense = pool_ranges(values, ranges, pooling)
    from_sparse = pool_ranges(sparse.csr_array(values), ranges, pooling)
    assert dense.dtype == from_sparse.dtype == np.float32
    assert sparse.issparse(from_sparse)
    np.testing.assert_allclose(dense, expected, rtol=1e-6, atol=1e-7)
    np.testing.assert_allclose(from_sparse.toarray(), expected, rtol=1e-6, atol=1e-7)


def test_a_sparse_maximum_of_negative_values_is_zero_where_a_token_has_none():
    values = sparse.csr_array(np.array([[-1.0, -2.0], [0.0, -3.0]]))
    pooled = pool_ranges(values, np.array([[0, 2]]), "max")
    np.testing.assert_array_equal(pooled.toarray(), [[0.0, -2.0]])
    assert pooled.nnz == 1


def test_sums_of_many_tokens_are_made_in_double_precision():
    values = np.array([[1e8], [1.0], [-1e8]], dtype=np.float32)
    assert pool_ranges(values, np.array([[0, 3]]), "sum")[0, 0] == 1.0
    assert pool_ranges(sparse.csr_array(values), np.array([[0, 3]]), "sum").toarray()[0, 0] == 1.0
