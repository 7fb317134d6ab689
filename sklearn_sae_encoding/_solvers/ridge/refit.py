"""Ridge on each voxel's selected features, its penalty chosen by exact leave-one-out."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..columns import Columns, is_dense


class Refit(NamedTuple):
    alphas: np.ndarray  # (n_refit_alphas,), of ||y - Xw||² + alpha ||w||²
    forced: np.ndarray  # indices of features that are always in
    thresholds: np.ndarray  # (n_features,), a feature is selected if its absolute weight reaches this many target sizes


class RidgeSolution(NamedTuple):
    weights: sparse.csr_array  # (n_voxels, n_features)
    intercepts: np.ndarray  # (n_voxels,)
    alphas: np.ndarray  # (n_voxels,), NaN where no feature is selected


def refit_ridge(
    columns: Columns,
    targets: np.ndarray,
    weights: sparse.csr_array,
    refit: Refit,
    fit_intercept: bool,
) -> RidgeSolution:
    """Fit ridge to each voxel on the support of its `weights` (n_voxels, n_features) and the forced features."""
    n_voxels = len(targets)
    indices, data, indptr = [], [], [0]
    intercepts, alphas = np.zeros(n_voxels), np.full(n_voxels, np.nan)
    for v, target in enumerate(targets):
        row = slice(weights.indptr[v], weights.indptr[v + 1])
        of_voxel = weights.indices[row]
        selected = of_voxel[np.abs(weights.data[row]) >= refit.thresholds[of_voxel] * _size(target, fit_intercept)]
        support = np.union1d(selected, refit.forced).astype(np.int64)
        X = _gather(columns, support, len(target))
        coefficients, intercepts[v], alphas[v] = ridge_loo(X, target, refit.alphas, fit_intercept)
        indices.append(support)
        data.append(coefficients)
        indptr.append(indptr[-1] + len(support))
    matrix = sparse.csr_array((np.concatenate(data), np.concatenate(indices), indptr), shape=weights.shape)
    return RidgeSolution(matrix, intercepts, alphas)


def ridge_loo(X: np.ndarray, y: np.ndarray, alphas: np.ndarray, fit_intercept: bool) -> tuple[np.ndarray, float, float]:
    """Return weights, intercept and the alpha of least leave-one-out error.

    A ridge fit is linear, ``H y``, so the error at a sample that was left out is the plain residual over ``1 -
    H_ii``; the intercept is not penalised and adds ``1 / n`` to ``H_ii``. One decomposition serves every alpha.
    """
    n_samples, n_selected = X.shape
    x_mean = X.mean(axis=0) if fit_intercept else np.zeros(n_selected)
    y_mean = y.mean() if fit_intercept else 0.0
    if n_selected == 0:
        return np.zeros(0), y_mean, np.nan
    U, s, Vt = np.linalg.svd(X - x_mean, full_matrices=False)
    projected = U.T @ (y - y_mean)
    shrink = s**2 / (s**2 + alphas[:, None])  # (n_refit_alphas, rank)
    residuals = (y - y_mean) - (shrink * projected) @ U.T
    leverages = shrink @ (U**2).T + (1.0 / n_samples if fit_intercept else 0.0)
    errors = residuals / np.maximum(1.0 - leverages, np.finfo(float).eps)
    best = np.mean(errors**2, axis=1).argmin()
    coefficients = Vt.T @ (s / (s**2 + alphas[best]) * projected)
    return coefficients, y_mean - x_mean @ coefficients, alphas[best]


def _size(target, fit_intercept):
    """Standard deviation, or root mean square without an intercept: 1 for a standardised target."""
    return target.std() if fit_intercept else np.sqrt(np.mean(target**2))


def _gather(columns, support, n_samples):
    if is_dense(columns):
        return columns.dense[support].T.astype(np.float64)
    X = np.zeros((n_samples, len(support)))
    for place, j in enumerate(support):
        if columns.row_of[j] >= 0:
            X[:, place] = columns.dense[columns.row_of[j]]
            continue
        part = slice(columns.indptr[j], columns.indptr[j + 1])
        X[columns.indices[part], place] = columns.data[part]
    return X
