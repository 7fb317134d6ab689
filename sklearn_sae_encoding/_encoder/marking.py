"""Data of a fit to what tells them from other data later."""

from __future__ import annotations

import numpy as np

_BLOCK = 4096  # targets at once


def data_mark(X, Y) -> np.ndarray:
    """Covariance of each target with one fixed random mixture of the features, of shape (n_targets,).

    Other features or responses give another mark, and so do the same ones if the rows of one are in another order than
    those of the other. The rounding of features that are computed again changes it as little as any sum, which a hash
    would not forgive. NaN for targets that hold NaN.
    """
    mixture = X @ np.random.default_rng(0).standard_normal(X.shape[1])
    mixture = np.asarray(mixture, dtype=np.float64).ravel()
    mixture -= mixture.mean()
    mark = np.empty(Y.shape[1])
    for start in range(0, Y.shape[1], _BLOCK):
        values = Y[:, start : start + _BLOCK].astype(np.float64)
        mark[start : start + _BLOCK] = mixture @ (values - values.mean(axis=0)) / len(values)
    return mark


def is_other_data(mark, X, Y, tol=1e-4) -> np.ndarray:
    """Mark of each target, of shape (n_targets,), whether `X` and `Y` can't be what a fit left `mark` of."""
    mixture = np.asarray(X @ np.random.default_rng(0).standard_normal(X.shape[1]), dtype=np.float64).ravel()
    with np.errstate(invalid="ignore"):
        size = mixture.std() * np.std(Y, axis=0, dtype=np.float64)
        return np.abs(data_mark(X, Y) - mark) > tol * np.maximum(size, np.abs(mark))
