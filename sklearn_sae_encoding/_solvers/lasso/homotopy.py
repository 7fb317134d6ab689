r"""The exact piecewise linear path of one problem, from one penalty to the next, on a small set of features.

In units of ``n`` (the number of training rows), with :math:`L = n\alpha\rho` and :math:`D = n\alpha(1-\rho)`, a
solution on its active set satisfies, for centred columns and with penalty factors ``f`` and signs ``s``,

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
from .active_sets import DONE, NO_ROOM, TOO_LONG, Scratch, enter, exchange, leave, new_scratch
from .block_updates import Bordering, new_bordering

# A correlation that approaches its bound slower than this (relative) runs parallel to it: a copy of an active feature.
PARALLEL = 1e-10


class Local(NamedTuple):
    """The features a move looks at: the active ones, then the candidates."""

    features: np.ndarray  # (n_local,) int32
    slot: np.ndarray  # (n_local,), place in the active set, -1 outside
    at: np.ndarray  # (capacity,), the other way round: local place of an active feature
    corr: np.ndarray  # (n_local,), x_j'r outside at first, then that of the problem the present weights solve
    rho: np.ndarray  # (n_local,), what of it is still to be worked off
    rate: np.ndarray  # (n_local,), of corr, for features that are not active
    blocked: np.ndarray  # (n_local,), bool, may not enter during this move
    before: np.ndarray  # (n_local,), weights that `corr` belongs to
    entering: np.ndarray  # (n_local,), local places
    step: np.ndarray  # (capacity,), dw/dt
    raw: np.ndarray  # (n_samples,), X dw/dt
    centred: np.ndarray  # (n_samples,), the same, centred on training rows and zero elsewhere
    scratch: Scratch


class Workspace(NamedTuple):
    """Scratch arrays of a chunk: what they hold means nothing between two calls."""

    where: np.ndarray  # (n_features,), all -1 between two calls
    local: Local
    bordering: Bordering


def new_workspace(where: np.ndarray, n_samples: int, capacity: int, n_local: int) -> Workspace:
    """Make room for active sets of up to `capacity` features and moves over up to `n_local`."""
    return Workspace(where, new_local(n_samples, capacity, n_local), new_bordering(n_samples, capacity))


def new_local(n_samples: int, capacity: int, n_local: int) -> Local:
    """Make room for up to `n_local` features."""
    return Local(
        np.empty(n_local, dtype=np.int32),
        np.empty(n_local, dtype=np.int64),
        np.empty(capacity, dtype=np.int64),
        *np.empty((3, n_local)),
        np.empty(n_local, dtype=np.bool_),
        np.empty(n_local),
        np.empty(n_local, dtype=np.int64),
        np.empty(capacity),
        *np.empty((2, n_samples)),
        new_scratch(n_samples, capacity),
    )


@njit(**PART)
def gather(fit, state, problem, candidates, scratch):
    """Set up a move over the active features and the `candidates`, in the arrays of `scratch`."""
    room, where = scratch.local, scratch.where
    size, active, features, slot, at = state.sizes[problem], state.features[problem], room.features, room.slot, room.at
    n_local = size
    for k in range(size):
        features[k] = active[k]
        where[features[k]] = k
        slot[k] = k
        at[k] = k
    for c in range(candidates.shape[0]):
        if where[candidates[c]] < 0:
            features[n_local] = candidates[c]
            where[candidates[c]] = n_local
            slot[n_local] = -1
            n_local += 1
    rho, rate, blocked = room.rho, room.rate, room.blocked
    for a in range(n_local):
        where[features[a]] = -1
        rho[a] = 0.0
        rate[a] = 0.0
        blocked[a] = False
    column_dots(fit.columns, features, n_local, slot, state.residuals[problem], room.corr)
    return Local(
        features[:n_local],
        slot[:n_local],
        at,
        room.corr[:n_local],
        rho[:n_local],
        rate[:n_local],
        blocked[:n_local],
        room.before[:n_local],
        room.entering[:n_local],
        room.step,
        room.raw,
        room.centred,
        room.scratch,
    )


@njit(**INLINED)
def move(fit, state, problem, local, step):
    """Follow the path of a problem from one penalty to another over the `local` features.

    Returns DONE, NO_ROOM when the active set outgrows its arrays, or TOO_LONG after too many changes; the state is then
    a valid start for another call.
    """
    l1_from, _, l1_to, max_changes = step
    fall, l1, t, resting, most = l1_from - l1_to, l1_from, 0.0, np.int64(-1), state.knots[problem] + max_changes
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
            _drop(fit, state, problem, local, event, l1)
            resting = event
        elif state.sizes[problem] == state.inverses.shape[1]:
            return NO_ROOM
        else:
            resting = _add(fit, state, problem, local, event, sign, fall, l1)


@njit(**PART)
def _split_correlations(fit, state, problem, local, l1):
    active, size, sums = state.features[problem], state.sizes[problem], local.scratch.solved
    column_dots(fit.columns, active, size, state.every, state.residuals[problem], sums)
    for a in range(local.features.shape[0]):
        f = fit.factors[local.features[a]]
        bound = l1 * f
        local.rho[a] = 0.0
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
    size = state.sizes[problem]
    push = local.scratch.solved
    for k in range(size):
        push[k] = local.rho[local.at[k]] + fall * fit.factors[state.features[problem, k]] * state.signs[problem, k]
    for k in range(size):
        total = 0.0
        for m in range(size):
            total += state.inverses[problem, k, m] * push[m]
        local.step[k] = total


@njit(**PART)
def _rates(fit, state, problem, local):
    local.raw[:] = 0.0
    add_columns(fit.columns, state.features[problem], state.sizes[problem], local.step, local.raw)
    centre(local.raw, fit.train, fit.n_train, fit.fit_intercept, local.centred)
    column_dots(fit.columns, local.features, local.features.shape[0], local.slot, local.centred, local.rate)
    for a in range(local.features.shape[0]):
        local.rate[a] = local.rho[a] - local.rate[a]


@njit(**PART)
def _next_event(fit, state, problem, local, fall, l1, length, resting):
    """How far to go, which local feature then changes sides (-1 at the end), and with which sign it enters."""
    event, sign = -1, 0.0
    factors, features, slot, blocked = fit.factors, local.features, local.slot, local.blocked
    corr, rate, step, positive = local.corr, local.rate, local.step, fit.positive
    weights, signs, active = state.weights[problem], state.signs[problem], state.features[problem]
    for k in range(state.sizes[problem]):
        pace = -signs[k] * step[k]
        if pace * length > abs(weights[k]) and factors[active[k]] > 0.0:
            # A weight that has just entered is 0, and rounding may give it the other sign.
            length = max(weights[k] * signs[k] / pace, 0.0)
            event = local.at[k]
    for a in range(features.shape[0]):
        if slot[a] >= 0 or blocked[a] or a == resting:
            continue
        f = factors[features[a]]
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
        state.weights[problem, k] += length * local.step[k]
    for b in range(local.raw.shape[0]):
        state.fitted[problem, b] += length * local.raw[b]
        state.residuals[problem, b] -= length * local.centred[b]
    for a in range(local.features.shape[0]):
        if local.slot[a] < 0:
            local.corr[a] += length * local.rate[a]


@njit(**PART)
def _drop(fit, state, problem, local, event, l1):
    """Take a feature out of the active set, its correlation at the bound, and the step with it."""
    gone, last = local.slot[event], state.sizes[problem] - 1
    local.corr[event] = l1 * fit.factors[local.features[event]] * state.signs[problem, gone]
    share = local.step[gone] / state.inverses[problem, gone, gone]
    for k in range(state.sizes[problem]):
        local.step[k] -= share * state.inverses[problem, gone, k]
    local.step[gone] = local.step[last]
    leave(state, problem, gone)
    local.at[gone] = local.at[last]
    local.slot[local.at[gone]] = gone
    local.slot[event] = -1


@njit(**INLINED)
def _add(fit, state, problem, local, event, sign, fall, l1):
    """Put a feature into the active set; return the one that had to leave for it, or -1."""
    size = state.sizes[problem]
    scratch = local.scratch
    pivot = enter(fit, state, problem, local.features[event], sign, scratch)
    if pivot == 0.0:
        return _swap(fit, state, problem, local, event, sign, fall, l1)
    local.at[size] = event
    local.slot[event] = size
    gain = local.rho[event] + fall * fit.factors[local.features[event]] * sign
    for k in range(size):
        gain -= scratch.cross[k] * local.step[k]
    gain /= pivot
    for k in range(size):
        local.step[k] -= gain * scratch.solved[k]
    local.step[size] = gain
    return -1


@njit(**INLINED)
def _swap(fit, state, problem, local, event, sign, fall, l1):
    """Let a feature in the span of the active ones take the place of one of them."""
    gone = exchange(fit, state, problem, sign, local.scratch.solved)
    if gone < 0:
        local.blocked[event] = True
        return -1
    left, weight = local.at[gone], state.weights[problem, gone]
    local.blocked[left] = True  # for this move, or copies could take turns for ever
    _drop(fit, state, problem, local, left, l1)
    size = state.sizes[problem]
    if enter(fit, state, problem, local.features[event], sign, local.scratch) == 0.0:
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
def synchronise(fit, state, problem, local):
    """Compute fitted values and residuals from the weights, so that what rounding added up on the way is gone."""
    raw, fitted = local.raw, state.fitted[problem]
    fitted[:] = 0.0
    add_columns(fit.columns, state.features[problem], state.sizes[problem], state.weights[problem], fitted)
    for b in range(raw.shape[0]):
        raw[b] = fit.target[b] - fitted[b]
    centre(raw, fit.train, fit.n_train, fit.fit_intercept, state.residuals[problem])
