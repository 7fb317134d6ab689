"""Which features of an SAE, and its Matryoshka levels."""

from __future__ import annotations

from numbers import Integral

import numpy as np


def selected_features(features, n_features: int) -> np.ndarray:
    """Turn a prefix, a bin, indices or a mask into increasing indices."""
    if features is None:
        return np.arange(n_features)
    if isinstance(features, Integral):
        return _bin(0, int(features), n_features)
    if isinstance(features, tuple) and len(features) == 2:
        return _bin(*features, n_features)
    chosen = np.asarray(features)
    if chosen.ndim != 1 or (chosen.dtype.kind not in "iub" and chosen.size):
        raise ValueError(
            f"features= takes a prefix length, a (lo, hi) bin, a list of indices or a mask, got {features!r}."
        )
    if chosen.dtype == bool:
        if len(chosen) != n_features:
            raise ValueError(f"The mask in features= has {len(chosen)} entries, but the SAE has {n_features} features.")
        return np.flatnonzero(chosen)
    chosen = chosen.astype(np.int64)
    if chosen.size and (chosen.min() < 0 or chosen.max() >= n_features):
        wrong = chosen[(chosen < 0) | (chosen >= n_features)][0]
        raise ValueError(f"features= holds the index {wrong}, but the SAE has features 0 to {n_features - 1}.")
    if np.any(np.diff(chosen) <= 0):
        raise ValueError("The indices in features= must increase, so that columns stay in the SAE's own order.")
    return chosen


def _bin(lo, hi, n_features: int) -> np.ndarray:
    if not (isinstance(lo, Integral) and isinstance(hi, Integral) and 0 <= lo < hi <= n_features):
        raise ValueError(
            f"features= asks for the features from {lo} up to {hi}, but the SAE has {n_features}: expected "
            f"0 <= lo < hi <= {n_features}. For a choice of two indices give a list."
        )
    return np.arange(lo, hi)


def matryoshka_widths(widths, config: dict, n_features: int) -> tuple[int, ...] | None:
    """Take the widths that the user gives, or those of the SAE's metadata, or None."""
    if widths is None:
        metadata = config.get("metadata") or {}
        training = metadata.get("training_architecture_details") or {}
        widths = training.get("matryoshka_widths") or metadata.get("matryoshka_widths")
    if widths is None:
        return None
    widths = tuple(int(width) for width in widths)
    if not widths or widths[0] < 1 or np.any(np.diff(widths) <= 0) or widths[-1] != n_features:
        raise ValueError(
            f"widths={widths!r} must increase from at least 1 to the SAE's number of features, {n_features}."
        )
    return widths


def bins_of(widths: tuple[int, ...] | None) -> list[tuple[int, int]] | None:
    """Give the levels `[lo, hi)` between the widths."""
    return None if widths is None else list(zip((0, *widths[:-1]), widths, strict=True))
