"""Reading times to those that are analysed, with a table of what was left out and why."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_sae_encoding.reading._rows import checked_levels, checked_table, checked_unique


class Exclusions(NamedTuple):
    """Reading times that stay, and what was left out."""

    #: DataFrame with the rows that stay, in their order.
    table: pd.DataFrame
    #: DataFrame with a row a rule, in the order in which they were applied: ``reason``, ``rows`` that it removed (and
    #: no earlier rule had), ``share`` of all rows, and ``left`` after it.
    excluded: pd.DataFrame


def exclude_times(
    table,
    time,
    *,
    minimum=None,
    maximum=None,
    max_sd=None,
    first_words=0,
    last_words=0,
    where=None,
    participant="participant",
    item="item",
    by="text",
    order="number",
):
    """Leave out reading times by rules, and say what was left out and why.

    Rules apply in this order: missing times; times of zero (the word was skipped); ``where``; first and last words of
    texts; ``minimum`` and ``maximum``; ``max_sd``. A row counts for the first rule that meets it.

    Parameters
    ----------
    table : DataFrame
        A row a reader and word.

    time : str
        Column of times, in ms.

    minimum, maximum : float, default=None
        Times must lie strictly between them.

    max_sd : float, default=None
        Leaves out times whose logarithm is farther than this many standard deviations from the mean logarithm of the
        reader, among the times that the other rules leave.

    first_words, last_words : int, default=0
        How many words at the start and end of each text to leave out. The end of a text is its largest number in the
        table.

    where : dict from str to bool or list, default=None
        ``{"read_twice": True}`` leaves out rows where the column has that value, or one in the list.

    participant, item : str, default="participant", "item"
        Columns that name reader and word.

    by, order : str, default="text", "number"
        Columns with text and number of the word in it; used by ``first_words`` and ``last_words``.

    Returns
    -------
    exclusions : :class:`Exclusions`
        With ``table`` and ``excluded``.

    Raises
    ------
    ValueError
        If a column is missing, a reader has two times for a word, times are negative, or nothing is left.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_provo
    >>> from sklearn_sae_encoding.reading import exclude_times
    >>> kept = exclude_times(load_provo().times, "gaze", minimum=80, maximum=1500, first_words=1)
    >>> kept.excluded[["reason", "rows", "left"]]
                                    reason   rows    left
    0  gaze = 0: skipped, or no first pass  25475  128546
    1      one of the first 1 words a text   2819  125727
    2                           gaze <= 80      0  125727
    3                         gaze >= 1500     91  125636
    """
    columns = [time, participant, item, *(where or {}), *([by, order] if first_words or last_words else [])]
    checked_table(table, columns)
    for column in (participant, item):
        checked_levels(table, column)
    checked_unique(table, [participant, item], "pair of reader and word")
    times = table[time].to_numpy(dtype=float)
    if (times < 0).any():
        raise ValueError(
            f"{int((times < 0).sum())} times in {time!r} are negative, first row {int(np.argmax(times < 0))}."
        )
    rules = [(f"{time} missing", np.isnan(times)), (f"{time} = 0: skipped, or no first pass", times == 0)]
    rules += [
        (f"{column} in {_listed(values)}", table[column].isin(_listed(values)))
        for column, values in (where or {}).items()
    ]
    if first_words or last_words:
        rules += _rules_of_position(table, first_words, last_words, by, order)
    if minimum is not None:
        rules.append((f"{time} <= {minimum:g}", times <= minimum))
    if maximum is not None:
        rules.append((f"{time} >= {maximum:g}", times >= maximum))
    left, rows = np.ones(len(table), dtype=bool), []
    for reason, meets in rules:
        left = _apply(reason, np.asarray(meets, dtype=bool), left, rows)
    if max_sd is not None:
        far = _far_from_mean(np.log(np.where(left, times, 1.0)), left, table[participant], max_sd)
        left = _apply(f"beyond {max_sd:g} sd of the reader's log times", far, left, rows)
    if not left.any():
        raise ValueError(f"No row is left. Excluded: {pd.DataFrame(rows).to_dict('records')}.")
    excluded = pd.DataFrame(rows)
    kept = (excluded["rows"] > 0) | ~excluded["reason"].str.contains(" missing| = 0", regex=True)
    return Exclusions(table[left], excluded[kept].reset_index(drop=True))


def _listed(values):
    return [values] if np.isscalar(values) or isinstance(values, str) else list(values)


def _rules_of_position(table, first_words, last_words, by, order):
    rules = []
    number = table[order]
    if first_words:
        rules.append((f"one of the first {first_words} words a text", number <= first_words))
    if last_words:
        rules.append(
            (
                f"one of the last {last_words} words a text",
                number > table.groupby(by)[order].transform("max") - last_words,
            )
        )
    return rules


def _apply(reason, meets, left, rows):
    removed = left & meets
    left = left & ~meets
    rows.append({"reason": reason, "rows": int(removed.sum()), "share": removed.mean(), "left": int(left.sum())})
    return left


def _far_from_mean(logs, left, participants, max_sd):
    kept = pd.Series(np.where(left, logs, np.nan)).groupby(participants.to_numpy())
    distance = np.abs(logs - kept.transform("mean").to_numpy()) / kept.transform("std").to_numpy()
    return np.nan_to_num(distance) > max_sd
