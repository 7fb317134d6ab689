"""Tokens to words: which tokens of a text make which of its words or spans. All alignment is decided here."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

_WORD = re.compile(r"\S+")


class Words(NamedTuple):
    """The words of one text, or the spans that a caller gave, and which tokens make each."""

    spans: np.ndarray  # (n_words, 2), int64: first and last + 1 character in the text
    tokens: np.ndarray  # (n_words, 2), int64: first and last + 1 token; never empty
    shared: np.ndarray  # (n_words,), bool: begins inside a token of the word before, and has none of its own
    joined: np.ndarray  # (n_words,), bool: has no characters, and stands for the word before


def word_spans(text: str) -> np.ndarray:
    """What stands between white space: first and last + 1 character, ``(n_words, 2)``."""
    return np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)


def words_of(text: str, offsets: np.ndarray, spans: np.ndarray | None = None, *, of: str = "the text") -> Words:
    """Tokens of each word between white space, or of each span.

    A token belongs to the span that holds its first character that is not white space; a token of white space alone
    to the span that it begins in. A span that no token begins in shares the token that it is inside of. A span of no
    characters stands for the span before it, at the start of a text for the one after it. White-space words without
    any token, such as a special token that somebody typed, are left out; a given span without any is an error.
    """
    anchors, ends = _anchors(text, offsets), offsets[:, 1]
    given = spans is not None
    spans = checked_spans(spans, text, of) if given else word_spans(text)
    first, last = np.searchsorted(anchors, spans.T)
    joined = spans[:, 0] == spans[:, 1]
    shared = np.zeros(len(spans), dtype=bool)
    kept = np.ones(len(spans), dtype=bool)
    for i in np.flatnonzero((first == last) & ~joined):
        around = np.flatnonzero(ends[: first[i]] > spans[i, 0])
        if len(around):
            first[i], last[i], shared[i] = around[-1], around[-1] + 1, True
        elif given:
            raise ValueError(_without_token(text, spans[i], i, of))
        else:
            kept[i] = False
    ranges = _joined_to_neighbours(np.column_stack([first, last]), joined, of)
    return Words(spans[kept], ranges[kept], shared[kept], joined[kept])


def trimmed(text: str, offsets: np.ndarray) -> np.ndarray:
    """Offsets without the white space that some tokenizers count to the token and others don't."""
    out = offsets.copy()
    for i, (start, end) in enumerate(offsets.tolist()):
        token = text[start:end]
        if token.strip():
            out[i] = start + len(token) - len(token.lstrip()), end - len(token) + len(token.rstrip())
    return out


def checked_spans(spans, text: str, of: str) -> np.ndarray:
    """Spans as ``(n_spans, 2)`` integers inside `text`."""
    array = np.asarray(spans)
    if array.size == 0 and array.ndim <= 2:
        raise ValueError(f"Expected at least one span of {of}, got none.")
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ValueError(
            f"Expected the spans of {of} as integers of shape (n_spans, 2), first and last + 1 character, got shape "
            f"{array.shape} and dtype {array.dtype}."
        )
    array = array.astype(np.int64)
    wrong = np.flatnonzero((array[:, 0] < 0) | (array[:, 1] < array[:, 0]) | (array[:, 1] > len(text)))
    if len(wrong):
        raise ValueError(
            f"Span {wrong[0]} of {of} is {tuple(array[wrong[0]].tolist())}, which is not inside its {len(text)} "
            f"characters: {_shortened(text)}."
        )
    return array


def _anchors(text: str, offsets: np.ndarray) -> np.ndarray:
    """The character of each token that decides to which span it belongs. Tokens stand in the text's order."""
    starts = np.minimum(trimmed(text, offsets)[:, 0], max(len(text) - 1, 0))
    return np.maximum.accumulate(starts) if len(starts) else starts


def _joined_to_neighbours(ranges: np.ndarray, joined: np.ndarray, of: str) -> np.ndarray:
    """Give rows without characters the tokens of the word before, the first ones those of the word after."""
    if not joined.any():
        return ranges
    if joined.all():
        raise ValueError(f"No span of {of} has any character.")
    own = np.flatnonzero(~joined)
    source = own[np.maximum(np.searchsorted(own, np.arange(len(ranges)), side="right") - 1, 0)]
    return ranges[source]


def _without_token(text: str, span: np.ndarray, index: int, of: str) -> str:
    start, end = span.tolist()
    return (
        f"Span {index} of {of}, characters {start} to {end}, {_shortened(text[start:end])}, has no character of any "
        "token: it is white space, or the tokenizer dropped it. Leave it out, or correct its place."
    )


def _shortened(text: str, n: int = 60) -> str:
    return repr(text if len(text) <= n else text[: n - 3] + "...")
