"""The steps of the paths of a chunk of problems: judge a solution, record it, and go on to the next penalty.

What these kernels are given is defined in path.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..columns import EVERY, INLINED, JIT, PART, borrowed, centre, column_dots
from .active_sets import DONE, FAILED, NO_ROOM, TOO_LONG, Fit
from .block_updates import rebuild
from .descent import descend, largest_of_active
from .homotopy import gather, move
from .pivoting import leap

# A path goes down in such steps (the longest only where it ends on the grid), so that the strong rule keeps the
# candidates few.
STRIDE = 0.85
LONGEST = 0.78
# Active sets almost as large as the rank leave no room for several features at once.
SATURATED = 0.85
# Coordinate descent stops at this share of the gap that it may leave: features that it didn't look at may add to it.
SHARE = 0.5
# Features that break their bound by less than this (relative) count as optimal.
SLACK = 1e-8
# Solutions that break their bounds again after so many repairs go in circles.
MAX_REPAIRS = 20
# Stands for an infinite penalty where infinity times zero must stay zero.
HUGE = 1e300


@njit(**JIT)
def largest_listed(columns, penalty, state, lists, lengths, out):
    for i in range(out.shape[0]):
        sizes = np.empty(lengths[i])
        column_dots(columns, lists[i], lengths[i], EVERY, state.residuals[i], sizes)
        for c in range(lengths[i]):
            size = sizes[c] * penalty.inverse_factors[lists[i, c]]
            out[i] = max(out[i], size if penalty.positive else abs(size))


@njit(**JIT)
def centre_targets(problems, fit_intercept, residuals):
    for i in range(residuals.shape[0]):
        fold = problems.folds[i]
        centre(
            problems.targets[problems.voxels[i]],
            problems.train[fold],
            problems.n_train[fold],
            fit_intercept,
            residuals[i],
        )


@njit(**PART)
def _fit(columns, problems, penalty, i, ridge):
    fold = problems.folds[i]
    return Fit(
        columns,
        problems.train[fold],
        problems.n_train[fold],
        penalty.fit_intercept,
        penalty.factors,
        penalty.positive,
        ridge,
    )


@njit(**JIT)
def fit_free(columns, problems, penalty, state, where, room):
    for i in range(state.residuals.shape[0]):
        fit = _fit(columns, problems, penalty, i, 0.0)
        local = gather(fit, state, i, penalty.free, where, room)
        # Each one enters once or is found collinear, whatever `max_knots` is.
        move(fit, state, i, local, HUGE, HUGE, penalty.free.shape[0])


@njit(**JIT)
def advance(columns, problems, penalty, state, progress, alive, lists, lengths, where, room, scratch):
    """Judge where each problem is, and bring it to its next penalty (or to the same, if that isn't solved yet)."""
    columns, problems, penalty, state = borrowed(columns), borrowed(problems), borrowed(penalty), borrowed(state)
    progress, where, room, scratch = borrowed(progress), borrowed(where), borrowed(room), borrowed(scratch)
    lists = borrowed(lists)
    for a in range(alive.shape[0]):
        i, listed = alive[a], lists[a, : lengths[a]]
        if progress.descends[i]:
            continue
        alpha, n_train = progress.alphas[i], problems.n_train[problems.folds[i]]
        l1_unit, ridge_unit = n_train * penalty.l1_ratio, n_train * (1.0 - penalty.l1_ratio)
        fit = _fit(columns, problems, penalty, i, alpha * ridge_unit)
        local = gather(fit, state, i, listed, where, room)
        worst = _worst(penalty, local)
        target = _next_target(problems, penalty, state, progress, i, worst, worst <= l1_unit * alpha * (1.0 + SLACK))
        if progress.descends[i] or not progress.alive[i]:
            continue
        if target < alpha and penalty.l1_ratio < 1.0:
            fit = _fit(columns, problems, penalty, i, target * ridge_unit)
            rebuild(fit, state, i, scratch)
            local = gather(fit, state, i, listed, where, room)
        l1, ridge, l1_to = l1_unit * alpha, ridge_unit * alpha, l1_unit * target
        progress.status[i] = _solve(
            fit, state, i, local, l1, ridge, l1_to, penalty.max_knots, scratch, listed, where, room
        )


@njit(**JIT)
def descend_chunk(columns, problems, penalty, state, progress, alive, lists, lengths, where, room):
    """Do the same by coordinate descent, for active sets that have outgrown the largest inverse or gone in circles."""
    for a in range(alive.shape[0]):
        i, listed = alive[a], lists[a, : lengths[a]]
        if not progress.descends[i]:
            continue
        alpha, n_train = progress.alphas[i], problems.n_train[problems.folds[i]]
        l1_unit, ridge_unit = n_train * penalty.l1_ratio, n_train * (1.0 - penalty.l1_ratio)
        fit = _fit(columns, problems, penalty, i, alpha * ridge_unit)
        local, target = gather(fit, state, i, listed, where, room), room.scratch.column
        voxel = problems.targets[problems.voxels[i]]
        centre(voxel, fit.train, n_train, penalty.fit_intercept, target)
        accepted = penalty.tol * min(np.sum(target**2), n_train * np.mean(voxel**2))
        worst = max(_worst(penalty, local), largest_of_active(fit, state, i, room.scratch.solved))
        gap = n_train * _duality_gap(problems, penalty, state, i, alpha, max(worst, l1_unit * alpha))
        alpha = _next_target(problems, penalty, state, progress, i, worst, gap <= accepted)
        if not progress.alive[i]:
            continue
        if local.features.shape[0] > state.features.shape[1]:
            progress.status[i] = NO_ROOM
        else:
            fit = _fit(columns, problems, penalty, i, alpha * ridge_unit)
            progress.status[i] = descend(
                fit, state, i, local, alpha * l1_unit, target, SHARE * accepted, penalty.max_knots
            )


@njit(**PART)
def _next_target(problems, penalty, state, progress, i, worst, optimal):
    """Record a solution, and return the next penalty to solve at; the same one again for what is no solution yet."""
    alpha, l1_unit = progress.alphas[i], problems.n_train[problems.folds[i]] * penalty.l1_ratio
    if progress.status[i] == NO_ROOM:
        return alpha
    if not optimal:
        if progress.status[i] != TOO_LONG and progress.repairs[i] < MAX_REPAIRS:
            progress.repairs[i] += 1
            return alpha
        if not progress.descends[i]:
            progress.descends[i], progress.status[i], progress.repairs[i] = True, DONE, 0
            return alpha
    _record(problems, penalty, state, progress, i, max(worst, l1_unit * alpha))
    if not progress.alive[i]:
        return alpha
    progress.repairs[i] = 0
    target = _next_alpha(problems, progress.reached[i], i, alpha)
    after = target
    if target > problems.grid[i, problems.n_alphas[i] - 1]:
        after = _next_alpha(problems, progress.reached[i], i, target)
    progress.alphas[i] = target
    progress.bounds[i] = l1_unit * (2.0 * after - target)
    return target


@njit(**INLINED)
def _solve(fit, state, i, local, l1_from, ridge_from, l1_to, max_knots, scratch, listed, where, room):
    """Move to a penalty; returns what `move` does."""
    if state.sizes[i] <= SATURATED * fit.n_train:
        status = leap(fit, state, i, local, l1_from, ridge_from, l1_to, max_knots, scratch)
        if status != FAILED:
            return status
        local = gather(fit, state, i, listed, where, room)
    return move(fit, state, i, local, l1_from, l1_to, max_knots)


@njit(**PART)
def _next_alpha(problems, reached, i, alpha):
    """The next stop below `alpha`: a grid point, or a step towards one that is far."""
    k = reached
    while k < problems.n_alphas[i] - 1 and problems.grid[i, k] >= alpha:
        k += 1
    wanted = problems.grid[i, k]
    if wanted > LONGEST * alpha:
        return wanted
    return STRIDE * alpha


@njit(**PART)
def _worst(penalty, local):
    """Return max |x_j'r| / f_j over the features that are not active."""
    worst = 0.0
    for a in range(local.features.shape[0]):
        if local.slot[a] < 0:
            size = local.corr[a] * penalty.inverse_factors[local.features[a]]
            worst = max(worst, size if penalty.positive else abs(size))
    return worst


@njit(**PART)
def _record(problems, penalty, state, progress, i, worst):
    """Note what is asked at every grid point that the present solution solves."""
    gave_up = progress.status[i] == TOO_LONG
    error = _held_out_error(problems, penalty.fit_intercept, state, progress, i)
    while progress.reached[i] < problems.n_alphas[i]:
        k = progress.reached[i]
        alpha = problems.grid[i, k]
        if alpha < progress.alphas[i] and not gave_up:
            return
        # Where the path was given up, the gaps of what is left say how far.
        progress.errors[i, k] = np.nan if gave_up else error
        more = _worse_at(penalty, state, i, problems.n_train[problems.folds[i]] * (progress.alphas[i] - alpha))
        progress.gaps[i, k] = _duality_gap(problems, penalty, state, i, alpha, worst + more)
        progress.reached[i] = k + 1
    progress.alive[i] = False


@njit(**PART)
def _worse_at(penalty, state, i, fall):
    """Return how much max |x_j'r - D f_j w_j| / f_j may grow as alpha, in units of n, falls: `D` falls with it."""
    most = 0.0
    for k in range(state.sizes[i]):
        if penalty.factors[state.features[i, k]] > 0.0:
            most = max(most, abs(state.weights[i, k]))
    return (1.0 - penalty.l1_ratio) * most * abs(fall)


@njit(**PART)
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


@njit(**PART)
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
