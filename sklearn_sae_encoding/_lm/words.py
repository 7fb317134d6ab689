"""Tokens to words: surprisal summed over a word's tokens, with the leading-whitespace correction."""

from __future__ import annotations

import re
import unicodedata
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._lm.head import LOG_P, LOG_START_AFTER, LOG_START_BEFORE, STARTS_WORD
from sklearn_sae_encoding._tokens.alignment import Words, blank
from sklearn_sae_encoding._tokens.pooling import membership

# Scripts that put no white space between words, beside those whose letters are wide.
_WITHOUT_SPACES = ("THAI", "LAO", "KHMER", "MYANMAR", "TIBETAN")


class SingleSpaced(NamedTuple):
    """A text with one space between its words, and where its characters stand in the text as it was."""

    text: str
    positions: np.ndarray  # (n_characters + 1,), int64

    def moved(self, spans: np.ndarray) -> np.ndarray:
        """Spans of the text as it was, in this one."""
        return np.searchsorted(self.positions, spans)


def single_spaced(text: str) -> SingleSpaced:
    """Put one space where any white space is, and none at the ends.

    A word after two spaces or a line's end has other tokens and another surprisal than after one space; in this form
    each word has the surprisal that it has in running text.
    """
    characters, positions = [], []
    for match in re.finditer(r"\S+", text):
        if characters:
            characters.append(" ")
            positions.append(match.start() - 1)
        characters += match.group()
        positions += range(match.start(), match.end())
    return SingleSpaced("".join(characters), np.array([*positions, len(text)], dtype=np.int64))


def word_names(text: str, words: Words) -> list[str]:
    """The words as they are spelled in `text`."""
    return [text[start:end] for start, end in words.spans.tolist()]


def token_surprisal(scores: np.ndarray) -> np.ndarray:
    """Surprisal in nats of each token, ``(n_tokens,)``."""
    return -scores[:, LOG_P].astype(np.float64)


def first_tokens(text: str, offsets: np.ndarray, words: Words) -> np.ndarray:
    """First token of each word, ``(n_words,)``: white space before it that is a token of its own belongs to it."""
    first = words.tokens[:, 0].copy()
    is_blank = np.append(0, np.cumsum(~blank(text)))[offsets]
    is_blank = (is_blank[:, 0] == is_blank[:, 1]) & (offsets[:, 0] < offsets[:, 1])
    for i in np.flatnonzero(~words.shared & ~words.joined):
        while first[i] > 0 and is_blank[first[i] - 1]:
            first[i] -= 1
    return first


def word_surprisal(scores: np.ndarray, text: str, offsets: np.ndarray, words: Words) -> np.ndarray:
    """Surprisal in nats of each word, ``(n_words,)``, from the `scores` of all tokens of a single-spaced `text`.

    Tokenizers put the white space before a word into its first token, so that the probability of a word that is over
    is told only by the next token: its sum of token surprisals belongs to "the word begins so" rather than "the word
    is this". The correction moves the probability that a word starts from the next word to this one (Pimentel and
    Meister 2024; Oh and Schuler 2024). It is made where white space is: not between the words of a Chinese text, nor
    before punctuation. A word that shares a token, or stands for the word before, counts nothing: its token is counted
    with the word that begins in it.
    """
    scores = scores.astype(np.float64)
    first, after = first_tokens(text, offsets, words), words.tokens[:, 1]
    surprisal = membership(np.column_stack([first, after]), len(scores)) @ -scores[:, LOG_P]
    if not np.isnan(scores[:, STARTS_WORD]).any():
        starts = np.append(scores[:, STARTS_WORD] > 0, writes_spaces(text))
        surprisal += np.where(starts[first], scores[first, LOG_START_BEFORE], 0.0)
        surprisal -= np.where(starts[after], scores[after - 1, LOG_START_AFTER], 0.0)
    surprisal[words.shared | words.joined] = 0.0
    return surprisal


def writes_spaces(text: str) -> bool:
    """Whether a word would follow the text's last one after white space: not in Chinese, Japanese or Thai."""
    letters = [char for char in text if char.isalnum()]
    last = letters[-1] if letters else "a"
    return unicodedata.east_asian_width(last) not in "WF" and not unicodedata.name(last, "").startswith(_WITHOUT_SPACES)
