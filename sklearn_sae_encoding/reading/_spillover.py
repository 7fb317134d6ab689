"""Words to the words before them."""

from __future__ import annotations

import numpy as np
import pandas as pd

from sklearn_sae_encoding.reading._rows import checked_table, checked_unique


def add_spillover(words, columns, *, previous=(1, 2), by="text", order="number", line=None):
    """Add columns with the values of the words before: difficulty shows on later words, too.

    The word before is the one whose number is smaller by one in the same text, and in the same line where ``line``
    is given. Where there is none - the first word of a text or line, or a word that the table lacks - the value is
    missing (NaN): nothing crosses a text, line or missing word.

    Parameters
    ----------
    words : DataFrame
        A row a word.

    columns : str or list of str
        Which columns to take from the words before.

    previous : int or sequence of int, default=(1, 2)
        How many words back. Column ``surprisal`` gives ``surprisal_previous_1`` and ``surprisal_previous_2``.

    by : str or list of str, default="text"
        Column(s) that name the text.

    order : str, default="number"
        Column with the number of the word in its text, in whole steps of one.

    line : str, default=None
        Column with the line on the screen; None lets values cross lines.

    Returns
    -------
    words : DataFrame
        With the same rows and order, and the new columns.

    Raises
    ------
    ValueError
        If a column is missing, a word (text and number) has two rows, or numbers are not whole.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.reading import add_spillover
    >>> words = pd.DataFrame({"text": [1, 1, 1, 2], "number": [1, 2, 4, 1], "length": [3, 5, 2, 7]})
    >>> add_spillover(words, "length", previous=1)["length_previous_1"].tolist()
    [nan, 3.0, nan, nan]
    """
    columns = [columns] if isinstance(columns, str) else list(columns)
    by = [by] if isinstance(by, str) else list(by)
    steps = [previous] if isinstance(previous, int | np.integer) else list(previous)
    if not steps or any(int(step) != step or step < 1 for step in steps):
        raise ValueError(f"previous must be whole numbers of words from 1, got {previous!r}.")
    keys = [*by, order]
    checked_table(words, [*keys, *columns, *([line] if line else [])], "words")
    if not pd.api.types.is_integer_dtype(words[order].dtype):
        raise ValueError(f"Column {order!r} must number the words of a text in integers, got {words[order].dtype}.")
    checked_unique(words, keys, "word")
    place_of = pd.Series(np.arange(len(words)), index=pd.MultiIndex.from_frame(words[keys]))
    added = {}
    for step in steps:
        before = pd.MultiIndex.from_frame(words[keys].assign(**{order: words[order] - step}))
        places = place_of.reindex(before).to_numpy()
        # A word in between that is missing from the table breaks the chain, and so does the end of a line.
        for between in range(1, step):
            middle = pd.MultiIndex.from_frame(words[keys].assign(**{order: words[order] - between}))
            places = np.where(np.isnan(place_of.reindex(middle).to_numpy()), np.nan, places)
        there = ~np.isnan(places)
        source = places[there].astype(int)
        if line:
            same = words[line].to_numpy()[there] == words[line].to_numpy()[source]
            source = source[same]
            there[there] = same
        for column in columns:
            values = np.full(len(words), np.nan)
            values[there] = words[column].to_numpy(dtype=float)[source]
            added[f"{column}_previous_{step}"] = values
    return words.assign(**added)
