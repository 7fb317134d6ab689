"""Where a path is judged and noted: is a solution optimal, what does it score, which penalty comes next."""

from __future__ import annotations

import numpy as np
from numba import njit
from numba.extending import register_jitable

from ..columns import INLINED, PART
from .active_sets import DONE, NO_ROOM, TOO_LONG

# A path goes down in such steps (the longest only where it ends on the grid), so that candidates are few.
STRIDE = 0.85
LONGEST = 0.78
# A problem whose list of candidates was ever longer than so many times its training rows takes shorter steps from there
# on; the features listed fall faster than the steps become more.
CROWDED = 2.0
SHORT_STRIDE = 0.92
SHORT_LONGEST = 0.86
# Candidates for a step are the features that reach their bound if their correlations grow by this share of what the
# penalty falls. By the sequential strong rule it is 1; correlated features pass that by the hundred, and hardly any
# grows so fast. The next screening finds those that were missed, and the step is taken again with them.
GROWTH = 0.4
# Solutions that break their bounds again after so many repairs go in circles.
MAX_REPAIRS = 20


@njit(**INLINED)
def next_target(given, changing, problem, worst, optimal):
    """Record a solution, and return the next penalty to solve at; the same one again for what is no solution yet."""
    problems, penalty, progress = given.problems, given.penalty, changing.progress
    alpha, l1_unit = progress.alphas[problem], problems.n_train[problems.folds[problem]] * penalty.l1_ratio
    if progress.status[problem] == NO_ROOM:
        return alpha
    # A path that ended on its way is no solution either, whatever the features outside say.
    if not optimal or (progress.status[problem] == TOO_LONG and not progress.descends[problem]):
        if progress.status[problem] != TOO_LONG and progress.repairs[problem] < MAX_REPAIRS:
            progress.repairs[problem] += 1
            return alpha
        if not progress.descends[problem]:
            progress.descends[problem], progress.status[problem], progress.repairs[problem] = True, DONE, 0
            return alpha
    _record(given, changing, problem, max(worst, l1_unit * alpha))
    if not progress.alive[problem]:
        return alpha
    progress.repairs[problem] = 0
    target = _next_alpha(problems, progress, problem, alpha)
    after = target
    if target > problems.grid[problem, problems.n_alphas[problem] - 1]:
        after = _next_alpha(problems, progress, problem, target)
    progress.alphas[problem] = target
    progress.bounds[problem] = l1_unit * bound_of_candidates(target, after)
    return target


@register_jitable
def bound_of_candidates(alpha, after):
    """Return which correlations at `alpha`, in its units, may reach their bound at the penalty `after` it."""
    return after - GROWTH * (alpha - after)


@njit(**PART)
def _next_alpha(problems, progress, problem, alpha):
    """The next stop below `alpha`: a grid point, or a step towards one that is far."""
    k, crowded = progress.reached[problem], progress.crowded[problem]
    while k < problems.n_alphas[problem] - 1 and problems.grid[problem, k] >= alpha:
        k += 1
    wanted = problems.grid[problem, k]
    if wanted > (SHORT_LONGEST if crowded else LONGEST) * alpha:
        return wanted
    return (SHORT_STRIDE if crowded else STRIDE) * alpha


@njit(**INLINED)
def _record(given, changing, problem, worst):
    """Note what is asked at every grid point that the present solution solves."""
    problems, penalty, state, progress = given.problems, given.penalty, changing.state, changing.progress
    gave_up = progress.status[problem] == TOO_LONG
    error = _held_out_error(problems, penalty.fit_intercept, state, progress, problem)
    while progress.reached[problem] < problems.n_alphas[problem]:
        k = progress.reached[problem]
        alpha = problems.grid[problem, k]
        if alpha < progress.alphas[problem] and not gave_up:
            return
        # Where the path was given up, the gaps of what is left say how far.
        progress.errors[problem, k] = np.nan if gave_up else error
        fall = problems.n_train[problems.folds[problem]] * (progress.alphas[problem] - alpha)
        more = _worse_at(penalty, state, problem, fall)
        progress.gaps[problem, k] = duality_gap(given, state, problem, alpha, worst + more)
        progress.reached[problem] = k + 1
    progress.alive[problem] = False


@njit(**INLINED)
def _worse_at(penalty, state, problem, fall):
    """Return how much max |x_j'r - D f_j w_j| / f_j may grow as alpha, in units of n, falls: `D` falls with it."""
    most = 0.0
    for k in range(state.sizes[problem]):
        if penalty.factors[state.features[problem, k]] > 0.0:
            most = max(most, abs(state.weights[problem, k]))
    return (1.0 - penalty.l1_ratio) * most * abs(fall)


@njit(**INLINED)
def _held_out_error(problems, fit_intercept, state, progress, problem):
    target, fold = problems.targets[problems.voxels[problem]], problems.folds[problem]
    train, test, fitted = problems.train[fold], problems.test[fold], state.fitted[problem]
    intercept = 0.0
    if fit_intercept:
        for b in range(target.shape[0]):
            intercept += train[b] * (target[b] - fitted[b])
        intercept /= problems.n_train[fold]
    progress.intercepts[problem] = intercept
    total, held_out = 0.0, 0.0
    for b in range(target.shape[0]):
        miss = target[b] - fitted[b] - intercept
        total += test[b] * miss * miss
        held_out += test[b]
    return total / held_out if held_out > 0.0 else np.nan


@njit(**PART)
def duality_gap(given, state, problem, alpha, worst):
    """Objective less the dual objective at the residual, scaled into the dual feasible set."""
    problems, penalty = given.problems, given.penalty
    fold = problems.folds[problem]
    n_train = problems.n_train[fold]
    l1, ridge = n_train * alpha * penalty.l1_ratio, n_train * alpha * (1.0 - penalty.l1_ratio)
    target, train, residual = problems.targets[problems.voxels[problem]], problems.train[fold], state.residuals[problem]
    square, cross = 0.0, 0.0
    for b in range(target.shape[0]):
        square += residual[b] * residual[b]
        cross += train[b] * residual[b] * target[b]
    absolute, curved = 0.0, 0.0
    for k in range(state.sizes[problem]):
        f = penalty.factors[state.features[problem, k]]
        absolute += f * abs(state.weights[problem, k])
        curved += f * state.weights[problem, k] ** 2
    shrink = min(1.0, l1 / worst) if worst > 0.0 else 1.0
    augmented = square + ridge * curved
    primal = 0.5 * augmented + l1 * absolute
    dual = shrink * cross - 0.5 * shrink * shrink * augmented
    return (primal - dual) / n_train
