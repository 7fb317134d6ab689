r"""Non-negative ridge for many targets that share a few features, exactly.

For each target, with the Gram matrix :math:`G = X'X` and :math:`c = X'y`,

.. math::  \min_{w \ge 0} \tfrac12 w'(G + a I)w - c'w .

The optimum is the solution of ``(G + a I) w = c`` on its own support, with a gradient of the wrong sign nowhere else.
Block principal pivoting looks for that support: it solves on a guess, then exchanges all features that violate a
condition, and falls back to one at a time where that doesn't lower their number (Júdice and Pires 1994), which must end
as ``G + a I`` is positive definite. Each solve is a fresh Cholesky factorisation: no error accumulates over exchanges.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numba import njit

from ..columns import JIT

# Weights and gradients that violate a condition by less are taken as zero. Relative to the scale at which the targets'
# correlations with unit-norm features lie: far above rounding, far below anything that a prediction shows.
_RELATIVE_TOL = 1e-10
# Exchanges of all violators that may fail to lower their number before single exchanges begin (Kim and Park 2011).
_PATIENCE = 3


class NonnegativeRidge(NamedTuple):
    weights: np.ndarray  # (n_targets, n_features)
    violations: np.ndarray  # (n_targets,), of the KKT conditions, relative to the largest correlation
    n_solves: np.ndarray  # (n_targets,), linear systems solved


def solve_nonnegative_ridge(gram: np.ndarray, cross: np.ndarray, ridge: np.ndarray | float) -> NonnegativeRidge:
    """Solve for `cross` (n_targets, n_features), with positive `ridge` penalties, one or (n_targets,)."""
    cross = np.ascontiguousarray(cross, dtype=np.float64)
    ridge = np.ascontiguousarray(np.broadcast_to(ridge, len(cross)), dtype=np.float64)
    if not np.all(ridge > 0):
        raise ValueError(f"Penalties must be positive, or the optimum may not be unique; got {ridge.min()}.")
    weights = np.zeros_like(cross)
    violations, n_solves = np.zeros(len(cross)), np.zeros(len(cross), dtype=np.int64)
    _solve_all(np.ascontiguousarray(gram, dtype=np.float64), cross, ridge, weights, violations, n_solves)
    return NonnegativeRidge(weights, violations, n_solves)


class _Scratch(NamedTuple):
    norms: np.ndarray  # (n_features,), of the features, the penalty included
    support: np.ndarray  # (n_features,) bool
    inside: np.ndarray  # the features of the support, ascending; as many as it has
    solution: np.ndarray  # their weights
    factor: np.ndarray  # their Cholesky factor, with inverted diagonal
    gradient: np.ndarray  # (n_features,)
    violators: np.ndarray


@njit(**JIT)
def _solve_all(gram, cross, ridge, weights, violations, n_solves):
    k = gram.shape[0]
    scratch = _Scratch(
        np.empty(k),
        np.empty(k, dtype=np.bool_),
        np.empty(k, dtype=np.int64),
        np.empty(k),
        np.empty((k, k)),
        np.empty(k),
        np.empty(k, dtype=np.int64),
    )
    for t in range(cross.shape[0]):
        scale = _scale(gram, cross[t], ridge[t], scratch.norms)
        if scale == 0.0:
            continue
        n_solves[t] = _pivot(gram, cross[t], ridge[t], scale, scratch, weights[t])
        violations[t] = _violation(gram, cross[t], ridge[t], scratch.norms, weights[t]) / scale


@njit(**JIT)
def _scale(gram, cross, ridge, norms):
    """Store the norms of the features and return the largest correlation with them."""
    scale = 0.0
    for j in range(gram.shape[0]):
        norms[j] = np.sqrt(gram[j, j] + ridge)
        scale = max(scale, abs(cross[j]) / norms[j])
    return scale


@njit(**JIT)
def _pivot(gram, cross, ridge, scale, scratch, weights):
    """Exchange features until none violates a condition; return the number of systems solved."""
    k = gram.shape[0]
    fewest, patience, n_solves = k + 1, _PATIENCE, 0
    scratch.support[:] = False
    # Single exchanges end by themselves; the bound keeps a NaN from running forever, and shows as a violation.
    while n_solves < 100 * (k + 1):
        n_inside = _solve_on_support(gram, cross, ridge, scratch)
        n_solves += 1
        _gradient_outside(gram, cross, n_inside, scratch)
        n_violators = _find_violators(_RELATIVE_TOL * scale, scratch)
        if n_violators == 0:
            break
        if n_violators < fewest:
            fewest, patience = n_violators, _PATIENCE
        else:
            patience -= 1
        first = 0 if patience >= 0 else n_violators - 1
        for j in scratch.violators[first:n_violators]:
            scratch.support[j] = not scratch.support[j]
    weights[:] = 0.0
    for p in range(n_inside):
        weights[scratch.inside[p]] = max(scratch.solution[p], 0.0)
    return n_solves


@njit(**JIT)
def _solve_on_support(gram, cross, ridge, scratch):
    """Solve on the support by Cholesky; return its size."""
    inside, solution, factor = scratch.inside, scratch.solution, scratch.factor
    n = 0
    for j in range(gram.shape[0]):
        if scratch.support[j]:
            inside[n] = j
            n += 1
    for p in range(n):
        i = inside[p]
        for q in range(p + 1):
            total = gram[i, inside[q]]
            for r in range(q):
                total -= factor[p, r] * factor[q, r]
            if p == q:
                factor[p, p] = 1.0 / np.sqrt(total + ridge)
            else:
                factor[p, q] = total * factor[q, q]
        total = cross[i]
        for r in range(p):
            total -= factor[p, r] * solution[r]
        solution[p] = total * factor[p, p]
    for p in range(n - 1, -1, -1):
        solution[p] *= factor[p, p]
        for r in range(p):
            solution[r] -= factor[p, r] * solution[p]
    return n


@njit(**JIT)
def _gradient_outside(gram, cross, n_inside, scratch):
    """What the solution leaves of the cross products; meant for the features outside the support."""
    scratch.gradient[:] = cross
    for p in range(n_inside):
        row, weight = gram[scratch.inside[p]], scratch.solution[p]
        for j in range(gram.shape[0]):
            scratch.gradient[j] -= row[j] * weight


@njit(**JIT)
def _find_violators(tol, scratch):
    """Find the features with a negative weight or, outside the support, a positive gradient; return how many."""
    n_inside, n_violators = 0, 0
    for j in range(len(scratch.support)):
        if scratch.support[j]:
            wrong = scratch.solution[n_inside] * scratch.norms[j] < -tol
            n_inside += 1
        else:
            wrong = scratch.gradient[j] > tol * scratch.norms[j]
        if wrong:
            scratch.violators[n_violators] = j
            n_violators += 1
    return n_violators


@njit(**{**JIT, "fastmath": False})  # callers would pass theirs on, under which NaN may compare as finite
def _violation(gram, cross, ridge, norms, weights):
    """How far the optimality conditions are from holding, recomputed from the weights alone."""
    worst = 0.0
    for j in range(gram.shape[0]):
        gradient = cross[j] - ridge * weights[j]
        for i in range(gram.shape[0]):
            gradient -= gram[j, i] * weights[i]
        if not np.isfinite(gradient):  # penalties too small to tell collinear features apart
            return np.inf
        off = abs(gradient) if weights[j] > 0.0 else max(gradient, 0.0)
        worst = max(worst, off / norms[j])
    return worst
