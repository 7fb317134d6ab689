"""What a token table is made of, and how it is indexed; each error names the text."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from sklearn_sae_encoding._tokens.files import PER_TEXT


def stored(value, index: int):
    """Values of one text as they are kept: two-dimensional, floats of at most 32 bits."""
    value = sparse.csr_array(value) if sparse.issparse(value) else np.asanyarray(value)
    if value.ndim != 2:
        raise ValueError(
            f"Expected one (n_tokens, width) array a text, but the array of text {index} has shape {value.shape}."
        )
    if value.dtype.kind not in "fiub":
        raise ValueError(f"Expected numbers, but the array of text {index} has dtype {value.dtype}.")
    return value.astype(np.float32) if value.dtype.kind != "f" or value.dtype.itemsize > 4 else value


def check_widths(values: list) -> None:
    """Raise unless all texts have as many columns, and are all dense or all sparse."""
    for i, value in enumerate(values):
        if value.shape[1] != values[0].shape[1]:
            raise ValueError(
                f"All texts must have values of one width, but text 0 has {values[0].shape[1]} columns and text {i} "
                f"has {value.shape[1]}."
            )
        if sparse.issparse(value) != sparse.issparse(values[0]):
            raise ValueError(f"All texts must be dense or all sparse, but text {i} is not like text 0.")


def check_lists(table) -> None:
    """Raise unless what a table knows of its texts fits its values."""
    for name in PER_TEXT:
        lists = getattr(table, name)
        if lists is None:
            continue
        if len(lists) != len(table.values):
            raise ValueError(f"Got values of {len(table.values)} texts but {name} of {len(lists)}.")
        for i, (one, value) in enumerate(zip(lists, table.values, strict=True)):
            if name != "texts" and len(one) != value.shape[0]:
                raise ValueError(f"Text {i} has values of {value.shape[0]} tokens but {len(one)} {name}.")
    if table.names is not None and table.values and len(table.names) != table.width:
        raise ValueError(f"Got {len(table.names)} names for {table.width} columns.")


def check_arrays(values, texts, offsets) -> list[np.ndarray]:
    """Raise unless values are finite and offsets stand in their texts in order; gives the offsets as arrays."""
    if isinstance(texts, str):
        raise ValueError("Expected a list of texts, got one string.")
    if not len(values) == len(texts) == len(offsets):
        raise ValueError(f"Got values of {len(values)} texts, {len(texts)} texts, and offsets of {len(offsets)}.")
    checked = []
    for i, (value, text, of_text) in enumerate(zip(values, texts, offsets, strict=True)):
        if not isinstance(text, str):
            raise ValueError(f"Text {i} is of type {type(text).__name__}, not a string.")
        value = stored(value, i)
        _check_finite(value, i)
        checked.append(_checked_offsets(of_text, text, value.shape[0], i))
    return checked


def _check_finite(value, index: int) -> None:
    wrong = np.flatnonzero(~np.isfinite(value.data if sparse.issparse(value) else value))
    if len(wrong):
        row = (
            np.searchsorted(value.indptr, wrong[0], "right") - 1
            if sparse.issparse(value)
            else wrong[0] // value.shape[1]
        )
        raise ValueError(f"The values of text {index} contain NaN or infinity, first in token {row}.")


def _checked_offsets(offsets, text: str, n_tokens: int, index: int) -> np.ndarray:
    array = np.asarray(offsets)
    if array.shape != (n_tokens, 2) or array.dtype.kind not in "iu":
        raise ValueError(
            f"Expected offsets of text {index} as integers of shape ({n_tokens}, 2), one row a token, got shape "
            f"{array.shape} and dtype {array.dtype}."
        )
    array = array.astype(np.int64)
    outside = (array[:, 0] < 0) | (array[:, 1] < array[:, 0]) | (array[:, 1] > len(text))
    if outside.any():
        token = int(np.flatnonzero(outside)[0])
        raise ValueError(
            f"Token {token} of text {index} stands at characters {tuple(array[token].tolist())}, which is not inside "
            f"the text of {len(text)} characters."
        )
    back = np.flatnonzero(np.diff(array[:, 0]) < 0)
    if len(back):
        raise ValueError(
            f"Tokens must stand in the order of the text, but token {back[0] + 1} of text {index} begins before the "
            "one before it. Rows of special tokens, which transformers places at (0, 0), must be left out."
        )
    return array


def without_ellipsis(key: tuple, kind: str):
    """The one key besides dots, which scikit-learn adds."""
    rest = [part for part in key if part is not Ellipsis]
    if len(rest) != 1:
        raise IndexError(f"{kind} is indexed by its first axis alone, got the index {key!r}.")
    return rest[0]


def positions(key, n: int, kind: str) -> np.ndarray:
    """Positions that a slice, integers or a mask select; numpy checks bounds and mask length."""
    if not isinstance(key, slice):
        key = np.asarray(key)
        if key.size == 0:
            key = key.astype(np.intp)
        if key.dtype.kind not in "iub" or key.ndim != 1:
            raise IndexError(f"{kind} is indexed by integers, slices or a boolean mask, got {key!r}.")
    return np.arange(n)[key]
