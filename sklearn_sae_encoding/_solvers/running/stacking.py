"""Solutions of blocks to one solution of all targets."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse


def stack(solutions: list[NamedTuple]) -> NamedTuple:
    """Put the rows of each field one below the other."""
    first = solutions[0]
    if len(solutions) == 1:
        return first
    return type(first)(*(_stacked(parts) for parts in zip(*solutions, strict=True)))


def _stacked(parts):
    if isinstance(parts[0], tuple):
        return stack(parts)
    return sparse.vstack(parts, format="csr") if sparse.issparse(parts[0]) else np.concatenate(parts)
