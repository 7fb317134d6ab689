"""Per-voxel screening: the features that a univariate F-test ranks first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..columns import Columns, as_csc, is_dense

# A feature whose norm is so many times that of the centred one lies far from zero.
FAR = 30.0
ROWS_AT_ONCE = 4096  # of dense columns that are measured in double precision

EVERY_FEATURE = np.zeros((0, 0), dtype=np.uint8)


class Norms(NamedTuple):
    raw: np.ndarray  # (n_features,)
    centred: np.ndarray  # (n_features,), exactly 0 for a constant feature; the raw norms without an intercept
    means: np.ndarray  # (n_features,), 0 without an intercept


class Screen(NamedTuple):
    norms: np.ndarray  # (n_features,), of the centred columns
    n_best: int
    always: np.ndarray  # indices of features that pass in any case
    fit_intercept: bool


def column_norms(columns: Columns, fit_intercept: bool) -> Norms:
    """Measure every feature, centred if there is an intercept, in double precision."""
    n_samples, n_features = columns.dense.shape[1], len(columns.row_of)
    sums, squares, centred = np.zeros((3, n_features))
    level = np.zeros(n_features, dtype=bool)
    often = np.flatnonzero(columns.row_of >= 0)
    for start in range(0, len(often), ROWS_AT_ONCE):
        part = often[start : start + ROWS_AT_ONCE]
        rows = columns.dense[columns.row_of[part]].astype(np.float64)
        sums[part], squares[part] = rows.sum(axis=1), np.einsum("ij,ij->i", rows, rows)
        rows -= sums[part, None] / n_samples
        centred[part] = np.einsum("ij,ij->i", rows, rows)
        level[part] = _is_level(columns.dense[columns.row_of[part]])
    if not is_dense(columns):
        X = as_csc(columns)
        X = sparse.csc_array((X.data.astype(np.float64), X.indices, X.indptr), shape=X.shape)
        seldom = columns.row_of < 0
        lengths = np.diff(X.indptr)
        sums[seldom] = np.asarray(X.sum(axis=0)).ravel()[seldom]
        squares[seldom] = np.asarray(X.multiply(X).sum(axis=0)).ravel()[seldom]
        X.data -= np.repeat(sums / n_samples, lengths)
        centred[seldom] = (
            np.asarray(X.multiply(X).sum(axis=0)).ravel() + (n_samples - lengths) * (sums / n_samples) ** 2
        )[seldom]
        level |= seldom & (squares == 0)
    if not fit_intercept:
        return Norms(np.sqrt(squares), np.sqrt(squares), np.zeros(n_features))
    return Norms(np.sqrt(squares), np.sqrt(np.where(level, 0.0, centred)), sums / n_samples)


def _is_level(rows):
    """Tell which rows hold one value, up to the last bits: what a subtraction leaves of those is rounding."""
    low, high = rows.min(axis=1), rows.max(axis=1)
    return high - low <= 4 * np.finfo(rows.dtype).eps * np.maximum(np.abs(low), np.abs(high))


def centred_where_far(columns: Columns, norms: Norms) -> tuple[Columns, Norms, np.ndarray | None]:
    """Take the mean off the columns that lie far from zero, such as years and time stamps; return what was taken off.

    Others stay as they are: the kernels centre them as they go, which costs less than a copy. A column that far from
    zero is not sparse, so that it is among those that are kept dense.
    """
    far = (columns.row_of >= 0) & (norms.centred > 0) & (norms.raw > FAR * norms.centred)
    if not far.any():
        return columns, norms, None
    shifts = np.where(far, norms.means, 0.0)
    dense = columns.dense.copy()
    for j in np.flatnonzero(far):
        dense[columns.row_of[j]] = columns.dense[columns.row_of[j]].astype(np.float64) - shifts[j]
    columns = columns._replace(dense=dense)
    shifted = column_norms(columns, True)
    # What rounding leaves of a constant column is no feature.
    return columns, shifted._replace(centred=np.where(norms.centred == 0, 0.0, shifted.centred)), shifts


def best_features(columns: Columns, targets: np.ndarray, screen: Screen) -> np.ndarray:
    """Mark the `n_best` features of each voxel, (n_voxels, n_features) uint8.

    The F statistic grows with the squared correlation, so features are ranked by that. A constant feature has none and
    ranks last; among equals the later feature is preferred, as in scikit-learn's ``SelectKBest(f_regression)``.
    """
    n_features = len(screen.norms)
    if screen.n_best >= n_features:
        return EVERY_FEATURE
    if screen.fit_intercept:
        targets = targets - targets.mean(axis=1, keepdims=True)
    products = (columns.dense if is_dense(columns) else as_csc(columns).T) @ targets.T
    allowed = np.zeros((len(targets), n_features), dtype=np.uint8)
    for mask, product in zip(allowed, np.asarray(products).T, strict=True):
        ranked = np.divide(product, screen.norms, out=np.full(n_features, -1.0), where=screen.norms > 0) ** 2
        ranked[screen.norms == 0] = -1.0
        _mark_largest(ranked, screen.n_best, mask)
        mask[screen.always] = 1
    return allowed


def _mark_largest(values, count, mask):
    bound = np.partition(values, len(values) - count)[len(values) - count]
    mask[values > bound] = 1
    ties = np.flatnonzero(values == bound)
    mask[ties[len(ties) - (count - np.count_nonzero(mask)) :]] = 1
