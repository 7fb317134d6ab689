"""Checks of tables of reading times: every fault names its column and the first row that has it."""

from __future__ import annotations

import numpy as np
import pandas as pd


def checked_table(table, columns, what="the table"):
    """The table, if it is a DataFrame that has the columns."""
    if not isinstance(table, pd.DataFrame):
        raise TypeError(f"Expected {what} as a pandas DataFrame with a row an observation, got {type(table).__name__}.")
    if not len(table):
        raise ValueError(f"Expected at least one row, but {what} is empty.")
    missing = [column for column in columns if column not in table.columns]
    if missing:
        raise ValueError(f"Column(s) {missing} not in {what}, which has {list(table.columns)}.")
    return table


def checked_levels(table, column):
    """Labels of a grouping column as strings, integers or categories: floats are refused, since they are mistakes."""
    values = table[column]
    is_float = pd.api.types.is_float_dtype(values.dtype)
    if values.dtype == object:
        floats = [value for value in values if isinstance(value, float | np.floating) and not pd.isna(value)]
        is_float = bool(floats)
    if is_float:
        example = values.dropna().iloc[0] if values.notna().any() else np.nan
        raise ValueError(
            f"Column {column!r} groups rows, but holds floats (such as {example!r}). Whole numbers turn into floats "
            "when a value is missing or tables are joined. Give strings, integers or categories."
        )
    return values


def checked_unique(table, columns, what):
    """Raise if rows repeat in the columns, naming the first that does."""
    columns = list(columns)
    repeated = table.duplicated(columns, keep=False)
    if repeated.any():
        first = table.loc[repeated, columns].iloc[0]
        where = np.flatnonzero(repeated.to_numpy())
        named = ", ".join(f"{column} {first[column]!r}" for column in columns)
        raise ValueError(
            f"Each {what} must have one row, but {int(repeated.sum())} rows share theirs with another, first {named} "
            f"in rows {where[0]} and {_next_equal(table, columns, where)}."
        )


def _next_equal(table, columns, where):
    first = tuple(table.iloc[where[0]][columns])
    return next(row for row in where[1:] if tuple(table.iloc[row][columns]) == first)


def complete_rows(table, columns, missing):
    """Which rows (booleans) have a value in all columns; raises where rows lack one and ``missing="raise"``."""
    complete = table[list(columns)].notna().all(axis=1).to_numpy()
    if missing == "raise" and not complete.all():
        empty = {column: int(table[column].isna().sum()) for column in columns if table[column].isna().any()}
        raise ValueError(
            f"{int((~complete).sum())} of {len(table)} rows lack a value, first row {int(np.argmin(complete))}; "
            f"missing by column: {empty}. Set missing='drop' to leave such rows out, as R's lmer does."
        )
    if not complete.any():
        raise ValueError(f"No row has a value in all of {list(columns)}.")
    return complete


def positions_of(labels, known, what, where):
    """Place of each label among the known ones; unknown ones are named."""
    index = pd.Index(known)
    places = index.get_indexer(pd.Index(labels))
    if (places < 0).any():
        unknown = pd.unique(pd.Series(labels)[places < 0])
        raise ValueError(
            f"{len(unknown)} {what}(s) of the table have no entry in {where}, first {list(unknown[:3])!r}; it has such "
            f"as {list(index[:3])!r}. Are these the words of another text?"
        )
    return places


def join_words(times, words, *, on="item"):
    """Add the columns of a table of words to every reading time.

    Parameters
    ----------
    times : DataFrame
        A row a reader and word.

    words : DataFrame
        A row a word, with the column ``on``. Its columns that ``times`` has already are left out.

    on : str, default="item"
        Column that names the word, in both.

    Returns
    -------
    joined : DataFrame
        ``times`` with the same rows in the same order, and the words' columns added.

    Raises
    ------
    ValueError
        If a word has two rows, or a word of ``times`` has none: it says which.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.reading import join_words
    >>> times = pd.DataFrame({"participant": ["a", "b"], "item": ["w1", "w1"], "rt": [310, 280]})
    >>> words = pd.DataFrame({"item": ["w1", "w2"], "length": [4, 2]})
    >>> join_words(times, words)["length"].tolist()
    [4, 4]
    """
    checked_table(times, [on], "times")
    checked_table(words, [on], "words")
    checked_unique(words, [on], "word")
    places = positions_of(times[on], words[on], "word", "words")
    new = [column for column in words.columns if column not in times.columns]
    added = words[new].iloc[places].set_axis(times.index)
    return pd.concat([times, added], axis=1)
