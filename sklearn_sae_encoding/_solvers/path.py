"""Regularisation paths of a chunk of problems in lockstep: screen all features, move, check optimality, record.

A problem is one voxel on one set of training rows. Problems of a chunk share each pass over the features.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from .columns import JIT, DenseColumns, SparseColumns, centre, column_dot
from .homotopy import ActiveSets, grown, move, new_active_sets, rebuild
from .screening import largest, scan

# A path goes down in such steps (the longest only where it ends on the grid), so that the strong rule keeps the
# candidates few.
STRIDE = 0.85
LONGEST = 0.78
# Features that break their bound by less than this (relative) count as optimal.
SLACK = 1e-8
MAX_REPAIRS = 50
# Stands for an infinite penalty where infinity times zero must stay zero.
HUGE = 1e300
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
    errors: np.ndarray  # (n_problems, n_alphas), mean squared error on held-out rows
    gaps: np.ndarray  # (n_problems, n_alphas), duality gaps
    intercepts: np.ndarray  # (n_problems,), at the last grid point


class Paths(NamedTuple):
    state: ActiveSets  # at the last grid point
    errors: np.ndarray  # (n_problems, n_alphas), NaN without held-out rows
    gaps: np.ndarray  # (n_problems, n_alphas), duality gaps, in units of the objective
    intercepts: np.ndarray  # (n_problems,)


def make_penalty(
    factors, *, usable=True, l1_ratio=1.0, positive=False, fit_intercept=True, max_knots=10_000
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
    )


def alpha_max(columns: DenseColumns | SparseColumns, problems: Problems, penalty: Penalty) -> np.ndarray:
    """Return the smallest alpha at which every penalised weight of a problem is zero, (n_problems,)."""
    state, _ = _start(columns, problems, penalty)
    bound = largest(
        columns,
        _by_sample(state.residuals),
        problems.allowed,
        problems.voxels,
        penalty.inverse_factors,
        penalty.positive,
    )
    return np.maximum(bound / (problems.n_train[problems.folds] * penalty.l1_ratio), TINY)


def solve_paths(columns: DenseColumns | SparseColumns, problems: Problems, penalty: Penalty) -> Paths:
    """Solve each problem at each alpha of its grid, from its own alpha_max down."""
    state, where = _start(columns, problems, penalty)
    residuals = _by_sample(state.residuals)
    top = largest(columns, residuals, problems.allowed, problems.voxels, penalty.inverse_factors, penalty.positive)
    n_problems, n_alphas = problems.grid.shape
    scale = problems.n_train[problems.folds] * penalty.l1_ratio
    progress = Progress(
        alphas=np.maximum(top / scale, TINY),
        reached=np.zeros(n_problems, dtype=np.int64),
        bounds=top * (2 * LONGEST - 1),
        repairs=np.zeros(n_problems, dtype=np.int64),
        status=np.zeros(n_problems, dtype=np.int64),
        alive=np.ones(n_problems, dtype=np.bool_),
        errors=np.full((n_problems, n_alphas), np.nan),
        gaps=np.full((n_problems, n_alphas), np.nan),
        intercepts=np.zeros(n_problems),
    )
    capacity = 4 * state.residuals.shape[1] + 256
    alive = np.arange(n_problems)
    while alive.size:
        lists, lengths = scan(
            columns,
            _by_sample(state.residuals[alive]),
            progress.bounds[alive],
            problems.allowed,
            problems.voxels[alive],
            penalty.inverse_factors,
            penalty.positive,
            capacity,
        )
        capacity = max(capacity, lists.shape[1])
        _advance(columns, problems, penalty, state, progress, alive, lists, lengths, where)
        if np.any(progress.status[alive] == 1):
            room = state.features.shape[1]
            state = grown(state, min(2 * room, len(penalty.factors) + 1))
        alive = alive[progress.alive[alive]]
    return Paths(state, progress.errors, progress.gaps, progress.intercepts)


def _by_sample(residuals):
    return np.ascontiguousarray(residuals.T)


def _start(columns, problems, penalty):
    """All penalised weights zero, the others at least squares."""
    n_samples, n_features = problems.targets.shape[1], len(penalty.factors)
    residuals = np.empty((len(problems.voxels), n_samples))
    room = min(n_samples, n_features, 256) + len(penalty.free) + 1
    state = new_active_sets(residuals, min(room, n_features + 1))
    where = np.full(n_features, -1, dtype=np.int64)
    _centre_targets(problems, penalty.fit_intercept, residuals)
    if penalty.free.size:
        _fit_free(columns, problems, penalty, state, where)
    return state, where


@njit(**JIT)
def _centre_targets(problems, fit_intercept, residuals):
    for i in range(residuals.shape[0]):
        fold = problems.folds[i]
        centre(
            problems.targets[problems.voxels[i]],
            problems.train[fold],
            problems.n_train[fold],
            fit_intercept,
            residuals[i],
        )


@njit(**JIT)
def _fit_free(columns, problems, penalty, state, where):
    for i in range(state.residuals.shape[0]):
        fold = problems.folds[i]
        move(
            columns,
            problems.train[fold],
            problems.n_train[fold],
            penalty.fit_intercept,
            penalty.factors,
            penalty.positive,
            state,
            i,
            penalty.free,
            HUGE,
            HUGE,
            0.0,
            penalty.max_knots,
            where,
        )


@njit(**JIT)
def _advance(columns, problems, penalty, state, progress, alive, lists, lengths, where):
    for a in range(alive.shape[0]):
        i = alive[a]
        listed = lists[a, : lengths[a]]
        n_train = problems.n_train[problems.folds[i]]
        l1_unit = n_train * penalty.l1_ratio
        worst = _worst(columns, penalty, state, i, listed, where)
        unfinished = progress.status[i] == 1
        broken = worst > l1_unit * progress.alphas[i] * (1.0 + SLACK)
        gave_up = progress.status[i] == 2 or progress.repairs[i] == MAX_REPAIRS
        if (unfinished or broken) and not gave_up:
            progress.repairs[i] += 1
            _move_to(columns, problems, penalty, state, progress, i, listed, progress.alphas[i], where)
            continue
        worst = max(worst, l1_unit * progress.alphas[i])
        _record(problems, penalty, state, progress, i, worst)
        if not progress.alive[i]:
            continue
        target = _next_alpha(problems, progress.reached[i], i, progress.alphas[i])
        if penalty.l1_ratio < 1.0 and state.sizes[i] > 0:
            ridge = n_train * target * (1.0 - penalty.l1_ratio)
            fold = problems.folds[i]
            rebuild(columns, problems.train[fold], n_train, penalty.fit_intercept, ridge, penalty.factors, state, i)
        progress.repairs[i] = 0
        _move_to(columns, problems, penalty, state, progress, i, listed, target, where)
        last = problems.grid[i, problems.n_alphas[i] - 1]
        after = target
        if target > last:
            after = _next_alpha(problems, progress.reached[i], i, target)
        progress.bounds[i] = l1_unit * max(2.0 * after - target, 0.0)


@njit(**JIT)
def _next_alpha(problems, reached, i, alpha):
    """The next stop below `alpha`: a grid point, or a step towards one that is far."""
    k = reached
    while k < problems.n_alphas[i] - 1 and problems.grid[i, k] >= alpha:
        k += 1
    wanted = problems.grid[i, k]
    if wanted > LONGEST * alpha:
        return wanted
    return STRIDE * alpha


@njit(**JIT)
def _move_to(columns, problems, penalty, state, progress, i, listed, alpha, where):
    fold = problems.folds[i]
    n_train = problems.n_train[fold]
    progress.status[i] = move(
        columns,
        problems.train[fold],
        n_train,
        penalty.fit_intercept,
        penalty.factors,
        penalty.positive,
        state,
        i,
        listed,
        n_train * progress.alphas[i] * penalty.l1_ratio,
        n_train * alpha * penalty.l1_ratio,
        n_train * alpha * (1.0 - penalty.l1_ratio),
        penalty.max_knots,
        where,
    )
    progress.alphas[i] = alpha


@njit(**JIT)
def _worst(columns, penalty, state, i, listed, where):
    """Return max |x_j'r| / f_j over the listed features that are not active."""
    worst = 0.0
    for k in range(state.sizes[i]):
        where[state.features[i, k]] = k
    for c in range(listed.shape[0]):
        if where[listed[c]] < 0:
            size = column_dot(columns, listed[c], state.residuals[i]) * penalty.inverse_factors[listed[c]]
            worst = max(worst, size if penalty.positive else abs(size))
    for k in range(state.sizes[i]):
        where[state.features[i, k]] = -1
    return worst


@njit(**JIT)
def _record(problems, penalty, state, progress, i, worst):
    """Note what is asked at every grid point that the present solution solves."""
    gave_up = progress.status[i] == 2
    error = _held_out_error(problems, penalty.fit_intercept, state, progress, i)
    while progress.reached[i] < problems.n_alphas[i]:
        k = progress.reached[i]
        alpha = problems.grid[i, k]
        if alpha < progress.alphas[i] and not gave_up:
            return
        # Where the path was given up, the gaps of what is left say how far.
        progress.errors[i, k] = np.nan if gave_up else error
        progress.gaps[i, k] = _duality_gap(problems, penalty, state, i, alpha, worst)
        progress.reached[i] = k + 1
    progress.alive[i] = False


@njit(**JIT)
def _held_out_error(problems, fit_intercept, state, progress, i):
    target, fold = problems.targets[problems.voxels[i]], problems.folds[i]
    train, test, fitted = problems.train[fold], problems.test[fold], state.fitted[i]
    intercept = 0.0
    if fit_intercept:
        for b in range(target.shape[0]):
            intercept += train[b] * (target[b] - fitted[b])
        intercept /= problems.n_train[fold]
    progress.intercepts[i] = intercept
    total, held_out = 0.0, 0.0
    for b in range(target.shape[0]):
        miss = target[b] - fitted[b] - intercept
        total += test[b] * miss * miss
        held_out += test[b]
    return total / held_out if held_out > 0.0 else np.nan


@njit(**JIT)
def _duality_gap(problems, penalty, state, i, alpha, worst):
    """Objective less the dual objective at the residual, scaled into the dual feasible set."""
    fold = problems.folds[i]
    n_train = problems.n_train[fold]
    l1, ridge = n_train * alpha * penalty.l1_ratio, n_train * alpha * (1.0 - penalty.l1_ratio)
    target, train, residual = problems.targets[problems.voxels[i]], problems.train[fold], state.residuals[i]
    square, cross = 0.0, 0.0
    for b in range(target.shape[0]):
        square += residual[b] * residual[b]
        cross += train[b] * residual[b] * target[b]
    absolute, curved = 0.0, 0.0
    for k in range(state.sizes[i]):
        f = penalty.factors[state.features[i, k]]
        absolute += f * abs(state.weights[i, k])
        curved += f * state.weights[i, k] ** 2
    shrink = min(1.0, l1 / worst) if worst > 0.0 else 1.0
    augmented = square + ridge * curved
    primal = 0.5 * augmented + l1 * absolute
    dual = shrink * cross - 0.5 * shrink * shrink * augmented
    return (primal - dual) / n_train
