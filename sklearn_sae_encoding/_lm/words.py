"""Tokens to words: surprisal summed over a word's tokens, with the leading-whitespace correction."""

from __future__ import annotations

import re
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._lm.head import LOG_P, LOG_START_AFTER, LOG_START_BEFORE, STARTS_WORD

_WORD = re.compile(r"\S+")


class Words(NamedTuple):
    """The words of one text: what stands between white space."""

    first: np.ndarray  # (n_words + 1,), int64: position of each word's first token, and the number of tokens
    spans: np.ndarray  # (n_words, 2), int64: first and last + 1 character in the text


def words_of(text: str, offsets: np.ndarray) -> Words:
    """Words of `text`, each with the tokens that start in it or in the white space before it.

    White space at the end goes to the last word. Words that share a token become one.
    """
    spans = np.array([match.span() for match in _WORD.finditer(text)], dtype=np.int64).reshape(-1, 2)
    # A token belongs to the first word that does not end before the token starts.
    word_of_token = np.minimum(np.searchsorted(spans[:, 1], offsets[:, 0], side="right"), len(spans) - 1)
    named, first = np.unique(word_of_token, return_index=True)
    last = np.append(named[1:] - 1, len(spans) - 1)
    return Words(np.append(first, len(offsets)), np.column_stack([spans[named, 0], spans[last, 1]]))


def word_names(text: str, words: Words) -> list[str]:
    """The words as they are spelled in `text`."""
    return [text[start:end] for start, end in words.spans.tolist()]


def token_surprisal(scores: np.ndarray) -> np.ndarray:
    """Surprisal in nats of each token, ``(n_tokens,)``."""
    return -scores[:, LOG_P].astype(np.float64)


def word_surprisal(scores: np.ndarray, words: Words) -> np.ndarray:
    """Surprisal in nats of each word, ``(n_words,)``, from the `scores` of its tokens.

    Tokenizers put the white space before a word into its first token, so that the probability of a word that is over
    is told only by the next token: its sum of token surprisals belongs to "the word begins so" rather than "the word
    is this". The correction moves the probability that a word starts from the next word to this one (Pimentel and
    Meister 2024; Oh and Schuler 2024).
    """
    scores = scores.astype(np.float64)
    first, after = words.first[:-1], words.first[1:]
    summed = -np.add.reduceat(scores[:, LOG_P], first)
    if np.isnan(scores[:, STARTS_WORD]).any():
        return summed
    starts = scores[first, STARTS_WORD] > 0
    ends = np.append(starts[1:], True)
    before = np.where(starts, scores[first, LOG_START_BEFORE], 0.0)
    return summed + before - np.where(ends, scores[after - 1, LOG_START_AFTER], 0.0)
