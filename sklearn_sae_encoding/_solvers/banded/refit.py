"""Solutions on all rows, one decomposition for all voxels that chose the same weights of the bands."""

from __future__ import annotations

import numpy as np

from .backend import himalaya_backend
from .kernels import weighted_sum
from .search import Task, rotate


def refit(task: Task, weights: np.ndarray, chosen: np.ndarray, alphas: np.ndarray) -> np.ndarray:
    """Solve each voxel with its own candidate and penalty.

    Parameters: `weights` (n_candidates, n_bands), `chosen` (n_voxels,) places in it, `alphas` (n_voxels,). Returns in
    kernel form the residuals on the training rows (n_samples, n_voxels): with ``a = (K + alpha)^-1 y`` they are
    ``alpha a``, and the weights of a band are ``X_b' residuals / alpha_b``. In primal form, the weights of the scaled
    columns (n_kept, n_voxels).
    """
    primal = task.rows.size > 0
    rows, targets = task.rows, task.targets
    if primal:
        rows, rotation = rotate(task.rows, centre=False)
        targets = rotation.T @ task.targets
    out = np.empty((task.rows.shape[1] if primal else len(targets), len(chosen)), dtype=task.targets.dtype)
    for candidate in np.unique(chosen):
        voxels = np.flatnonzero(chosen == candidate)
        by_column = np.repeat(weights[candidate], task.widths) if primal else None
        kernel = (rows * by_column) @ rows.T if primal else weighted_sum(task.kernels, weights[candidate])
        dual = _solve(kernel, targets, voxels, alphas, task.backend)
        # alpha / (eigenvalue + alpha) in the eigenbasis gives residuals; divided by alpha, what multiplies the rows.
        out[:, voxels] = by_column[:, None] * (rows.T @ (dual / alphas[voxels])) if primal else dual
    return out


def _solve(kernel, targets, voxels, alphas, backend_name) -> np.ndarray:
    """Residuals of kernel ridge for some voxels, each with its own penalty."""
    with himalaya_backend(backend_name) as backend:
        kernel = backend.asarray(kernel)
        eigenvalues, vectors = backend.eigh(kernel)
        y = backend.asarray(targets[:, voxels], dtype=kernel.dtype)
        penalties = backend.asarray(alphas[voxels], dtype=kernel.dtype)
        # Rounding makes some eigenvalues of a singular kernel negative.
        eigenvalues = eigenvalues * (eigenvalues > 0)
        projected = vectors.T @ y
        projected *= penalties / (eigenvalues[:, None] + penalties)
        return np.asarray(backend.to_cpu(vectors @ projected))
