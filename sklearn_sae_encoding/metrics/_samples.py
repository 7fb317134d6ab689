"""Samples, their responses and noise ceilings, checked before anything is fitted."""

import numpy as np
from sklearn.utils import indexable

from sklearn_sae_encoding._validation import count_samples
from sklearn_sae_encoding.metrics._runs import n_voxels


def check_samples(X, Y, may_miss_voxels):
    """Give samples that can be indexed, and finite responses with a row each."""
    if isinstance(X, str):
        raise ValueError(f"X must hold one item a sample, got a single string: {X[:40]!r}. Put it in a list.")
    if hasattr(X, "n_scans"):
        raise ValueError("X is a single run. Runs come in a list, [run], and their responses, too: [responses].")
    (X,) = indexable(X)
    Y = np.asarray(Y)
    if Y.ndim not in (1, 2) or Y.dtype.kind not in "fiub":
        raise ValueError(f"Y must be numbers of shape (n_samples, n_voxels), got shape {Y.shape}, dtype {Y.dtype}.")
    if isinstance(X, (list, tuple)) and X and all(hasattr(run, "n_scans") for run in X):
        raise ValueError(
            f"X holds {len(X)} runs: Y must be a list with one array of responses a run, got an array of shape "
            f"{Y.shape}. np.split(Y, ends) cuts what was stacked."
        )
    if count_samples(X) != len(Y):
        raise ValueError(
            f"X and Y must belong to the same samples, but X has {count_samples(X)} (texts or rows) and Y has {len(Y)} "
            "rows."
        )
    if not may_miss_voxels:
        _check_finite(Y)
    return X, Y


def _check_finite(Y):
    with np.errstate(over="ignore", invalid="ignore"):
        if np.isfinite(np.sum(Y, dtype=np.float64)):
            return
    bad = np.argwhere(~np.isfinite(Y))
    if len(bad):
        where = f"sample {bad[0, 0]}" + (f", voxel {bad[0, 1]}" if Y.ndim == 2 else "")
        raise ValueError(
            f"Y holds {len(bad)} value(s) that are NaN or infinite, the first at {where}. "
            "Remove such voxels or samples."
        )


def check_ceiling(ceiling, Y):
    """Refuse ceilings of other voxels."""
    if ceiling is not None and ceiling.ndim > 0 and ceiling.shape != (n_voxels(Y),):
        raise ValueError(f"noise_ceiling must hold one value a voxel, ({n_voxels(Y)},), got shape {ceiling.shape}.")
