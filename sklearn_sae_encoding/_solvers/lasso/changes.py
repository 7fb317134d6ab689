"""Let features into an active set, or out of it: its inverse, and what that gives, follow."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..columns import INLINED, PART, add_columns, centred_columns, column_dots_of_two
from .inverses import WIDTH, append, one_of, padded, remove, reset, solve, take_row

# A feature whose part outside the span of the active ones is this small (relative, squared) is taken as lying in it.
COLLINEAR = 1e-11
# One whose part is that small is not let in by a leap, and last where an inverse is built anew: rounding would blow up.
NEARLY_COLLINEAR = 1e-6


class Entering(NamedTuple):
    """One or two features that are to enter, and scratch arrays for them."""

    features: np.ndarray  # (2,) int32
    signs: np.ndarray  # (2,)
    columns: np.ndarray  # (2, n_samples), centred
    squares: np.ndarray  # (2,), sums of their squares before centring
    cross: np.ndarray  # (2, capacity and a block more), their products with the active features, then zeros


def new_entering(n_samples: int, capacity: int) -> Entering:
    return Entering(
        np.empty(2, dtype=np.int32),
        np.empty(2),
        np.zeros((2, n_samples)),
        np.empty(2),
        np.zeros((2, padded(capacity) + WIDTH)),
    )


@njit(**PART)
def enter(fit, state, problem, count, least, entering):
    """Append one or two features, with weight zero; return 1 if the first entered, plus 2 if the second did.

    One is refused where its part outside the span of the others is not above `least` (relative, squared); what was
    solved for it stays where the next change goes. With one alone, what is left of another takes part for nothing.
    """
    size, inverse, entered = state.sizes[problem], one_of(state.inverses, problem), np.int64(0)
    features, columns, cross = entering.features, entering.columns, entering.cross
    centred_columns(fit.columns, features, count, fit.train, fit.n_train, fit.fit_intercept, entering.squares, columns)
    column_dots_of_two(fit.columns, state.features[problem], size, columns, cross)
    for k in range(size, size + WIDTH):
        cross[0, k] = 0.0
        cross[1, k] = 0.0
    solve(inverse, size, count, cross)
    for e in range(count):
        if e == 1:
            _follow(inverse, size, entered, entering)
        if _append(fit, state, problem, e, least, entering):
            entered += 1 << e
    return entered


@njit(**PART)
def _follow(inverse, size, entered, entering):
    """Bring what was solved for the second feature up to the inverse that the first is in, or is not."""
    columns, cross, place = entering.columns, entering.cross[1], inverse.waiting[0]
    end, product, share = padded(size + 1), 0.0, 0.0
    if not entered:
        for k in range(end):
            inverse.vectors[place, k] = inverse.vectors[place + 1, k]
        return
    vector, solved = inverse.vectors[place - 1], inverse.vectors[place]
    for b in range(columns.shape[1]):
        product += columns[0, b] * columns[1, b]
    for k in range(size, end):
        solved[k] = 0.0
    cross[size] = product
    for k in range(end):
        share += vector[k] * cross[k]
    share *= inverse.factors[place - 1]
    for k in range(end):
        solved[k] += share * vector[k]


@njit(**PART)
def _append(fit, state, problem, e, least, entering):
    """Append the feature in place `e` of those entering, for which the inverse is solved; return whether it entered."""
    size, inverse, feature, sign = (
        state.sizes[problem],
        one_of(state.inverses, problem),
        entering.features[e],
        entering.signs[e],
    )
    column, cross, target, vector = (
        entering.columns[e],
        entering.cross[e],
        fit.target,
        inverse.vectors[inverse.waiting[0]],
    )
    weights, pulls, f, square, product = state.least[problem], state.pull[problem], fit.factors[feature], 0.0, 0.0
    for b in range(column.shape[0]):
        square += column[b] * column[b]
        product += column[b] * target[b]
    pivot, weight, pull = square + fit.ridge * f, product, f * sign
    for k in range(size):
        pivot -= cross[k] * vector[k]
        weight -= cross[k] * weights[k]
        pull -= cross[k] * pulls[k]
    if not pivot > least * entering.squares[e]:
        return False
    weight /= pivot
    pull /= pivot
    for k in range(size):
        weights[k] -= weight * vector[k]
        pulls[k] -= pull * vector[k]
    append(inverse, size, pivot)
    weights[size], pulls[size] = weight, pull
    state.features[problem, size], state.signs[problem, size], state.weights[problem, size] = feature, sign, 0.0
    state.sizes[problem] = size + 1
    return True


@njit(**PART)
def leave(state, problem, gone):
    """Drop the feature in place `gone`; the last one takes its place. Returns whether rounding has left that possible.

    The row of the inverse that goes, with the last number in its place too, is the change that came last.
    """
    size, inverse = state.sizes[problem], one_of(state.inverses, problem)
    row = inverse.vectors[take_row(inverse, size, gone)]
    if not row[gone] > 0.0:
        return False
    least, pull, last = state.least[problem], state.pull[problem], size - 1
    weight_share, pull_share = least[gone] / row[gone], pull[gone] / row[gone]
    for k in range(size):
        least[k] -= weight_share * row[k]
        pull[k] -= pull_share * row[k]
    remove(inverse, size, gone)
    least[gone], pull[gone] = least[last], pull[last]
    state.features[problem, gone] = state.features[problem, last]
    state.signs[problem, gone] = state.signs[problem, last]
    state.weights[problem, gone] = state.weights[problem, last]
    state.sizes[problem] = last
    return True


@njit(**PART)
def rebuild(fit, state, problem, entering):
    """Build the inverse anew, for another ridge term or without what rounding added up; collinear features leave."""
    old = state.sizes[problem]
    features, signs, weights = (
        state.features[problem, :old].copy(),
        state.signs[problem, :old].copy(),
        state.weights[problem, :old].copy(),
    )
    refused = np.int64(0)
    reset(one_of(state.inverses, problem))
    state.sizes[problem] = 0
    for start in range(0, old, 2):
        count, size = min(2, old - start), state.sizes[problem]
        for e in range(count):
            entering.features[e], entering.signs[e] = features[start + e], signs[start + e]
        entered = enter(fit, state, problem, count, NEARLY_COLLINEAR, entering)
        for e in range(count):
            if entered & (1 << e):
                state.weights[problem, size] = weights[start + e]
                size += 1
            else:  # to the ones that enter by themselves, in the part of the arrays that is done with
                features[refused], signs[refused], weights[refused] = (
                    features[start + e],
                    signs[start + e],
                    weights[start + e],
                )
                refused += 1
    for k in range(refused):
        entering.features[0], entering.signs[0], size = features[k], signs[k], state.sizes[problem]
        if enter(fit, state, problem, np.int64(1), COLLINEAR, entering):
            state.weights[problem, size] = weights[k]
        else:
            _take_off(fit, state, problem, features[k : k + 1], weights[k : k + 1], entering.columns[0])


@njit(**INLINED)
def _take_off(fit, state, problem, feature, weight, column):
    """Take the part of one feature off the fit; `column` is centred."""
    for b in range(column.shape[0]):
        state.residuals[problem, b] += weight[0] * column[b]
    weight[0] = -weight[0]
    add_columns(fit.columns, feature, feature.shape[0], weight, state.fitted[problem])
