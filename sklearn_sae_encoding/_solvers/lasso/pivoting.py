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
from .active_sets import DONE, FAILED, NO_ROOM, TOO_LONG
from .changes import NEARLY_COLLINEAR, enter, leave, rebuild
from .homotopy import look, synchronise
from .inverses import WIDTH, one_of, times

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
def restore(fit, state, problem, before, entering):
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
    rebuild(fit, state, problem, entering)


@njit(**INLINED)
def leap(fit, state, problem, local, l1, max_changes):
    """Solve a problem at a penalty over the `local` features, from the active set at another one.

    Returns DONE, NO_ROOM when the active set would outgrow its inverse, or FAILED; then what is left is to `restore`.
    """
    fewest, waits, refinements, most = local.features.shape[0] + 1, 0, 0, state.knots[problem] + max_changes
    while True:
        wrong = _drop_wrong_signs(state, problem, local, l1)
        if wrong < 0:
            return FAILED
        synchronise(fit, state, problem, local)
        look(fit, state, problem, local)
        share = NEAR if waits == 0 else (NEARER if waits == 1 else 1.0)
        n_entering, n_outside = _find_entering(fit, local, l1, share)
        state.knots[problem] += wrong + n_entering
        wrong += n_outside
        if n_entering == 0:
            worst = _misses(fit, state, problem, l1, local.push[0])
            if worst <= AIM * l1:
                return DONE
            if refinements == REFINEMENTS:
                return DONE if worst <= ACCURACY * l1 else FAILED
            refinements += 1
            _newton(state, problem, local)
            continue
        waits = 0 if wrong < fewest else waits + 1
        fewest = min(fewest, wrong)
        size = state.sizes[problem] + n_entering
        if waits > PATIENCE or size > fit.n_train or state.knots[problem] > most:
            return FAILED
        if size > state.inverses.matrix.shape[1]:
            return NO_ROOM
        if not _enter_all(fit, state, problem, local, n_entering):
            return FAILED


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
    worst, size = 0.0, state.sizes[problem]
    column_dots(fit.columns, features, size, state.every, state.residuals[problem], out)
    for k in range(size):
        out[k] -= factors[features[k]] * (ridge * weights[k] + l1 * signs[k])
        worst = max(worst, abs(out[k]))
    for k in range(size, size + WIDTH):
        out[k] = 0.0
    return worst


@njit(**PART)
def _newton(state, problem, local):
    """Move the active weights by the inverse times what their normal equations lack."""
    size, weights, least, step = state.sizes[problem], state.weights[problem], state.least[problem], local.step[0]
    times(one_of(state.inverses, problem), size, np.int64(1), local.push, local.step)
    for k in range(size):
        weights[k] += step[k]
        least[k] += step[k]


@njit(**INLINED)
def settle(fit, state, problem, local, l1):
    """Bring the active weights to their normal equations as far as rounding allows, from fitted values in line.

    Returns DONE, or TOO_LONG where that is not far enough.
    """
    worst = _misses(fit, state, problem, l1, local.push[0])
    for refinement in range(REFINEMENTS):
        if worst <= AIM * l1:
            break
        if refinement == 1:  # the first step would have been enough, but for what rounding made of the inverse
            rebuild(fit, state, problem, local.entering)
            synchronise(fit, state, problem, local)
            _misses(fit, state, problem, l1, local.push[0])
        _newton(state, problem, local)
        synchronise(fit, state, problem, local)
        worst = _misses(fit, state, problem, l1, local.push[0])
    for k in range(state.sizes[problem]):
        state.least[problem, k] = state.weights[problem, k] + l1 * state.pull[problem, k]
    return DONE if worst <= ACCURACY * l1 else TOO_LONG


@njit(**PART)
def _drop_wrong_signs(state, problem, local, l1):
    """Let features go until all weights have the sign of their features; return how many, -1 if rounding forbids it."""
    dropped, chosen, at, slot, factors = np.int64(0), local.chosen, local.at, local.slot, local.factors
    weights, signs, least, pull = (
        state.weights[problem],
        state.signs[problem],
        state.least[problem],
        state.pull[problem],
    )
    while True:
        count = np.int64(0)
        for k in range(state.sizes[problem]):
            weights[k] = least[k] - l1 * pull[k]
        for k in range(state.sizes[problem]):
            if weights[k] * signs[k] < 0.0 and factors[at[k]] > 0.0:
                chosen[count] = k
                count += 1
        if count == 0:
            return dropped
        for q in range(count - 1, -1, -1):
            gone, last = chosen[q], state.sizes[problem] - 1
            if not leave(state, problem, gone):
                return np.int64(-1)
            slot[at[gone]] = -1
            if gone != last:
                at[gone] = at[last]
                slot[at[gone]] = gone
        dropped += count


@njit(**PART)
def _find_entering(fit, local, l1, share):
    """Write which features enter to `local.chosen`; return how many those are, and how many break their bound."""
    factors, positive, slot, corr = local.factors, fit.positive, local.slot, local.corr
    excess, chosen, count, outside, largest = local.rate, local.chosen, np.int64(0), np.int64(0), 0.0
    for a in range(slot.shape[0]):
        f = factors[a]
        size = corr[a] if positive and f > 0.0 else abs(corr[a])
        excess[a] = size - l1 * f if slot[a] < 0 and size > l1 * f * (1.0 + ACCURACY) else 0.0
        outside += excess[a] > 0.0
        largest = max(largest, excess[a])
    if outside == 0:
        return count, outside
    for a in range(slot.shape[0]):
        if excess[a] > 0.0 and excess[a] >= share * largest:
            chosen[count] = a
            count += 1
    return count, outside


@njit(**INLINED)
def _enter_all(fit, state, problem, local, count):
    """Let the chosen features in, two at a time; return whether any could enter."""
    entering, chosen, before = local.entering, local.chosen, state.sizes[problem]
    for start in range(0, count, 2):
        asked = min(2, count - start)
        for e in range(asked):
            a = chosen[start + e]
            entering.features[e] = local.features[a]
            entering.signs[e] = 1.0 if local.corr[a] > 0.0 else -1.0
        size = state.sizes[problem]
        entered = enter(fit, state, problem, asked, NEARLY_COLLINEAR, entering)
        for e in range(asked):
            if entered & (1 << e):
                local.at[size], local.slot[chosen[start + e]] = chosen[start + e], size
                size += 1
    return state.sizes[problem] > before
