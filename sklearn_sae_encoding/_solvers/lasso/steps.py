"""A step of the paths of a chunk of problems: check a solution, record it, and move to the next penalty.

What these kernels are given, and what they may change, is defined in problems.py.
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..columns import JIT, PART, borrowed, centre, column_dots
from .active_sets import DONE, FAILED, NO_ROOM, Fit
from .changes import rebuild
from .descent import descend, largest_of_active
from .homotopy import gather, move, synchronise
from .pivoting import leap, remember, restore, settle
from .recording import CROWDED, duality_gap, next_target

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
        move(fit, state, problem, local, HUGE, 0.0, free.shape[0])


@njit(**JIT)
def advance(given, candidates, changing, workspace):
    """Check where each problem is, record what is solved, and move to the next penalty (or try again at this one)."""
    given, changing, workspace = borrowed(given), borrowed(changing), borrowed(workspace)
    problems, penalty, (state, progress), scratch = given.problems, given.penalty, changing, workspace.local
    lists, sizes = borrowed(candidates.lists), borrowed(candidates.sizes)
    for place in range(candidates.problems.shape[0]):
        problem, listed = candidates.problems[place], lists[place, : candidates.lengths[place]]
        if progress.descends[problem]:
            continue
        alpha, n_train = progress.alphas[problem], problems.n_train[problems.folds[problem]]
        l1_unit, ridge_unit = n_train * penalty.l1_ratio, n_train * (1.0 - penalty.l1_ratio)
        fit = _fit(given, problem, alpha * ridge_unit)
        local = gather(fit, state, problem, listed, workspace)
        least = l1_unit * alpha / progress.bounds[problem]
        worst = _worst_outside(given, state, problem, local, listed, sizes[place], least)
        progress.crowded[problem] |= listed.shape[0] > CROWDED * n_train
        target = next_target(given, changing, problem, worst, worst <= l1_unit * alpha * (1.0 + SLACK))
        if progress.descends[problem] or not progress.alive[problem]:
            continue
        if target < alpha and penalty.l1_ratio < 1.0:
            fit = _fit(given, problem, target * ridge_unit)
            rebuild(fit, state, problem, scratch.entering)
            local = gather(fit, state, problem, listed, workspace)
        # Leap to the penalty if that works, or else follow the path to it.
        before = remember(state, problem)
        status = leap(fit, state, problem, local, l1_unit * target, penalty.max_knots)
        if status != DONE:
            restore(fit, state, problem, before, scratch.entering)
        if status == FAILED:
            local = gather(fit, state, problem, listed, workspace)
            status = move(fit, state, problem, local, l1_unit * alpha, l1_unit * (alpha - target), penalty.max_knots)
            synchronise(fit, state, problem, local)
            if status == DONE:
                status = settle(fit, state, problem, local, l1_unit * target)
        progress.status[problem] = status


@njit(**JIT)
def descend_chunk(given, candidates, changing, workspace):
    """Do the same by coordinate descent, for active sets that have outgrown the largest inverse or gone in circles."""
    problems, penalty, (state, progress), scratch = given.problems, given.penalty, changing, workspace.local
    for place in range(candidates.problems.shape[0]):
        problem, listed = candidates.problems[place], candidates.lists[place, : candidates.lengths[place]]
        if not progress.descends[problem]:
            continue
        alpha, n_train = progress.alphas[problem], problems.n_train[problems.folds[problem]]
        l1_unit, ridge_unit = n_train * penalty.l1_ratio, n_train * (1.0 - penalty.l1_ratio)
        fit = _fit(given, problem, alpha * ridge_unit)
        local, target = gather(fit, state, problem, listed, workspace), scratch.entering.columns[0]
        centre(fit.target, fit.train, n_train, penalty.fit_intercept, target)
        accepted = penalty.tol * min(np.sum(target**2), n_train * np.mean(fit.target**2))
        least = l1_unit * alpha / progress.bounds[problem]
        worst = max(
            _worst_outside(given, state, problem, local, listed, candidates.sizes[place], least),
            largest_of_active(fit, state, problem, scratch.push[0]),
        )
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
def _worst_outside(given, state, problem, local, listed, sizes, least):
    """Return max |x_j'r| / f_j over the local features that are not active and whose `sizes` are above the `least`.

    The sizes are those of the `listed` features, which `gather` left in their order.
    """
    penalty, residual, worst, a = given.penalty, state.residuals[problem], 0.0, state.sizes[problem]
    for c in range(listed.shape[0]):
        if a == local.features.shape[0] or listed[c] != local.features[a]:
            continue
        if sizes[c] > least:
            one = local.features[a : a + 1]
            column_dots(given.columns, one, one.shape[0], state.every, residual, local.corr)
            size = local.corr[0] * penalty.inverse_factors[listed[c]]
            worst = max(worst, size if penalty.positive else abs(size))
        a += 1
    return worst
