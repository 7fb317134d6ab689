"""Rows that were pooled over tokens, and know it."""

from __future__ import annotations

import numpy as np


class PooledRows(np.ndarray):
    """Activations of texts, pooled over their tokens: an array in all respects, which an SAE can tell from tokens."""


def pooled_rows(rows: np.ndarray, pooling: str) -> np.ndarray:
    """Mark rows as pooled, unless each is a token's."""
    return rows if pooling in ("last", "first") else rows.view(PooledRows)


def is_pooled(X) -> bool:
    """Whether rows say that they were pooled."""
    return isinstance(X, PooledRows)
