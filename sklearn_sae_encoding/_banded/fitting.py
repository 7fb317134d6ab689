"""Bands and responses to penalties, scores and solutions, block by block of voxels."""

from __future__ import annotations

from functools import partial
from typing import NamedTuple

import numpy as np

from .._notes import Note, tell
from .._solvers.banded.backend import backend_name
from .._solvers.banded.bands import centred_rows
from .._solvers.banded.gradient import descend
from .._solvers.banded.kernels import band_products, is_finite, is_narrow
from .._solvers.banded.planning import Size
from .._solvers.banded.refit import refit
from .._solvers.banded.search import Task, as_problem, errors_of_means
from .._solvers.running import made_once, solve_blocks
from .preparing import Candidates, Prepared, check_folds, is_primal, make_candidates, plan
from .responses import Responses

# Share of what a voxel's best model explains that the last step to the smallest penalty gains, to be told of.
WORTHWHILE = 0.01
# Share of the variance, in units of one over the rows, that the best of many candidates may explain of noise.
LUCKY = 20.0
# Share of the voxels that may be so by chance without being told of.
FEW = 0.05


class Solution(NamedTuple):
    """Of all voxels; NaN (and -1) for those that were not fitted."""

    candidates: Candidates
    primal: bool
    chosen: np.ndarray  # (n_voxels,), the candidate
    places: np.ndarray  # (n_voxels,), the place of the penalty
    inverse_alphas: np.ndarray  # (n_used, n_voxels), of the bands; 0 where a band has no weight
    errors: np.ndarray | None  # (n_voxels, n_candidates), least mean squared held-out errors; None without a search
    nothing: np.ndarray  # (n_voxels,), held-out errors of the mean
    falls: np.ndarray  # (n_voxels,), by how much the error fell at the last step to the smallest penalty
    steps: np.ndarray | None  # (n_voxels, n_steps), errors of gradient descent
    folds: tuple  # pairs of training and held-out rows; none without a search
    values: np.ndarray | None  # residuals (n_samples, n_voxels), or weights of scaled columns (n_kept, n_voxels)


def fit_bands(X, responses: Responses, prepared: Prepared, splits, given) -> Solution:
    """Search and solve; `splits` is called if there is anything to choose."""
    n_samples, dtype, backend = X.shape[0], X.dtype, backend_name(given.device)
    candidates = make_candidates(given, prepared, n_samples)
    primal = is_primal(given, prepared, n_samples)
    choose = candidates.weights.shape[0] * len(candidates.alphas) > 1 or given.search == "gradient"
    folds = check_folds(splits(), n_samples) if choose else ()
    voxels = np.flatnonzero(~responses.absent & ~responses.constant)
    solution = _empty(len(responses.absent), candidates, primal, (prepared, n_samples, dtype, given, folds))
    if not len(voxels):
        return solution
    wide = 0 if primal else sum(not is_narrow(band, n_samples) for band in prepared.bands)
    size = Size(
        n_samples=n_samples,
        n_columns=prepared.n_kept,
        n_kernels=wide + len(prepared.bands) * (given.search == "gradient"),
        n_voxels=len(voxels),
        n_candidates=len(candidates.weights),
        n_alphas=len(candidates.alphas),
        n_folds=len(folds),
        itemsize=dtype.itemsize,
        primal=primal,
        n_jobs=1 if given.n_jobs is None else abs(given.n_jobs),
    )
    block = plan(size, len(prepared.bands), given, dtype)
    task = Task(
        kernels=() if primal else _kernels(X, prepared, dtype),
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
        targets = _room(solution, part, n_samples, dtype)
        responses.read(part, targets)
        _fit_block(task._replace(targets=targets), part, candidates, given, solution)
    return solution


def _room(solution: Solution, voxels, n_samples, dtype):
    """Give the targets of a block the place where their residuals will stand, if that is as large."""
    in_a_row = voxels[-1] - voxels[0] == len(voxels) - 1
    if in_a_row and not solution.primal and solution.values is not None:
        return solution.values[:, voxels[0] : voxels[-1] + 1]
    return np.empty((n_samples, len(voxels)), dtype=dtype)


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
        solution.nothing[voxels] = errors_of_means(task)
        solution.falls[voxels] = np.take_along_axis(found.falls, chosen[None], axis=0)[0]
        if np.isinf(solution.errors[voxels].min(axis=1)).any():
            raise ValueError(
                f"All of {len(candidates.alphas)} penalties are lost in the rounding of {task.targets.dtype} kernels. "
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
        values = task.targets
        if solution.primal:
            values = np.empty((len(solution.values), len(voxels)), dtype=values.dtype)
        refit(task, candidates.weights, chosen, alphas, values)
        if not np.may_share_memory(values, solution.values):
            solution.values[:, voxels] = values
    solution.inverse_alphas[:, voxels] = inverse


def warn_of_edges(solution: Solution, n_samples: int, stacklevel: int) -> None:
    """Count the voxels that smaller penalties would predict better still, by the look of the last step.

    At the other end of the grid there is nothing to predict. Where a voxel is hardly better predicted than by its mean
    (which the luckiest candidate does for a voxel of noise, too: by a few parts in as many as there are rows), or
    the last step gained next to nothing (as on a plateau of penalties that are too small to matter), the smallest
    penalty is as good as any.
    """
    if solution.errors is None or solution.steps is not None or len(solution.candidates.alphas) < 2:
        return
    known = solution.places >= 0
    explained = solution.nothing[known] - solution.errors[known].min(axis=1)
    luck = LUCKY / n_samples * solution.nothing[known]
    steep = solution.falls[known] > WORTHWHILE * explained
    lowest = int(np.sum((solution.places[known] == 0) & (explained > luck) & steep))
    if lowest > FEW * known.sum():
        said = (
            f"voxels are predicted best with the smallest of {len(solution.candidates.alphas)} penalties, and clearly "
            "better than with the next: a smaller one may be better still. Give smaller alphas."
        )
        tell([Note(lowest, int(known.sum()), said)], stacklevel=stacklevel + 1)


def _kernels(X, prepared, dtype):
    # Nested models hold the same bands: where they are scored together, a kernel is made once for all.
    makes = [partial(_kernel, X, name, band, dtype) for name, band in zip(prepared.names, prepared.bands, strict=True)]
    return tuple(made_once(X, [(band, np.dtype(dtype).name) for band in prepared.bands], makes))


def _kernel(X, name, band, dtype):
    with np.errstate(over="ignore", invalid="ignore"):  # said below, by band
        kernel = band_products(X, band, dtype)
        finite = is_finite(kernel)
    if not finite:
        raise ValueError(
            f"The kernel of band {name!r} is not finite: its columns are too large for {np.dtype(dtype).name}. "
            "Scale them (scale='columns'), or give X in double precision."
        )
    return kernel


def _empty(n_voxels, candidates, primal, shape) -> Solution:
    prepared, n_samples, dtype, given, folds = shape
    n_values = prepared.n_kept if primal else n_samples
    keeps = given.keep == "weights"
    return Solution(
        candidates=candidates,
        primal=primal,
        chosen=np.full(n_voxels, -1),
        places=np.full(n_voxels, -1),
        inverse_alphas=np.full((len(prepared.bands), n_voxels), np.nan),
        errors=np.full((n_voxels, len(candidates.weights)), np.nan) if folds else None,
        nothing=np.full(n_voxels, np.nan),
        falls=np.full(n_voxels, np.nan),
        steps=np.full((n_voxels, given.n_steps), np.nan) if given.search == "gradient" else None,
        folds=folds,
        values=np.zeros((n_values, n_voxels), dtype=dtype) if keeps else None,
    )
