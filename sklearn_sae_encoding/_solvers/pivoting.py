"""Solve one problem at one penalty by letting many features change sides at once.

This is block principal pivoting (Júdice and Pires 1994; for the lasso, Kim and Park, AISTATS 2010): solve the normal
equations of the active set, drop all features whose weight has the wrong sign, let in all that break their bound, and
repeat. From a solution at a nearby penalty a few rounds suffice, where the exact path has a breakpoint for each change.
Rounds that stop making progress are given up; the path is then followed (homotopy.py).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from .block_updates import BLOCK, enter_block, leave_block, rebuild
from .columns import EVERY, INLINED, PART, add_columns, centre, column_dots

# Rounds in a row that need no fewer changes than the best one before.
PATIENCE = 3
# Features that break their bound by less than this (relative) may stay outside, and active ones may miss theirs.
ACCURACY = 1e-9
REFINEMENTS = 3


@njit(**INLINED)
def leap(fit, state, i, local, l1, max_knots, scratch):
    """Solve problem `i` at penalty `l1` over the `local` features, whatever its weights are now.

    Returns whether that worked; if not, the weights are what they were before, and the inverse is built anew.
    """
    size, knots, before = state.sizes[i], state.knots[i], _copy(state, i)
    if _pivot(fit, state, i, local, l1, max_knots, scratch):
        return True
    features, signs, weights, fitted, residuals = before
    state.sizes[i], state.knots[i] = size, knots
    for k in range(size):
        state.features[i, k], state.signs[i, k], state.weights[i, k] = features[k], signs[k], weights[k]
    for b in range(fitted.shape[0]):
        state.fitted[i, b], state.residuals[i, b] = fitted[b], residuals[b]
    rebuild(fit, state, i, scratch)
    return False


@njit(**INLINED)
def _copy(state, i):
    size = state.sizes[i]
    features, signs, weights = state.features[i, :size], state.signs[i, :size], state.weights[i, :size]
    return features.copy(), signs.copy(), weights.copy(), state.fitted[i].copy(), state.residuals[i].copy()


@njit(**INLINED)
def _pivot(fit, state, i, local, l1, max_knots, scratch):
    n_local, capacity = local.features.shape[0], local.at.shape[0]
    before, entering = np.zeros(n_local), np.empty(n_local, dtype=np.int64)
    for k in range(state.sizes[i]):
        before[k] = state.weights[i, k]
    fewest, waits, refinements, most = n_local + 1, 0, 0, state.knots[i] + max_knots
    _newton(fit, state, i, local, l1)
    while True:
        changes = _drop_wrong_signs(fit, state, i, local, scratch)
        if changes < 0:
            return False
        _look(fit, state, i, local, before)
        n_entering = _find_entering(fit, local, l1, entering)
        changes += n_entering
        state.knots[i] += changes
        if n_entering == 0:
            if _misfit(fit, state, i, local, l1) <= ACCURACY * l1:
                return True
            if refinements == REFINEMENTS:
                return False
            refinements += 1
            _newton(fit, state, i, local, l1)
            continue
        waits = 0 if changes < fewest else waits + 1
        fewest = min(fewest, changes)
        room = min(capacity, fit.n_train) - state.sizes[i]
        if waits > PATIENCE or n_entering > room or state.knots[i] > most:
            return False
        if not _enter_all(fit, state, i, local, l1, entering, n_entering, before, scratch):
            return False


@njit(**PART)
def _newton(fit, state, i, local, l1):
    """Move the active weights to their solution, by the correlations at the present residual."""
    size, push = state.sizes[i], local.scratch.solved
    for k in range(size):
        f = fit.factors[state.features[i, k]]
        push[k] = local.corr[local.at[k]] - fit.ridge * f * state.weights[i, k] - l1 * f * state.signs[i, k]
    for k in range(size):
        total = 0.0
        for m in range(size):
            total += state.inverses[i, k, m] * push[m]
        local.step[k] = total
    for k in range(size):
        state.weights[i, k] += local.step[k]


@njit(**PART)
def _misfit(fit, state, i, local, l1):
    """Return the largest violation of the normal equations."""
    worst = 0.0
    for k in range(state.sizes[i]):
        f = fit.factors[state.features[i, k]]
        miss = local.corr[local.at[k]] - fit.ridge * f * state.weights[i, k] - l1 * f * state.signs[i, k]
        worst = max(worst, abs(miss))
    return worst


@njit(**INLINED)
def _drop_wrong_signs(fit, state, i, local, scratch):
    """Let features go until all weights have the sign of their features; return how many, -1 if rounding forbids it."""
    dropped, places = 0, np.empty(BLOCK, dtype=np.int64)
    while True:
        count = np.int64(0)
        for k in range(state.sizes[i]):
            penalised = fit.factors[state.features[i, k]] > 0.0
            if penalised and count < BLOCK and state.weights[i, k] * state.signs[i, k] < 0.0:
                places[count] = k
                count += 1
        if count == 0:
            return dropped
        if not leave_block(state, i, places, count, scratch):
            return -1
        for q in range(count - 1, -1, -1):
            last = state.sizes[i] + q
            local.slot[local.at[places[q]]] = -1
            if places[q] != last:
                local.at[places[q]] = local.at[last]
                local.slot[local.at[last]] = places[q]
        dropped += count


@njit(**PART)
def _look(fit, state, i, local, before):
    """Bring fitted values, residuals and correlations up to the present weights."""
    change = local.rate
    for a in range(change.shape[0]):
        now = state.weights[i, local.slot[a]] if local.slot[a] >= 0 else 0.0
        change[a] = now - before[a]
        before[a] = now
    local.raw[:] = 0.0
    add_columns(fit.columns, local.features, local.features.shape[0], change, local.raw)
    centre(local.raw, fit.train, fit.n_train, fit.fit_intercept, local.centred)
    for b in range(local.raw.shape[0]):
        state.fitted[i, b] += local.raw[b]
        state.residuals[i, b] -= local.centred[b]
    column_dots(fit.columns, local.features, local.features.shape[0], EVERY, state.residuals[i], local.corr)


@njit(**PART)
def _find_entering(fit, local, l1, entering):
    count = 0
    for a in range(local.features.shape[0]):
        f = fit.factors[local.features[a]]
        size = local.corr[a] if fit.positive and f > 0.0 else abs(local.corr[a])
        if local.slot[a] < 0 and size > l1 * f * (1.0 + ACCURACY):
            entering[count] = a
            count += 1
    return count


@njit(**INLINED)
def _enter_all(fit, state, i, local, l1, entering, count, before, scratch):
    """Let features in, and all weights move to the solution; return whether any could enter."""
    features, total = np.empty(BLOCK, dtype=np.int32), 0
    for start in range(0, count, BLOCK):
        asked, size = min(BLOCK, count - start), state.sizes[i]
        for e in range(asked):
            features[e] = local.features[entering[start + e]]
        entered = enter_block(fit, state, i, features, asked, scratch)
        _give_weights(fit, state, i, local, l1, entering[start:], size, entered, before, scratch)
        total += entered
    return total > 0


@njit(**PART)
def _give_weights(fit, state, i, local, l1, entering, size, entered, before, scratch):
    for q in range(entered):
        a = entering[scratch.kept[q]]
        state.signs[i, size + q] = 1.0 if local.corr[a] > 0.0 else -1.0
        local.at[size + q] = a
        local.slot[a] = size + q
        # What has become of the correlation since the last look, and how far it is from its bound.
        total = local.corr[a] - l1 * fit.factors[local.features[a]] * state.signs[i, size + q]
        for k in range(size):
            total -= scratch.cross[q, k] * (state.weights[i, k] - before[local.at[k]])
        scratch.products[q] = total
    for q in range(entered):
        weight = 0.0
        for other in range(entered):
            weight += scratch.small[q, other] * scratch.products[other]
        state.weights[i, size + q] = weight
        for k in range(size):
            state.weights[i, k] -= weight * scratch.solved[q, k]
