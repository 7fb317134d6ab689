"""Files with word times to word tables."""

from __future__ import annotations

import csv
import os
import warnings

import numpy as np
import pandas as pd

from sklearn_sae_encoding._annex import require_file

_ROUNDING = 1e-3  # seconds; times are printed with as many digits
_NAMED = 3  # rows that a warning names
_TIME_NAMES = {
    "word": ("word", "text", "label", "token"),
    "onset": ("onset", "start", "begin", "xmin"),
    "offset": ("offset", "end", "stop", "xmax"),
}


def read_textgrid(path, *, tier=None):
    """Read word times from a Praat TextGrid.

    Parameters
    ----------
    path : path-like
        The file, in Praat's long or short form, UTF-8 or UTF-16. It is read by TextGridTools, which the extra
        ``textgrid`` installs.

    tier : str, default=None
        The interval tier with the words. None takes the only one, or the one that is called ``word`` or ``words``.

    Returns
    -------
    words : DataFrame
        ``word``, ``onset`` and ``offset`` in seconds of the TextGrid's clock, a row an interval that is not empty.
        Marks such as ``sp`` are still in it: :class:`StoryRun` takes them out and counts them.

    Raises
    ------
    ImportError
        If TextGridTools (``tgt``) is not installed.

    ValueError
        If there is no such tier, or the file is no TextGrid.
    """
    try:
        import tgt
    except ImportError as error:
        raise ImportError(
            "Reading TextGrids needs TextGridTools: pip install 'sklearn-sae-encoding[textgrid]' (or pip install tgt)."
        ) from error
    try:
        grid = tgt.io.read_textgrid(os.fspath(require_file(path)), encoding=_encoding(path))
    except OSError:
        raise
    except Exception as error:
        raise ValueError(f"{path} is no TextGrid that can be read: {error}") from error
    names = list(grid.get_tier_names())
    if tier is None:
        found = [name for name in names if name.casefold() in ("word", "words")] or (names if len(names) == 1 else [])
        tier = found[0] if len(found) == 1 else None
    if tier not in names:
        raise ValueError(f"{path} has the tiers {', '.join(map(repr, names))}: say by tier= which holds the words.")
    intervals = [part for part in grid.get_tier_by_name(tier) if hasattr(part, "start_time")]
    if not intervals:
        raise ValueError(f"The tier {tier!r} of {path} holds no intervals.")
    table = [(part.text.strip(), float(part.start_time), float(part.end_time)) for part in intervals]
    return pd.DataFrame([row for row in table if row[0]], columns=["word", "onset", "offset"])


def _encoding(path):
    with open(path, "rb") as file:
        return "utf-16" if file.read(2) in (b"\xff\xfe", b"\xfe\xff") else "utf-8-sig"


def read_words(path, *, columns=None):
    """Read word times from a table: CSV, TSV, or BIDS ``events.tsv``.

    Parameters
    ----------
    path : path-like
        Comma- or tab-separated, with a header. In BIDS events ``onset`` and ``duration`` are in seconds after the first
        scan's acquisition began, so that the onset of the :class:`StoryRun` is 0.

    columns : dict of str to str, default=None
        What the columns ``word``, ``onset`` and ``offset`` (or ``duration``) are called in the file, where it isn't
        that, nor ``start``, ``end`` or the like.

    Returns
    -------
    words : DataFrame
        ``word``, ``onset``, ``offset``, and all other columns of the file. Rows that spell no word (empty or ``n/a``)
        are left out. Where such a row begins when the word before it ends, it is a part of that word, as the second
        half of a contraction ("can't" and a row for "not") often is: the word then lasts to the end of the row.

    Raises
    ------
    ValueError
        If a column is missing, or a row has a word but no time.

    Warns
    -----
    UserWarning
        Counts the rows that are left out and those of them that lengthen a word, and names the first.
    """
    with open(require_file(path), encoding="utf-8-sig", newline="") as file:
        header = file.readline()
    separator = "\t" if header.count("\t") >= header.count(",") and "\t" in header else ","
    # Words such as "null", "nan" and "NA" are words.
    table = pd.read_csv(
        path,
        sep=separator,
        encoding="utf-8-sig",
        keep_default_na=False,
        na_values={},
        dtype=str,
        quoting=_quoting(header),
    )
    columns = dict(columns or {})
    names = {name: columns.pop(name, None) or _find(table, name) for name in ("word", "onset", "offset")}
    duration = columns.pop("duration", "duration" if "duration" in table else None)
    if columns:
        raise ValueError(f"columns names word, onset, offset and duration, got {', '.join(map(repr, columns))}.")
    for name in ("word", "onset") if duration in table else ("word", "onset", "offset"):
        if names[name] not in table:
            raise ValueError(
                f"{path} has no column for {name!r}; it has {', '.join(map(str, table.columns))}. Say by columns= "
                "which."
            )
    spelled = ~table[names["word"]].str.strip().str.casefold().isin(("", "n/a")).to_numpy()
    onset = _numbers(table, names["onset"], path, names["word"], spelled)
    if names["offset"] in table:
        offset = _numbers(table, names["offset"], path, names["word"], spelled)
    else:
        offset = onset + _numbers(table, duration, path, names["word"], spelled)
    if not spelled.all():
        offset = _without_rows(table[names["word"]].to_numpy(), onset, offset, spelled, path)
    table, onset, offset = table[spelled].reset_index(drop=True), onset[spelled], offset[spelled]
    words = pd.DataFrame({"word": table[names["word"]], "onset": onset, "offset": offset})
    for column in table.columns:
        if column not in names.values() and column not in words and str(column).strip():
            as_number = pd.to_numeric(table[column].replace("n/a", ""), errors="coerce")
            words[column] = as_number if as_number.notna().any() else table[column]
    return words


def _quoting(header):
    return csv.QUOTE_MINIMAL if '"' in header or "," in header else csv.QUOTE_NONE


def _find(table, name):
    return next((column for column in _TIME_NAMES[name] if column in table), None)


def _numbers(table, column, path, word, spelled):
    numbers = pd.to_numeric(table[column], errors="coerce").to_numpy(dtype=np.float64)
    bad = np.flatnonzero(np.isnan(numbers) & spelled)
    if len(bad):
        row = int(bad[0])
        raise ValueError(
            f"Row {row} of {path} ({table[word][row]!r}) has the {column} {table[column][row]!r}: no number."
        )
    return numbers


def _without_rows(words, onset, offset, spelled, path):
    """Let words last to the end of rows that go on with them and spell none; say what is left out."""
    offset, lengthened, examples = offset.copy(), 0, []
    before = np.maximum.accumulate(np.where(spelled, np.arange(len(words)), -1))  # the word that a row may be part of
    for row in np.flatnonzero(~spelled):
        word = before[row]
        goes_on = word >= 0 and abs(onset[row] - offset[word]) <= _ROUNDING and offset[row] >= offset[word]
        if goes_on:
            offset[word] = offset[row]
            lengthened += 1
        after = f" after {words[word]!r}" if word >= 0 else ""
        examples.append(f"row {row} at {onset[row]:.3f} s{after}")
    n_rows = len(examples)
    warnings.warn(
        f"{n_rows:,} of {len(words):,} rows of {os.path.basename(path)} spell no word and are left out: "
        f"{', '.join(examples[:_NAMED])}{', ...' if n_rows > _NAMED else ''}. {lengthened:,} of them begin where the "
        "word before ends, as parts of contractions do: that word lasts to their end.",
        stacklevel=3,
    )
    return offset
