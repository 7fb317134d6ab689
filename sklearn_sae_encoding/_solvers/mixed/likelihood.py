"""The likelihood of crossed random intercepts at given variances."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg

from sklearn_sae_encoding._solvers.mixed.design import CrossedSums, crossed_sums


class Factorised(NamedTuple):
    """The random effects' precision, in units of the residual variance: its largest diagonal block eliminated.

    With sd ratios t and indicators Z, the precision of u (effects are t u) is ``A = T Z'Z T + I``.
    """

    large_scale: float
    rest_scales: np.ndarray  # (n_rest,), the sd ratio of each level's factor
    diagonal: np.ndarray  # (n_large,)
    border: np.ndarray  # (n_large, n_rest); sparse where the table of co-occurrences is
    triangle: np.ndarray  # (n_rest, n_rest), lower Cholesky factor of the Schur complement
    log_determinant: float  # of A, which is that of the rows' covariance


class Whitened(NamedTuple):
    """Column sums, solved half way through the factorised precision."""

    large: np.ndarray  # (n_large, n_columns)
    rest: np.ndarray  # (n_rest, n_columns)
    gram: np.ndarray  # (n_columns, n_columns), columns' V^-1 columns


def factorise(sums: CrossedSums, sd_ratios: np.ndarray) -> Factorised:
    """Factorise the precision at sd ratios (effects' over residual) given in the order of ``sums.order``."""
    large_scale = float(sd_ratios[0]) if len(sd_ratios) else 0.0
    rest_scales = np.repeat(sd_ratios[1:], sums.sizes[1:])
    diagonal = 1.0 + large_scale**2 * sums.large_counts
    border = sums.cross * (large_scale * rest_scales)
    schur = rest_scales[:, None] * sums.rest * rest_scales
    schur[np.diag_indices_from(schur)] += 1.0
    product = border.T @ (border / diagonal[:, None])
    schur -= product if isinstance(product, np.ndarray) else product.toarray()
    triangle = linalg.cholesky(schur, lower=True, check_finite=False) if len(schur) else schur
    log_determinant = float(np.log(diagonal).sum() + 2.0 * np.log(np.diag(triangle)).sum())
    return Factorised(large_scale, rest_scales, diagonal, border, triangle, log_determinant)


def whiten(sums: CrossedSums, factors: Factorised) -> Whitened:
    """Columns' cross product in the metric of the rows' covariance, by way of the half-solved sums."""
    large = factors.large_scale * sums.large_sums
    rest = factors.rest_scales[:, None] * sums.rest_sums
    rest = _solve(factors.triangle, rest - factors.border.T @ (large / factors.diagonal[:, None]))
    large = large / np.sqrt(factors.diagonal)[:, None]
    return Whitened(large, rest, sums.gram - large.T @ large - rest.T @ rest)


def _solve(triangle: np.ndarray, right: np.ndarray, *, transposed: bool = False) -> np.ndarray:
    if not len(triangle):
        return right
    return linalg.solve_triangular(triangle, right, lower=True, trans=int(transposed), check_finite=False)


def spherical_effects(whitened: Whitened, factors: Factorised, weights: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Posterior means of u given the rows' residuals ``columns @ weights``: of the largest factor, and of the rest."""
    rest = _solve(factors.triangle, whitened.rest @ weights, transposed=True)
    root = np.sqrt(factors.diagonal)
    return (whitened.large @ weights - (factors.border @ rest) / root) / root, rest


def posterior_traces(sums: CrossedSums, factors: Factorised) -> np.ndarray:
    """Trace of u's posterior covariance (over the residual variance), by factor in the order of ``sums.order``."""
    if not sums.sizes:
        return np.zeros(0)
    border = factors.border if isinstance(factors.border, np.ndarray) else factors.border.toarray()
    large = (1.0 / factors.diagonal).sum() + (
        _solve(factors.triangle, (border / factors.diagonal[:, None]).T) ** 2
    ).sum()
    inverse = _solve(factors.triangle, np.eye(len(factors.triangle)))
    rest = np.split((inverse**2).sum(axis=0), np.cumsum(sums.sizes[1:])[:-1]) if len(sums.sizes) > 1 else []
    return np.array([large, *(part.sum() for part in rest)])


class FixedParameters(NamedTuple):
    """Parameters at which a density is evaluated, with the factors in the order in which they were given."""

    sd_ratios: np.ndarray  # (n_factors,), sd of the effects over the residual sd
    residual_variance: float


def log_density(residuals: np.ndarray, codes: list[np.ndarray], n_levels: list[int], at: FixedParameters) -> float:
    """Log density of rows, jointly, with all levels integrated out. ``residuals`` is (n_rows,): y minus fixed effects.

    The density of some rows given others is the difference of two of these, of all rows and of the others: known
    levels then count by their posterior, and new ones are integrated out jointly.
    """
    return density_of_sums(crossed_sums(residuals[:, None], codes, n_levels), at)


def density_of_sums(sums: CrossedSums, at: FixedParameters) -> float:
    """The same from the sums of the residuals, a single column."""
    factors = factorise(sums, at.sd_ratios[list(sums.order)])
    square = whiten(sums, factors).gram[0, 0]
    constant = sums.n_rows * np.log(2.0 * np.pi * at.residual_variance)
    return float(-0.5 * (constant + factors.log_determinant + square / at.residual_variance))


def level_effects(
    residuals: np.ndarray, codes: list[np.ndarray], n_levels: list[int], at: FixedParameters
) -> list[np.ndarray]:
    """Posterior mean of each level's effect, one vector a factor in the given order."""
    sums = crossed_sums(residuals[:, None], codes, n_levels)
    ratios = at.sd_ratios[list(sums.order)]
    factors = factorise(sums, ratios)
    large, rest = spherical_effects(whiten(sums, factors), factors, np.ones(1))
    parts = [large, *np.split(rest, np.cumsum(sums.sizes[1:])[:-1])] if len(sums.sizes) > 1 else [large]
    effects: list[np.ndarray] = [np.zeros(0)] * len(codes)
    for position, factor in enumerate(sums.order):
        effects[factor] = ratios[position] * parts[position]
    return effects
