"""Let several features into an active set, or out of it, in one pass over its inverse.

An inverse is far larger than the nearest cache, so a pass over it takes the same time for one feature as for a few.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..columns import INLINED, PART, centred_columns, column_dots, column_dots_of_block
from .active_sets import border, enter, new_scratch

# Features that enter or leave in one pass.
BLOCK = 8
# A feature whose part outside the span of the others is this small (relative, squared) must enter by itself: together
# with others it would blow rounding up.
NEARLY_COLLINEAR = 1e-6


class Bordering(NamedTuple):
    """Scratch arrays, and what `enter_block` and `leave_block` found."""

    columns: np.ndarray  # (BLOCK, n_samples), the features that enter, centred
    squares: np.ndarray  # (BLOCK,), sums of their squares before centring
    cross: np.ndarray  # (BLOCK, capacity), their products with the active features
    solved: np.ndarray  # (BLOCK, capacity), the inverse times those
    scaled: np.ndarray  # (BLOCK, capacity), `small` times those
    products: np.ndarray  # (BLOCK,)
    schur: np.ndarray  # (BLOCK, BLOCK)
    small: np.ndarray  # (BLOCK, BLOCK), inverse of the Schur complement of the features that entered
    kept: np.ndarray  # (BLOCK,), which of those asked for entered
    asked: np.ndarray  # (BLOCK,) int32, features to enter
    places: np.ndarray  # (BLOCK,), of features to leave


def new_bordering(n_samples: int, capacity: int) -> Bordering:
    return Bordering(
        np.zeros((BLOCK, n_samples)),
        np.empty(BLOCK),
        np.zeros((BLOCK, capacity)),
        np.zeros((BLOCK, capacity)),
        np.zeros((BLOCK, capacity)),
        np.empty(BLOCK),
        np.empty((BLOCK, BLOCK)),
        np.empty((BLOCK, BLOCK)),
        np.empty(BLOCK, dtype=np.int64),
        np.empty(BLOCK, dtype=np.int32),
        np.empty(BLOCK, dtype=np.int64),
    )


@njit(**PART)
def enter_block(fit, state, problem, features, count, scratch):
    """Append up to BLOCK features with weight zero and no sign yet; return how many entered.

    Features nearly in the span of the others are refused: the first entries of ``scratch.kept`` say which ones entered.
    """
    size, inverse = state.sizes[problem], state.inverses[problem]
    _products(fit, state, problem, features, count, scratch)
    _times_rows(inverse, size, scratch.cross, count, scratch.solved)
    for e in range(count):
        for other in range(e + 1):
            total = scratch.schur[e, other]
            for k in range(size):
                total -= scratch.cross[e, k] * scratch.solved[other, k]
            scratch.schur[e, other] = total
            scratch.schur[other, e] = total
    entered = np.int64(0)
    for e in range(count):
        for q in range(entered):
            scratch.products[q] = scratch.schur[e, scratch.kept[q]]
        least = NEARLY_COLLINEAR * scratch.squares[e]
        if border(scratch.small, entered, scratch.products, scratch.schur[e, e], least, scratch.scaled[0]) > 0.0:
            scratch.kept[entered] = e
            entered += 1
    for q in range(entered):
        e = scratch.kept[q]
        if e != q:
            for k in range(size):
                scratch.cross[q, k] = scratch.cross[e, k]
                scratch.solved[q, k] = scratch.solved[e, k]
    _combine(scratch.small, entered, scratch.solved, size, scratch.scaled)
    _add_outer(inverse, size, scratch.solved, scratch.scaled, entered, 1.0)
    for k in range(size):
        for q in range(entered):
            inverse[k, size + q] = -scratch.scaled[q, k]
    for q in range(entered):
        for k in range(size):
            inverse[size + q, k] = -scratch.scaled[q, k]
        for other in range(entered):
            inverse[size + q, size + other] = scratch.small[q, other]
        state.features[problem, size + q] = features[scratch.kept[q]]
        state.signs[problem, size + q] = 0.0
        state.weights[problem, size + q] = 0.0
    state.sizes[problem] = size + entered
    return entered


@njit(**INLINED)
def _products(fit, state, problem, features, count, scratch):
    """Fill `columns`, `squares`, `cross` and the lower half of `schur`."""
    vectors, schur = scratch.columns, scratch.schur
    centred_columns(fit.columns, features, count, fit.train, fit.n_train, fit.fit_intercept, scratch.squares, vectors)
    for e in range(count):
        for other in range(e + 1):
            total = 0.0
            for b in range(vectors.shape[1]):
                total += vectors[e, b] * vectors[other, b]
            schur[e, other] = total
        schur[e, e] += fit.ridge * fit.factors[features[e]]
    active, size, together = state.features[problem], state.sizes[problem], count - (count % 4 == 1)
    column_dots_of_block(fit.columns, active, size, vectors, together, scratch.cross)
    if together < count:
        column_dots(fit.columns, active, size, state.every, vectors[together], scratch.cross[together])


@njit(**PART)
def leave_block(state, problem, places, count, scratch):
    """Drop up to BLOCK active features, in ascending `places`, and let the others move to their least squares.

    The weights must solve the normal equations of the active set; then they do so afterwards. Returns False and changes
    nothing if rounding spoils that.
    """
    size, inverse, weights = state.sizes[problem], state.inverses[problem], state.weights[problem]
    for q in range(count):
        for k in range(size):
            scratch.solved[q, k] = inverse[places[q], k]
        for other in range(q):
            scratch.products[other] = inverse[places[q], places[other]]
        diagonal = inverse[places[q], places[q]]
        if border(scratch.small, q, scratch.products, diagonal, 0.0, scratch.scaled[0]) == 0.0:
            return False
    _combine(scratch.small, count, scratch.solved, size, scratch.scaled)
    _add_outer(inverse, size, scratch.solved, scratch.scaled, count, -1.0)
    for q in range(count):
        scratch.products[q] = weights[places[q]]
    for q in range(count):
        for k in range(size):
            weights[k] -= scratch.products[q] * scratch.scaled[q, k]
    for q in range(count - 1, -1, -1):
        last = state.sizes[problem] - 1
        _overwrite(state, problem, places[q], last)
        state.sizes[problem] = last
    return True


@njit(**PART)
def rebuild(fit, state, problem, scratch):
    """Build the inverse anew, for another ridge term or without what rounding added up; collinear features leave."""
    old = state.sizes[problem]
    features, signs, weights = (
        state.features[problem, :old].copy(),
        state.signs[problem, :old].copy(),
        state.weights[problem, :old].copy(),
    )
    alone, refused = new_scratch(fit.train.shape[0], old + 1), 0
    state.sizes[problem] = 0
    for start in range(0, old, BLOCK):
        count, size = min(BLOCK, old - start), state.sizes[problem]
        entered = enter_block(fit, state, problem, features[start:], count, scratch)
        q = 0
        for e in range(count):
            if q < entered and scratch.kept[q] == e:
                state.signs[problem, size + q] = signs[start + e]
                state.weights[problem, size + q] = weights[start + e]
                q += 1
            else:  # to the ones that enter by themselves, in the part of the arrays that is done with
                features[refused], signs[refused], weights[refused] = (
                    features[start + e],
                    signs[start + e],
                    weights[start + e],
                )
                refused += 1
    for k in range(refused):
        size = state.sizes[problem]
        if enter(fit, state, problem, features[k], signs[k], alone) > 0.0:
            state.weights[problem, size] = weights[k]
        else:
            for b in range(fit.train.shape[0]):
                state.fitted[problem, b] -= weights[k] * alone.raw[b]
                state.residuals[problem, b] += weights[k] * alone.column[b]


@njit(**INLINED)
def _overwrite(state, problem, gone, last):
    """Move the last active feature to the place of one that leaves."""
    if gone == last:
        return
    inverse = state.inverses[problem]
    for k in range(last):
        inverse[gone, k] = inverse[last, k]
    inverse[gone, gone] = inverse[last, last]
    for k in range(last):
        inverse[k, gone] = inverse[gone, k]
    state.features[problem, gone] = state.features[problem, last]
    state.signs[problem, gone] = state.signs[problem, last]
    state.weights[problem, gone] = state.weights[problem, last]


@njit(**INLINED)
def _times_rows(matrix, size, rows, count, out):
    """Write ``rows @ matrix`` to `out`, for a symmetric matrix; four rows share each pass."""
    for start in range(0, count, 4):
        if start + 1 < count:
            for i in range(size):
                a, b, c, d = 0.0, 0.0, 0.0, 0.0
                for k in range(size):
                    value = matrix[i, k]
                    a += value * rows[start, k]
                    b += value * rows[start + 1, k]
                    c += value * rows[start + 2, k]
                    d += value * rows[start + 3, k]
                out[start, i] = a
                out[start + 1, i] = b
                out[start + 2, i] = c
                out[start + 3, i] = d
        else:
            for row in range(start, count):
                for i in range(size):
                    total = 0.0
                    for k in range(size):
                        total += matrix[i, k] * rows[row, k]
                    out[row, i] = total


@njit(**PART)
def _combine(small, count, rows, size, out):
    """Write ``small @ rows`` to `out`."""
    for q in range(count):
        for k in range(size):
            out[q, k] = 0.0
        for other in range(count):
            factor = small[q, other]
            for k in range(size):
                out[q, k] += factor * rows[other, k]


@njit(**PART)
def _add_outer(matrix, size, left, right, count, sign):
    """Add ``sign * left.T @ right``; four rows share each pass."""
    for q in range(0, count, 4):
        if q + 1 == count:
            for i in range(size):
                a = sign * left[q, i]
                for k in range(size):
                    matrix[i, k] += a * right[q, k]
            continue
        # Where there are only two or three, the last one takes the place of those that are missing, times zero.
        r, s, last = q + 1, min(q + 2, count - 1), min(q + 3, count - 1)
        third, fourth = sign * (s > r), sign * (last > s)
        for i in range(size):
            a, b, c, d = sign * left[q, i], sign * left[r, i], third * left[s, i], fourth * left[last, i]
            for k in range(size):
                matrix[i, k] += a * right[q, k] + b * right[r, k] + c * right[s, k] + d * right[last, k]
