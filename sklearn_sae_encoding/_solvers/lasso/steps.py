"""A step of the paths of a chunk of problems: check a solution, record it, and move to the next penalty.

What these kernels are given, and what they may change, is defined in problems.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..columns import JIT, PART, borrowed, centre
from .active_sets import DONE, FAILED, NO_ROOM, Fit, Step
from .block_updates import rebuild
from .descent import descend, largest_of_active
from .homotopy import gather, move, synchronise
from .pivoting import leap, remember, restore, settle
from .recording import CROWDED, duality_gap, next_target

# Active sets almost as large as the rank leave no room for several features at once.
SATURATED = 0.85
# Coordinate descent stops at this share of the gap that it may leave: features that it didn't look at may add to it.
SHARE = 0.5
# Features that break their bound by less than this (relative) count as optimal.
SLACK = 1e-8
# Stands for an infinite penalty where infinity times zero must stay zero.
HUGE = 1e300


@njit(**JIT)
def fit_free(given, state, workspace):
    """Bring all problems of `state` to the least squares on the features without a penalty."""
    free = given.penalty.free.copy()  # of the kind that other candidates are
    for problem in range(state.residuals.shape[0]):
        fit = _fit(given, problem, 0.0)
        local = gather(fit, state, problem, free, workspace)
        # Each one enters once or is found collinear, whatever `max_knots` is.
        move(fit, state, problem, local, Step(HUGE, 0.0, HUGE, free.shape[0]))


@njit(**JIT)
def advance(given, candidates, changing, workspace):
    """Check where each problem is, record what is solved, and move to the next penalty (or try again at this one)."""
    given, changing, workspace = borrowed(given), borrowed(changing), borrowed(workspace)
    problems, penalty, (state, progress), lists = given.problems, given.penalty, changing, borrowed(candidates.lists)
    for place in range(candidates.problems.shape[0]):
        problem, listed = candidates.problems[place], lists[place, : candidates.lengths[place]]
        if progress.descends[problem]:
            continue
        alpha, n_train = progress.alphas[problem], problems.n_train[problems.folds[problem]]
        l1_unit, ridge_unit = n_train * penalty.l1_ratio, n_train * (1.0 - penalty.l1_ratio)
        fit = _fit(given, problem, alpha * ridge_unit)
        local = gather(fit, state, problem, listed, workspace)
        worst = _worst(penalty, local)
        progress.crowded[problem] |= listed.shape[0] > CROWDED * n_train
        target = next_target(given, changing, problem, worst, worst <= l1_unit * alpha * (1.0 + SLACK))
        if progress.descends[problem] or not progress.alive[problem]:
            continue
        if target < alpha and penalty.l1_ratio < 1.0:
            fit = _fit(given, problem, target * ridge_unit)
            rebuild(fit, state, problem, workspace.bordering)
            local = gather(fit, state, problem, listed, workspace)
        step = Step(l1_unit * alpha, ridge_unit * alpha, l1_unit * target, penalty.max_knots)
        # Leap to the penalty if that works, or else follow the path to it.
        status = FAILED
        if state.sizes[problem] <= SATURATED * fit.n_train:
            before = remember(state, problem)
            status = leap(fit, state, problem, local, step, workspace.bordering)
            if status != DONE:
                restore(fit, state, problem, before, workspace.bordering)
            if status == FAILED:
                local = gather(fit, state, problem, listed, workspace)
        if status == FAILED:
            status = move(fit, state, problem, local, step)
            synchronise(fit, state, problem, local)
            if status == DONE:
                settle(fit, state, problem, local, step.l1, workspace.bordering)
        progress.status[problem] = status


@njit(**JIT)
def descend_chunk(given, candidates, changing, workspace):
    """Do the same by coordinate descent, for active sets that have outgrown the largest inverse or gone in circles."""
    problems, penalty, (state, progress), room = given.problems, given.penalty, changing, workspace.local.scratch
    for place in range(candidates.problems.shape[0]):
        problem, listed = candidates.problems[place], candidates.lists[place, : candidates.lengths[place]]
        if not progress.descends[problem]:
            continue
        alpha, n_train = progress.alphas[problem], problems.n_train[problems.folds[problem]]
        l1_unit, ridge_unit = n_train * penalty.l1_ratio, n_train * (1.0 - penalty.l1_ratio)
        fit = _fit(given, problem, alpha * ridge_unit)
        local, target = gather(fit, state, problem, listed, workspace), room.column
        centre(fit.target, fit.train, n_train, penalty.fit_intercept, target)
        accepted = penalty.tol * min(np.sum(target**2), n_train * np.mean(fit.target**2))
        worst = max(_worst(penalty, local), largest_of_active(fit, state, problem, room.solved))
        gap = n_train * duality_gap(given, state, problem, alpha, max(worst, l1_unit * alpha))
        alpha = next_target(given, changing, problem, worst, gap <= accepted)
        if not progress.alive[problem]:
            continue
        if local.features.shape[0] > state.features.shape[1]:
            progress.status[problem] = NO_ROOM
        else:
            fit = _fit(given, problem, alpha * ridge_unit)
            progress.status[problem] = descend(
                fit, state, problem, local, alpha * l1_unit, target, SHARE * accepted, penalty.max_knots
            )


@njit(**PART)
def _fit(given, problem, ridge):
    columns, problems, penalty = given
    fold = problems.folds[problem]
    return Fit(
        columns,
        problems.targets[problems.voxels[problem]],
        problems.train[fold],
        problems.n_train[fold],
        penalty.fit_intercept,
        penalty.factors,
        penalty.positive,
        ridge,
    )


@njit(**PART)
def _worst(penalty, local):
    """Return max |x_j'r| / f_j over the features that are not active."""
    worst = 0.0
    for a in range(local.features.shape[0]):
        if local.slot[a] < 0:
            size = local.corr[a] * penalty.inverse_factors[local.features[a]]
            worst = max(worst, size if penalty.positive else abs(size))
    return worst
