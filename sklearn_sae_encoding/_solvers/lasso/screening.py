"""Which features may enter next: products of all features with a block of residuals."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..columns import JIT, PART, Columns, is_dense
from .ftest import Norms
from .lanes import LANES, column_times_lanes, lowest_bit

# Single precision finds the candidates (double precision then judges them) unless features are so far from centred that
# it could miss one; the bounds leave this much room for its rounding.
ROOM = 1e-4
# The rounding of a product, in units of the norms of its factors; it may be all there is of a very small product.
ROUNDING = 8 * float(np.finfo(np.float32).eps)
FARTHEST_FROM_CENTRE = 30.0
# A matrix product is faster than sparse ones for features that fire in a larger share of the samples.
DENSE = 1 / 3
# Correlations and residuals below this are rounding.
TINY = 1e-25


class Eligible(NamedTuple):
    """Which features count for which residual."""

    allowed: np.ndarray  # (n_voxels, n_features) of 0 and 1, or of shape (0, 0) where every feature is allowed
    rows: np.ndarray  # (n_problems,), the row of `allowed` of each residual
    positive: bool  # whether only products above zero count


class Found(NamedTuple):
    """What a screening lists."""

    lists: np.ndarray  # (n_problems, capacity) int32, features
    sizes: np.ndarray  # (n_problems, capacity) float32
    lengths: np.ndarray  # (n_problems,)


class Screened(NamedTuple):
    """The features that can ever enter, in the precision that is enough to find them: the dense ones first.

    Its methods, and `dtype`, are what `scan` and `largest` need of whoever multiplies features with residuals; see also
    devices.py.
    """

    dense: np.ndarray  # (n_dense, n_samples)
    data: np.ndarray  # (nnz,) of the sparse ones, and so on as in Columns
    indices: np.ndarray
    indptr: np.ndarray  # (n_sparse + 1,)
    features: np.ndarray  # (n_dense + n_sparse,) int32
    inverse_factors: np.ndarray  # (n_dense + n_sparse,), 1 / f_j
    rounding: np.ndarray  # (n_dense + n_sparse,), of products with a residual of norm 1, over f_j

    @property
    def dtype(self):
        return self.data.dtype

    def list_above(self, residuals, reach, eligible, capacity):
        """List the features with ``|x_j'r| / f_j > 1`` for each residual, of norm `reach` at most, or a few more.

        Also returns those sizes, or a little more, and the lengths of the lists. As made by `_by_sample`, `residuals`
        are (n_samples, at least n_problems).
        """
        products, n_problems = self.dense @ residuals, len(eligible.rows)
        while True:
            found = Found(
                np.empty((n_problems, capacity), dtype=np.int32),
                np.empty((n_problems, capacity), dtype=np.float32),
                np.zeros(n_problems, dtype=np.int64),
            )
            _list_dense(self, products, reach, eligible, found)
            _list_sparse(self, residuals, reach, eligible, found)
            longest = int(found.lengths.max(initial=0))
            if longest <= capacity:
                return found
            capacity = longest

    def largest_sizes(self, residuals, eligible):
        """Return max_j |x_j'r| / f_j of each residual."""
        out = _largest_of_products(self, self.dense @ residuals, eligible)
        _largest_sparse(self, residuals, eligible, out)
        return out[: len(eligible.rows)].astype(np.float64)


def make_screened(columns: Columns, inverse_factors: np.ndarray, norms: Norms, prune: bool) -> Screened:
    """Leave out constant features, unpenalised ones, and (to `prune`) those that another one always precedes."""
    kept = (inverse_factors > 0) & (norms.centred > 0)
    if prune:
        kept &= ~_preceded(columns, inverse_factors)
    rare = np.diff(columns.indptr) <= DENSE * columns.dense.shape[1]
    rare &= not is_dense(columns)
    often, seldom = np.flatnonzero(kept & ~rare), np.flatnonzero(kept & rare)
    # In order of their length: where loops end is then foreseen, here and where candidates are gone through.
    seldom = seldom[np.argsort(np.diff(columns.indptr)[seldom], kind="stable")]
    centred_enough = np.all(norms.raw[seldom] <= FARTHEST_FROM_CENTRE * norms.centred[seldom])
    dtype = np.float32 if centred_enough else np.float64
    # Residuals sum to zero where there is an intercept, so any constant may be taken off a feature.
    dense = columns.dense[columns.row_of[often]] - norms.means[often, None]
    lengths = np.diff(columns.indptr)[seldom]
    indptr = np.concatenate([[0], np.cumsum(lengths)])
    places = np.repeat(columns.indptr[seldom] - indptr[:-1], lengths) + np.arange(indptr[-1])
    features = np.concatenate([often, seldom]).astype(np.int32)
    return Screened(
        dense.astype(dtype),
        columns.data[places].astype(dtype),
        columns.indices[places],
        indptr,
        features,
        inverse_factors[features].astype(dtype),
        (ROUNDING * norms.centred * inverse_factors)[features].astype(dtype),
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


def scan(screened: Screened, residuals, bounds, eligible, capacity):
    """List, for each residual, the features whose correlation may exceed a bound.

    Parameters
    ----------
    residuals : (n_problems, n_samples), zero on held-out rows and centred on the others
    bounds : (n_problems,), features with ``|x_j'r| / f_j > bound`` are listed, and a few just below
    capacity : first guess of how long a list may get

    Returns
    -------
    lists : (n_problems, at least longest list) int32
    sizes : the same, ``|x_j'r| / f_j`` over the bound, or a little more
    lengths : (n_problems,)
    """
    scales = np.divide(1.0 + ROOM, bounds, out=np.zeros(len(bounds)), where=bounds > TINY)
    by_sample, reach = _by_sample(screened, residuals, scales)
    return screened.list_above(by_sample, reach, eligible, capacity)


def largest(screened: Screened, residuals, eligible):
    """Return max_j |x_j'r| / f_j over the allowed features, (n_problems,), to the precision of the screening."""
    size = np.maximum(np.abs(residuals).max(axis=1), TINY)
    return screened.largest_sizes(_by_sample(screened, residuals, 1.0 / size)[0], eligible) * size


def _by_sample(screened, residuals, scales):
    """Arrange residuals times their `scales` as products take them; return their largest norm as well."""
    n_problems, n_samples = residuals.shape
    out = np.zeros((n_samples, -(-n_problems // LANES) * LANES), dtype=screened.dtype)
    return out, _scale_into(residuals, scales, out)


@njit(**JIT)
def _scale_into(residuals, scales, out):
    """Write residuals times their `scales` to the columns of `out`; return the largest norm of those."""
    largest = 0.0
    for i in range(residuals.shape[0]):
        square = 0.0
        for b in range(residuals.shape[1]):
            value = residuals[i, b] * scales[i]
            square += value * value
            out[b, i] = value
        largest = max(largest, square)
    return np.sqrt(largest)


# As in columns.py, the loops over features unpack each tuple once and call nothing, not even what would become part of
# them: passing arrays on counts references.


@njit(**JIT)
def _list_sparse(screened, residuals, reach, eligible, found):
    data, indices, indptr = screened.data, screened.indices, screened.indptr
    features, inverse_factors, rounding = screened.features, screened.inverse_factors, screened.rounding
    (allowed, rows, positive), (lists, sizes, lengths) = eligible, found
    values, first, reach = np.empty_like(residuals[0, :LANES]), screened.dense.shape[0], residuals.dtype.type(reach)
    for start in range(0, residuals.shape[1], LANES):
        together = residuals[:, start : start + LANES]
        for j in range(first, features.shape[0]):
            begin, end = indptr[j - first], indptr[j - first + 1]
            threshold = (1 - rounding[j] * reach) / inverse_factors[j]
            above = column_times_lanes(data, indices, begin, end, together, threshold, values)
            while above != 0:
                lane = lowest_bit(above)
                i, above = start + lane, above & (above - np.uint32(1))
                size = values[lane] if positive else abs(values[lane])
                if i >= lengths.shape[0] or not size > threshold:
                    continue
                if allowed.shape[0] > 0 and not allowed[rows[i], features[j]]:
                    continue
                if lengths[i] < lists.shape[1]:
                    lists[i, lengths[i]] = features[j]
                    sizes[i, lengths[i]] = 1 + (size - threshold) * inverse_factors[j]
                lengths[i] += 1


@njit(**JIT)
def _list_dense(screened, products, reach, eligible, found):
    (allowed, rows, positive), (lists, sizes, lengths) = eligible, found
    features, inverse_factors, rounding = screened.features, screened.inverse_factors, screened.rounding
    for j in range(products.shape[0]):
        threshold = (1 - rounding[j] * reach) / inverse_factors[j]
        for i in range(lengths.shape[0]):
            size = products[j, i] if positive else abs(products[j, i])
            if not size > threshold or (allowed.shape[0] > 0 and not allowed[rows[i], features[j]]):
                continue
            if lengths[i] < lists.shape[1]:
                lists[i, lengths[i]] = features[j]
                sizes[i, lengths[i]] = 1 + (size - threshold) * inverse_factors[j]
            lengths[i] += 1


def _largest_of_products(screened, products, eligible):
    sizes = (products if eligible.positive else np.abs(products)) * screened.inverse_factors[: len(products), None]
    if eligible.allowed.shape[0]:
        allowed = eligible.allowed[:, screened.features[: len(products)]]
        sizes[:, : len(eligible.rows)] *= allowed[eligible.rows].T
    return np.max(sizes, axis=0, initial=0.0)


@njit(**PART)
def _raise(screened, values, start, place, eligible, out):
    allowed, rows, positive = eligible
    feature = screened.features[place]
    for i in range(start, min(start + values.shape[0], rows.shape[0])):
        size = (values[i - start] if positive else abs(values[i - start])) * screened.inverse_factors[place]
        if size > out[i] and (allowed.shape[0] == 0 or allowed[rows[i], feature]):
            out[i] = size


@njit(**JIT)
def _largest_sparse(screened, residuals, eligible, out):
    data, indices, indptr, inverse_factors = screened.data, screened.indices, screened.indptr, screened.inverse_factors
    values, first = np.empty_like(residuals[0, :LANES]), screened.dense.shape[0]
    for start in range(0, residuals.shape[1], LANES):
        together = residuals[:, start : start + LANES]
        for j in range(first, inverse_factors.shape[0]):
            begin, end, above = indptr[j - first], indptr[j - first + 1], False
            column_times_lanes(data, indices, begin, end, together, inverse_factors[j], values)
            for i in range(LANES):
                above |= abs(values[i]) * inverse_factors[j] > out[start + i]
            if above:
                _raise(screened, values, start, j, eligible, out)
