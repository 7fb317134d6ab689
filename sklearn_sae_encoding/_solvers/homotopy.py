r"""The exact piecewise linear path of one problem, from one penalty to the next, on a small set of features.

In units of ``n`` (the number of training rows), with :math:`L = n\alpha\rho` and :math:`D = n\alpha(1-\rho)`, a
solution on its active set satisfies, for centred columns and with penalty factors ``f`` and signs ``s``,

    (X'X + D F) w = X'y - L f s ,        |x_j'r| <= L f_j elsewhere.

Where we start, ``w`` solves that system up to a known residual ``rho`` (violations found since, a changed ``D``, and
rounding). So ``w`` solves exactly the problem whose ``X'y`` is replaced by ``X'y - rho``. Moving ``L`` to its new
value and ``rho`` to zero together, linearly in ``t`` from 0 to 1, keeps the path piecewise linear, whatever the start
was:

    (X'X + D F) dw/dt = rho + (L_from - L_to) f s .

A breakpoint is a weight that reaches zero or a feature that reaches its bound; each costs one update of the inverse.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from .columns import JIT, add_column, centre, column_dot

# A feature whose part outside the span of the active ones is this small (relative, squared) is taken as lying in it.
COLLINEAR = 1e-11
# A correlation that approaches its bound slower than this (relative) runs parallel to it: a copy of an active feature.
PARALLEL = 1e-10


class ActiveSets(NamedTuple):
    """The state of a chunk of problems between two penalties."""

    features: np.ndarray  # (n_problems, capacity) int32, active features
    signs: np.ndarray  # (n_problems, capacity)
    weights: np.ndarray  # (n_problems, capacity)
    inverses: np.ndarray  # (n_problems, capacity, capacity), of X'X + D F on the active set
    sizes: np.ndarray  # (n_problems,)
    fitted: np.ndarray  # (n_problems, n_samples), X w on all rows, without intercept
    residuals: np.ndarray  # (n_problems, n_samples), centred on training rows, zero on held-out rows
    knots: np.ndarray  # (n_problems,), breakpoints passed so far


def new_active_sets(residuals: np.ndarray, capacity: int) -> ActiveSets:
    n_problems = len(residuals)
    return ActiveSets(
        features=np.zeros((n_problems, capacity), dtype=np.int32),
        signs=np.zeros((n_problems, capacity)),
        weights=np.zeros((n_problems, capacity)),
        inverses=np.zeros((n_problems, capacity, capacity)),
        sizes=np.zeros(n_problems, dtype=np.int64),
        fitted=np.zeros_like(residuals),
        residuals=residuals,
        knots=np.zeros(n_problems, dtype=np.int64),
    )


def grown(state: ActiveSets, capacity: int) -> ActiveSets:
    """Copy `state` into arrays that hold `capacity` active features."""
    old = state.features.shape[1]
    wide = ((0, 0), (0, capacity - old))
    return state._replace(
        features=np.pad(state.features, wide),
        signs=np.pad(state.signs, wide),
        weights=np.pad(state.weights, wide),
        inverses=np.pad(state.inverses, (*wide, (0, capacity - old))),
    )


@njit(**JIT)
def border(inverse, size, cross, diagonal, least, solved):
    """Grow an inverse by one row and column; False (and nothing changed) if its pivot is not above `least`."""
    for i in range(size):
        total = 0.0
        for k in range(size):
            total += inverse[i, k] * cross[k]
        solved[i] = total
    schur = diagonal
    for i in range(size):
        schur -= cross[i] * solved[i]
    if not schur > least:
        return False
    for i in range(size):
        scaled = solved[i] / schur
        for k in range(size):
            inverse[i, k] += scaled * solved[k]
        inverse[i, size] = -scaled
        inverse[size, i] = -scaled
    inverse[size, size] = 1.0 / schur
    return True


@njit(**JIT)
def unborder(inverse, size, gone):
    """Shrink an inverse by row and column `gone`; the last one takes its place."""
    last = size - 1
    if gone != last:
        for k in range(size):
            inverse[gone, k], inverse[last, k] = inverse[last, k], inverse[gone, k]
        for k in range(size):
            inverse[k, gone], inverse[k, last] = inverse[k, last], inverse[k, gone]
    pivot = inverse[last, last]
    for i in range(last):
        scaled = inverse[i, last] / pivot
        for k in range(last):
            inverse[i, k] -= scaled * inverse[last, k]


@njit(**JIT)
def _enter(columns, train, n_train, fit_intercept, ridge, factors, state, i, feature, sign, column, cross, solved):
    size = state.sizes[i]
    raw = np.zeros(train.shape[0])
    add_column(columns, feature, 1.0, raw)
    centre(raw, train, n_train, fit_intercept, column)
    for k in range(size):
        cross[k] = column_dot(columns, state.features[i, k], column)
    square = 0.0
    for k in range(train.shape[0]):
        square += train[k] * raw[k] * raw[k]
    diagonal = column_dot(columns, feature, column) + ridge * factors[feature]
    if not border(state.inverses[i], size, cross, diagonal, COLLINEAR * square, solved):
        return False
    state.features[i, size] = feature
    state.signs[i, size] = sign
    state.weights[i, size] = 0.0
    state.sizes[i] = size + 1
    return True


@njit(**JIT)
def _leave(state, i, gone):
    last = state.sizes[i] - 1
    unborder(state.inverses[i], state.sizes[i], gone)
    state.features[i, gone] = state.features[i, last]
    state.signs[i, gone] = state.signs[i, last]
    state.weights[i, gone] = state.weights[i, last]
    state.sizes[i] = last


@njit(**JIT)
def _exchange(state, i, factors, sign, solved):
    """Give weight to a feature that lies in the span of the active ones, at no cost, until one of those reaches zero.

    With the new feature equal to ``X_A v``, moving its weight by ``d`` and the active weights by ``-d v`` changes
    neither the fit nor, at the bound, the penalty. Returns the place of the feature to leave, with the weight of the
    new one left in its stead, or -1 if there is none.
    """
    gone, reach = -1, np.inf
    for k in range(state.sizes[i]):
        if factors[state.features[i, k]] > 0.0 and state.signs[i, k] * sign * solved[k] > 0.0:
            length = state.weights[i, k] / (sign * solved[k])
            if length < reach:
                gone, reach = k, length
    if gone >= 0:
        for k in range(state.sizes[i]):
            state.weights[i, k] -= reach * sign * solved[k]
        state.weights[i, gone] = reach * sign
    return gone


@njit(**JIT)
def rebuild(columns, train, n_train, fit_intercept, ridge, factors, state, i):
    """Build the inverse anew for another ridge term; features found collinear leave with their weight."""
    old = state.sizes[i]
    features = state.features[i, :old].copy()
    signs = state.signs[i, :old].copy()
    weights = state.weights[i, :old].copy()
    column = np.empty(train.shape[0])
    cross, solved = np.empty(old), np.empty(old)
    state.sizes[i] = 0
    for k in range(old):
        size = state.sizes[i]
        entered = _enter(
            columns,
            train,
            n_train,
            fit_intercept,
            ridge,
            factors,
            state,
            i,
            features[k],
            signs[k],
            column,
            cross,
            solved,
        )
        if entered:
            state.weights[i, size] = weights[k]


@njit(**JIT)
def move(
    columns,
    train,
    n_train,
    fit_intercept,
    factors,
    positive,
    state,
    i,
    candidates,
    l1_from,
    l1_to,
    ridge,
    max_knots,
    where,
):
    """Follow the path of problem `i` from penalty `l1_from` to `l1_to` over its active set and `candidates`.

    `where` is a scratch array (n_features,) of -1, given back as such. Returns 0 when the end is reached, 1 when the
    active set outgrows its arrays and 2 after `max_knots`; the state is then a valid start for another call.
    """
    n = train.shape[0]
    ids, n_local = _local_features(state, i, candidates, where)
    slot = np.full(n_local, -1, dtype=np.int64)  # place of a local feature in the active set
    slot[: state.sizes[i]] = np.arange(state.sizes[i])
    corr, rho, rate = np.empty(n_local), np.zeros(n_local), np.empty(n_local)
    for a in range(n_local):
        corr[a], rho[a] = _start(columns, factors, positive, state, i, ids[a], slot[a], l1_from, ridge)
    local = np.empty(state.features.shape[1], dtype=np.int64)  # the inverse of `slot`
    local[: state.sizes[i]] = np.arange(state.sizes[i])
    blocked = np.zeros(n_local, dtype=np.bool_)
    fall = l1_from - l1_to
    l1, t, resting = l1_from, 0.0, -1
    push, step = np.empty(local.shape[0]), np.empty(local.shape[0])
    raw, centred, column = np.empty(n), np.empty(n), np.empty(n)
    cross, solved = np.empty(local.shape[0]), np.empty(local.shape[0])
    status = 0
    while True:
        size = state.sizes[i]
        for k in range(size):
            push[k] = rho[local[k]] + fall * factors[ids[local[k]]] * state.signs[i, k]
        raw[:] = 0.0
        for k in range(size):
            total = 0.0
            for m in range(size):
                total += state.inverses[i, k, m] * push[m]
            step[k] = total
            add_column(columns, ids[local[k]], total, raw)
        centre(raw, train, n_train, fit_intercept, centred)
        for a in range(n_local):
            if slot[a] < 0:
                rate[a] = rho[a] - column_dot(columns, ids[a], centred)

        length, event, sign = 1.0 - t, -1, 0.0
        for k in range(size):
            if factors[ids[local[k]]] > 0.0 and state.signs[i, k] * step[k] < 0.0:
                reach = max(-state.weights[i, k] / step[k], 0.0)
                if reach < length:
                    length, event, sign = reach, local[k], 0.0
        for a in range(n_local):
            if slot[a] >= 0 or blocked[a] or a == resting:
                continue
            f = factors[ids[a]]
            closing = rate[a] + fall * f
            if closing > PARALLEL * (abs(rate[a]) + fall * f):
                reach = max((l1 * f - corr[a]) / closing, 0.0)
                if reach < length:
                    length, event, sign = reach, a, 1.0
            closing = fall * f - rate[a]
            if closing > PARALLEL * (abs(rate[a]) + fall * f) and not (positive and f > 0.0):
                reach = max((l1 * f + corr[a]) / closing, 0.0)
                if reach < length:
                    length, event, sign = reach, a, -1.0

        for k in range(size):
            state.weights[i, k] += length * step[k]
        for b in range(n):
            state.fitted[i, b] += length * raw[b]
            state.residuals[i, b] -= length * centred[b]
        for a in range(n_local):
            if slot[a] < 0:
                corr[a] += length * rate[a]
        l1 -= length * fall
        t += length
        resting = -1
        if event < 0:
            break
        state.knots[i] += 1
        if state.knots[i] > max_knots:
            status = 2
            break
        if slot[event] >= 0:  # a weight has reached zero
            gone, last = slot[event], size - 1
            corr[event] = l1 * factors[ids[event]] * state.signs[i, gone]
            _leave(state, i, gone)
            local[gone] = local[last]
            slot[local[gone]] = gone
            slot[event] = -1
            resting = event
            continue
        if size == local.shape[0]:
            status = 1
            break
        entered = _enter(
            columns, train, n_train, fit_intercept, ridge, factors, state, i, ids[event], sign, column, cross, solved
        )
        if not entered:
            gone = _exchange(state, i, factors, sign, solved)
            if gone < 0:
                blocked[event] = True
                continue
            weight = state.weights[i, gone]
            resting, last = local[gone], size - 1
            corr[resting] = l1 * factors[ids[resting]] * state.signs[i, gone]
            blocked[resting] = True  # for this move, or copies could take turns for ever
            _leave(state, i, gone)
            local[gone] = local[last]
            slot[local[gone]] = gone
            slot[resting] = -1
            size = last
            entered = _enter(
                columns,
                train,
                n_train,
                fit_intercept,
                ridge,
                factors,
                state,
                i,
                ids[event],
                sign,
                column,
                cross,
                solved,
            )
            if not entered:
                blocked[event] = True
                continue
            state.weights[i, size] = weight
        local[size] = event
        slot[event] = size
    return status


@njit(**JIT)
def _local_features(state, i, candidates, where):
    """The active features followed by the candidates that are not among them."""
    size = state.sizes[i]
    ids = np.empty(size + candidates.shape[0], dtype=np.int64)
    for k in range(size):
        ids[k] = state.features[i, k]
        where[ids[k]] = k
    n_local = size
    for c in range(candidates.shape[0]):
        if where[candidates[c]] < 0:
            ids[n_local] = candidates[c]
            where[candidates[c]] = n_local
            n_local += 1
    for a in range(n_local):
        where[ids[a]] = -1
    return ids[:n_local], n_local


@njit(**JIT)
def _start(columns, factors, positive, state, i, feature, slot, l1, ridge):
    """Correlation of a feature under the problem that the present weights solve, and the residual to be worked off."""
    f = factors[feature]
    corr = column_dot(columns, feature, state.residuals[i])
    if slot >= 0:
        corr -= ridge * f * state.weights[i, slot]
        rho = corr - l1 * f * state.signs[i, slot]
        return corr - rho, rho
    if corr > l1 * f:
        return l1 * f, corr - l1 * f
    if corr < -l1 * f and not (positive and f > 0.0):
        return -l1 * f, corr + l1 * f
    return corr, 0.0
