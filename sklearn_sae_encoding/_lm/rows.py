"""Texts to rows of token ids, as the model sees them, and rows to batches."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np


class Row(NamedTuple):
    """One window of one text, as the model sees it."""

    text: int  # position of the text in its list
    ids: np.ndarray  # (n,), int64, a beginning-of-sequence token included
    first: int  # position in the row of the first token that this row answers for
    at: int  # position in the text of that token


def make_rows(text: int, ids, bos_id: int | None, window: int, stride: int) -> list[Row]:
    """Windows of at most `window` tokens over the `ids` of a text; every token belongs to the first one it is in."""
    bos = [] if bos_id is None else [bos_id]
    width = window - len(bos)
    starts = [0] if len(ids) <= width else [*range(0, len(ids) - width, stride), len(ids) - width]
    rows, done = [], 0
    for start in starts:
        part = ids[start : start + width]
        rows.append(Row(text, np.array([*bos, *part], dtype=np.int64), len(bos) + done - start, done))
        done = start + len(part)
    return rows


def make_batches(rows: list[Row], max_tokens: int) -> Iterator[list[Row]]:
    """Rows of about the same length together, so that little is padded; at most `max_tokens` with padding.

    The windows of a text stay neighbours: a text is complete, and can be stored, as early as possible.
    """
    longest: dict[int, int] = {}
    for row in rows:
        longest[row.text] = max(longest.get(row.text, 0), len(row.ids))
    batch: list[Row] = []
    for row in sorted(rows, key=lambda row: (-longest[row.text], row.text, row.at)):
        width = max(len(other.ids) for other in [*batch[:1], row])
        if batch and width * (len(batch) + 1) > max_tokens:
            yield batch
            batch = []
        batch.append(row)
    if batch:
        yield batch
