"""Solve one problem at one penalty by letting many features change sides at once.

This is block principal pivoting (Júdice and Pires 1994; for the lasso, Kim and Park, AISTATS 2010): solve the normal
equations of the active set, drop all features whose weight has the wrong sign, let in those that break their bound by
most, and repeat. From a solution at a nearby penalty a few rounds suffice, where the exact path has a breakpoint for
each change. Features let in together may make each other superfluous, correlated ones above all, so a round takes only
those near the worst, and fewer of them once a round made no progress.

Progress is a new least number of features that are on the wrong side, entering or not. That number falls at most as
often as there are features, and rounds that stop making progress are given up, so this ends; the path is then followed
(homotopy.py).
"""

from __future__ import annotations

import numpy as np
from numba import njit

from ..columns import INLINED, PART, column_dots
from .active_sets import DONE, FAILED, NO_ROOM
from .block_updates import BLOCK, enter_block, leave_block, rebuild
from .homotopy import synchronise

# Rounds in a row that find no fewer features on the wrong side than the best one before.
PATIENCE = 3
# A feature enters if it breaks its bound by this share of the largest excess, or the latter after a round in vain;
# after two of them the largest enters alone.
NEAR, NEARER = 0.2, 0.5
# Features that break their bound by less than this (relative) may stay outside, and active ones may miss theirs; those
# are brought nearer than that if a few more Newton steps do.
ACCURACY = 1e-9
AIM = 1e-12
REFINEMENTS = 3


@njit(**INLINED)
def remember(state, problem):
    """Copy what a leap changes, but for the inverse."""
    size = state.sizes[problem]
    return (
        state.knots[problem],
        state.features[problem, :size].copy(),
        state.signs[problem, :size].copy(),
        state.weights[problem, :size].copy(),
        state.fitted[problem].copy(),
        state.residuals[problem].copy(),
    )


@njit(**INLINED)
def restore(fit, state, problem, before, scratch):
    """Undo a leap; the inverse is built anew."""
    knots, features, signs, weights, fitted, residuals = before
    state.sizes[problem], state.knots[problem] = features.shape[0], knots
    for k in range(features.shape[0]):
        state.features[problem, k], state.signs[problem, k], state.weights[problem, k] = (
            features[k],
            signs[k],
            weights[k],
        )
    for b in range(fitted.shape[0]):
        state.fitted[problem, b], state.residuals[problem, b] = fitted[b], residuals[b]
    rebuild(fit, state, problem, scratch)


@njit(**INLINED)
def leap(fit, state, problem, local, step, scratch):
    """Solve a problem at a penalty over the `local` features, from its solution at another one.

    A start that is no solution there takes a round more.

    Returns DONE, NO_ROOM when the active set would outgrow its inverse, or FAILED; then what is left is to `restore`.
    """
    l1_from, ridge_from, l1, max_changes = step
    fewest, waits, refinements, most = local.features.shape[0] + 1, 0, 0, state.knots[problem] + max_changes
    push = local.scratch.solved
    _changed_bounds(fit, state, problem, l1_from - l1, ridge_from - fit.ridge, push)
    _newton(state, problem, push)
    while True:
        wrong = _drop_wrong_signs(fit, state, problem, local, scratch)
        if wrong < 0:
            return FAILED
        _look(fit, state, problem, local)
        share = NEAR if waits == 0 else (NEARER if waits == 1 else 1.0)
        n_entering, n_outside = _find_entering(fit, local, l1, share)
        state.knots[problem] += wrong + n_entering
        wrong += n_outside
        if n_entering == 0:
            worst = _misses(fit, state, problem, l1, push)
            if worst <= AIM * l1:
                return DONE
            if refinements == REFINEMENTS:
                return DONE if worst <= ACCURACY * l1 else FAILED
            refinements += 1
            _newton(state, problem, push)
            continue
        waits = 0 if wrong < fewest else waits + 1
        fewest = min(fewest, wrong)
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
    column_dots(fit.columns, features, state.sizes[problem], state.every, state.residuals[problem], out)
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
def settle(fit, state, problem, local, l1, scratch):
    """Bring the active weights to their normal equations as far as rounding allows, from fitted values in line."""
    push = local.scratch.solved
    for refinement in range(REFINEMENTS):
        if _misses(fit, state, problem, l1, push) <= AIM * l1:
            return
        if refinement == 1:  # the first step would have been enough, but for what rounding made of the inverse
            rebuild(fit, state, problem, scratch)
            synchronise(fit, state, problem, local)
            _misses(fit, state, problem, l1, push)
        _newton(state, problem, push)
        synchronise(fit, state, problem, local)


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
    slot, weights, before = local.slot, state.weights[problem], local.before
    for a in range(before.shape[0]):
        before[a] = weights[slot[a]] if slot[a] >= 0 else 0.0
    synchronise(fit, state, problem, local)
    column_dots(fit.columns, local.features, slot.shape[0], slot, state.residuals[problem], local.corr)


@njit(**PART)
def _find_entering(fit, local, l1, share):
    """Write which features enter to `local.entering`; return how many those are, and how many break their bound."""
    factors, positive, features, slot, corr = fit.factors, fit.positive, local.features, local.slot, local.corr
    excess, entering, count, outside, largest = local.rate, local.entering, np.int64(0), np.int64(0), 0.0
    for a in range(features.shape[0]):
        f = factors[features[a]]
        size = corr[a] if positive and f > 0.0 else abs(corr[a])
        excess[a] = 0.0
        if slot[a] < 0 and size > l1 * f * (1.0 + ACCURACY):
            excess[a] = size - l1 * f
            outside += 1
            largest = max(largest, excess[a])
    for a in range(features.shape[0]):
        if excess[a] > 0.0 and excess[a] >= share * largest:
            entering[count] = a
            count += 1
    return count, outside


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
