"""Words of a table to running texts, and the place of each word in them."""

from __future__ import annotations

import unicodedata
import warnings
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_sae_encoding.reading._rows import checked_table, checked_unique
from sklearn_sae_encoding.tokens import align_words

_APOSTROPHES = ("'", "’")


class RunningText(NamedTuple):
    """A text, and where each word of a list stands in it."""

    #: the text.
    text: str
    #: ``(n_words, 2)``: first and last + 1 character. A word without spelling has an empty span after the word before.
    spans: np.ndarray


def running_text(words, *, separator=" "):
    """Put a list of words together to a text, for corpora that come as words alone.

    With a space between words, elisions and clitics are closed up: nothing stands after a word that ends in an
    apostrophe (French *j'*, *avais*) or before one that begins with an apostrophe or hyphen (*'s*, *-il*) or is *n't*.

    Parameters
    ----------
    words : sequence of str
        Missing words and white space stand for words without spelling.

    separator : str, default=" "
        What stands between words; ``""`` for Chinese.

    Returns
    -------
    running : :class:`RunningText`

    Examples
    --------
    >>> from sklearn_sae_encoding.reading import running_text
    >>> running = running_text(["lorsque", "j'", "avais", "six", "ans"])
    >>> running.text, running.spans[2].tolist()
    ("lorsque j'avais six ans", [10, 15])
    >>> running_text(["当", "我", "还"], separator="").text
    '当我还'
    """
    text, spans, end = "", [], 0
    previous = ""
    for word in words:
        spelled = "" if _is_missing(word) else str(word).strip()
        if not spelled:
            spans.append((end, end))
            continue
        text += separator if previous and not (separator and _closes_up(previous, spelled)) else ""
        spans.append((len(text), len(text) + len(spelled)))
        text += spelled
        end, previous = len(text), spelled
    if not text:
        raise ValueError("Expected at least one word with letters, got none.")
    return RunningText(text, np.array(spans, dtype=np.int64))


def _closes_up(previous: str, word: str) -> bool:
    clitic = word[0] in ("-", *_APOSTROPHES) and len(word) > 1
    return (previous[-1] in _APOSTROPHES and len(previous) > 1) or clitic or word in ("n't", "n’t")


def _is_missing(word) -> bool:
    return word is None or (not isinstance(word, str) and pd.isna(word))


class PlacedWords(NamedTuple):
    """The texts of a table of words, with rows and spans by text, both in the order of the words."""

    texts: list  # of str
    rows: list  # of (n_words_i,) int arrays: positions in the table
    spans: list  # of (n_words_i, 2) int arrays


def place_words(table, *, word, by, order, texts=None, separator=" ", punctuation=True):
    """Put each word of a table into its text: the text that is given, or the words in a row.

    ``texts`` maps the values of the column ``by`` to texts. With ``punctuation`` a word's span has the punctuation that
    clings to it, otherwise only what is between its first and last letter or digit.
    """
    by = [by] if isinstance(by, str) else list(by)
    checked_table(table, [word, *by, order], "the table of words")
    checked_unique(table, [*by, order], "word")
    _warn_of_missing(table[word], stacklevel=4)
    if texts is not None and len(by) > 1:
        raise ValueError("texts are given by one column; join the columns of by to one.")
    placed = PlacedWords([], [], [])
    places = pd.Series(np.arange(len(table)), index=table.index)
    for name, group in table.groupby(by, sort=False, dropna=False):
        group = group.sort_values(order, kind="stable")
        label = name[0] if len(by) == 1 else name
        try:
            running = _running(group[word].tolist(), label, texts, separator, punctuation)
        except ValueError as error:
            raise ValueError(f"Text {label!r}: {error}") from error
        placed.texts.append(running.text)
        placed.rows.append(places.loc[group.index].to_numpy())
        placed.spans.append(running.spans if punctuation else without_edges(running))
    return placed


def _warn_of_missing(words, stacklevel):
    missing = words.isna().to_numpy()
    if missing.any():
        warnings.warn(
            f"{missing.sum()} of {len(words)} words are missing (NaN), the first in row {words.index[missing][0]}: "
            "they count as words without spelling, and no text holds them. pandas reads the words null, nan, None and "
            'NA so: pd.read_csv(path, keep_default_na=False). Where nothing is spelled, "" says so without a warning.',
            UserWarning,
            stacklevel=stacklevel,
        )


def _running(words, label, texts, separator, punctuation):
    if texts is None:
        return running_text(words, separator=separator)
    try:
        text = texts[label]
    except (KeyError, IndexError, TypeError) as error:
        raise ValueError(f"no text is given for it; texts has {_some(texts)}.") from error
    return RunningText(text, align_words(text, words, punctuation=punctuation))


def _some(texts):
    keys = list(texts)[:3] if hasattr(texts, "keys") else list(range(min(len(texts), 3)))
    return f"such as {keys}"


def without_edges(running: RunningText) -> np.ndarray:
    """Spans from the first to the last letter or digit of each word; a word without any keeps its own."""
    spans = running.spans.copy()
    for i, (start, end) in enumerate(running.spans.tolist()):
        inside = [at for at in range(start, end) if is_letter(running.text[at])]
        if inside:
            spans[i] = inside[0], inside[-1] + 1
    return spans


def is_letter(character: str) -> bool:
    """Whether a character is a letter, a digit or a mark upon one, in any script."""
    return unicodedata.category(character)[0] in "LNM"


def n_letters(word, *, punctuation=False) -> int:
    """Characters of a word: letters and digits, or all but marks upon others where punctuation counts."""
    if _is_missing(word):
        return 0
    kinds = [unicodedata.category(character) for character in unicodedata.normalize("NFC", str(word).strip())]
    return sum(kind[0] in "LN" or (punctuation and kind[0] in "PS") for kind in kinds)
