"""Per-voxel screening: the features that a univariate F-test ranks first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from .columns import DenseColumns, SparseColumns

EVERY_FEATURE = np.zeros((0, 0), dtype=np.uint8)


class Screen(NamedTuple):
    norms: np.ndarray  # (n_features,), of the centred columns
    n_best: int
    always: np.ndarray  # indices of features that pass in any case
    fit_intercept: bool


def centred_norms(columns: DenseColumns | SparseColumns, n_samples: int, fit_intercept: bool) -> np.ndarray:
    """Return the norm of each feature, centred if there is an intercept; exactly 0 for a constant one."""
    if isinstance(columns, SparseColumns):
        X = _csc(columns, n_samples)
        sums, squares = np.asarray(X.sum(axis=0)).ravel(), np.asarray(X.multiply(X).sum(axis=0)).ravel()
    else:
        sums, squares = columns.values.sum(axis=1), np.einsum("ij,ij->i", columns.values, columns.values)
    sums, squares = sums.astype(np.float64), squares.astype(np.float64)
    centred = squares - sums**2 / n_samples if fit_intercept else squares
    # What the subtraction leaves of a constant column is rounding.
    rounding = 64 * np.finfo(columns[0].dtype).eps
    return np.sqrt(np.where(centred > rounding * squares, centred, 0.0))


def best_features(columns: DenseColumns | SparseColumns, targets: np.ndarray, screen: Screen) -> np.ndarray:
    """Mark the `n_best` features of each voxel, (n_voxels, n_features) uint8.

    The F statistic grows with the squared correlation, so features are ranked by that. A constant feature has none and
    ranks last; among equals the later feature is preferred, as in scikit-learn's ``SelectKBest(f_regression)``.
    """
    n_features = len(screen.norms)
    if screen.n_best >= n_features:
        return EVERY_FEATURE
    if screen.fit_intercept:
        targets = targets - targets.mean(axis=1, keepdims=True)
    if isinstance(columns, SparseColumns):
        products = _csc(columns, targets.shape[1]).T @ targets.T
    else:
        products = columns.values @ targets.T.astype(columns.values.dtype, copy=False)
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


def _csc(columns: SparseColumns, n_samples: int) -> sparse.csc_array:
    shape = (n_samples, len(columns.indptr) - 1)
    return sparse.csc_array((columns.data, columns.indices, columns.indptr), shape=shape)
