"""What a reader should know before believing the numbers."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from sklearn.linear_model import (
    ElasticNet,
    ElasticNetCV,
    Lasso,
    LassoCV,
    LinearRegression,
    MultiTaskElasticNet,
    MultiTaskLasso,
    Ridge,
    RidgeCV,
)

from sklearn_sae_encoding._encoder.marking import is_other_data
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

_LEAST_SQUARES = (
    *(
        SparseVoxelEncoder,
        BandedRidgeEncoder,
        LinearRegression,
        Ridge,
        RidgeCV,
        Lasso,
        LassoCV,
        ElasticNet,
        ElasticNetCV,
    ),
    *(MultiTaskLasso, MultiTaskElasticNet),
)
_BLOCK = 4096  # voxels at once


class Finding(NamedTuple):
    """Something to look at, and what to do about it."""

    title: str
    text: str


def find_problems(fitted, scores, noise_ceiling, noise_floor):
    """Give the findings about a fit, the gravest first."""
    findings = [
        _other_data(fitted),
        _not_scored(scores),
        _not_converged(fitted),
        *_edge_of_grid(fitted),
        _excluded(fitted),
        _below_floor(noise_ceiling, noise_floor),
        _repeated_texts(fitted),
    ]
    return [finding for finding in findings if finding is not None]


def _voxels(n):
    return f"{n:,} voxel{'s' * (n != 1)}"


def _other_data(fitted):
    """Find voxels whose data can't be those of the fit, by what the fit left and by what any fit must satisfy."""
    other = _differs_from_mark(fitted) | _predicts_other_data(fitted)
    if not other.any():
        return None
    return Finding(
        "Other data than those of the fit.",
        f"In {_voxels(int(other.sum()))} the texts or features and the responses are not those that were fitted, or in "
        "another order. Were other ones given, or has the language model or the SAE changed since? Fit again before "
        "you believe anything below.",
    )


def _differs_from_mark(fitted):
    mark = getattr(fitted.encoder, "data_mark_", None)
    if mark is None or not fitted.same_targets:
        return np.zeros(fitted.coef.shape[0], dtype=bool)
    return is_other_data(np.ravel(mark), fitted.X, fitted.Y[:, fitted.kept])


def _predicts_other_data(fitted):
    """On the data of a penalised least-squares fit, an intercept makes mean predictions mean responses, and shrunk
    predictions never exceed what they explain: their sum of squares is at most their product with the responses."""
    none = np.zeros(fitted.coef.shape[0], dtype=bool)
    if not isinstance(fitted.encoder, _LEAST_SQUARES) or not fitted.encoder.fit_intercept or not fitted.same_targets:
        return none
    if getattr(fitted.encoder, "scale", None) == "runs":
        return none  # weights are of columns that were scaled by runs, which the report does not know
    mean, sd, _ = (values[fitted.kept] for values in fitted.responses)
    intercept, X_mean = np.ravel(fitted.encoder.intercept_), np.asarray(fitted.X.mean(axis=0, dtype=np.float64)).ravel()
    other = none
    Y = fitted.Y[:, fitted.kept]
    for start in range(0, len(other), _BLOCK):
        block = slice(start, start + _BLOCK)
        coef = fitted.coef[block]
        predicted = (fitted.X @ coef.T).toarray().astype(np.float64)
        predicted -= predicted.mean(axis=0)
        squares = np.sum(predicted**2, axis=0)
        with np.errstate(invalid="ignore"):
            overshoots = squares - np.sum(predicted * (Y[:, block] - mean[block]), axis=0) > 0.01 * squares
            moved = np.abs(coef @ X_mean + intercept[block] - mean[block]) > 0.01 * sd[block]
            matters = squares > 1e-6 * len(Y) * sd[block] ** 2
        other[block] = moved | (overshoots & matters)
    return other


def _not_scored(scores):
    if not scores:
        return Finding(
            "No cross-validated scores.",
            "Weights alone do not say how well a voxel is predicted. Pass scores=cross_val_voxel_scores(...).",
        )
    return None


def _not_converged(fitted):
    gap, tol = getattr(fitted.encoder, "dual_gap_", None), getattr(fitted.encoder, "tol", None)
    if gap is None or tol is None:
        return None
    mean, sd, _ = (values[fitted.kept] for values in fitted.responses)
    size = sd**2 if getattr(fitted.encoder, "fit_intercept", True) else sd**2 + mean**2
    with np.errstate(invalid="ignore"):
        n = int(np.sum(np.ravel(gap) > tol * size * (1 + 1e-6)))
    if n == 0:
        return None
    return Finding(
        "Not converged.",
        f"In {_voxels(n)} the duality gap exceeds tol = {tol:g} of the response's mean square. Raise max_iter, or use "
        "larger penalties.",
    )


def _edge_of_grid(fitted):
    chosen, grid = getattr(fitted.encoder, "alpha_", None), getattr(fitted.encoder, "alphas_", None)
    if chosen is None or grid is None or np.shape(grid)[-1] < 2:
        return
    chosen, grid = np.ravel(chosen), np.broadcast_to(grid, (len(np.ravel(chosen)), np.shape(grid)[-1]))
    with np.errstate(invalid="ignore"):
        lowest = np.isclose(chosen, grid.min(axis=1), rtol=1e-9)
        highest = np.isclose(chosen, grid.max(axis=1), rtol=1e-9)
    n_low, n_high = int(lowest.sum()), int((highest & (fitted.n_content > 0)).sum())
    if n_low:
        yield Finding(
            "At the lower edge of the penalty grid.",
            f"{_voxels(n_low)} chose the smallest penalty tried: a smaller one may predict better. Extend the grid "
            "downwards (smaller alphas, or a smaller eps).",
        )
    if n_high:
        yield Finding(
            "At the upper edge of the penalty grid.",
            f"{_voxels(n_high)} chose the largest penalty tried, and still use features: a larger one may predict "
            "better. Extend the grid upwards.",
        )


def _excluded(fitted):
    missing, constant = int((~fitted.responses.finite).sum()), int(fitted.responses.constant.sum())
    if missing == constant == 0:
        return None
    return Finding(
        "Voxels without a usable response.",
        f"{_voxels(missing)} had values that are not finite, {_voxels(constant)} never changed. Nothing is said of "
        "them.",
    )


def _below_floor(noise_ceiling, noise_floor):
    if noise_ceiling is None:
        return None
    n = int(np.sum(~(noise_ceiling >= noise_floor)))
    if n == 0:
        return None
    return Finding(
        "Below the noise floor.",
        f"In {_voxels(n)} of {len(noise_ceiling):,} the noise ceiling is below r = {noise_floor:g}: hardly any signal "
        "repeats there, and scores divided by so small a ceiling are erratic. They are left out of the summaries of "
        "normalised scores.",
    )


def _repeated_texts(fitted):
    if fitted.runs is not None:
        return None  # words that are heard again in a story are no repeat; `cross_val_voxel_scores` looks at runs
    n = len(fitted.texts) - len(set(fitted.texts))
    if n == 0:
        return None
    return Finding(
        "Repeated texts.",
        f"{n:,} of {len(fitted.texts):,} texts equal an earlier one. If copies fall into training and test folds, "
        "scores are too high: average the copies, or use a group splitter.",
    )
