"""Scores of one model or several, ready to be shown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding.metrics import VoxelScores, normalize_scores
from sklearn_sae_encoding.metrics._scores import ceiling_of

_SYMBOLS = {"pearson": "r", "r2": "R²"}


class Scores(NamedTuple):
    """A model's scores."""

    shown: np.ndarray  # (n_voxels,), divided by noise ceilings where there are any; NaN below the noise floor
    raw: np.ndarray  # (n_voxels,)
    metric: str  # "r" or "R²"
    splits: list  # of (train, test)
    predictions: object  # out-of-fold, None if they weren't kept; of runs a list


def prepare_scores(scores, noise_ceiling, noise_floor, n_voxels):
    """Give a dictionary of Scores, the reported model first, and the noise ceilings as an array."""
    if noise_ceiling is not None:
        noise_ceiling = np.asarray(noise_ceiling, dtype=np.float64)
        if noise_ceiling.shape not in ((), (n_voxels,)):
            raise ValueError(f"Expected a noise ceiling a voxel, ({n_voxels},), got shape {noise_ceiling.shape}.")
        noise_ceiling = np.broadcast_to(noise_ceiling, (n_voxels,))
    if scores is None or (isinstance(scores, Mapping) and not scores):
        return {}, noise_ceiling
    scores = dict(scores) if isinstance(scores, Mapping) else {"model": scores}
    prepared = {str(name): _prepare(name, one, noise_ceiling, noise_floor, n_voxels) for name, one in scores.items()}
    reported = reported_model(prepared)
    return {reported: prepared[reported], **prepared}, noise_ceiling


def reported_model(scores):
    """The first model that is more than surprisal."""
    return next((name for name in scores if name != "surprisal"), next(iter(scores)))


def _prepare(name, result, noise_ceiling, noise_floor, n_voxels):
    if not isinstance(result, VoxelScores):
        raise ValueError(
            f"scores must be what cross_val_voxel_scores gives, or a dictionary of it, got {type(result).__name__} for "
            f"{name!r}."
        )
    raw = np.asarray(result.scores, dtype=np.float64)
    if raw.shape != (n_voxels,):
        raise ValueError(f"Expected a score a voxel, {n_voxels}, but {name!r} has {raw.shape[-1]}.")
    metric, shown = _SYMBOLS[result.metric], raw
    if noise_ceiling is not None:
        shown = normalize_scores(raw, ceiling_of(result.metric, noise_ceiling))
        shown = np.where(noise_ceiling >= noise_floor, shown, np.nan)
    return Scores(shown, raw, metric, result.splits, result.predictions)


def summary(values):
    """Number of voxels, quartiles, mean and share above zero of the finite scores."""
    finite = values[np.isfinite(values)]
    if len(finite) == 0:
        return {"n": 0, **dict.fromkeys(("mean", "q25", "median", "q75", "positive"), np.nan)}
    q25, median, q75 = np.quantile(finite, [0.25, 0.5, 0.75])
    return {
        "n": len(finite),
        "mean": finite.mean(),
        "q25": q25,
        "median": median,
        "q75": q75,
        "positive": np.mean(finite > 0),
    }
