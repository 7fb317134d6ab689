"""What counts as a list of texts, and errors that name the sample that is not one."""

from __future__ import annotations

import os
import re
import warnings
from collections.abc import Iterator, Sequence, Set, ValuesView
from numbers import Number
from typing import NamedTuple

import numpy as np
from sklearn.utils import assert_all_finite
from sklearn.utils.validation import validate_data

from sklearn_sae_encoding._tokens.spans import Spans

# Byte order mark, zero-width space, word joiner, soft hyphen. Joiners that change how Persian or emoji look are fine.
_UNSEEN = re.compile("[\ufeff\u200b\u2060\u00ad]")

_EXPECTED = "Expected a list of texts (a list, tuple, array or Series of strings, or a table with one text a row)"


class Sample(NamedTuple):
    """A text, what stands before it where that differs from text to text, and what in it the sample is about."""

    text: str
    context: str | None = None
    span: tuple[int, int] | None = None  # first and last + 1 character; None is all of it


def check_spans(spans: Spans, contexts) -> list[Sample]:
    """A sample a span, with the context of each where there is one."""
    with_contexts, contexts = contexts is not None, [None] * len(spans) if contexts is None else list(contexts)
    if not len(spans):
        raise ValueError("Expected at least one span, got none.")
    samples = []
    for i, ((text, start, end), context) in enumerate(zip(spans, contexts, strict=True)):
        if with_contexts:
            _check_cell(context, i, part="context")
        if not text[start:end].strip():
            raise ValueError(f"The span of sample {i} is only white space: {text[start:end]!r}. Remove or correct it.")
        samples.append(Sample(text, context, (start, end)))
    return _warned_of_unseen(samples, [text[start:end] for text, start, end in spans])


def check_samples(estimator, X, *, context_column: int, reset: bool) -> list[Sample]:
    """Texts of a table ``X``, with the context of each in one of its columns. A context may be empty, but not missing.

    The other columns are the text, as in :func:`check_texts`.
    """
    table = _table(estimator, X, reset=reset)
    if not context_column < table.shape[1] or table.shape[1] < 2:
        raise ValueError(
            f"context={context_column} names a column of X that holds the context of each text, besides at least one "
            f"for the texts (counted from 0), but X has {table.shape[1]} column{'s' * (table.shape[1] > 1)}. For one "
            "context before all texts, give it as a string."
        )
    samples = []
    for i, row in enumerate(table):
        _check_cell(row[context_column], i, part="context")
        samples.append(Sample(_text_of_row(np.delete(row, context_column), i), str(row[context_column])))
    return _warned_of_unseen(samples, [sample.text for sample in samples])


def check_texts(estimator, X, *, reset: bool) -> list[str]:
    """Texts of ``X``, one a sample; sets or checks ``n_features_in_`` and ``feature_names_in_`` of `estimator`.

    One-dimensional input holds one string a sample. A table is read as one text a row, its cells joined by a space.
    Numbers in a table become strings, with a warning: they may be a swapped ``X`` and ``y``.
    """
    texts = [_text_of_row(row, i) for i, row in enumerate(_table(estimator, X, reset=reset))]
    return _warned_of_unseen(texts, texts)


def _table(estimator, X, *, reset: bool) -> np.ndarray:
    if X is None or isinstance(X, (str, bytes, dict, Set, Iterator, os.PathLike)):
        one = "one string: " if isinstance(X, (str, bytes)) else ""
        raise ValueError(f"{_EXPECTED}, got {one}{_shortened(X)}.")
    X = _as_list(X)
    _check_rows_of_one_length(X)
    column = _one_column(X)
    table = validate_data(estimator, X if column is None else column, reset=reset, dtype=None, ensure_all_finite=False)
    return _with_numbers_as_words(table) if column is None else table


def _as_list(X):
    """Sequences of all kinds as a list: of datasets and pyarrow, a deque, the values of a dict. Others as they are."""
    if isinstance(X, (list, tuple)) or hasattr(X, "iloc") or getattr(X, "ndim", None) is not None:
        return X
    if hasattr(X, "column_names") and hasattr(X, "to_pandas"):  # tables of pyarrow and datasets
        return X.to_pandas()
    if hasattr(X, "to_pylist"):  # pyarrow's arrays, one or in chunks
        return X.to_pylist()
    return list(X) if isinstance(X, (Sequence, ValuesView)) else X


def _check_rows_of_one_length(X) -> None:
    """A table of lists needs rows of one length; texts that are split into words are likelier to be meant."""
    rows = [row for row in X if isinstance(row, (list, tuple))] if isinstance(X, (list, tuple)) else []
    for i, row in enumerate(X if rows else []):
        if not isinstance(row, (list, tuple, np.ndarray)) or len(row) != len(rows[0]):
            raise ValueError(
                f"{_EXPECTED}, but sample {i} is {_shortened(row)} where other samples are like {_shortened(rows[0])}: "
                "all rows of a table have as many cells. Join the words of a text by spaces."
            )


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
    for i, item in enumerate(items):
        if _is_number(item):
            raise ValueError(
                f"{_EXPECTED}, but sample {i} is the number {item!r}. Reshape your data to a table if numbers shall be "
                "read as words."
            )
    column = np.empty((len(items), 1), dtype=object)
    column[:, 0] = items
    return column


def _with_numbers_as_words(table: np.ndarray) -> np.ndarray:
    if table.dtype.kind in "OUT":
        numbers = np.array([[_is_number(cell) for cell in row] for row in table], dtype=bool)
    else:
        assert_all_finite(table, input_name="X")
        numbers = np.ones(table.shape, dtype=bool)
    if not numbers.any():
        return table
    sample, column = np.argwhere(numbers)[0]
    assert_all_finite(table[numbers].astype(float), input_name="X")
    words = table.astype(object)
    words[numbers] = [str(cell) for cell in table[numbers].tolist()]
    warnings.warn(
        f"Texts were expected, but X holds numbers; they are read as words (sample {sample} holds "
        f"{words[sample, column]} in column {column}). Are X and y swapped?",
        UserWarning,
        stacklevel=5,
    )
    return words


def _text_of_row(row, index: int) -> str:
    for cell in row:
        _check_cell(cell, index)
    text = " ".join(str(cell) for cell in row)
    if not text.strip():
        raise ValueError(f"The text of sample {index} is empty or only whitespace: {text!r}. Remove or fill it.")
    return text


def _check_cell(cell, index: int, part: str = "text") -> None:
    if isinstance(cell, str):
        _check_characters(cell, index, part)
        return
    if _is_missing(cell):
        raise ValueError(f"The {part} of sample {index} is missing: got {cell!r} (None or NaN). Remove or fill it.")
    raise ValueError(f"{_EXPECTED}, but sample {index} is of type {type(cell).__name__}: {_shortened(cell)}.")


def _check_characters(text: str, index: int, part: str) -> None:
    try:
        text.encode()
    except UnicodeEncodeError as error:
        raise ValueError(
            f"The {part} of sample {index} holds half a character, {error.object[error.start]!r} at {error.start}: a "
            "surrogate without its other half, as a wrong decoding leaves it. Read the file as UTF-8, or remove it."
        ) from error


def _warned_of_unseen(samples: list, texts: list[str]) -> list:
    """Return `samples`, after one warning if any text holds what nobody sees and a tokenizer does."""
    found = [(i, match) for i, match in enumerate(map(_UNSEEN.search, texts)) if match]
    if found:
        i, match = found[0]
        warnings.warn(
            f"{len(found)} of {len(texts)} texts {'holds' if len(found) == 1 else 'hold'} characters that nobody sees "
            f"and that change their tokens, first {match.group()!a} at {match.start()} of sample {i}. Remove them; a "
            "byte order mark (\\ufeff) stays away where the file is read as utf-8-sig.",
            UserWarning,
            stacklevel=5,
        )
    return samples


def _is_missing(cell) -> bool:
    if cell is None or type(cell).__name__ in ("NAType", "NaTType"):
        return True
    return isinstance(cell, (Number, np.generic)) and not isinstance(cell, np.str_) and bool(cell != cell)


def _is_number(cell) -> bool:
    return isinstance(cell, (Number, np.number, np.bool_)) and not _is_missing(cell)


def _shortened(value, n: int = 60) -> str:
    shown = repr(value)
    return shown if len(shown) <= n else shown[: n - 3] + "..."
