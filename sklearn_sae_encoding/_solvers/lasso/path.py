"""Regularisation paths of a chunk of problems in lockstep: screen all features, move, check optimality, record.

A problem is one voxel on one set of training rows. Problems of a chunk share each pass over the features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..columns import Columns
from .active_sets import LARGEST, NO_ROOM, ActiveSets, grown, new_active_sets
from .block_updates import new_bordering
from .homotopy import new_local
from .screening import Screened, largest, scan
from .steps import LONGEST, advance, centre_targets, descend_chunk, fit_free, largest_listed

# Grid points that the held-out error must have been rising for a path to be stopped early.
PATIENCE = 4
# Below this penalty the grid of a voxel that no feature explains starts (the constant scikit-learn uses).
TINY = 1e-15


class Penalty(NamedTuple):
    """What is the same for all voxels."""

    factors: np.ndarray  # (n_features,)
    inverse_factors: np.ndarray  # (n_features,), 0 where the factor is 0 or the feature is constant
    free: np.ndarray  # indices of the features that are never penalised
    l1_ratio: float
    positive: bool
    fit_intercept: bool
    max_knots: int
    tol: float  # gap, over the mean square of the target, at which coordinate descent stops


class Problems(NamedTuple):
    targets: np.ndarray  # (n_voxels, n_samples)
    voxels: np.ndarray  # (n_problems,), row of `targets`
    folds: np.ndarray  # (n_problems,), row of `train`
    train: np.ndarray  # (n_folds, n_samples), 1 on training rows and 0 elsewhere
    n_train: np.ndarray  # (n_folds,)
    test: np.ndarray  # (n_folds, n_samples), 1 on held-out rows and 0 elsewhere
    grid: np.ndarray  # (n_problems, n_alphas), descending alphas
    n_alphas: np.ndarray  # (n_problems,), how many of them each problem needs
    allowed: np.ndarray  # (n_voxels, n_features) uint8, or (0, 0) where every feature is allowed


class Progress(NamedTuple):
    alphas: np.ndarray  # (n_problems,), where each problem is now
    reached: np.ndarray  # (n_problems,), grid points recorded
    bounds: np.ndarray  # (n_problems,), which correlations the next screening must list
    repairs: np.ndarray  # (n_problems,)
    status: np.ndarray  # (n_problems,), of the last move
    alive: np.ndarray  # (n_problems,) bool
    descends: np.ndarray  # (n_problems,) bool, has outgrown the largest inverse, or gone in circles
    errors: np.ndarray  # (n_problems, n_alphas), mean squared error on held-out rows
    gaps: np.ndarray  # (n_problems, n_alphas), duality gaps
    intercepts: np.ndarray  # (n_problems,), at the last grid point


class Paths(NamedTuple):
    state: ActiveSets  # at the last grid point
    errors: np.ndarray  # (n_problems, n_alphas), NaN without held-out rows
    gaps: np.ndarray  # (n_problems, n_alphas), duality gaps, in units of the objective
    intercepts: np.ndarray  # (n_problems,)


def make_penalty(
    factors, *, usable=True, l1_ratio=1.0, positive=False, fit_intercept=True, max_knots=10_000, tol=1e-4
) -> Penalty:
    factors = np.asarray(factors, dtype=np.float64)
    inverse = np.divide(1.0, factors, out=np.zeros_like(factors), where=(factors > 0) & usable)
    return Penalty(
        factors,
        inverse,
        np.flatnonzero(factors == 0),
        float(l1_ratio),
        bool(positive),
        bool(fit_intercept),
        int(max_knots),
        float(tol),
    )


def alpha_max(columns: Columns, screened: Screened, problems: Problems, penalty: Penalty) -> np.ndarray:
    """Return the smallest alpha at which every penalised weight of a problem is zero, (n_problems,)."""
    state, _ = _start(columns, problems, penalty)
    return _own_alpha_max(columns, screened, problems, penalty, state)


def solve_paths(
    columns: Columns, screened: Screened, problems: Problems, penalty: Penalty, stop_early: bool = False
) -> Paths:
    """Solve each problem at each alpha of its grid, from its own alpha_max down.

    To `stop_early`, a voxel's paths end on all folds once its mean held-out error has clearly turned up.
    """
    state, where = _start(columns, problems, penalty)
    n_problems, n_alphas = problems.grid.shape
    alphas = _own_alpha_max(columns, screened, problems, penalty, state)
    scale = problems.n_train[problems.folds] * penalty.l1_ratio
    progress = Progress(
        alphas=alphas,
        reached=np.zeros(n_problems, dtype=np.int64),
        bounds=alphas * scale * (2 * LONGEST - 1),
        repairs=np.zeros(n_problems, dtype=np.int64),
        status=np.zeros(n_problems, dtype=np.int64),
        alive=np.ones(n_problems, dtype=np.bool_),
        descends=np.zeros(n_problems, dtype=np.bool_),
        errors=np.full((n_problems, n_alphas), np.nan),
        gaps=np.full((n_problems, n_alphas), np.nan),
        intercepts=np.zeros(n_problems),
    )
    capacity = 4 * state.residuals.shape[1] + 256
    alive = np.arange(n_problems)
    while alive.size:
        lists, lengths = scan(
            screened,
            state.residuals[alive],
            progress.bounds[alive],
            problems.allowed,
            problems.voxels[alive],
            penalty.positive,
            capacity,
        )
        capacity = max(capacity, lists.shape[1])
        n_samples, room = state.residuals.shape[1], state.features.shape[1]
        local, scratch = new_local(n_samples, room, room + lists.shape[1]), new_bordering(n_samples, room)
        args = (columns, problems, penalty, state, progress, alive, lists, lengths, where, local)
        advance(*args, scratch)
        if progress.descends.any():
            descend_chunk(*args)
        short = alive[progress.status[alive] == NO_ROOM]
        if short.size:
            progress.descends[short] |= state.inverses.shape[1] >= LARGEST
            state = grown(state, min(2 * room, len(penalty.factors) + 1))
        if stop_early:
            _stop_where_errors_turned_up(problems, progress)
        alive = alive[progress.alive[alive]]
    return Paths(state, progress.errors, progress.gaps, progress.intercepts)


def _stop_where_errors_turned_up(problems, progress):
    """End the paths whose last error, on all folds, is PATIENCE steps past the least and a standard error above it."""
    for voxel in np.unique(problems.voxels[progress.alive]):
        folds = np.flatnonzero(problems.voxels == voxel)
        errors = progress.errors[folds, : progress.reached[folds].min()]
        mean = errors.mean(axis=0)
        if len(mean) <= PATIENCE or mean.argmin() >= len(mean) - PATIENCE:
            continue
        at_best = errors[:, mean.argmin()]
        if mean[-1] > at_best.mean() + at_best.std() / np.sqrt(max(len(folds) - 1, 1)):
            progress.alive[folds] = False


def _own_alpha_max(columns, screened, problems, penalty, state):
    args = (problems.allowed, problems.voxels, penalty.positive)
    nearly = largest(screened, state.residuals, *args)
    lists, lengths = scan(screened, state.residuals, nearly, *args, 64)
    top = np.zeros(len(nearly))
    largest_listed(columns, penalty, state, lists, lengths, top)
    return np.maximum(top / (problems.n_train[problems.folds] * penalty.l1_ratio), TINY)


def _start(columns, problems, penalty):
    """All penalised weights zero, the others at least squares."""
    n_samples, n_features = problems.targets.shape[1], len(penalty.factors)
    residuals = np.empty((len(problems.voxels), n_samples))
    room = min(n_samples, n_features, 256) + len(penalty.free) + 1
    room = min(room, n_features + 1)
    state = new_active_sets(residuals, room, len(penalty.free))
    where = np.full(n_features, -1, dtype=np.int64)
    centre_targets(problems, penalty.fit_intercept, residuals)
    if penalty.free.size:
        fit_free(columns, problems, penalty, state, where, new_local(n_samples, room, len(penalty.free)))
    return state, where
