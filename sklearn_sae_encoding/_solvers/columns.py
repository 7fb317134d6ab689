"""Feature columns, dense or sparse, read one at a time by compiled kernels."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit, types
from numba.extending import overload
from scipy import sparse

# Sums may be reordered so that they vectorise; NaN and infinity keep their meaning.
FASTMATH = {"reassoc", "contract", "nsz", "arcp"}
JIT = {"nogil": True, "cache": True, "fastmath": FASTMATH}


class DenseColumns(NamedTuple):
    values: np.ndarray  # (n_features, n_samples), C order: one row a feature


class SparseColumns(NamedTuple):
    data: np.ndarray  # (nnz,)
    indices: np.ndarray  # (nnz,), the samples
    indptr: np.ndarray  # (n_features + 1,)


def as_columns(X: np.ndarray | sparse.sparray) -> DenseColumns | SparseColumns:
    """View `X` (n_samples, n_features) by columns; copies only if `X` is not stored that way."""
    if sparse.issparse(X):
        X = X.tocsc()
        indices = [a.astype(np.int32, copy=False) if X.nnz < 2**31 else a for a in (X.indices, X.indptr)]
        return SparseColumns(X.data, *indices)
    return DenseColumns(np.ascontiguousarray(X.T))


def frozen(parts: NamedTuple) -> NamedTuple:
    """View all arrays of a named tuple as read-only.

    Memory-mapped arrays, which joblib sends to its workers, are read-only, and the kernels are compiled for each kind.
    """
    return type(parts)(*(_read_only(part) if isinstance(part, np.ndarray) else part for part in parts))


def _read_only(array):
    view = array.view()
    view.flags.writeable = False
    return view


def column_dot(columns, j, vector):
    """Product of feature `j` with `vector` (n_samples,)."""
    raise NotImplementedError("column_dot is compiled; call it from a kernel.")


def add_column(columns, j, factor, out):
    """Add `factor` times feature `j` to `out` (n_samples,)."""
    raise NotImplementedError("add_column is compiled; call it from a kernel.")


def _is_sparse(columns: types.Type) -> bool:
    return isinstance(columns, types.NamedTuple) and columns.instance_class is SparseColumns


@overload(column_dot, jit_options={"fastmath": FASTMATH})
def _column_dot(columns, j, vector):
    def dense(columns, j, vector):
        row = columns.values[j]
        total = 0.0
        for i in range(vector.shape[0]):
            total += row[i] * vector[i]
        return total

    def from_sparse(columns, j, vector):
        total = 0.0
        for k in range(columns.indptr[j], columns.indptr[j + 1]):
            total += columns.data[k] * vector[columns.indices[k]]
        return total

    return from_sparse if _is_sparse(columns) else dense


@overload(add_column, jit_options={"fastmath": FASTMATH})
def _add_column(columns, j, factor, out):
    def dense(columns, j, factor, out):
        row = columns.values[j]
        for i in range(out.shape[0]):
            out[i] += factor * row[i]

    def from_sparse(columns, j, factor, out):
        for k in range(columns.indptr[j], columns.indptr[j + 1]):
            out[columns.indices[k]] += factor * columns.data[k]

    return from_sparse if _is_sparse(columns) else dense


@njit(**JIT)
def centre(vector, train, n_train, fit_intercept, out):
    """Write `vector` less its mean over the training rows to `out`, zero on held-out rows; return the mean.

    The product of a raw column with such a vector equals that of the centred column: centring `X` is never needed.
    """
    mean = 0.0
    if fit_intercept:
        for i in range(vector.shape[0]):
            mean += train[i] * vector[i]
        mean /= n_train
    for i in range(vector.shape[0]):
        out[i] = train[i] * (vector[i] - mean)
    return mean
