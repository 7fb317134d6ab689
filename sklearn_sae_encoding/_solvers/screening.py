"""Which features may enter next: products of all features with a block of residuals."""

from __future__ import annotations

import numpy as np
from numba import njit

from .columns import JIT, DenseColumns, SparseColumns


def scan(columns, residuals, bounds, allowed, rows, inverse_factors, positive, capacity):
    """List, for each residual, the features whose correlation exceeds a bound.

    Parameters
    ----------
    residuals : (n_samples, n_problems), zero on held-out rows and centred on the others
    bounds : (n_problems,), features with ``|x_j'r| / f_j > bound`` are listed
    allowed : (n_voxels, n_features) of 0 and 1, or of shape (0, 0) where every feature is allowed
    rows : (n_problems,), the row of `allowed` of each problem
    inverse_factors : (n_features,), 1 / f_j, and 0 where f_j is 0
    capacity : first guess of how long a list may get

    Returns
    -------
    lists : (n_problems, at least longest list) int32
    lengths : (n_problems,)
    """
    products = None
    if isinstance(columns, DenseColumns):
        products = columns.values @ residuals.astype(columns.values.dtype, copy=False)
    while True:
        lists = np.empty((residuals.shape[1], capacity), dtype=np.int32)
        lengths = np.zeros(residuals.shape[1], dtype=np.int64)
        args = (bounds, allowed, rows, inverse_factors, positive, lists, lengths)
        if products is None:
            _list_sparse(columns, residuals, *args)
        else:
            _list_dense(products, *args)
        longest = int(lengths.max(initial=0))
        if longest <= capacity:
            return lists, lengths
        capacity = longest


def largest(columns, residuals, allowed, rows, inverse_factors, positive):
    """Return max_j |x_j'r| / f_j over the allowed, penalised features, (n_problems,)."""
    if isinstance(columns, SparseColumns):
        out = np.zeros(residuals.shape[1])
        _largest_sparse(columns, residuals, allowed, rows, inverse_factors, positive, out)
        return out
    products = (columns.values @ residuals.astype(columns.values.dtype, copy=False)) * inverse_factors[:, None]
    if allowed.shape[0]:
        products *= allowed[rows].T
    if not positive:
        np.abs(products, out=products)
    return products.max(axis=0, initial=0.0).astype(np.float64)


@njit(**JIT)
def _sparse_products(columns, j, residuals, out):
    out[:] = 0.0
    for k in range(columns.indptr[j], columns.indptr[j + 1]):
        x = columns.data[k]
        row = residuals[columns.indices[k]]
        for i in range(out.shape[0]):
            out[i] += x * row[i]


@njit(**JIT)
def _any_above(values, scale, bounds, positive):
    above = False
    if positive:
        for i in range(values.shape[0]):
            above |= values[i] * scale > bounds[i]
    else:
        for i in range(values.shape[0]):
            above |= abs(values[i]) * scale > bounds[i]
    return above


@njit(**JIT)
def _append(values, j, scale, bounds, allowed, rows, positive, lists, lengths):
    for i in range(values.shape[0]):
        size = values[i] * scale if positive else abs(values[i]) * scale
        if size > bounds[i] and (allowed.shape[0] == 0 or allowed[rows[i], j]):
            if lengths[i] < lists.shape[1]:
                lists[i, lengths[i]] = j
            lengths[i] += 1


@njit(**JIT)
def _list_sparse(columns, residuals, bounds, allowed, rows, inverse_factors, positive, lists, lengths):
    values = np.empty(residuals.shape[1])
    for j in range(inverse_factors.shape[0]):
        if columns.indptr[j] == columns.indptr[j + 1]:
            continue
        _sparse_products(columns, j, residuals, values)
        if _any_above(values, inverse_factors[j], bounds, positive):
            _append(values, j, inverse_factors[j], bounds, allowed, rows, positive, lists, lengths)


@njit(**JIT)
def _list_dense(products, bounds, allowed, rows, inverse_factors, positive, lists, lengths):
    for j in range(inverse_factors.shape[0]):
        if _any_above(products[j], inverse_factors[j], bounds, positive):
            _append(products[j], j, inverse_factors[j], bounds, allowed, rows, positive, lists, lengths)


@njit(**JIT)
def _largest_sparse(columns, residuals, allowed, rows, inverse_factors, positive, out):
    values = np.empty(residuals.shape[1])
    for j in range(inverse_factors.shape[0]):
        if columns.indptr[j] == columns.indptr[j + 1]:
            continue
        _sparse_products(columns, j, residuals, values)
        if not _any_above(values, inverse_factors[j], out, positive):
            continue
        for i in range(values.shape[0]):
            size = values[i] * inverse_factors[j]
            if not positive:
                size = abs(size)
            if size > out[i] and (allowed.shape[0] == 0 or allowed[rows[i], j]):
                out[i] = size
