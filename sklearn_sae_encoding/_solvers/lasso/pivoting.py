"""Solve one problem at one penalty by letting many features change sides at once.

This is block principal pivoting (Júdice and Pires 1994; for the lasso, Kim and Park, AISTATS 2010): solve the normal
equations of the active set, drop all features whose weight has the wrong sign, let in all that break their bound, and
repeat. From a solution at a nearby penalty a few rounds suffice, where the exact path has a breakpoint for each change.
Rounds that stop making progress are given up; the path is then followed (homotopy.py).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..columns import EVERY, INLINED, PART, add_columns, centre, column_dots
from .active_sets import DONE, FAILED, NO_ROOM
from .block_updates import BLOCK, enter_block, leave_block, rebuild

# Rounds in a row that need no fewer changes than the best one before.
PATIENCE = 3
# Features that break their bound by less than this (relative) may stay outside, and active ones may miss theirs.
ACCURACY = 1e-9
REFINEMENTS = 3


@njit(**INLINED)
def leap(fit, state, problem, local, step, scratch):
    """Solve a problem at a penalty over the `local` features, from its solution at another one.

    A start that is no solution there takes a round more.

    Returns DONE, NO_ROOM when the active set would outgrow its inverse, or FAILED; then the weights are what they were
    before, and the inverse is built anew.
    """
    size, knots, before = state.sizes[problem], state.knots[problem], _copy(state, problem)
    status = _pivot(fit, state, problem, local, step, scratch)
    if status == DONE:
        return DONE
    features, signs, weights, fitted, residuals = before
    state.sizes[problem], state.knots[problem] = size, knots
    for k in range(size):
        state.features[problem, k], state.signs[problem, k], state.weights[problem, k] = (
            features[k],
            signs[k],
            weights[k],
        )
    for b in range(fitted.shape[0]):
        state.fitted[problem, b], state.residuals[problem, b] = fitted[b], residuals[b]
    rebuild(fit, state, problem, scratch)
    return status


@njit(**INLINED)
def _copy(state, problem):
    size = state.sizes[problem]
    features, signs, weights = (
        state.features[problem, :size],
        state.signs[problem, :size],
        state.weights[problem, :size],
    )
    return features.copy(), signs.copy(), weights.copy(), state.fitted[problem].copy(), state.residuals[problem].copy()


@njit(**INLINED)
def _pivot(fit, state, problem, local, step, scratch):
    n_local, before = local.features.shape[0], local.before
    l1_from, ridge_from, l1, max_changes = step
    for a in range(n_local):
        before[a] = state.weights[problem, a] if a < state.sizes[problem] else 0.0
    fewest, waits, refinements, most = n_local + 1, 0, 0, state.knots[problem] + max_changes
    push = local.scratch.solved
    _changed_bounds(fit, state, problem, l1_from - l1, ridge_from - fit.ridge, push)
    _newton(state, problem, push)
    while True:
        changes = _drop_wrong_signs(fit, state, problem, local, scratch)
        if changes < 0:
            return FAILED
        _look(fit, state, problem, local)
        n_entering = _find_entering(fit, local, l1)
        changes += n_entering
        state.knots[problem] += changes
        if n_entering == 0:
            if _misses(fit, state, problem, l1, push) <= ACCURACY * l1:
                return DONE
            if refinements == REFINEMENTS:
                return FAILED
            refinements += 1
            _newton(state, problem, push)
            continue
        waits = 0 if changes < fewest else waits + 1
        fewest = min(fewest, changes)
        size = state.sizes[problem] + n_entering
        if waits > PATIENCE or size > fit.n_train or state.knots[problem] > most:
            return FAILED
        if size > state.inverses.shape[1]:
            return NO_ROOM
        if not _enter_all(fit, state, problem, local, l1, n_entering, scratch):
            return FAILED


@njit(**PART)
def _changed_bounds(fit, state, problem, l1_fall, ridge_fall, out):
    """Write what the normal equations of a solution lack once the penalty has fallen."""
    factors, features, weights, signs = (
        fit.factors,
        state.features[problem],
        state.weights[problem],
        state.signs[problem],
    )
    for k in range(state.sizes[problem]):
        out[k] = factors[features[k]] * (l1_fall * signs[k] + ridge_fall * weights[k])


@njit(**PART)
def _misses(fit, state, problem, l1, out):
    """Write what the normal equations lack to `out`, and return the largest."""
    factors, ridge, features, weights, signs = (
        fit.factors,
        fit.ridge,
        state.features[problem],
        state.weights[problem],
        state.signs[problem],
    )
    worst = 0.0
    column_dots(fit.columns, features, state.sizes[problem], EVERY, state.residuals[problem], out)
    for k in range(state.sizes[problem]):
        out[k] -= factors[features[k]] * (ridge * weights[k] + l1 * signs[k])
        worst = max(worst, abs(out[k]))
    return worst


@njit(**PART)
def _newton(state, problem, push):
    """Move the active weights by the inverse times what their normal equations lack."""
    size, weights, inverse = state.sizes[problem], state.weights[problem], state.inverses[problem]
    for k in range(size):
        total = 0.0
        for m in range(size):
            total += inverse[k, m] * push[m]
        weights[k] += total


@njit(**INLINED)
def _drop_wrong_signs(fit, state, problem, local, scratch):
    """Let features go until all weights have the sign of their features; return how many, -1 if rounding forbids it."""
    dropped, places, at, slot = 0, scratch.places, local.at, local.slot
    factors, features, weights, signs = (
        fit.factors,
        state.features[problem],
        state.weights[problem],
        state.signs[problem],
    )
    while True:
        count = np.int64(0)
        for k in range(state.sizes[problem]):
            if weights[k] * signs[k] < 0.0 and count < BLOCK and factors[features[k]] > 0.0:
                places[count] = k
                count += 1
        if count == 0:
            return dropped
        if not leave_block(state, problem, places, count, scratch):
            return -1
        for q in range(count - 1, -1, -1):
            last = state.sizes[problem] + q
            slot[at[places[q]]] = -1
            if places[q] != last:
                at[places[q]] = at[last]
                slot[at[last]] = places[q]
        dropped += count


@njit(**PART)
def _look(fit, state, problem, local):
    """Bring fitted values, residuals and correlations of features outside up to the present weights."""
    change, slot, weights, before = local.rate, local.slot, state.weights[problem], local.before
    fitted, residual, raw, centred = state.fitted[problem], state.residuals[problem], local.raw, local.centred
    for a in range(change.shape[0]):
        now = weights[slot[a]] if slot[a] >= 0 else 0.0
        change[a] = now - before[a]
        before[a] = now
    raw[:] = 0.0
    add_columns(fit.columns, local.features, local.features.shape[0], change, raw)
    centre(raw, fit.train, fit.n_train, fit.fit_intercept, centred)
    for b in range(raw.shape[0]):
        fitted[b] += raw[b]
        residual[b] -= centred[b]
    column_dots(fit.columns, local.features, local.features.shape[0], slot, residual, local.corr)


@njit(**PART)
def _find_entering(fit, local, l1):
    factors, positive, features = fit.factors, fit.positive, local.features
    slot, corr, entering, count = local.slot, local.corr, local.entering, 0
    for a in range(features.shape[0]):
        f = factors[features[a]]
        size = corr[a] if positive and f > 0.0 else abs(corr[a])
        if slot[a] < 0 and size > l1 * f * (1.0 + ACCURACY):
            entering[count] = a
            count += 1
    return count


@njit(**INLINED)
def _enter_all(fit, state, problem, local, l1, count, scratch):
    """Let features in, and all weights move to the solution; return whether any could enter."""
    features, total, entering = scratch.asked, 0, local.entering
    for start in range(0, count, BLOCK):
        asked = min(BLOCK, count - start)
        for e in range(asked):
            features[e] = local.features[entering[start + e]]
        entered = enter_block(fit, state, problem, features, asked, scratch)
        _give_weights(fit, state, problem, local, l1, entering[start:], entered, scratch)
        total += entered
    return total > 0


@njit(**PART)
def _give_weights(fit, state, problem, local, l1, entering, entered, scratch):
    size = state.sizes[problem] - entered
    factors, corr, at, slot, features, before = (
        fit.factors,
        local.corr,
        local.at,
        local.slot,
        local.features,
        local.before,
    )
    signs, weights, products, small = state.signs[problem], state.weights[problem], scratch.products, scratch.small
    for q in range(entered):
        a, cross = entering[scratch.kept[q]], scratch.cross[q]
        signs[size + q] = 1.0 if corr[a] > 0.0 else -1.0
        at[size + q] = a
        slot[a] = size + q
        # What has become of the correlation since the last look, and how far it is from its bound.
        total = corr[a] - l1 * factors[features[a]] * signs[size + q]
        for k in range(size):
            total -= cross[k] * (weights[k] - before[at[k]])
        products[q] = total
    for q in range(entered):
        weight, solved = 0.0, scratch.solved[q]
        for other in range(entered):
            weight += small[q, other] * products[other]
        weights[size + q] = weight
        for k in range(size):
            weights[k] -= weight * solved[k]
