"""Held-out errors of candidates: weights of the bands and penalties, on every fold, for all voxels of a block."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..running import Problem
from .backend import himalaya_backend
from .kernels import BandKernel, centre_by, weighted_sum

# Bytes of himalaya's predictions or copies of targets, and of its resolution matrices, at a time.
PREDICTIONS = 3 * 2**19
RESOLUTION = 2**22
# Numbers of targets that are averaged at a time.
AVERAGED = 2**18


class Task(NamedTuple):
    """What all candidates share. Either kernels (kernel form) or rows (primal form) are empty."""

    kernels: tuple[BandKernel, ...]  # of each band, centred with an intercept; none in primal form
    rows: np.ndarray  # (n_samples, n_kept), centred with an intercept, bands side by side; (0, 0) in kernel form
    widths: np.ndarray  # (n_bands,), columns of each band in `rows`
    targets: np.ndarray  # (n_samples, n_voxels), centred with an intercept
    folds: tuple  # of (train, test), row indices
    alphas: np.ndarray  # (n_alphas,), ascending
    centre: bool
    backend: str


class Candidates(NamedTuple):
    """What was found for each candidate, over all penalties."""

    errors: np.ndarray  # (n_candidates, n_voxels), least mean squared held-out error
    alphas: np.ndarray  # (n_candidates, n_voxels) int32, the place of the penalty that has it
    falls: np.ndarray  # (n_candidates, n_voxels), by how much the error falls at the last step to the smallest penalty


class Fold(NamedTuple):
    rows: np.ndarray  # primal form: rotated training rows above held-out rows
    targets: np.ndarray  # (n_train + n_test, n_voxels) or all rows; training targets first in primal form
    means: np.ndarray  # (n_voxels,), of the training targets
    train: np.ndarray  # where the training rows stand
    test: np.ndarray


def as_problem(task: Task) -> Problem:
    """Put a search into the form that running knows, a candidate being what a target is there."""
    return Problem(task, search_candidates, no_candidates, noun="candidates")


def search_candidates(task: Task, weights: np.ndarray, n_threads: int = 1) -> Candidates:
    """Score candidates, `weights` of the bands (n_candidates, n_bands), by mean squared error over folds.

    BLAS takes the threads that joblib allows its workers, or all of them in one process.
    """
    shape = (len(weights), len(task.alphas), task.targets.shape[1])
    errors = np.zeros(shape)
    for train, test in task.folds:
        fold = _fold(task, train, test)
        for place, candidate in enumerate(weights):
            errors[place] += _fold_errors(task, fold, candidate)
    errors /= len(task.folds)
    # Equal errors go to the larger penalty, as in himalaya.
    best = (len(task.alphas) - 1 - errors[:, ::-1].argmin(axis=1)).astype(np.int32)
    with np.errstate(invalid="ignore"):  # both may be infinite
        falls = errors[:, min(1, len(task.alphas) - 1)] - errors[:, 0]
    return Candidates(np.take_along_axis(errors, best[:, None], axis=1)[:, 0], best, falls)


def no_candidates(task: Task) -> Candidates:
    nothing = np.zeros((0, task.targets.shape[1]))
    return Candidates(nothing, nothing.astype(np.int32), nothing)


def errors_of_means(task: Task) -> np.ndarray:
    """Mean squared held-out errors (n_voxels,) of what knows nothing but the mean of the training targets."""
    errors = np.zeros(task.targets.shape[1])
    for train, test in task.folds:
        means = _means(task, train)
        for some in _some_voxels(task.targets):
            errors[some] += np.mean((task.targets[test, some].astype(np.float64) - means[some]) ** 2, axis=0)
    return errors / len(task.folds)


def _means(task, train):
    means = np.zeros(task.targets.shape[1])
    for some in _some_voxels(task.targets) if task.centre else ():
        means[some] = task.targets[train, some].mean(axis=0, dtype=np.float64)
    return means


def _some_voxels(targets):
    step = max(1, AVERAGED // len(targets))
    return [slice(start, start + step) for start in range(0, targets.shape[1], step)]


def _fold(task, train, test) -> Fold:
    targets = task.targets
    means = _means(task, train).astype(targets.dtype)
    if not task.rows.size:
        return Fold(task.rows, targets, means, train, test)
    rotated, rotation = rotate(task.rows[train], task.centre)
    centre = task.rows[train].mean(axis=0) if task.centre else 0.0
    rows = np.concatenate([rotated, task.rows[test] - centre])
    n_rotated = len(rotated)
    return Fold(
        rows,
        np.concatenate([rotation.T @ (targets[train] - means), targets[test]]),
        means,
        np.arange(n_rotated),
        np.arange(n_rotated, len(rows)),
    )


def rotate(rows: np.ndarray, centre: bool) -> tuple[np.ndarray, np.ndarray]:
    """Rotate (centred) rows Z into as few rows R = Q'Z as have the same ridge: Z'Z = R'R and Z'y = R'(Q'y)."""
    rows = rows - rows.mean(axis=0) if centre else rows
    rotation, rotated = np.linalg.qr(rows)
    return rotated, rotation


def fold_kernel(task: Task, fold: Fold, weights: np.ndarray) -> np.ndarray:
    """Kernel of a candidate, centred by the training rows of a fold; only products with those rows are right."""
    if not task.rows.size:
        kernel = weighted_sum(task.kernels, weights)
        if task.centre:
            centre_by(kernel, fold.train)
        return kernel
    n_rows, n_train = len(fold.rows), len(fold.train)
    kernel = np.zeros((n_rows, n_rows), dtype=fold.rows.dtype)
    by_column = np.repeat(weights, task.widths).astype(fold.rows.dtype)
    np.matmul(fold.rows * by_column, fold.rows[:n_train].T, out=kernel[:, :n_train])
    return kernel


def _fold_errors(task, fold, weights) -> np.ndarray:
    """Mean squared errors (n_alphas, n_voxels) of one candidate on one fold, infinite where rounding forbids."""
    from himalaya.kernel_ridge import solve_multiple_kernel_ridge_random_search

    n_voxels = fold.targets.shape[1]
    kernel = fold_kernel(task, fold, weights)
    n_train, n_test, size = len(fold.train), len(fold.test), kernel.itemsize
    alpha_batch = int(np.clip(RESOLUTION // (n_train * n_train * size), 1, len(task.alphas)))
    voxel_batch = int(np.clip(PREDICTIONS // (max(n_train, alpha_batch * n_test) * size), 1, n_voxels))
    with himalaya_backend(task.backend) as backend:
        record = _Record(backend, len(task.alphas), fold.means, voxel_batch)
        solve_multiple_kernel_ridge_random_search(
            kernel[None],
            fold.targets,
            n_iter=backend.asarray(np.ones((1, 1), dtype=kernel.dtype)),
            alphas=backend.asarray(task.alphas.astype(kernel.dtype)),
            score_func=record,
            cv=[(fold.train, fold.test)],
            n_targets_batch=voxel_batch,
            n_alphas_batch=alpha_batch,
            progress_bar=False,
        )
    record.errors[np.isnan(record.errors)] = np.inf
    return record.errors


class _Record:
    """A score of himalaya's that keeps the errors of all penalties; it asks for them in blocks, in order."""

    def __init__(self, backend, n_alphas, means, voxel_batch):
        self.errors = np.zeros((n_alphas, len(means)))
        self._backend, self._means, self._voxel_batch = backend, means, voxel_batch
        self._alpha = self._voxel = 0

    def __call__(self, targets, predictions):
        backend, voxels = self._backend, slice(self._voxel, self._voxel + self._voxel_batch)
        means = backend.asarray(self._means[voxels], dtype=predictions.dtype)
        # In place: nobody looks at these predictions again, and they are the largest array of the fit.
        predictions -= targets - means
        predictions *= predictions
        losses = backend.mean_float64(predictions, axis=1)
        n_alphas = len(predictions)
        self.errors[self._alpha : self._alpha + n_alphas, voxels] = backend.to_cpu(losses)
        self._voxel = voxels.stop
        if self._voxel >= len(self._means):
            self._alpha, self._voxel = self._alpha + n_alphas, 0
        return -losses
