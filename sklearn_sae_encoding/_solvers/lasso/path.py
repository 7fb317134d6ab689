"""Regularisation paths of a chunk of problems in lockstep: screen all features, check optimality, record, move.

Problems of a chunk share each pass over the features.
"""

from __future__ import annotations

import numpy as np

from ..columns import Columns, column_dot
from .active_sets import LARGEST, NO_ROOM, Spare, grown, new_active_sets
from .homotopy import new_workspace
from .problems import Candidates, Changing, Given, Paths, Penalty, Problems, centred_targets, new_progress
from .recording import LONGEST, bound_of_candidates
from .screening import Eligible, Screened, largest, scan
from .steps import advance, descend_chunk, fit_free

# Grid points that the held-out error must have been rising for a path to be stopped early.
PATIENCE = 4
# Below this penalty the grid of a voxel that no feature explains starts (the constant scikit-learn uses).
TINY = 1e-15


def solve_paths(
    columns: Columns,
    screened: Screened,
    problems: Problems,
    penalty: Penalty,
    stop_early: bool = False,
    spare: Spare | None = None,
) -> Paths:
    """Solve each problem at each alpha of its grid, from its own alpha_max down.

    To `stop_early`, a voxel's paths end on all folds once its mean held-out error has clearly turned up.
    """
    given = Given(columns, problems, penalty)
    state = _start(given, spare)
    progress = new_progress(_own_alpha_max(given, screened, state), problems.grid.shape[1])
    l1_unit = problems.n_train[problems.folds] * penalty.l1_ratio
    progress.bounds[:] = l1_unit * bound_of_candidates(progress.alphas, LONGEST * progress.alphas)
    alive, capacity = np.arange(len(problems.voxels)), 4 * state.residuals.shape[1] + 256
    taken, room, workspace = np.zeros(len(penalty.factors), dtype=np.bool_), (0, 0), None
    while alive.size:
        candidates = _screen(given, screened, Changing(state, progress), alive, capacity)
        capacity = max(capacity, candidates.lists.shape[1])
        if room != (state.features.shape[1], capacity):
            room = state.features.shape[1], capacity
            workspace = new_workspace(taken, state.residuals.shape[1], room[0], sum(room))
        # Check where each problem is, record what is solved, move to the next penalty.
        advance(given, candidates, Changing(state, progress), workspace)
        if progress.descends.any():
            descend_chunk(given, candidates, Changing(state, progress), workspace)
        state = _with_room(state, progress, alive, len(penalty.factors) + 1)
        if stop_early:
            _stop_where_errors_turned_up(problems, progress)
        alive = alive[progress.alive[alive]]
    return Paths(state, progress.errors, progress.gaps, progress.intercepts)


def alpha_max(columns: Columns, screened: Screened, problems: Problems, penalty: Penalty) -> np.ndarray:
    """Return the smallest alpha at which every penalised weight of a problem is zero, (n_problems,)."""
    given = Given(columns, problems, penalty)
    return _own_alpha_max(given, screened, _start(given))


def _start(given, spare=None):
    """All penalised weights zero, the others at least squares."""
    problems, penalty = given.problems, given.penalty
    n_samples, n_features = problems.targets.shape[1], len(penalty.factors)
    residuals = centred_targets(problems, penalty.fit_intercept)
    room = min(n_samples, n_features, 256) + len(penalty.free) + 1
    room = min(room, n_features + 1)
    state = new_active_sets(residuals, room, len(penalty.free), spare)
    if penalty.free.size:
        taken = np.zeros(n_features, dtype=np.bool_)
        fit_free(given, state, new_workspace(taken, n_samples, room, len(penalty.free)))
    return state


def _own_alpha_max(given, screened, state):
    problems, penalty = given.problems, given.penalty
    eligible = Eligible(problems.allowed, problems.voxels, penalty.positive)
    nearly = largest(screened, state.residuals, eligible)
    lists, _, lengths = scan(screened, state.residuals, nearly, eligible, 64)
    top = _largest_listed(given, state, lists, lengths)
    return np.maximum(top / (problems.n_train[problems.folds] * penalty.l1_ratio), TINY)


def _largest_listed(given, state, lists, lengths):
    """Return max |x_j'r| / f_j over the listed features of each problem, in double precision."""
    columns, _, penalty = given
    top = np.zeros(len(lengths))
    for problem, residual in enumerate(state.residuals):
        listed = lists[problem, : lengths[problem]]
        sizes = [column_dot(columns, j, residual) for j in listed] * penalty.inverse_factors[listed]
        top[problem] = np.max(sizes if penalty.positive else np.abs(sizes), initial=0.0)
    return top


def _screen(given, screened, changing, alive, capacity) -> Candidates:
    state, progress = changing
    eligible = Eligible(given.problems.allowed, given.problems.voxels[alive], given.penalty.positive)
    return Candidates(alive, *scan(screened, state.residuals[alive], progress.bounds[alive], eligible, capacity))


def _with_room(state, progress, alive, most):
    """Let the arrays grow where an active set had no room; what has outgrown the largest inverse goes on by descent."""
    short = alive[progress.status[alive] == NO_ROOM]
    if not short.size:
        return state
    progress.descends[short] |= state.inverses.matrix.shape[1] >= LARGEST
    return grown(state, min(2 * state.features.shape[1], most))


def _stop_where_errors_turned_up(problems, progress):
    """End the paths whose last error, on all folds, is PATIENCE steps past the least and a standard error above it.

    The folds of a voxel stand side by side, the same number for each.
    """
    alive, reached = (part.reshape(len(problems.targets), -1) for part in (progress.alive, progress.reached))
    errors, n_folds = progress.errors.reshape(*alive.shape, -1), alive.shape[1]
    mean = errors.sum(axis=1) / n_folds  # NaN where a fold is not yet, or gave up
    best, reached = np.where(np.isnan(mean), np.inf, mean).argmin(axis=1), reached.min(axis=1)
    late = np.flatnonzero(alive.any(axis=1) & (best < reached - PATIENCE))
    if late.size:
        at_best = errors[late, :, best[late]]
        limit = at_best.mean(axis=1) + at_best.std(axis=1) / np.sqrt(max(n_folds - 1, 1))
        alive[late[mean[late, reached[late] - 1] > limit]] = False
