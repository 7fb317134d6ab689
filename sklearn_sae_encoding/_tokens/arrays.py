"""Arrays of a table, one a text, dense or sparse."""

from __future__ import annotations

import numpy as np
from scipy import sparse


def given_out(value):
    return value.astype(np.float32) if sparse.issparse(value) else np.asarray(value, dtype=np.float32)


def pieces_of(text: str, offsets: np.ndarray) -> list[str]:
    """Characters of each token, and the white space since the one before."""
    pieces, done = [], 0
    for start, end in offsets.tolist():
        gap = text[min(done, start) : start]
        pieces.append((gap if gap.isspace() else "") + text[start:end])
        done = max(done, end)
    return pieces


def same_arrays(first: list, second: list) -> bool:
    return len(first) == len(second) and all(_same(a, b) for a, b in zip(first, second, strict=True))


def _same(first, second) -> bool:
    if sparse.issparse(first) != sparse.issparse(second) or first.shape != second.shape:
        return False
    if sparse.issparse(first):
        return (given_out(first) != given_out(second)).nnz == 0
    return np.array_equal(first, second)


def check_same_origin(first, second) -> None:
    """Raise unless two tables hold the same columns of the same model, hook and BOS token."""
    alike = first.origin() == second.origin() and first.is_sparse == second.is_sparse
    if not alike or (first.values and second.values and first.width != second.width):
        raise ValueError(
            "Only values of one model, hook, BOS token and width, all dense or all sparse, make one table; got "
            f"{first!r} and {second!r}."
        )
