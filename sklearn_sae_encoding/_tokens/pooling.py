"""Rows of tokens to one row a text, word or span, dense or sparse."""

from __future__ import annotations

import numpy as np
from scipy import sparse

POOLINGS = ("mean", "sum", "max", "last", "first")


def pool_ranges(values, ranges: np.ndarray, pooling: str):
    """One row a range of rows: ``(n_ranges, width)`` of the kind of `values`, whose dtype it keeps.

    `ranges` are ``(n_ranges, 2)``: first and last + 1 row, at least one each; they may overlap.
    """
    if pooling == "first":
        return values[ranges[:, 0]]
    if pooling == "last":
        return values[ranges[:, 1] - 1]
    if pooling == "max":
        return _sparse_maximum(values, ranges) if sparse.issparse(values) else _dense_maximum(values, ranges)
    lengths = ranges[:, 1] - ranges[:, 0]
    # In double precision, so that the order of summation hardly matters.
    pooled = membership(ranges, values.shape[0]) @ values.astype(np.float64)
    if pooling == "mean":
        pooled = pooled.multiply(1 / lengths[:, None]).tocsr() if sparse.issparse(pooled) else pooled / lengths[:, None]
    return pooled.astype(values.dtype)


def membership(ranges: np.ndarray, n_rows: int) -> sparse.csr_array:
    """Matrix that sums the rows of each range, ``(n_ranges, n_rows)``."""
    ends = np.append(0, np.cumsum(ranges[:, 1] - ranges[:, 0]))
    # 32-bit indices, which the product inherits: the features of a corpus take a third less room.
    columns = _rows_of(ranges, ends).astype(np.int32)
    return sparse.csr_array((np.ones(len(columns)), columns, ends.astype(np.int32)), shape=(len(ranges), n_rows))


def _rows_of(ranges: np.ndarray, ends: np.ndarray) -> np.ndarray:
    """The rows of all ranges, one range after the other; `ends` says where each ends in this list."""
    return np.arange(ends[-1]) + np.repeat(ranges[:, 0] - ends[:-1], np.diff(ends))


def _dense_maximum(values: np.ndarray, ranges: np.ndarray) -> np.ndarray:
    return np.stack([values[first:last].max(axis=0) for first, last in ranges.tolist()])


def _sparse_maximum(values: sparse.csr_array, ranges: np.ndarray) -> sparse.csr_array:
    """Take each column's maximum over the rows of each range; what is not stored is 0."""
    ends = np.append(0, np.cumsum(ranges[:, 1] - ranges[:, 0]))
    triplets = values[_rows_of(ranges, ends)].tocoo()
    rows, columns = triplets.coords
    of_range = np.repeat(np.arange(len(ranges)), np.diff(ends))[rows]
    cell = of_range * values.shape[1] + columns
    order = np.argsort(cell, kind="stable")
    cells, starts, counts = np.unique(cell[order], return_index=True, return_counts=True)
    largest = np.maximum.reduceat(triplets.data[order], starts) if len(starts) else triplets.data
    row, column = np.divmod(cells, values.shape[1])
    # SAEs with negative activations: a feature that is 0 on some token has a maximum of at least 0.
    largest = np.where(counts < np.diff(ends)[row], np.maximum(largest, 0), largest)
    pooled = sparse.csr_array((largest, (row, column)), shape=(len(ranges), values.shape[1]))
    pooled.eliminate_zeros()
    return pooled
