"""What counts as a list of texts, and errors that name the sample that is not one."""

from __future__ import annotations

import warnings

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

_EXPECTED = "Expected a list of texts (a list, tuple, array or Series of strings, or a table with one text a row)"


def check_texts(estimator, X, *, reset: bool) -> list[str]:
    """Texts of ``X``, one a sample; sets or checks ``n_features_in_`` and ``feature_names_in_`` of `estimator`.

    One-dimensional input holds one string a sample. A table is read as one text a row, its cells joined by a space.
    Numbers in a table become strings, with a warning: they may be a swapped ``X`` and ``y``.
    """
    if X is None or isinstance(X, (str, bytes)):
        got = "None" if X is None else f"one string ({_shortened(X)})"
        raise ValueError(f"{_EXPECTED}; expected a list of texts, got {got}.")
    cells = _one_column(X)
    table = validate_data(estimator, X if cells is None else cells, reset=reset, dtype=None, ensure_all_finite=False)
    if cells is None and table.dtype.kind in "biuf":
        assert_all_finite(table, input_name="X")
        _warn_about_numbers(table)
        return [" ".join(str(cell) for cell in row) for row in table.tolist()]
    return [_text_of_row(row, i) for i, row in enumerate(table)]


def _one_column(X):
    """One-dimensional `X` as an object array of one column, or None if `X` is a table."""
    if isinstance(X, (list, tuple)):
        if any(isinstance(x, (list, tuple, np.ndarray)) for x in X):
            return None
        items = list(X)
    elif getattr(X, "ndim", None) == 1 and not hasattr(X, "toarray"):
        items = list(X)
    else:
        return None
    column = np.empty((len(items), 1), dtype=object)
    column[:, 0] = items
    for i, item in enumerate(items):
        _check_cell(item, i)
    return column


def _text_of_row(row, index: int) -> str:
    for cell in row:
        _check_cell(cell, index)
    text = " ".join(str(cell) for cell in row)
    if not text.strip():
        raise ValueError(f"The text of sample {index} is empty or only whitespace: {text!r}. Remove or fill it.")
    return text


def _check_cell(cell, index: int) -> None:
    if isinstance(cell, str):
        return
    if cell is None or cell != cell or type(cell).__name__ == "NAType":  # only NaN differs from itself
        raise ValueError(f"The text of sample {index} is missing: got {cell!r} (None or NaN). Remove or fill it.")
    raise ValueError(f"{_EXPECTED}, but sample {index} is of type {type(cell).__name__}: {_shortened(cell)}.")


def _warn_about_numbers(table: np.ndarray) -> None:
    first = _shortened(" ".join(str(cell) for cell in table[0].tolist()))
    warnings.warn(
        f"X is a table of numbers, and texts were expected; its numbers are read as words (sample 0 is {first}). "
        "Are X and y swapped?",
        UserWarning,
        stacklevel=4,
    )


def _shortened(value, n: int = 60) -> str:
    shown = repr(value)
    return shown if len(shown) <= n else shown[: n - 3] + "..."
