"""Per-voxel screening: the features that a univariate F-test ranks first."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..columns import Columns, as_csc, is_dense

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
    """Measure every feature, centred if there is an intercept."""
    n_samples = columns.dense.shape[1]
    if is_dense(columns):
        sums, squares = columns.dense.sum(axis=1), np.einsum("ij,ij->i", columns.dense, columns.dense)
    else:
        X = as_csc(columns)
        sums, squares = np.asarray(X.sum(axis=0)).ravel(), np.asarray(X.multiply(X).sum(axis=0)).ravel()
    squares = squares.astype(np.float64)
    means = sums.astype(np.float64) / n_samples if fit_intercept else np.zeros(len(squares))
    centred = squares - n_samples * means**2
    # What the subtraction leaves of a constant column is rounding.
    rounding = 64 * np.finfo(columns.dense.dtype).eps
    return Norms(np.sqrt(squares), np.sqrt(np.where(centred > rounding * squares, centred, 0.0)), means)


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
