"""Sparse encoding models from language-model features to brain responses, as scikit-learn estimators."""

from __future__ import annotations

import importlib
from typing import TYPE_CHECKING

__version__ = "0.1.0.dev0"

if TYPE_CHECKING:  # for type checkers and editors, which don't run __getattr__; a test holds it against _HOMES
    from .activations import LMActivationTransformer
    from .banded import BandedRidgeEncoder
    from .encoder import SparseVoxelEncoder
    from .language_model import LanguageModel
    from .masking import MaskedTargetRegressor
    from .metrics import cross_val_voxel_scores, make_voxel_scorer
    from .pipeline import make_augmented_encoder
    from .reading import ReadingTimeModel
    from .sae import SAEProjector
    from .surprisal import SurprisalTransformer
    from .timing import RunwiseRegressor, StoryRun
    from .tokens import TokenTable

# What a user types first, and the module it lives in: each is imported when it is asked for (PEP 562).
_HOMES = {
    "BandedRidgeEncoder": "banded",
    "LMActivationTransformer": "activations",
    "LanguageModel": "language_model",
    "MaskedTargetRegressor": "masking",
    "ReadingTimeModel": "reading",
    "RunwiseRegressor": "timing",
    "SAEProjector": "sae",
    "SparseVoxelEncoder": "encoder",
    "StoryRun": "timing",
    "SurprisalTransformer": "surprisal",
    "TokenTable": "tokens",
    "cross_val_voxel_scores": "metrics",
    "make_augmented_encoder": "pipeline",
    "make_voxel_scorer": "metrics",
}

__all__ = [
    "BandedRidgeEncoder",
    "LMActivationTransformer",
    "LanguageModel",
    "MaskedTargetRegressor",
    "ReadingTimeModel",
    "RunwiseRegressor",
    "SAEProjector",
    "SparseVoxelEncoder",
    "StoryRun",
    "SurprisalTransformer",
    "TokenTable",
    "cross_val_voxel_scores",
    "make_augmented_encoder",
    "make_voxel_scorer",
]


def __getattr__(name: str):
    if name not in _HOMES:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    value = getattr(importlib.import_module(f"{__name__}.{_HOMES[name]}"), name)
    globals()[name] = value  # the next access doesn't come here
    return value


def __dir__() -> list[str]:
    return sorted({*globals(), *__all__})
