"""Files with word times to word tables."""

from __future__ import annotations

import csv
import os

import pandas as pd

from sklearn_sae_encoding._annex import require_file

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
        ``word``, ``onset``, ``offset``, and all other columns of the file. Rows without a word (``n/a``) are left out.

    Raises
    ------
    ValueError
        If a column is missing, or a row has a word but no time.
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
    named_rows = ~table[names["word"]].str.strip().str.casefold().isin(("", "n/a"))
    table = table[named_rows].reset_index(drop=True)
    onset = _numbers(table, names["onset"], path, names["word"])
    if names["offset"] in table:
        offset = _numbers(table, names["offset"], path, names["word"])
    else:
        offset = onset + _numbers(table, duration, path, names["word"])
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


def _numbers(table, column, path, word):
    numbers = pd.to_numeric(table[column], errors="coerce")
    bad = numbers.isna().to_numpy().nonzero()[0]
    if len(bad):
        row = int(bad[0])
        raise ValueError(
            f"Row {row} of {path} ({table[word][row]!r}) has the {column} {table[column][row]!r}: no number."
        )
    return numbers
