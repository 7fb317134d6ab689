"""Word tables: their times, their marks, and the text that they make."""

from __future__ import annotations

import re
import unicodedata
import warnings
from collections import Counter
from numbers import Real

import numpy as np
import pandas as pd

# What transcripts hold beside words: pauses, breath, laughter, noise. Whatever stands in brackets is a mark, too.
MARKS = ("", "sp", "sil", "ns", "lg", "br", "ls", "cg", "sl", "spn", "<unk>", "sentence_start", "sentence_end")
_BRACKETED = re.compile(r"\[.*\]|\{.*\}|<.*>")

# Seconds that no spoken word lasts, and a repetition time that no scanner has: such times are in another unit.
_LONGEST_WORD = 10.0
_LONGEST_T_R = 50.0
_MOST_WORDS = 40.0  # a second, more than there are phones in fast speech; beyond, times are minutes
_OVERLAP = 1e-3  # seconds; aligners round
_MOST_UNPLACED = 0.5  # share of the words; beyond, the text is another one

_NAMED = 5  # words that a message names


def check_words(words):
    """Check a table of words and their times, and give it with an index of its own.

    Returns the table with the columns ``word`` (str), ``onset``, ``offset`` (float, seconds) and all others.
    """
    if not isinstance(words, pd.DataFrame):
        raise TypeError(
            "words must be a DataFrame with the columns word, onset and offset (in seconds), got "
            f"{type(words).__name__}."
        )
    missing = [column for column in ("word", "onset", "offset") if column not in words]
    if missing:
        raise ValueError(
            f"The word table has no column {missing[0]!r}; it has {', '.join(map(str, words.columns)) or 'none'}. It "
            "needs word, onset and offset, in seconds: words without times can't be put to scans."
        )
    words = words.reset_index(drop=True).copy()
    if len(words) == 0:
        raise ValueError("The word table holds no word.")
    words["word"] = ["" if pd.isna(word) else str(word) for word in words["word"]]
    for column in ("onset", "offset"):
        times = pd.to_numeric(words[column], errors="coerce").to_numpy(dtype=np.float64)
        bad = np.flatnonzero(~np.isfinite(times))
        if len(bad):
            raise ValueError(
                f"Word {bad[0]} ({words['word'][bad[0]]!r}) has the {column} {words[column][bad[0]]}: no time."
            )
        words[column] = times
    _check_order(words)
    return words


def _check_order(words):
    onset, offset = words["onset"].to_numpy(), words["offset"].to_numpy()
    bad = np.flatnonzero(offset < onset)
    if len(bad):
        raise ValueError(f"{len(bad)} word(s) end before they begin: {named(words, bad)}.")
    bad = np.flatnonzero(np.diff(onset) < 0)
    if len(bad):
        raise ValueError(
            f"{len(bad)} word(s) begin before the word in front of them: {named(words, bad + 1)}. A run's words follow "
            "time; a table of several runs has to be split into runs first."
        )


def take_marks(words, marks):
    """Take out what is no word; gives the words that are left and how often each mark stood there."""
    folded = {mark.casefold() for mark in marks}
    is_mark = np.array(
        [word.strip().casefold() in folded or bool(_BRACKETED.fullmatch(word.strip())) for word in words["word"]]
    )
    if is_mark.all():
        raise ValueError(f"The word table holds marks alone, such as {words['word'][0]!r}, but no word.")
    return words[~is_mark].reset_index(drop=True), Counter(words["word"][is_mark])


def check_t_r(t_r):
    """Check a repetition time, in seconds."""
    if t_r is None:
        raise ValueError("The repetition time is missing: give t_r, the seconds from one scan to the next.")
    if not isinstance(t_r, Real) or not 0 < t_r < np.inf:
        raise ValueError(f"t_r must be a positive number of seconds, got {t_r!r}.")
    if t_r > _LONGEST_T_R:
        raise ValueError(f"A repetition time of t_r={t_r:g} s is not plausible: give seconds, not milliseconds.")
    return float(t_r)


def check_clock(words, onset, n_scans, t_r):
    """Refuse word times of a wrong unit or another recording, and warn of words that overlap or fall outside."""
    lasting = np.median(words["offset"] - words["onset"])
    duration = n_scans * t_r
    begin, end = words["onset"].to_numpy() + onset, words["offset"].to_numpy() + onset
    if lasting > _LONGEST_WORD or (words["onset"].iloc[-1] - words["onset"].iloc[0]) > 100 * duration:
        raise ValueError(
            f"The word times look like milliseconds: a word lasts {lasting:g} in the median, and the last of them ends "
            f"at {words['offset'].iloc[-1]:g}, while the run's {n_scans} scans take {duration:g} s. Give seconds."
        )
    spread = words["onset"].iloc[-1] - words["onset"].iloc[0]
    if len(words) > 20 and 0 < spread < len(words) / _MOST_WORDS:
        raise ValueError(
            f"{len(words)} words begin within {spread:g} s, {len(words) / spread:.0f} a second: the word times look "
            "like minutes. Give seconds."
        )
    outside = np.flatnonzero(((end <= 0) & (begin < 0)) | (begin >= duration))
    where = (
        f"{n_scans} scans of {t_r:g} s that last from 0 to {duration:g} s, the stimulus beginning at onset={onset:g} s"
    )
    if len(outside) == len(words):
        raise ValueError(
            f"All {len(words)} words lie outside the scans ({where}): the first begins at {begin[0]:g} s. Check onset, "
            "n_scans and t_r, and that words and scans belong to one run."
        )
    if len(outside):
        warnings.warn(
            f"{len(outside)} of {len(words)} words lie before the first or after the last scan ({where}): "
            f"{named(words, outside)}.",
            stacklevel=4,
        )
    overlapping = np.flatnonzero(words["onset"].to_numpy()[1:] < words["offset"].to_numpy()[:-1] - _OVERLAP) + 1
    if len(overlapping):
        warnings.warn(
            f"{len(overlapping)} of {len(words)} words begin before the word in front of them has ended: "
            f"{named(words, overlapping)}.",
            stacklevel=4,
        )


def named(words, rows):
    """Name words with their times."""
    rows = np.asarray(rows)
    first = [f"{words['word'].iloc[row]!r} at {words['onset'].iloc[row]:.3f} s" for row in rows[:_NAMED]]
    return ", ".join(first) + (", ..." if len(rows) > _NAMED else "")


def place_words(text, words, unplaced):
    """Find where words stand in the running text; names those that don't, which get an empty place."""
    from sklearn_sae_encoding.tokens import align_words

    spans = align_words(text, list(words["word"]), punctuation=True, on_unplaced="ignore")
    missing = np.flatnonzero(spans[:, 0] == spans[:, 1])
    if len(missing) > _MOST_UNPLACED * len(words):
        raise ValueError(
            f"{len(missing)} of {len(words)} words don't stand in the text ({text[:40]!r}...): {named(words, missing)}."
            " Are text and words of the same story?"
        )
    message = (
        f"{len(missing)} of {len(words)} words don't stand in the text, so that a language model says nothing of them: "
        f"{named(words, missing)}."
    )
    if unplaced not in ("warn", "raise", "ignore"):
        raise ValueError(f"unplaced must be 'warn', 'raise' or 'ignore', got {unplaced!r}.")
    if len(missing) and unplaced == "raise":
        raise ValueError(message)
    if len(missing) and unplaced == "warn":
        warnings.warn(message, stacklevel=5)
    return spans


def join_words(words):
    """Join words into a running text: clitics lean on their neighbour, scripts without spaces get none.

    Returns the text and the place of each word in it, an array of shape (n_words, 2) of characters.
    """
    text, spans = "", []
    for word in words:
        if text and not _leans(text, word):
            text += " "
        spans.append((len(text), len(text) + len(word)))
        text += word
    return text, np.array(spans, dtype=np.intp).reshape(-1, 2)


def _leans(text, word):
    """Whether no space stands between a text and the word that follows: "what" + "'s", "j'" + "avais", 我 + 有."""
    if word[:1] in "'’" or word.casefold() in ("n't", "n’t"):
        return True
    if text[-1] in "'’":
        before = text.rsplit(" ", 1)[-1]
        return len(before) <= 3 or before.casefold() in ("lorsqu'", "puisqu'", "quelqu'", "jusqu'")
    return is_unspaced(text[-1]) and is_unspaced(word[:1])


def is_unspaced(character):
    """Whether a character belongs to a script that is written without spaces."""
    return bool(character) and any(
        unicodedata.name(character, "").startswith(script) for script in ("CJK", "HIRAGANA", "KATAKANA")
    )


def warn_of_bare_text(text, stacklevel=3):
    """Warn of a transcript that has lost its case or its punctuation, which language models need."""
    letters = [character for character in text if character.isalpha()]
    cased = [character for character in letters if character.lower() != character.upper()]
    lost = []
    if len(cased) > 200 and (all(c.isupper() for c in cased) or all(c.islower() for c in cased)):
        lost.append("all letters have one case")
    if len(letters) > 200 and not any(unicodedata.category(c).startswith("P") and c not in "'’-" for c in text):
        lost.append("there is no punctuation")
    if lost:
        warnings.warn(
            f"In the text ({text[:40]!r}...) {' and '.join(lost)}. A language model reads such a transcript worse than "
            "the text that was spoken: give that as text=, or a function that restores it.",
            stacklevel=stacklevel,
        )
