"""What a chunk of problems is given, and what its paths leave.

A problem is one voxel on one set of training rows.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..columns import Columns
from .active_sets import ActiveSets


class Penalty(NamedTuple):
    """What is the same for all voxels."""

    factors: np.ndarray  # (n_features,)
    inverse_factors: np.ndarray  # (n_features,), 0 where the factor is 0 or the feature is constant
    free: np.ndarray  # indices of the features that are never penalised
    l1_ratio: float
    positive: bool
    fit_intercept: bool
    max_knots: int
    tol: float  # gap, over the mean square of the target, at which coordinate descent stops


class Problems(NamedTuple):
    targets: np.ndarray  # (n_voxels, n_samples)
    voxels: np.ndarray  # (n_problems,), row of `targets`
    folds: np.ndarray  # (n_problems,), row of `train`
    train: np.ndarray  # (n_folds, n_samples), 1 on training rows and 0 elsewhere
    n_train: np.ndarray  # (n_folds,)
    test: np.ndarray  # (n_folds, n_samples), 1 on held-out rows and 0 elsewhere
    grid: np.ndarray  # (n_problems, n_alphas), descending alphas
    n_alphas: np.ndarray  # (n_problems,), how many of them each problem needs
    allowed: np.ndarray  # (n_voxels, n_features) uint8, or (0, 0) where every feature is allowed


class Given(NamedTuple):
    """What no kernel changes."""

    columns: Columns
    problems: Problems
    penalty: Penalty


class Progress(NamedTuple):
    alphas: np.ndarray  # (n_problems,), where each problem is now
    reached: np.ndarray  # (n_problems,), grid points recorded
    bounds: np.ndarray  # (n_problems,), which correlations the next screening must list
    repairs: np.ndarray  # (n_problems,)
    status: np.ndarray  # (n_problems,), of the last move
    alive: np.ndarray  # (n_problems,) bool
    crowded: np.ndarray  # (n_problems,) bool, screening once listed so many features that steps are shorter since
    descends: np.ndarray  # (n_problems,) bool, has outgrown the largest inverse, or gone in circles
    errors: np.ndarray  # (n_problems, n_alphas), mean squared error on held-out rows
    gaps: np.ndarray  # (n_problems, n_alphas), duality gaps
    intercepts: np.ndarray  # (n_problems,), at the last grid point


class Changing(NamedTuple):
    """What a step changes: nothing else, but for scratch arrays."""

    state: ActiveSets
    progress: Progress


class Candidates(NamedTuple):
    """What screening found: the features that may enter at the next penalty."""

    problems: np.ndarray  # (n_alive,), which problems they are of
    lists: np.ndarray  # (n_alive, at least longest list) int32
    sizes: np.ndarray  # the same shape, float32, |x_j'r| / f_j at most, over `Progress.bounds`
    lengths: np.ndarray  # (n_alive,)


class Paths(NamedTuple):
    state: ActiveSets  # at the last grid point
    errors: np.ndarray  # (n_problems, n_alphas), NaN without held-out rows
    gaps: np.ndarray  # (n_problems, n_alphas), duality gaps, in units of the objective
    intercepts: np.ndarray  # (n_problems,)


def make_penalty(
    factors, *, usable=True, l1_ratio=1.0, positive=False, fit_intercept=True, max_knots=10_000, tol=1e-4
) -> Penalty:
    factors = np.asarray(factors, dtype=np.float64)
    inverse = np.divide(1.0, factors, out=np.zeros_like(factors), where=(factors > 0) & usable)
    return Penalty(
        factors,
        inverse,
        np.flatnonzero(factors == 0).astype(np.int32),
        float(l1_ratio),
        bool(positive),
        bool(fit_intercept),
        int(max_knots),
        float(tol),
    )


def centred_targets(problems: Problems, fit_intercept: bool) -> np.ndarray:
    """Centre each problem's target as the kernels do, zero on held-out rows, (n_problems, n_samples)."""
    train, targets = problems.train[problems.folds], problems.targets[problems.voxels]
    if fit_intercept:
        means = np.einsum("ij,ij->i", train, targets) / problems.n_train[problems.folds]
        targets = targets - means[:, None]
    return train * targets


def new_progress(alphas: np.ndarray, n_alphas: int) -> Progress:
    """Start at `alphas` (n_problems,), with nothing recorded of the `n_alphas` penalties of the grid."""
    n_problems = len(alphas)
    return Progress(
        alphas=alphas,
        reached=np.zeros(n_problems, dtype=np.int64),
        bounds=np.empty(n_problems),
        repairs=np.zeros(n_problems, dtype=np.int64),
        status=np.zeros(n_problems, dtype=np.int64),
        alive=np.ones(n_problems, dtype=np.bool_),
        crowded=np.zeros(n_problems, dtype=np.bool_),
        descends=np.zeros(n_problems, dtype=np.bool_),
        errors=np.full((n_problems, n_alphas), np.nan),
        gaps=np.full((n_problems, n_alphas), np.nan),
        intercepts=np.zeros(n_problems),
    )
