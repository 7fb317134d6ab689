"""Bands and responses to penalties, scores and solutions, block by block of voxels."""

from __future__ import annotations

import warnings
from typing import NamedTuple

import numpy as np

from .._solvers.banded.backend import backend_name
from .._solvers.banded.bands import centred_rows
from .._solvers.banded.gradient import descend
from .._solvers.banded.kernels import band_kernel
from .._solvers.banded.planning import Size
from .._solvers.banded.refit import refit
from .._solvers.banded.search import Task, as_problem
from .._solvers.running import solve_blocks
from .preparing import Candidates, Prepared, check_folds, is_primal, make_candidates, plan
from .responses import Responses


class Solution(NamedTuple):
    """Of all voxels; NaN (and -1) for those that were not fitted."""

    candidates: Candidates
    primal: bool
    chosen: np.ndarray  # (n_voxels,), the candidate
    places: np.ndarray  # (n_voxels,), the place of the penalty
    inverse_alphas: np.ndarray  # (n_used, n_voxels), of the bands; 0 where a band has no weight
    errors: np.ndarray | None  # (n_voxels, n_candidates), least mean squared held-out errors; None without a search
    steps: np.ndarray | None  # (n_voxels, n_steps), errors of gradient descent
    values: np.ndarray | None  # residuals (n_samples, n_voxels), or weights of scaled columns (n_kept, n_voxels)


def fit_bands(X, responses: Responses, prepared: Prepared, splits, given) -> Solution:
    """Search and solve; `splits` is called if there is anything to choose."""
    n_samples, dtype, backend = X.shape[0], X.dtype, backend_name(given.device)
    candidates = make_candidates(given, prepared, n_samples)
    primal = is_primal(given, prepared, n_samples)
    choose = candidates.weights.shape[0] * len(candidates.alphas) > 1 or given.search == "gradient"
    folds = check_folds(splits(), n_samples) if choose else ()
    voxels = np.flatnonzero(~responses.absent & ~responses.constant)
    solution = _empty(len(responses.absent), candidates, primal, (prepared, n_samples, dtype, given, choose))
    if not len(voxels):
        return solution
    size = Size(
        n_samples=n_samples,
        n_columns=int(prepared.kept.sum()),
        n_bands=len(prepared.bands),
        n_voxels=len(voxels),
        n_candidates=len(candidates.weights),
        n_alphas=len(candidates.alphas),
        n_folds=len(folds),
        itemsize=dtype.itemsize,
        primal=primal,
        n_jobs=1 if given.n_jobs is None else abs(given.n_jobs),
    )
    block = plan(size, given, dtype)
    task = Task(
        kernels=np.zeros((0, 0, 0), dtype=dtype) if primal else _kernels(X, prepared, dtype),
        rows=centred_rows(X, prepared.bands) if primal else np.zeros((0, 0), dtype=dtype),
        widths=np.array([len(band.columns) for band in prepared.bands]),
        targets=np.zeros((n_samples, 0), dtype=dtype),
        folds=folds,
        alphas=candidates.alphas,
        centre=given.fit_intercept,
        backend=backend,
    )
    for start in range(0, len(voxels), block):
        part = voxels[start : start + block]
        _fit_block(task._replace(targets=responses.block(part, dtype)), part, candidates, given, solution)
    return solution


def _fit_block(task: Task, voxels, candidates: Candidates, given, solution: Solution):
    """Fill in the solution of a block of voxels."""
    best = np.zeros(len(voxels), dtype=np.int64)
    chosen = np.zeros(len(voxels), dtype=np.int64)
    if task.folds:
        # A candidate is a unit of work: it serves all voxels, and in the kernel form shares nothing with the next.
        found = solve_blocks(
            as_problem(task),
            candidates.weights,
            block_size=4 if solution.primal else 1,
            n_jobs=given.n_jobs,
            memory=given.memory,
            verbose=given.verbose,
        )
        chosen = found.errors.argmin(axis=0)
        best = np.take_along_axis(found.alphas, chosen[None], axis=0)[0]
        solution.errors[voxels] = found.errors.T
        if np.isinf(solution.errors[voxels].min(axis=1)).any():
            raise ValueError(
                f"All of {len(candidates.alphas)} penalties are lost in the rounding of {task.kernels.dtype} kernels. "
                "Give larger alphas, or X in double precision."
            )
    alphas = candidates.alphas[best]
    inverse = candidates.weights[chosen].T / alphas
    solution.chosen[voxels], solution.places[voxels] = chosen, best
    if given.search == "gradient":
        descent = descend(task, inverse, given.n_steps, given.random_state)
        inverse = np.exp(descent.log_weights)
        solution.steps[voxels] = descent.errors.T
        if solution.values is not None:
            solution.values[:, voxels] = descent.residuals
    elif solution.values is not None:
        solution.values[:, voxels] = refit(task, candidates.weights, chosen, alphas)
    solution.inverse_alphas[:, voxels] = inverse


def warn_of_edges(solution: Solution, stacklevel: int) -> None:
    """Count the voxels at the small end of the grid; at the other end there is nothing to predict."""
    n_alphas, n_lowest = len(solution.candidates.alphas), int(np.sum(solution.places == 0))
    if n_alphas > 1 and solution.steps is None and n_lowest:
        warnings.warn(
            f"{n_lowest} of {np.sum(solution.places >= 0)} voxels chose the smallest of {n_alphas} penalties; a better "
            "one may lie below. Give smaller alphas.",
            UserWarning,
            stacklevel=stacklevel + 1,
        )


def _kernels(X, prepared, dtype):
    kernels = np.empty((len(prepared.bands), X.shape[0], X.shape[0]), dtype=dtype)
    for place, (name, band) in enumerate(zip(prepared.names, prepared.bands, strict=True)):
        with np.errstate(over="ignore", invalid="ignore"):  # said below, by band
            kernels[place] = band_kernel(X, band, dtype)
        if not all(np.isfinite(row).all() for row in kernels[place]):
            raise ValueError(
                f"The kernel of band {name!r} is not finite: its columns are too large for {np.dtype(dtype).name}. "
                "Scale them (scale='columns'), or give X in double precision."
            )
    return kernels


def _empty(n_voxels, candidates, primal, shape) -> Solution:
    prepared, n_samples, dtype, given, choose = shape
    n_values = int(prepared.kept.sum()) if primal else n_samples
    keeps = given.keep == "weights"
    return Solution(
        candidates=candidates,
        primal=primal,
        chosen=np.full(n_voxels, -1),
        places=np.full(n_voxels, -1),
        inverse_alphas=np.full((len(prepared.bands), n_voxels), np.nan),
        errors=np.full((n_voxels, len(candidates.weights)), np.nan) if choose else None,
        steps=np.full((n_voxels, given.n_steps), np.nan) if given.search == "gradient" else None,
        values=np.zeros((n_values, n_voxels), dtype=dtype) if keeps else None,
    )
