"""Weights of the bands by gradient descent on the held-out error, voxel by voxel."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from .backend import himalaya_backend
from .kernels import all_kernels
from .search import Task

# himalaya stops when the slowest voxel of a call has converged. Calls of a fixed size make that the same voxels,
# whatever the blocks.
CHUNK = 64
# Weights of zero have no logarithm; this is the smallest share of a band at the start.
SMALLEST = 1e-8


class Descent(NamedTuple):
    log_weights: np.ndarray  # (n_bands, n_voxels), logarithms of weight over penalty
    errors: np.ndarray  # (n_steps, n_voxels), mean squared held-out errors
    residuals: np.ndarray  # (n_samples, n_voxels), on the training rows, as in refit.py


def descend(task: Task, start: np.ndarray, n_steps: int, seed: int) -> Descent:
    """Follow the gradient from `start`, weights over penalties (n_bands, n_voxels)."""
    dtype = task.targets.dtype
    floor = SMALLEST * np.maximum(start.max(axis=0), np.finfo(dtype).tiny)
    start = np.log(np.maximum(start, floor)).astype(dtype)
    kernels = all_kernels(task.kernels)
    places = range(0, start.shape[1], CHUNK)
    parts = [_descend(task, kernels, start, slice(place, place + CHUNK), n_steps, seed) for place in places]
    return Descent(*(np.concatenate(values, axis=1) for values in zip(*parts, strict=True)))


def _descend(task, kernels, start, voxels, n_steps, seed) -> Descent:
    from himalaya.kernel_ridge import (
        solve_multiple_kernel_ridge_hyper_gradient,
        solve_weighted_kernel_ridge_conjugate_gradient,
    )

    targets = np.ascontiguousarray(task.targets[:, voxels])
    with himalaya_backend(task.backend) as backend:
        kernels = backend.asarray(kernels)
        log_weights, _, scores = solve_multiple_kernel_ridge_hyper_gradient(
            kernels,
            targets,
            cv=list(task.folds),
            initial_deltas=backend.asarray(start[:, voxels]),
            max_iter=n_steps,
            random_state=seed,
            progress_bar=False,
        )
        residuals = solve_weighted_kernel_ridge_conjugate_gradient(
            kernels, backend.asarray(targets), log_weights, max_iter=1000, tol=1e-6
        )
        found = (np.asarray(backend.to_cpu(part)) for part in (log_weights, _filled(-scores), residuals))
        return Descent(*found)


def _filled(errors):
    """Repeat the last errors: himalaya leaves zeros after the step at which it stopped."""
    done = np.flatnonzero(np.asarray(errors).any(axis=1))
    errors[done[-1] + 1 :] = errors[done[-1]]
    return errors
