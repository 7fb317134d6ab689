"""A corpus' list of words to where each stands in a running text."""

from __future__ import annotations

import unicodedata
import warnings

import numpy as np

from sklearn_sae_encoding._tokens.placing import Placed, Stream, letters_of, place, place_similar, stream_of

_ON_UNPLACED = ("raise", "warn", "ignore")
_APOSTROPHES = str.maketrans(dict.fromkeys("’‘ʼ`´", "'"))


def align_words(text, words, *, similar=0.5, punctuation=False, on_unplaced="raise"):
    """Find where a corpus' own words stand in a running text.

    Compared are letters and digits, without regard to case, accents and punctuation, so that ``"what"``, ``"'s"`` are
    found in *What's*, ``"j'"``, ``"avais"`` in *J’avais*, and Chinese words without spaces. Words keep their order. A
    text without words, such as a title, is passed over, and so are words that the text does not have: those are named.

    Parameters
    ----------
    text : str
        The running text.
    words : sequence of str
        The words in order. None, NaN and white space stand for words without spelling.
    similar : float, default=0.5
        How alike a word and the text must be where they are spelled otherwise (*labled*, *labelled*) and the words
        around them are found: the letters that they have in common in order, of those of both. 1 wants all letters.
    punctuation : bool, default=False
        Whether the punctuation that clings to a word belongs to it: up to white space or the next word, an opening
        bracket or quotation mark to the word after it. Punctuation that a word of the list spells always does.
    on_unplaced : {"raise", "warn", "ignore"}, default="raise"
        What to do about words that are not in the text.

    Returns
    -------
    ndarray of int of shape (n_words, 2)
        First and last + 1 character of each word. Words without spelling, and those that the text does not have, get
        an empty span at the end of the word before: there ``start == end``.

    Raises
    ------
    ValueError
        If words are not in the text, with their names and positions.

    Examples
    --------
    >>> from sklearn_sae_encoding.tokens import align_words
    >>> text = "`What's this?' thought Alice."
    >>> spans = align_words(text, ["what", "'s", "this", "thought", "alice"])
    >>> [text[start:end] for start, end in spans]
    ['What', "'s", 'this', 'thought', 'Alice']
    """
    if on_unplaced not in _ON_UNPLACED:
        raise ValueError(f"on_unplaced must be one of {', '.join(_ON_UNPLACED)}, got {on_unplaced!r}.")
    if not isinstance(text, str) or isinstance(words, str):
        raise ValueError("Expected a text, and a list of words; split a string into words first.")
    spelled = [_spelled(word, i) for i, word in enumerate(words)]
    if not any(spelled):
        raise ValueError("Expected at least one word with letters, got none.")
    spans = _spans_of(text, spelled, similar)
    unplaced = [i for i, (word, span) in enumerate(zip(spelled, spans, strict=True)) if word and span is None]
    if unplaced and on_unplaced != "ignore":
        _complain(spelled, unplaced, on_unplaced)
    filled = _with_empty_spans(spans)
    return _with_punctuation(text, filled) if punctuation else filled


def _spelled(word, index: int) -> str:
    if word is None or type(word).__name__ == "NAType" or (isinstance(word, float) and word != word):
        return ""
    if not isinstance(word, str):
        raise ValueError(f"Word {index} is of type {type(word).__name__}, not a string: {word!r}.")
    return word.strip()


def _spans_of(text: str, words: list[str], similar: float) -> list[tuple[int, int] | None]:
    """First and last + 1 character of each word, None for those without spelling or place."""
    stream, plain = stream_of(text), text.translate(_APOSTROPHES)
    cores = ["".join(letter for letter, _ in letters_of(word)) for word in words]
    with_letters = [i for i, core in enumerate(cores) if core]
    placed = place_similar(
        [cores[i] for i in with_letters], stream, place([cores[i] for i in with_letters], stream), similar
    )
    spans: list[tuple[int, int] | None] = [None] * len(words)
    for i, found in zip(with_letters, placed, strict=True):
        if found is not None:
            spans[i] = _characters(plain, words[i].translate(_APOSTROPHES), stream, found)
    _place_marks(plain, words, cores, spans)
    return spans


def _characters(text: str, word: str, stream: Stream, found: Placed) -> tuple[int, int]:
    """From letters to characters: with accents, and with the punctuation that the word itself spells."""
    start, end = int(stream.at[found.first]), int(stream.at[found.last - 1]) + 1
    while end < len(text) and unicodedata.category(text[end]).startswith("M"):
        end += 1
    inside = [i for i, char in enumerate(word) if letters_of(char)]
    before, after = word[: inside[0]], word[inside[-1] + 1 :]
    n_before = _common(before[::-1], text[max(start - len(before), 0) : start][::-1])
    return start - n_before, end + _common(after, text[end : end + len(after)])


def _common(first: str, second: str) -> int:
    """Length of what two strings begin with alike."""
    n = 0
    while n < min(len(first), len(second)) and first[n] == second[n]:
        n += 1
    return n


def _place_marks(text: str, words: list[str], cores: list[str], spans: list) -> None:
    """Place words without letters, such as a dash, as they are spelled between their neighbours."""
    ends, done = np.maximum.accumulate([0 if span is None else span[1] for span in spans]), 0
    starts = [len(text)] * (len(words) + 1)
    for i in range(len(words) - 1, -1, -1):
        starts[i] = starts[i + 1] if spans[i] is None else spans[i][0]
    for i, (word, core) in enumerate(zip(words, cores, strict=True)):
        done = max(done, int(ends[i]))
        if word and not core:
            at = text.find(word.translate(_APOSTROPHES), done, starts[i])
            if at >= 0:
                spans[i] = (at, at + len(word))
                done = at + len(word)


def _with_empty_spans(spans: list) -> np.ndarray:
    filled, end = np.zeros((len(spans), 2), dtype=np.int64), 0
    for i, span in enumerate(spans):
        filled[i] = (end, end) if span is None else span
        end = filled[i, 1]
    return filled


def _with_punctuation(text: str, spans: np.ndarray) -> np.ndarray:
    """Stretch words over the punctuation between them, which is not white space."""
    spans = spans.copy()
    own = np.flatnonzero(spans[:, 0] < spans[:, 1])
    edges = np.append(spans[own, 1], len(text))  # where the text between words begins
    begins = np.append(spans[own, 0], len(text))
    for k in range(len(own) + 1):
        first, last = (int(edges[k - 1]) if k else 0), int(begins[k])
        to_next = _clinging_to_next(text, first, last) if k < len(own) else 0
        if k < len(own):
            spans[own[k], 0] -= to_next
        if k:
            spans[own[k - 1], 1] += _clinging_to_last(text, first, last - to_next)
    empty = spans[:, 0] >= spans[:, 1]
    for i in np.flatnonzero(empty):
        spans[i] = spans[i - 1, 1] if i else 0
    return spans


def _clinging_to_next(text: str, first: int, last: int) -> int:
    """How many characters before a word cling to it: all up to white space, or what opens after a word."""
    at = last
    while at > first and not text[at - 1].isspace():
        at -= 1
    if at > first or first == 0:  # after white space, or at the text's beginning
        return last - at
    opening = last
    while opening > first and unicodedata.category(text[opening - 1]) in ("Ps", "Pi"):
        opening -= 1
    return last - opening


def _clinging_to_last(text: str, first: int, last: int) -> int:
    at = first
    while at < last and not text[at].isspace():
        at += 1
    return at - first


def _complain(words: list[str], unplaced: list[int], how: str) -> None:
    named = ", ".join(f"{words[i]!r} ({i})" for i in unplaced[:20])
    more = f" and {len(unplaced) - 20} more" if len(unplaced) > 20 else ""
    message = (
        f"{len(unplaced)} of {len(words)} words are not in the text where the words around them are (position from 0): "
        f"{named}{more}."
    )
    if how == "raise":
        raise ValueError(
            f"{message} Is it another text? Correct the list or the text, or set on_unplaced='warn' to give these "
            "words empty spans, so that they stand for the word before them."
        )
    warnings.warn(message, UserWarning, stacklevel=3)
