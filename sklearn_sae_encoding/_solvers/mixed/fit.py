"""Maximum likelihood of crossed random intercepts."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg, optimize

from sklearn_sae_encoding._solvers.mixed.design import CrossedSums, crossed_sums, orthonormal_basis
from sklearn_sae_encoding._solvers.mixed.likelihood import (
    Factorised,
    FixedParameters,
    factorise,
    posterior_traces,
    spherical_effects,
    whiten,
)

_SMALLEST_RATIO = 1e-6  # below it the gradient is rounding; whether zero is as good is asked at the end
_NEWTON_STEPS = 5


class MixedFit(NamedTuple):
    """A fitted model. Factors come in the order in which they were given."""

    coefficients: np.ndarray  # (n_predictors,), NaN where earlier predictors span one
    covariance: np.ndarray  # (n_predictors, n_predictors) of the coefficients, NaN likewise
    parameters: FixedParameters
    log_likelihood: float
    scaled_gradient: float  # largest step, in units of an sd ratio, that a Newton step would still make
    n_evaluations: int


class _Profile(NamedTuple):
    """The deviance at given sd ratios, minimal over fixed effects and residual variance."""

    deviance: float
    gradient: np.ndarray  # (n_factors,) by sd ratio
    fixed: np.ndarray  # (n_kept,), in the basis, beyond least squares
    precision: np.ndarray  # (n_kept, n_kept), of the fixed effects in units of the residual variance
    square: float  # penalised residual sum of squares


def fit_mixed(predictors: np.ndarray, response: np.ndarray, codes: list[np.ndarray], n_levels: list[int]) -> MixedFit:
    """Fit ``response = predictors @ coefficients + sum of level effects + noise`` by exact maximum likelihood.

    The likelihood is profiled over fixed effects and residual variance; the factor with most levels is eliminated,
    and the others take one dense Cholesky factorisation an evaluation. Columns are made orthonormal first and the
    response is replaced by its residuals, which changes nothing but the rounding.
    """
    basis = orthonormal_basis(predictors)
    start = basis.columns.T @ response
    residuals = response - basis.columns @ start
    sums = crossed_sums(np.column_stack([basis.columns, residuals]), codes, n_levels)
    ratios, n_evaluations, step = _minimise(sums)
    best = _profile(sums, ratios)
    variance = best.square / sums.n_rows
    half = linalg.inv(basis.triangle) if len(basis.kept) else np.zeros((0, 0))
    coefficients = np.full(predictors.shape[1], np.nan)
    coefficients[basis.kept] = half @ (start + best.fixed)
    covariance = np.full((predictors.shape[1],) * 2, np.nan)
    covariance[np.ix_(basis.kept, basis.kept)] = variance * half @ linalg.inv(best.precision) @ half.T
    given = np.empty_like(ratios)
    given[list(sums.order)] = ratios
    return MixedFit(
        coefficients, covariance, FixedParameters(given, float(variance)), -0.5 * best.deviance, step, n_evaluations
    )


def _profile(sums: CrossedSums, ratios: np.ndarray) -> _Profile:
    factors = factorise(sums, ratios)
    whitened = whiten(sums, factors)
    precision, right = whitened.gram[:-1, :-1], whitened.gram[:-1, -1]
    fixed = linalg.solve(precision, right, assume_a="pos") if len(precision) else right
    square = float(whitened.gram[-1, -1] - right @ fixed)
    n_rows = sums.n_rows
    deviance = factors.log_determinant + n_rows * (1.0 + np.log(2.0 * np.pi * square / n_rows))
    effects = spherical_effects(whitened, factors, np.append(-fixed, 1.0))
    return _Profile(deviance, _gradient(sums, factors, effects, square), fixed, precision, square)


def _gradient(
    sums: CrossedSums, factors: Factorised, effects: tuple[np.ndarray, np.ndarray], square: float
) -> np.ndarray:
    """Derivative of the deviance by sd ratio: ``2 (q - tr(A^-1)_kk - n |u_k|^2 / square) / t_k``."""
    if not sums.sizes:
        return np.zeros(0)
    ends = np.cumsum(sums.sizes[1:])[:-1]
    parts = [effects[0], *(np.split(effects[1], ends) if len(sums.sizes) > 1 else [])]
    squares = np.array([part @ part for part in parts])
    first_of_rest = np.cumsum((0, *sums.sizes[1:]))[:-1]
    ratios = np.array([factors.large_scale, *factors.rest_scales[first_of_rest[: len(sums.sizes) - 1]]])
    numerators = np.array(sums.sizes) - posterior_traces(sums, factors) - sums.n_rows * squares / square
    return 2.0 * numerators / np.maximum(ratios, _SMALLEST_RATIO)


def _minimise(sums: CrossedSums) -> tuple[np.ndarray, int, float]:
    """Sd ratios of least deviance, how often it was evaluated, and the Newton step that is left."""
    n_factors = len(sums.sizes)
    if not n_factors:
        return np.zeros(0), 1, 0.0

    def objective(ratios):
        profile = _profile(sums, ratios)
        return profile.deviance, profile.gradient

    found = optimize.minimize(
        objective,
        np.ones(n_factors),
        jac=True,
        method="L-BFGS-B",
        bounds=[(_SMALLEST_RATIO, None)] * n_factors,
        options={"ftol": 1e-15, "gtol": 1e-7, "maxiter": 500},
    )
    ratios, step, n_more = _polish(sums, found.x)
    at_zero = _zero_where_as_good(sums, ratios)
    return at_zero, found.nfev + n_more, step


def _polish(sums: CrossedSums, ratios: np.ndarray) -> tuple[np.ndarray, float, int]:
    """A few Newton steps from finite differences of the gradient, and the size of the step that is left."""
    n_evaluations = 0
    step = np.inf
    for _ in range(_NEWTON_STEPS):
        free = ratios > 1e-4
        if not free.any():
            return ratios, 0.0, n_evaluations
        here = _profile(sums, ratios)
        hessian = np.column_stack([_hessian_column(sums, ratios, at) for at in np.flatnonzero(free)])[free]
        n_evaluations += 1 + 2 * int(free.sum())
        move = np.zeros_like(ratios)
        move[free] = -linalg.lstsq(0.5 * (hessian + hessian.T), here.gradient[free])[0]
        step = float(np.abs(move).max())
        if step < 1e-9:
            break
        new = np.maximum(ratios + move, _SMALLEST_RATIO)
        after = _profile(sums, new)
        if after.deviance > here.deviance + 1e-9 * abs(here.deviance):
            break
        ratios = new
    return ratios, step, n_evaluations


def _hessian_column(sums: CrossedSums, ratios: np.ndarray, at: int) -> np.ndarray:
    width = 1e-5 * max(ratios[at], 1e-2)
    shift = np.zeros_like(ratios)
    shift[at] = width
    return (_profile(sums, ratios + shift).gradient - _profile(sums, ratios - shift).gradient) / (2.0 * width)


def _zero_where_as_good(sums: CrossedSums, ratios: np.ndarray) -> np.ndarray:
    for factor in np.flatnonzero(ratios < 1e-3):
        candidate = ratios.copy()
        candidate[factor] = 0.0
        if _profile(sums, candidate).deviance <= _profile(sums, ratios).deviance + 1e-8:
            ratios = candidate
    return ratios
