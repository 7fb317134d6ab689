"""One block of voxels: paths on every fold, each voxel's own alpha, and its solution on all rows."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse

from ..columns import Columns, frozen
from ..ridge.refit import Refit, refit_ridge
from ..running import Problem
from ..running.stacking import stack
from ..running.threads import threaded_map
from .active_sets import LARGEST, Spare
from .devices import on_device
from .ftest import EVERY_FEATURE, Screen, best_features
from .inverses import padded
from .lanes import LANES
from .path import alpha_max, solve_paths
from .problems import Paths, Penalty, Problems
from .screening import Screened

# Problems that share each pass over the features: enough to use a column well (five folds of LANES voxels), few enough
# for the cache, and for their inverses to take so many bytes at their largest (see active_sets.LARGEST).
CHUNK = 5 * LANES
INVERSES = 2**27


class Folds(NamedTuple):
    train: np.ndarray  # (n_folds, n_samples) float64, 1 on training rows and 0 elsewhere
    n_train: np.ndarray  # (n_folds,) float64
    test: np.ndarray  # (n_folds, n_samples) float64, 1 on held-out rows and 0 elsewhere


class Task(NamedTuple):
    """What is the same for all voxels of a fit."""

    columns: Columns
    shifts: np.ndarray | None  # (n_features,), what was taken off each of the columns; None is nothing
    screened: Screened  # the features that can enter a path
    folds: Folds  # none, if there is but one alpha
    penalty: Penalty
    alphas: np.ndarray | int  # descending, or how many steps from each voxel's own largest one
    eps: float  # smallest over largest alpha, for a number of steps
    selection: str  # "min" or "1se"
    stop_early: bool  # end a voxel's paths once its held-out error has clearly turned up
    screen: Screen | None  # a voxel may use only the features that an F-test on all rows ranks first
    refit: Refit | None  # replace the weights by those of ridge on the selected features
    device: object  # where the products over all features run, see devices.py


class BlockSolution(NamedTuple):
    weights: sparse.csr_array  # (n_voxels, n_features)
    intercepts: np.ndarray  # (n_voxels,)
    alphas: np.ndarray  # (n_voxels, n_alphas), the grid
    chosen: np.ndarray  # (n_voxels,), place in the grid
    errors: np.ndarray  # (n_voxels, n_alphas, n_folds), mean squared held-out errors
    gaps: np.ndarray  # (n_voxels,), duality gap on all rows, in units of the objective
    worst_gaps: np.ndarray  # (n_voxels,), largest absolute gap over folds and alphas
    knots: np.ndarray  # (n_voxels,), features that entered or left on all rows
    refit_alphas: np.ndarray  # (n_voxels,), NaN without a refit
    n_selected: np.ndarray  # (n_voxels,), penalised features with a weight in the lasso


def make_folds(splits: list[tuple[np.ndarray, np.ndarray]] | None, n_samples: int) -> Folds:
    """Turn pairs of training and held-out rows, or masks of them, into masks; None is no fold."""
    if splits is not None and not len(splits):
        raise ValueError(
            "cv gave no folds, but there are penalties to choose from. An iterator of splits serves one fit only: give "
            "a list of them, or a splitter."
        )
    splits = splits or []
    train, test = np.zeros((2, len(splits), n_samples))
    for fold, (train_rows, test_rows) in enumerate(splits):
        for name, mask, rows in (("training", train, train_rows), ("held-out", test, test_rows)):
            rows = _row_numbers(rows, f"{name} rows of fold {fold} of cv", n_samples)
            mask[fold, rows] = 1.0
            if len(rows) == 0 or mask[fold].sum() != len(rows):
                raise ValueError(f"Fold {fold} of cv has {len(rows)} {name} rows; expected some, each row once.")
    return Folds(train, train.sum(axis=1), test)


def _row_numbers(rows, what, n_samples):
    rows = np.asarray(rows)
    if rows.dtype != bool:
        outside = rows[(rows < -n_samples) | (rows >= n_samples)]
        if len(outside):
            raise ValueError(f"The {what} name row {outside[0]}, but there are {n_samples} samples.")
        return rows.astype(np.intp)
    if rows.shape != (n_samples,):
        raise ValueError(f"The {what} are a mask of shape {rows.shape}; expected one bool a sample, ({n_samples},).")
    return np.flatnonzero(rows)


def all_rows(n_samples: int) -> Folds:
    """Train on everything and hold nothing out."""
    return frozen(Folds(np.ones((1, n_samples)), np.array([float(n_samples)]), np.zeros((1, n_samples))))


def voxels_of_a_chunk(n_folds: int, n_samples: int, l1_ratio: float) -> int:
    """Return how many voxels are solved together in a thread."""
    # A lasso has at most as many active features as samples; an elastic net may have more. Room doubles beyond 256.
    room = padded(n_samples + 1) if n_samples <= 256 and l1_ratio == 1.0 else LARGEST
    inverse = 8 * room**2
    return max(1, min(CHUNK, INVERSES // inverse) // max(1, n_folds))


def as_problem(task: Task) -> Problem:
    """Put a fit into the form that running knows."""
    return Problem(task, solve_block, no_solution, voxels_of_a_chunk(*task.folds.train.shape, task.penalty.l1_ratio))


def solve_block(task: Task, targets: np.ndarray, n_threads: int = 1) -> BlockSolution:
    """Solve a block of voxels; `targets` is (n_voxels, n_samples)."""
    task = frozen(task)
    task = task._replace(screened=on_device(task.screened, task.device))
    # The other way round: blocks may come memory-mapped or not, and kernels are compiled for writable ones.
    targets = np.require(targets, requirements=["C", "W", "E"])
    per_chunk = voxels_of_a_chunk(*task.folds.train.shape, task.penalty.l1_ratio)
    chunks = [targets[start : start + per_chunk] for start in range(0, len(targets), per_chunk)]
    spare = Spare()
    return stack(threaded_map(lambda chunk: _solve_chunk(task, chunk, spare), chunks, n_threads))


def _solve_chunk(task: Task, targets: np.ndarray, spare: Spare) -> BlockSolution:
    n_voxels, n_samples = targets.shape
    allowed = EVERY_FEATURE if task.screen is None else best_features(task.columns, targets, task.screen)
    whole = _problems(targets, all_rows(n_samples), np.zeros((n_voxels, 1)), allowed)
    grid = _grid(task, whole)
    n_alphas, n_folds = grid.shape[1], len(task.folds.train)
    errors = np.full((n_voxels, n_alphas, n_folds), np.nan)
    chosen = np.zeros(n_voxels, dtype=np.int64)
    worst = np.zeros(n_voxels)
    if n_folds:
        problems = _problems(targets, task.folds, grid, allowed)
        paths = solve_paths(task.columns, task.screened, problems, task.penalty, task.stop_early, spare)
        errors[:] = paths.errors.reshape(n_voxels, n_folds, n_alphas).transpose(0, 2, 1)
        worst = np.nanmax(np.abs(paths.gaps).reshape(n_voxels, -1), axis=1)
        chosen = choose(errors, task.selection)
    whole = whole._replace(grid=grid, n_alphas=chosen + 1)
    final = solve_paths(task.columns, task.screened, whole, task.penalty, spare=spare)
    gaps = np.take_along_axis(final.gaps, chosen[:, None], axis=1)[:, 0]
    weights = _weights(final, len(task.penalty.factors))
    penalised = sparse.csr_array(weights != 0) @ (task.penalty.factors > 0).astype(np.int64)
    solution = BlockSolution(
        weights=weights,
        intercepts=final.intercepts,
        alphas=grid,
        chosen=chosen,
        errors=errors,
        gaps=gaps,
        worst_gaps=np.fmax(worst, np.nanmax(np.abs(final.gaps), axis=1)),
        knots=final.state.knots,
        refit_alphas=np.full(n_voxels, np.nan),
        n_selected=penalised,
    )
    if task.refit is not None:
        solution = _refitted(task, targets, solution)
    if task.shifts is None:
        return solution
    return solution._replace(intercepts=solution.intercepts - solution.weights @ task.shifts)


def _problems(targets, folds, grid, allowed) -> Problems:
    n_voxels, n_folds = len(targets), len(folds.train)
    voxels = np.repeat(np.arange(n_voxels), n_folds)
    return Problems(
        targets=targets,
        voxels=voxels,
        folds=np.tile(np.arange(n_folds), n_voxels),
        train=folds.train,
        n_train=folds.n_train,
        test=folds.test,
        grid=grid[voxels],
        n_alphas=np.full(n_voxels * n_folds, grid.shape[1]),
        allowed=allowed,
    )


def _grid(task, whole) -> np.ndarray:
    if not isinstance(task.alphas, int):
        return np.tile(task.alphas, (len(whole.targets), 1))
    top = alpha_max(task.columns, task.screened, whole, task.penalty)
    return np.ascontiguousarray(np.geomspace(top, top * task.eps, num=task.alphas, axis=1))


def choose(errors: np.ndarray, selection: str) -> np.ndarray:
    """Return the place of each voxel's alpha: least mean error, or the largest alpha within one standard error of it.

    Only alphas that every fold reached count; `errors` is (n_voxels, n_alphas, n_folds), NaN where a path stopped.
    """
    mean = errors.mean(axis=2)
    mean = np.where(np.isnan(mean), np.inf, mean)
    best = mean.argmin(axis=1)
    if selection == "min" or errors.shape[2] < 2:
        return best
    at_best = np.take_along_axis(errors, best[:, None, None], axis=1)[:, 0]
    limit = at_best.mean(axis=1) + at_best.std(axis=1, ddof=1) / np.sqrt(errors.shape[2])
    return (mean <= limit[:, None]).argmax(axis=1)


def _refitted(task, targets, solution) -> BlockSolution:
    ridge = refit_ridge(task.columns, targets, solution.weights, task.refit, task.penalty.fit_intercept)
    return solution._replace(weights=ridge.weights, intercepts=ridge.intercepts, refit_alphas=ridge.alphas)


def _weights(paths: Paths, n_features: int) -> sparse.csr_array:
    state = paths.state
    indptr = np.concatenate([[0], np.cumsum(state.sizes)])
    features = [row[:size] for row, size in zip(state.features, state.sizes, strict=True)]
    weights = [row[:size] for row, size in zip(state.weights, state.sizes, strict=True)]
    matrix = sparse.csr_array(
        (np.concatenate(weights), np.concatenate(features), indptr), shape=(len(state.sizes), n_features)
    )
    matrix.eliminate_zeros()
    matrix.sort_indices()
    return matrix


def no_solution(task: Task) -> BlockSolution:
    """Return the solution of no voxel at all."""
    n_alphas = task.alphas if isinstance(task.alphas, int) else len(task.alphas)
    none = np.zeros(0)
    return BlockSolution(
        weights=sparse.csr_array((0, len(task.penalty.factors))),
        intercepts=none,
        alphas=np.zeros((0, n_alphas)),
        chosen=np.zeros(0, dtype=np.int64),
        errors=np.zeros((0, n_alphas, len(task.folds.train))),
        gaps=none,
        worst_gaps=none,
        knots=np.zeros(0, dtype=np.int64),
        refit_alphas=none,
        n_selected=np.zeros(0, dtype=np.int64),
    )
