"""Which features may enter next: products of all features with a block of residuals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from .columns import JIT, Columns, is_dense
from .ftest import Norms

# Single precision finds the candidates (double precision then judges them) unless features are so far from centred that
# it could miss one; the bounds leave this much room for its rounding.
ROOM = 1e-4
FARTHEST_FROM_CENTRE = 30.0
# Correlations and residuals below this are rounding.
TINY = 1e-25


class Screened(NamedTuple):
    """The features that can ever enter, in the precision that is enough to find them."""

    values: np.ndarray  # (n_screened, n_samples) of a dense X, empty for a sparse one
    data: np.ndarray  # (nnz,) of a sparse X, and so on as in Columns
    indices: np.ndarray
    indptr: np.ndarray
    features: np.ndarray  # (n_screened,) int32
    inverse_factors: np.ndarray  # (n_screened,), 1 / f_j


def make_screened(columns: Columns, inverse_factors: np.ndarray, norms: Norms, prune: bool) -> Screened:
    """Leave out constant features, unpenalised ones, and (to `prune`) those that another one always precedes."""
    kept = (inverse_factors > 0) & (norms.centred > 0)
    if is_dense(columns):
        features = np.flatnonzero(kept).astype(np.int32)
        # Residuals sum to zero where there is an intercept, so any constant may be taken off a feature.
        values = (columns.dense[features] - norms.means[features, None]).astype(np.float32)
        nothing = np.zeros(0, dtype=np.float32)
        return Screened(
            values, nothing, columns.indices, columns.indptr, features, inverse_factors[features].astype(np.float32)
        )
    if prune:
        kept &= ~_preceded(columns, inverse_factors)
    features = np.flatnonzero(kept).astype(np.int32)
    centred_enough = np.all(norms.raw[features] <= FARTHEST_FROM_CENTRE * norms.centred[features])
    dtype = np.float32 if centred_enough else np.float64
    lengths = np.diff(columns.indptr)[features]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(columns.indptr[features] - indptr[:-1], lengths) + np.arange(indptr[-1])
    return Screened(
        np.zeros((0, 0), dtype=dtype),
        columns.data[places].astype(dtype),
        columns.indices[places],
        indptr,
        features,
        inverse_factors[features].astype(dtype),
    )


def _preceded(columns, inverse_factors):
    """Tell which features fire in one sample only, where another that fires there alone has a larger value.

    Centred columns of such features are multiples of each other, so in a lasso the smaller one never reaches its bound.
    """
    lone = np.flatnonzero(np.diff(columns.indptr) == 1)
    place = columns.indptr[lone]
    size = columns.data[place] * inverse_factors[lone]
    sample = columns.indices[place].astype(np.int64) * 2 + (size > 0)  # signs apart, for positive weights
    order = np.lexsort((-np.abs(size), sample))
    first = np.unique(sample[order], return_index=True)[1]
    preceded = np.zeros(len(inverse_factors), dtype=bool)
    preceded[lone] = True
    preceded[lone[order[first]]] = False
    return preceded


def scan(screened: Screened, residuals, bounds, allowed, rows, positive, capacity):
    """List, for each residual, the features whose correlation may exceed a bound.

    Parameters
    ----------
    residuals : (n_problems, n_samples), zero on held-out rows and centred on the others
    bounds : (n_problems,), features with ``|x_j'r| / f_j > bound`` are listed, and a few just below
    allowed : (n_voxels, n_features) of 0 and 1, or of shape (0, 0) where every feature is allowed
    rows : (n_problems,), the row of `allowed` of each problem
    capacity : first guess of how long a list may get

    Returns
    -------
    lists : (n_problems, at least longest list) int32
    lengths : (n_problems,)
    """
    scales = np.divide(1.0 + ROOM, bounds, out=np.zeros(len(bounds)), where=bounds > TINY)
    scaled = _by_sample(screened, residuals * scales[:, None])
    while True:
        lists = np.empty((len(residuals), capacity), dtype=np.int32)
        lengths = np.zeros(len(residuals), dtype=np.int64)
        if len(screened.values) == 0:
            _list_sparse(screened, scaled, allowed, rows, positive, lists, lengths)
        else:
            _list_dense(screened, screened.values @ scaled, allowed, rows, positive, lists, lengths)
        longest = int(lengths.max(initial=0))
        if longest <= capacity:
            return lists, lengths
        capacity = longest


def largest(screened: Screened, residuals, allowed, rows, positive):
    """Return max_j |x_j'r| / f_j over the allowed features, (n_problems,), to the precision of the screening."""
    size = np.maximum(np.abs(residuals).max(axis=1), TINY)
    scaled = _by_sample(screened, residuals / size[:, None])
    out = np.zeros(len(residuals), dtype=scaled.dtype)
    if len(screened.values) == 0:
        _largest_sparse(screened, scaled, allowed, rows, positive, out)
    else:
        _largest_dense(screened, screened.values @ scaled, allowed, rows, positive, out)
    return out.astype(np.float64) * size


def _by_sample(screened, residuals):
    return np.ascontiguousarray(residuals.T, dtype=screened.data.dtype)


@njit(**JIT)
def _sparse_products(screened, j, residuals, out):
    out[:] = 0
    for k in range(screened.indptr[j], screened.indptr[j + 1]):
        x = screened.data[k]
        row = residuals[screened.indices[k]]
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
def _append(screened, values, j, allowed, rows, positive, lists, lengths):
    feature = screened.features[j]
    for i in range(values.shape[0]):
        size = values[i] if positive else abs(values[i])
        if size * screened.inverse_factors[j] > 1 and (allowed.shape[0] == 0 or allowed[rows[i], feature]):
            if lengths[i] < lists.shape[1]:
                lists[i, lengths[i]] = feature
            lengths[i] += 1


@njit(**JIT)
def _list_sparse(screened, residuals, allowed, rows, positive, lists, lengths):
    values, ones = np.empty_like(residuals[0]), np.ones_like(residuals[0])
    for j in range(screened.features.shape[0]):
        _sparse_products(screened, j, residuals, values)
        if _any_above(values, screened.inverse_factors[j], ones, positive):
            _append(screened, values, j, allowed, rows, positive, lists, lengths)


@njit(**JIT)
def _list_dense(screened, products, allowed, rows, positive, lists, lengths):
    ones = np.ones_like(products[0])
    for j in range(screened.features.shape[0]):
        if _any_above(products[j], screened.inverse_factors[j], ones, positive):
            _append(screened, products[j], j, allowed, rows, positive, lists, lengths)


@njit(**JIT)
def _raise(screened, values, j, allowed, rows, positive, out):
    if not _any_above(values, screened.inverse_factors[j], out, positive):
        return
    feature = screened.features[j]
    for i in range(values.shape[0]):
        size = (values[i] if positive else abs(values[i])) * screened.inverse_factors[j]
        if size > out[i] and (allowed.shape[0] == 0 or allowed[rows[i], feature]):
            out[i] = size


@njit(**JIT)
def _largest_sparse(screened, residuals, allowed, rows, positive, out):
    values = np.empty_like(residuals[0])
    for j in range(screened.features.shape[0]):
        _sparse_products(screened, j, residuals, values)
        _raise(screened, values, j, allowed, rows, positive, out)


@njit(**JIT)
def _largest_dense(screened, products, allowed, rows, positive, out):
    for j in range(screened.features.shape[0]):
        _raise(screened, products[j], j, allowed, rows, positive, out)
