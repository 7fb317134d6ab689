"""Active sets of a chunk of problems, with the inverse of each one's normal matrix kept up to date."""

from __future__ import annotations

import math
import threading
from typing import NamedTuple

import numpy as np
from numba import njit
from numba.extending import register_jitable

from ..columns import PART, Columns, add_columns, centre, column_dots

# What a solver returns: solved, out of room in the arrays, out of steps, or not solved in other ways.
DONE, NO_ROOM, TOO_LONG, FAILED = 0, 1, 2, 3
# Larger active sets have no inverse (see descent.py), unless there are more features without a penalty.
LARGEST = 512
# A feature whose part outside the span of the active ones is this small (relative, squared) is taken as lying in it.
COLLINEAR = 1e-11


class Fit(NamedTuple):
    """What one problem is fitted to, and with how much of a ridge term."""

    columns: Columns
    target: np.ndarray  # (n_samples,), not centred
    train: np.ndarray  # (n_samples,), 1 on training rows and 0 elsewhere
    n_train: float
    fit_intercept: bool
    factors: np.ndarray  # (n_features,)
    positive: bool
    ridge: float  # D, in units of n


class Step(NamedTuple):
    """From one penalty to another, in units of n. The ridge term there is in `Fit`."""

    l1_from: float
    ridge_from: float
    l1: float  # where to
    max_changes: int  # features that may enter or leave on the way


class ActiveSets(NamedTuple):
    """The state of a chunk of problems between two penalties."""

    features: np.ndarray  # (n_problems, capacity) int32, active features
    signs: np.ndarray  # (n_problems, capacity)
    weights: np.ndarray  # (n_problems, capacity)
    inverses: np.ndarray  # (n_problems, room, room), of X'X + D F on the active set, see LARGEST
    sizes: np.ndarray  # (n_problems,)
    fitted: np.ndarray  # (n_problems, n_samples), X w on all rows, without intercept
    residuals: np.ndarray  # (n_problems, n_samples), centred on training rows, zero on held-out rows
    knots: np.ndarray  # (n_problems,), features that have entered or left so far
    every: np.ndarray  # (0,), no slots, see `column_dots`


class Scratch(NamedTuple):
    column: np.ndarray  # (n_samples,), the feature that enters, centred
    raw: np.ndarray  # (n_samples,)
    one: np.ndarray  # (1,) int32, its number
    cross: np.ndarray  # (capacity,), its products with the active features
    solved: np.ndarray  # (capacity,), the inverse times those


class Spare(threading.local):
    """Memory that the chunks of a thread use one after another: new memory costs a page fault every four kilobytes.

    What it holds at first means nothing, and what was taken before is overwritten.
    """

    def __init__(self):
        self.numbers = np.empty(0)

    def take(self, *shape: int) -> np.ndarray:
        size = math.prod(shape)
        if self.numbers.size < size:
            self.numbers = np.empty(size)
        return self.numbers[:size].reshape(shape)


def new_active_sets(residuals: np.ndarray, capacity: int, n_free: int = 0, spare: Spare | None = None) -> ActiveSets:
    """Start with no feature; the inverses lie in the `spare` memory, if there is any, until the next ones are taken."""
    n_problems, room = len(residuals), min(capacity, max(LARGEST, n_free))
    return ActiveSets(
        features=np.zeros((n_problems, capacity), dtype=np.int32),
        signs=np.zeros((n_problems, capacity)),
        weights=np.zeros((n_problems, capacity)),
        inverses=(spare or Spare()).take(n_problems, room, room),
        sizes=np.zeros(n_problems, dtype=np.int64),
        fitted=np.zeros_like(residuals),
        residuals=residuals,
        knots=np.zeros(n_problems, dtype=np.int64),
        every=np.zeros(0, dtype=np.int64),
    )


def grown(state: ActiveSets, capacity: int) -> ActiveSets:
    """Copy `state` into arrays that hold `capacity` active features."""
    wide = ((0, 0), (0, capacity - state.features.shape[1]))
    more = (0, max(0, min(capacity, LARGEST) - state.inverses.shape[1]))
    return state._replace(
        features=np.pad(state.features, wide),
        signs=np.pad(state.signs, wide),
        weights=np.pad(state.weights, wide),
        inverses=np.pad(state.inverses, ((0, 0), more, more)),
    )


@register_jitable
def new_scratch(n_samples, capacity):
    return Scratch(
        np.empty(n_samples), np.empty(n_samples), np.empty(1, dtype=np.int32), np.empty(capacity), np.empty(capacity)
    )


@njit(**PART)
def border(inverse, size, cross, diagonal, least, solved):
    """Grow an inverse by one row and column; return the pivot, or 0 and change nothing if it is not above `least`."""
    for i in range(size):
        total = 0.0
        for k in range(size):
            total += inverse[i, k] * cross[k]
        solved[i] = total
    pivot = diagonal
    for i in range(size):
        pivot -= cross[i] * solved[i]
    if not pivot > least:
        return 0.0
    for i in range(size):
        scaled = solved[i] / pivot
        for k in range(size):
            inverse[i, k] += scaled * solved[k]
        inverse[i, size] = -scaled
        inverse[size, i] = -scaled
    inverse[size, size] = 1.0 / pivot
    return pivot


@njit(**PART)
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


@njit(**PART)
def enter(fit, state, problem, feature, sign, scratch):
    """Append a feature with weight zero; return its pivot, or 0 if it lies in the span of the others and is refused."""
    size = state.sizes[problem]
    scratch.raw[:] = 0.0
    scratch.one[0] = feature
    scratch.cross[0] = 1.0
    add_columns(fit.columns, scratch.one, scratch.one.shape[0], scratch.cross, scratch.raw)
    centre(scratch.raw, fit.train, fit.n_train, fit.fit_intercept, scratch.column)
    column_dots(fit.columns, scratch.one, scratch.one.shape[0], state.every, scratch.column, scratch.cross)
    diagonal = scratch.cross[0] + fit.ridge * fit.factors[feature]
    column_dots(fit.columns, state.features[problem], size, state.every, scratch.column, scratch.cross)
    square = 0.0
    for k in range(fit.train.shape[0]):
        square += fit.train[k] * scratch.raw[k] * scratch.raw[k]
    pivot = border(state.inverses[problem], size, scratch.cross, diagonal, COLLINEAR * square, scratch.solved)
    if pivot > 0.0:
        state.features[problem, size] = feature
        state.signs[problem, size] = sign
        state.weights[problem, size] = 0.0
        state.sizes[problem] = size + 1
    return pivot


@njit(**PART)
def leave(state, problem, gone):
    """Drop the feature in place `gone`; the last one takes its place."""
    last = state.sizes[problem] - 1
    unborder(state.inverses[problem], state.sizes[problem], gone)
    state.features[problem, gone] = state.features[problem, last]
    state.signs[problem, gone] = state.signs[problem, last]
    state.weights[problem, gone] = state.weights[problem, last]
    state.sizes[problem] = last


@njit(**PART)
def exchange(fit, state, problem, sign, solved):
    """Give weight to a feature that lies in the span of the active ones, at no cost, until one of those reaches zero.

    With the new feature equal to ``X_A v``, moving its weight by ``d`` and the active weights by ``-d v`` changes
    neither the fit nor, at the bound, the penalty. Returns the place of the feature to leave, with the weight of the
    new one left in its stead, or -1 if there is none.
    """
    gone, reach = -1, np.inf
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
