"""Solutions on all rows, one decomposition for all voxels that chose the same weights of the bands."""

from __future__ import annotations

import numpy as np

from .backend import himalaya_backend
from .kernels import weighted_sum
from .search import Task, rotate

# Bytes of the targets that are solved at a time.
SOLVED = 2**19


def refit(task: Task, weights: np.ndarray, chosen: np.ndarray, alphas: np.ndarray, out: np.ndarray) -> None:
    """Solve each voxel with its own candidate and penalty.

    Parameters: `weights` (n_candidates, n_bands), `chosen` (n_voxels,) places in it, `alphas` (n_voxels,). Puts into
    `out`, in kernel form, the residuals on the training rows (n_samples, n_voxels): with ``a = (K + alpha)^-1 y`` they
    are ``alpha a``, and the weights of a band are ``X_b' residuals / alpha_b``; `out` may be the targets themselves.
    In primal form, the weights of the scaled columns (n_kept, n_voxels).
    """
    primal = task.rows.size > 0
    rows, targets = task.rows, task.targets
    if primal:
        rows, rotation = rotate(task.rows, centre=False)
        targets = rotation.T @ task.targets
    step = max(1, SOLVED // (targets.shape[0] * targets.itemsize))
    for candidate in np.unique(chosen):
        voxels = np.flatnonzero(chosen == candidate)
        by_column = np.repeat(weights[candidate], task.widths) if primal else None
        kernel = (rows * by_column) @ rows.T if primal else weighted_sum(task.kernels, weights[candidate])
        with himalaya_backend(task.backend) as backend:
            eigenvalues, vectors = backend.eigh(backend.asarray(kernel))
            # Rounding makes some eigenvalues of a singular kernel negative.
            eigenvalues = eigenvalues * (eigenvalues > 0)
            for start in range(0, len(voxels), step):
                some = voxels[start : start + step]
                dual = _residuals(backend, eigenvalues, vectors, targets[:, some], alphas[some])
                # Divided by alpha, residuals are what multiplies the rows.
                out[:, some] = by_column[:, None] * (rows.T @ (dual / alphas[some])) if primal else dual


def _residuals(backend, eigenvalues, vectors, targets, alphas) -> np.ndarray:
    """Residuals of kernel ridge for some voxels, each with its own penalty: alpha / (eigenvalue + alpha) of a part."""
    penalties = backend.asarray(alphas, dtype=eigenvalues.dtype)
    projected = vectors.T @ backend.asarray(targets, dtype=eigenvalues.dtype)
    projected *= penalties / (eigenvalues[:, None] + penalties)
    return np.asarray(backend.to_cpu(vectors @ projected))
