r"""The exact piecewise linear path of one problem, from one penalty to the next, on a small set of features.

With the names of active_sets.py, a solution on its active set satisfies, for centred columns,

    (X'X + D F) w = X'y - L f s ,        |x_j'r| <= L f_j elsewhere.

Where we start, ``w`` solves that system up to a known residual ``rho`` (violations found since, a changed ``D``, and
rounding). So ``w`` solves exactly the problem whose ``X'y`` is replaced by ``X'y - rho``. Moving ``L`` to its new value
and ``rho`` to zero together, linearly in ``t`` from 0 to 1, keeps the path piecewise linear, whatever the start was:

    (X'X + D F) dw/dt = rho + (L_from - L_to) f s .

A breakpoint is a weight that reaches zero or a feature that reaches its bound; each costs one update of the inverse,
which updates ``dw/dt`` too. Rounding doesn't add up over moves: each one leaves fitted values and residuals that are
computed from its weights, and starts from those.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..columns import INLINED, PART, add_columns, centre, column_dots
from .active_sets import DONE, NO_ROOM, TOO_LONG
from .changes import COLLINEAR, Entering, enter, leave, new_entering
from .inverses import WIDTH, one_of, padded, times

# A correlation that approaches its bound slower than this (relative) runs parallel to it: a copy of an active feature.
PARALLEL = 1e-10


class Local(NamedTuple):
    """The features a move looks at: the active ones, then the candidates."""

    features: np.ndarray  # (n_local,) int32
    factors: np.ndarray  # (n_local,), of the penalty
    slot: np.ndarray  # (n_local,), place in the active set, -1 outside
    at: np.ndarray  # (capacity,), the other way round: local place of an active feature
    corr: np.ndarray  # (n_local,), x_j'r outside the active set, in a move that of the problem the weights solve
    rho: np.ndarray  # (n_local,), what of it is still to be worked off
    rate: np.ndarray  # (n_local,), of corr, for features that are not active
    blocked: np.ndarray  # (n_local,), bool, may not enter during this move
    chosen: np.ndarray  # (n_local,), local places of features that are to enter, or places of those to leave
    step: np.ndarray  # (1, capacity and a block more), dw/dt, or what a Newton step adds to the weights
    push: np.ndarray  # the same, what the inverse is multiplied with for that, then zeros
    raw: np.ndarray  # (n_samples,), X dw/dt
    centred: np.ndarray  # (n_samples,), the same, centred on training rows and zero elsewhere
    entering: Entering


class Workspace(NamedTuple):
    """Scratch arrays of a chunk: what they hold means nothing between two calls."""

    taken: np.ndarray  # (n_features,) bool, all False between two calls
    local: Local


def new_workspace(taken: np.ndarray, n_samples: int, capacity: int, n_local: int) -> Workspace:
    """Make room for active sets of up to `capacity` features and moves over up to `n_local`."""
    local = Local(
        np.empty(n_local, dtype=np.int32),
        np.empty(n_local),
        np.empty(n_local, dtype=np.int64),
        np.empty(capacity, dtype=np.int64),
        *np.empty((3, n_local)),
        np.empty(n_local, dtype=np.bool_),
        np.empty(n_local, dtype=np.int64),
        *np.zeros((2, 1, padded(capacity) + WIDTH)),
        *np.empty((2, n_samples)),
        new_entering(n_samples, capacity),
    )
    return Workspace(taken, local)


@njit(**PART)
def gather(fit, state, problem, candidates, workspace):
    """Set up a move over the active features and the `candidates`, in the arrays of `workspace`, but for `corr`."""
    room, taken = workspace.local, workspace.taken
    size, active, features, factors, slot = (
        state.sizes[problem],
        state.features[problem],
        room.features,
        room.factors,
        room.slot,
    )
    n_local = size
    for k in range(size):
        features[k] = active[k]
        factors[k] = fit.factors[active[k]]
        taken[active[k]] = True
        slot[k] = k
        room.at[k] = k
    for c in range(candidates.shape[0]):
        if not taken[candidates[c]]:
            features[n_local] = candidates[c]
            factors[n_local] = fit.factors[candidates[c]]
            slot[n_local] = -1
            n_local += 1
    for k in range(size):
        taken[active[k]] = False
    return Local(
        features[:n_local],
        factors[:n_local],
        slot[:n_local],
        room.at,
        room.corr[:n_local],
        room.rho[:n_local],
        room.rate[:n_local],
        room.blocked[:n_local],
        room.chosen[:n_local],
        room.step,
        room.push,
        room.raw,
        room.centred,
        room.entering,
    )


@njit(**PART)
def look(fit, state, problem, local):
    """Bring the correlations of features outside up to the residual."""
    column_dots(fit.columns, local.features, local.slot.shape[0], local.slot, state.residuals[problem], local.corr)


@njit(**INLINED)
def move(fit, state, problem, local, l1, fall, max_changes):
    """Follow the path of a problem from the penalty `l1` (in units of n) as it falls, over the `local` features.

    Returns DONE, NO_ROOM when the active set outgrows its arrays, or TOO_LONG after too many changes, or where rounding
    has spoiled the inverse; the state is then a valid start for another call.
    """
    t, resting, most = 0.0, np.int64(-1), state.knots[problem] + max_changes
    look(fit, state, problem, local)
    _split_correlations(fit, state, problem, local, l1)
    _full_step(fit, state, problem, local, fall)
    while True:
        _rates(fit, state, problem, local)
        length, event, sign = _next_event(fit, state, problem, local, fall, l1, 1.0 - t, resting)
        _walk(state, problem, local, length)
        l1 -= length * fall
        t += length
        if event < 0:
            return DONE
        state.knots[problem] += 1
        if state.knots[problem] > most:
            return TOO_LONG
        if local.slot[event] >= 0:
            if not _drop(fit, state, problem, local, event, l1):
                return TOO_LONG
            resting = event
        elif state.sizes[problem] == state.inverses.matrix.shape[1]:
            return NO_ROOM
        else:
            resting = _add(fit, state, problem, local, event, sign, fall, l1)
            if resting < -1:
                return TOO_LONG


@njit(**PART)
def _split_correlations(fit, state, problem, local, l1):
    active, size, sums = state.features[problem], state.sizes[problem], local.push[0]
    column_dots(fit.columns, active, size, state.every, state.residuals[problem], sums)
    for a in range(local.features.shape[0]):
        f = local.factors[a]
        bound = l1 * f
        local.rho[a] = 0.0
        local.rate[a] = 0.0
        local.blocked[a] = False
        if local.slot[a] >= 0:
            k = local.slot[a]
            local.corr[a] = sums[k] - fit.ridge * f * state.weights[problem, k]
            local.rho[a] = local.corr[a] - bound * state.signs[problem, k]
        elif local.corr[a] > bound:
            local.rho[a] = local.corr[a] - bound
        elif local.corr[a] < -bound and not (fit.positive and f > 0.0):
            local.rho[a] = local.corr[a] + bound
        local.corr[a] -= local.rho[a]


@njit(**PART)
def _full_step(fit, state, problem, local, fall):
    size, push = state.sizes[problem], local.push[0]
    for k in range(size):
        push[k] = local.rho[local.at[k]] + fall * fit.factors[state.features[problem, k]] * state.signs[problem, k]
    for k in range(size, size + WIDTH):
        push[k] = 0.0
    times(one_of(state.inverses, problem), size, np.int64(1), local.push, local.step)


@njit(**PART)
def _rates(fit, state, problem, local):
    local.raw[:] = 0.0
    add_columns(fit.columns, state.features[problem], state.sizes[problem], local.step[0], local.raw)
    centre(local.raw, fit.train, fit.n_train, fit.fit_intercept, local.centred)
    column_dots(fit.columns, local.features, local.features.shape[0], local.slot, local.centred, local.rate)
    for a in range(local.features.shape[0]):
        local.rate[a] = local.rho[a] - local.rate[a]


@njit(**PART)
def _next_event(fit, state, problem, local, fall, l1, length, resting):
    """How far to go, which local feature then changes sides (-1 at the end), and with which sign it enters."""
    event, sign = -1, 0.0
    factors, slot, blocked = local.factors, local.slot, local.blocked
    corr, rate, step, positive = local.corr, local.rate, local.step[0], fit.positive
    weights, signs = state.weights[problem], state.signs[problem]
    for k in range(state.sizes[problem]):
        pace = -signs[k] * step[k]
        if pace * length > abs(weights[k]) and factors[local.at[k]] > 0.0:
            # A weight that has just entered is 0, and rounding may give it the other sign.
            length = max(weights[k] * signs[k] / pace, 0.0)
            event = local.at[k]
    for a in range(factors.shape[0]):
        if slot[a] >= 0 or blocked[a] or a == resting:
            continue
        f = factors[a]
        parallel = PARALLEL * (abs(rate[a]) + fall * f)
        closing, room = rate[a] + fall * f, l1 * f - corr[a]
        if closing > parallel and room < length * closing:
            length, event, sign = max(room / closing, 0.0), a, 1.0
        closing, room = fall * f - rate[a], l1 * f + corr[a]
        if closing > parallel and room < length * closing and not (positive and f > 0.0):
            length, event, sign = max(room / closing, 0.0), a, -1.0
    return length, event, sign


@njit(**PART)
def _walk(state, problem, local, length):
    for k in range(state.sizes[problem]):
        state.weights[problem, k] += length * local.step[0, k]
    for b in range(local.raw.shape[0]):
        state.fitted[problem, b] += length * local.raw[b]
        state.residuals[problem, b] -= length * local.centred[b]
    for a in range(local.features.shape[0]):
        if local.slot[a] < 0:
            local.corr[a] += length * local.rate[a]


@njit(**PART)
def _drop(fit, state, problem, local, event, l1):
    """Take a feature out of the active set, its correlation at the bound, and the step with it."""
    gone, last, inverse = local.slot[event], state.sizes[problem] - 1, one_of(state.inverses, problem)
    sign = state.signs[problem, gone]
    if not leave(state, problem, gone):
        return False
    local.corr[event] = l1 * local.factors[event] * sign
    change = inverse.waiting[0] - 1
    row, share = inverse.vectors[change], inverse.factors[change] * local.step[0, gone]
    local.step[0, gone] = local.step[0, last]
    for k in range(last):
        local.step[0, k] += share * row[k]
    local.at[gone] = local.at[last]
    local.slot[local.at[gone]] = gone
    local.slot[event] = -1
    return True


@njit(**PART)
def _enter_alone(fit, state, problem, feature, sign, entering):
    entering.features[0], entering.signs[0] = feature, sign
    return enter(fit, state, problem, np.int64(1), COLLINEAR, entering) == 1


@njit(**INLINED)
def _add(fit, state, problem, local, event, sign, fall, l1):
    """Put a feature into the active set; return the one that had to leave for it, or -1; -2 if rounding forbids it."""
    size, inverse = state.sizes[problem], one_of(state.inverses, problem)
    if not _enter_alone(fit, state, problem, local.features[event], sign, local.entering):
        return _swap(fit, state, problem, local, event, sign, fall, l1)
    local.at[size] = event
    local.slot[event] = size
    change, cross = inverse.waiting[0] - 1, local.entering.cross[0]
    gain, solved = local.rho[event] + fall * local.factors[event] * sign, inverse.vectors[change]
    for k in range(size):
        gain -= cross[k] * local.step[0, k]
    gain *= inverse.factors[change]
    for k in range(size):
        local.step[0, k] -= gain * solved[k]
    local.step[0, size] = gain
    return -1


@njit(**INLINED)
def _swap(fit, state, problem, local, event, sign, fall, l1):
    """Let a feature in the span of the active ones take the place of one of them."""
    gone = _exchange(fit, state, problem, sign)
    if gone < 0:
        local.blocked[event] = True
        return -1
    left, weight = local.at[gone], state.weights[problem, gone]
    local.blocked[left] = True  # for this move, or copies could take turns for ever
    size = state.sizes[problem] - 1
    if not _drop(fit, state, problem, local, left, l1):
        return -2
    if not _enter_alone(fit, state, problem, local.features[event], sign, local.entering):
        local.blocked[event] = True
    else:
        state.weights[problem, size] = weight
        local.at[size] = event
        local.slot[event] = size
    # An exchange leaves the centred fit on training rows as it was, but not the intercept or the fit on held-out rows.
    synchronise(fit, state, problem, local)
    _full_step(fit, state, problem, local, fall)
    return left


@njit(**PART)
def _exchange(fit, state, problem, sign):
    """Give weight to the feature that was refused last, which lies in the span of the active ones, at no cost.

    With that feature equal to ``X_A v``, moving its weight by ``d`` and the active weights by ``-d v`` changes neither
    the fit nor, at the bound, the penalty: until one of those reaches zero. Returns the place of the feature to leave,
    with the weight of the new one left in its stead, or -1 if there is none.
    """
    inverse, gone, reach = one_of(state.inverses, problem), -1, np.inf
    solved = inverse.vectors[inverse.waiting[0]]
    for k in range(state.sizes[problem]):
        if fit.factors[state.features[problem, k]] > 0.0 and state.signs[problem, k] * sign * solved[k] > 0.0:
            length = state.weights[problem, k] / (sign * solved[k])
            if length < reach:
                gone, reach = k, length
    if gone >= 0:
        for k in range(state.sizes[problem]):
            state.weights[problem, k] -= reach * sign * solved[k]
        state.weights[problem, gone] = reach * sign
    return gone


@njit(**PART)
def synchronise(fit, state, problem, local):
    """Compute fitted values and residuals from the weights, so that what rounding added up on the way is gone."""
    raw, fitted = local.raw, state.fitted[problem]
    fitted[:] = 0.0
    add_columns(fit.columns, state.features[problem], state.sizes[problem], state.weights[problem], fitted)
    for b in range(raw.shape[0]):
        raw[b] = fit.target[b] - fitted[b]
    centre(raw, fit.train, fit.n_train, fit.fit_intercept, state.residuals[problem])
