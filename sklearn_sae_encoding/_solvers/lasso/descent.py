"""Solve one problem at one penalty by coordinate descent, where active sets are too large to keep an inverse of each.

The inverse of many features outgrows the near caches, while a pass over sparse features costs only their non-zero
values. So here a solution is not exact: it is accepted once its duality gap is small enough. Passes go over the active
features mostly, and are extrapolated as by celer (Anderson acceleration: Bertrand and Massias, AISTATS 2021).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..columns import JIT, PART, add_columns, centre, centred_columns, column_dots
from .active_sets import DONE, TOO_LONG
from .changes import COLLINEAR

# Passes over the active features between two over all local ones; the last MEMORY of them are extrapolated.
PASSES = 10
MEMORY = 5
# Least squares on the features without a penalty are solved anew from what rounding left, so many times.
REFINEMENTS = 2


class Packed(NamedTuple):
    """The local features on training rows: those that are kept dense in place, the others copied side by side."""

    rows: np.ndarray  # (n_local,), in `dense`, -1 for the others
    dense: np.ndarray  # (n_dense, n_samples)
    train: np.ndarray  # (n_samples,)
    data: np.ndarray  # (nnz,)
    indices: np.ndarray  # (nnz,)
    indptr: np.ndarray  # (n_local + 1,)
    sums: np.ndarray  # (n_local,), 0 without an intercept
    squares: np.ndarray  # (n_local,), of the centred columns, 0 for those that are constant
    bounds: np.ndarray  # (n_local,), L f
    ridges: np.ndarray  # (n_local,), D f
    positive: np.ndarray  # (n_local,) bool


class Free(NamedTuple):
    """The features without a penalty, but for those in the span of others."""

    places: np.ndarray  # (n_free,), among the local features
    features: np.ndarray  # (n_free,) int32
    inverse: np.ndarray  # of their normal matrix, (n_free, n_free) or larger
    every: np.ndarray  # (0,), no slots, see `column_dots`


@njit(**JIT)
def descend(fit, state, problem, local, l1, target, accepted, max_passes):
    """Solve a problem over the `local` features until its gap is at most `accepted`; return DONE or TOO_LONG.

    The gap is in units of n, and `target` is centred as by `centre`. There must be room for all local features.
    """
    n_local, passes, solved = local.features.shape[0], 0, False
    packed = _pack(fit, local.features, l1)
    weights, residual = np.zeros(n_local), state.residuals[problem]
    for k in range(state.sizes[problem]):
        weights[k] = state.weights[problem, k]
    order, free = np.arange(n_local), _find_free(fit, local.features)
    while passes < max_passes and not solved:
        _pass(packed, order, weights, residual)
        # The gap is true only where these are orthogonal to the residual.
        _solve_free(fit, free, local, weights, residual)
        passes += 1
        solved = _gap(packed, weights, residual, target) <= accepted
        if not solved:
            passes += _extrapolated_passes(packed, np.flatnonzero(weights), weights, residual)
    _keep(fit, state, problem, local, weights, target)
    state.knots[problem] += passes
    return DONE if solved else TOO_LONG


@njit(**PART)
def _pack(fit, features, l1):
    data, indices, indptr, dense, row_of = fit.columns
    train, n_local = fit.train, features.shape[0]
    rows, starts = np.empty(n_local, dtype=np.int64), np.zeros(n_local + 1, dtype=np.int64)
    for a in range(n_local):
        j = features[a]
        rows[a] = row_of[j]
        length = 0
        if rows[a] < 0:
            for k in range(indptr[j], indptr[j + 1]):
                length += train[indices[k]] > 0.0
        starts[a + 1] = starts[a] + length
    values, samples = np.empty(starts[n_local]), np.empty(starts[n_local], dtype=np.uint32)
    sums, squares = np.zeros(n_local), np.zeros(n_local)
    bounds, ridges, positive = np.empty(n_local), np.empty(n_local), np.empty(n_local, dtype=np.bool_)
    for a in range(n_local):
        j, place, total, square = features[a], starts[a], 0.0, 0.0
        if rows[a] >= 0:
            for b in range(train.shape[0]):
                value = train[b] * dense[rows[a], b]
                total += value
                square += value * value
        else:
            for k in range(indptr[j], indptr[j + 1]):
                if train[indices[k]] > 0.0:
                    values[place] = data[k]
                    samples[place] = indices[k]
                    total += data[k]
                    square += data[k] * data[k]
                    place += 1
        f = fit.factors[j]
        if fit.fit_intercept:
            sums[a] = total
        centred = square - sums[a] * sums[a] / fit.n_train
        squares[a] = centred if centred > COLLINEAR * square else 0.0
        bounds[a] = l1 * f
        ridges[a] = fit.ridge * f
        positive[a] = fit.positive and f > 0.0
    return Packed(rows, dense, train, values, samples, starts, sums, squares, bounds, ridges, positive)


@njit(**PART)
def _find_free(fit, features):
    """Invert the normal matrix of the features without a penalty."""
    n_free, n_samples, size = np.int64(0), fit.train.shape[0], np.int64(0)
    for a in range(features.shape[0]):
        n_free += fit.factors[features[a]] == 0.0
    places, kept, inverse = np.empty(n_free, np.int64), np.empty(n_free, np.int32), np.empty((n_free, n_free))
    column, square = np.empty((1, n_samples)), np.empty(1)
    cross, solved, every = np.empty(n_free), np.empty(n_free), places[:0]
    for a in range(features.shape[0]):
        if fit.factors[features[a]] > 0.0:
            continue
        one = features[a : a + 1]
        centred_columns(fit.columns, one, one.shape[0], fit.train, fit.n_train, fit.fit_intercept, square, column)
        column_dots(fit.columns, kept, size, every, column[0], cross)
        diagonal = 0.0
        for b in range(n_samples):
            diagonal += column[0, b] * column[0, b]
        if _border(inverse, size, cross, diagonal, COLLINEAR * square[0], solved) > 0.0:
            places[size] = a
            kept[size] = features[a]
            size += 1
    return Free(places[:size], kept[:size], inverse, every)


@njit(**PART)
def _border(inverse, size, cross, diagonal, least, solved):
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
def _solve_free(fit, free, local, weights, residual):
    """Move the weights without a penalty to their least squares."""
    n_free, raw, centred = free.features.shape[0], local.raw, local.centred
    if n_free == 0:
        return
    sums, steps = np.empty(n_free), np.empty(n_free)
    for _ in range(REFINEMENTS):
        column_dots(fit.columns, free.features, n_free, free.every, residual, sums)
        for k in range(n_free):
            steps[k] = 0.0
            for m in range(n_free):
                steps[k] += free.inverse[k, m] * sums[m]
            weights[free.places[k]] += steps[k]
        raw[:] = 0.0
        add_columns(fit.columns, free.features, n_free, steps, raw)
        centre(raw, fit.train, fit.n_train, fit.fit_intercept, centred)
        for b in range(raw.shape[0]):
            residual[b] -= centred[b]


@njit(**PART)
def _pass(packed, order, weights, residual):
    """Minimise over the weights in `order`, one after another; return whether any of them moved."""
    rows, dense, train, data, indices, indptr, sums, squares, bounds, ridges, positive = packed
    n_samples, level, n_train, moved = residual.shape[0], 0.0, 0.0, False
    for b in range(n_samples):
        n_train += train[b]
    # Columns are not centred: `level` is what the residual lacks on all training rows meanwhile.
    for a in order:
        if squares[a] == 0.0:
            continue
        row, total = rows[a], level * sums[a]
        if row >= 0:
            for b in range(n_samples):
                total += dense[row, b] * residual[b]
        else:
            for k in range(indptr[a], indptr[a + 1]):
                total += data[k] * residual[indices[k]]
        total += squares[a] * weights[a]
        new = 0.0
        if total > bounds[a]:
            new = (total - bounds[a]) / (squares[a] + ridges[a])
        elif total < -bounds[a] and not positive[a]:
            new = (total + bounds[a]) / (squares[a] + ridges[a])
        change = new - weights[a]
        if change == 0.0:
            continue
        weights[a], moved = new, True
        level += change * sums[a] / n_train
        if row >= 0:
            for b in range(n_samples):
                residual[b] -= change * train[b] * dense[row, b]
        else:
            for k in range(indptr[a], indptr[a + 1]):
                residual[indices[k]] -= change * data[k]
    for b in range(n_samples):
        residual[b] += level * train[b]
    return moved


@njit(**PART)
def _gap(packed, weights, residual, target):
    """Duality gap over the local features, with the residual scaled into the dual feasible set."""
    rows, dense, _, data, indices, indptr, _, _, bounds, ridges, positive = packed
    square, cross, penalty, curved, worst = 0.0, 0.0, 0.0, 0.0, 1.0
    for b in range(residual.shape[0]):
        square += residual[b] * residual[b]
        cross += residual[b] * target[b]
    for a in range(weights.shape[0]):
        penalty += bounds[a] * abs(weights[a])
        curved += ridges[a] * weights[a] ** 2
        total = 0.0
        if rows[a] >= 0:
            for b in range(residual.shape[0]):
                total += dense[rows[a], b] * residual[b]
        else:
            for k in range(indptr[a], indptr[a + 1]):
                total += data[k] * residual[indices[k]]
        total -= ridges[a] * weights[a]
        if bounds[a] > 0.0:
            worst = max(worst, (total if positive[a] else abs(total)) / bounds[a])
    augmented = square + curved
    return 0.5 * augmented + penalty - (cross - 0.5 * augmented / worst) / worst


@njit(**PART)
def _extrapolated_passes(packed, active, weights, residual):
    """Pass over the active features, extrapolate, and keep what that gives if the objective is lower."""
    n_active, n_samples = active.shape[0], residual.shape[0]
    steps, ends = np.empty((MEMORY, n_active)), np.empty((MEMORY, n_active))
    residuals, before = np.empty((MEMORY, n_samples)), np.empty(n_active)
    for number in range(PASSES):
        for k in range(n_active):
            before[k] = weights[active[k]]
        if not _pass(packed, active, weights, residual):
            return number + 1
        m = number - (PASSES - MEMORY)
        if m >= 0:
            residuals[m] = residual
            for k in range(n_active):
                ends[m, k] = weights[active[k]]
                steps[m, k] = ends[m, k] - before[k]
    shares = _shares(steps)
    objective = _objective(packed, active, ends[MEMORY - 1], residual)
    for k in range(n_active):
        before[k] = 0.0
        for m in range(MEMORY):
            before[k] += shares[m] * ends[m, k]
        if packed.positive[active[k]] and before[k] < 0.0:
            return PASSES
    guess = np.zeros(n_samples)
    for m in range(MEMORY):
        for b in range(n_samples):
            guess[b] += shares[m] * residuals[m, b]
    if _objective(packed, active, before, guess) < objective:
        residual[:] = guess
        for k in range(n_active):
            weights[active[k]] = before[k]
    return PASSES


@njit(**PART)
def _objective(packed, active, weights, residual):
    total = 0.0
    for b in range(residual.shape[0]):
        total += 0.5 * residual[b] * residual[b]
    for k in range(active.shape[0]):
        a, weight = active[k], weights[k]
        total += packed.bounds[a] * abs(weight) + 0.5 * packed.ridges[a] * weight * weight
    return total


@njit(**PART)
def _shares(steps):
    """Return the weights, of sum 1, that make a weighted sum of the steps smallest."""
    n_steps = steps.shape[0]
    gram, shares = np.zeros((n_steps, n_steps)), np.ones(n_steps)
    for m in range(n_steps):
        for other in range(n_steps):
            for k in range(steps.shape[1]):
                gram[m, other] += steps[m, k] * steps[other, k]
    trace = 0.0
    for m in range(n_steps):
        trace += gram[m, m]
    for m in range(n_steps):
        gram[m, m] += 1e-10 * trace
    # Gaussian elimination: the matrix is symmetric and positive definite, so it needs no pivoting.
    for m in range(n_steps):
        for other in range(m + 1, n_steps):
            factor = gram[other, m] / gram[m, m]
            for k in range(m, n_steps):
                gram[other, k] -= factor * gram[m, k]
            shares[other] -= factor * shares[m]
    total = 0.0
    for m in range(n_steps - 1, -1, -1):
        for other in range(m + 1, n_steps):
            shares[m] -= gram[m, other] * shares[other]
        shares[m] /= gram[m, m]
        total += shares[m]
    for m in range(n_steps):
        shares[m] /= total
    return shares


@njit(**PART)
def _keep(fit, state, problem, local, weights, target):
    """Make the active set that of the weights that are not zero; residuals are computed anew."""
    features, n_local, size, raw, centred = local.features, weights.shape[0], 0, local.raw, local.centred
    for b in range(raw.shape[0]):
        raw[b] = 0.0
    add_columns(fit.columns, features, n_local, weights, raw)
    centre(raw, fit.train, fit.n_train, fit.fit_intercept, centred)
    for b in range(raw.shape[0]):
        state.fitted[problem, b] = raw[b]
        state.residuals[problem, b] = target[b] - centred[b]
    for a in range(n_local):
        if weights[a] != 0.0 or fit.factors[features[a]] == 0.0:
            state.features[problem, size] = features[a]
            state.weights[problem, size] = weights[a]
            state.signs[problem, size] = np.sign(weights[a])
            size += 1
    state.sizes[problem] = size


@njit(**PART)
def largest_of_active(fit, state, problem, out):
    """Return max |x_j'r - D f_j w_j| / f_j over the active features; `out` is a scratch array."""
    worst, features, weights = 0.0, state.features[problem], state.weights[problem]
    column_dots(fit.columns, features, state.sizes[problem], state.every, state.residuals[problem], out)
    for k in range(state.sizes[problem]):
        f = fit.factors[features[k]]
        if f > 0.0:
            worst = max(worst, abs(out[k] - fit.ridge * f * weights[k]) / f)
    return worst
