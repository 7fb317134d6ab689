"""Checks of token activations; each error names the text, or what the SAE wants."""

from __future__ import annotations

import re
from collections.abc import Sequence

import numpy as np

from sklearn_sae_encoding._sae.matching import Origin, find_mismatch, origin_of_sae
from sklearn_sae_encoding._sae.processing import unknown_processing
from sklearn_sae_encoding._tokens.rows import is_pooled

# What LMActivationTransformer calls the columns of pooled rows.
_POOLED_COLUMN = re.compile(r"blocks\.\d+\.hook_\w+_\d+")


def is_texts(X, is_table: bool) -> bool:
    """Tell a TokenTable, or a list of one `(n_tokens, d_model)` array a text, from a table of rows."""
    if is_table:
        return True
    if isinstance(X, np.ndarray):
        return X.dtype == object and X.ndim == 1 and len(X) > 0 and all(np.ndim(text) == 2 for text in X)
    return isinstance(X, (list, tuple)) and any(_is_text(entry) for entry in X)


def _is_text(entry) -> bool:
    """Arrays of any library count, tensors of torch among them, and lists of lists; lists of numbers are rows."""
    if isinstance(entry, (list, tuple)):
        return len(entry) > 0 and isinstance(entry[0], (list, tuple))
    return getattr(entry, "ndim", None) == 2


def checked_texts(texts: Sequence, fitted_width: int | None) -> list[np.ndarray]:
    """Check one `(n_tokens, d_model)` array a text: at least one token each, one width, and numbers throughout."""
    checked = [_as_floats(text, i) for i, text in enumerate(texts)]
    if not checked:
        raise ValueError("Expected the activations of at least one text, got none.")
    width = checked[0].shape[1]
    for i, text in enumerate(checked):
        if text.shape[1] != width:
            raise ValueError(f"The activations of text 0 have width {width}, but those of text {i} {text.shape[1]}.")
        if not len(text):
            raise ValueError(
                f"Text {i} has no tokens. An empty text has no features: leave it out, together with its responses."
            )
        check_finite(text, f"The activations of text {i}")
    if fitted_width not in (None, width):
        raise ValueError(f"X has activations of width {width}, but SAEProjector was fitted on width {fitted_width}.")
    return checked


def check_finite(values: np.ndarray, what: str) -> None:
    """Raise if `values` hold NaN or infinity."""
    if not np.isfinite(values).all():
        token = int(np.flatnonzero(~np.isfinite(values).all(axis=1))[0])
        raise ValueError(f"{what} contain NaN or infinity, first in row {token}.")


def check_activations(X, is_table: bool, check_match: bool) -> None:
    """Raise if `X` is known to hold something else than activations of tokens: texts, pooled rows, or features."""
    first = X if isinstance(X, str) else next(iter(X), None) if isinstance(X, (list, tuple)) else None
    if isinstance(first, str):
        raise ValueError(
            "Expected token activations, got text. Put LMActivationTransformer before SAEProjector: "
            "make_pipeline(LMActivationTransformer(model, layer), SAEProjector(sae))."
        )
    if is_table and X.is_sparse:
        raise ValueError(f"Expected activations, which are dense, got the sparse {X!r}. Are these features already?")
    names = () if is_table else getattr(X, "columns", ())
    named_so = len(names) > 0 and all(_POOLED_COLUMN.fullmatch(str(name)) for name in names)
    if check_match and (named_so or is_pooled(X) or (is_table and X.shared is not None)):
        raise ValueError(
            "X holds activations that were pooled over tokens, but an SAE was trained on those of single tokens: to "
            "encode averages gives other features than to average what was encoded. Set level='token' in "
            "LMActivationTransformer, SAEProjector pools; or set check_match=False if this is intended."
        )


def check_belongs(sae, origin: Origin, width: int, check_match: bool) -> None:
    """Raise unless the SAE was trained on such activations: on their width in any case, on their origin if asked."""
    mismatch = None
    if check_match:  # first: it says what to do about another width, too
        mismatch = find_mismatch(origin_of_sae(sae.cfg.to_dict()), origin)
        if mismatch is None and origin.model is not None:
            mismatch = unknown_processing(sae.cfg.metadata)
    if mismatch:
        raise ValueError(f"{mismatch}, or set check_match=False if this is intended.")
    if sae.cfg.d_in != width:
        raise ValueError(
            f"The SAE takes activations of width {sae.cfg.d_in}, but X has width {width}. "
            "Use the model and hook that the SAE was trained on, and one layer."
        )


def _as_floats(text, index: int) -> np.ndarray:
    try:
        array = np.asarray(text)
    except ValueError as error:  # lists of several lengths
        raise ValueError(f"The tokens of text {index} are not of one width: {error}") from error
    except (RuntimeError, TypeError) as error:  # tensors of torch that need a gradient, are bfloat16 or on a GPU
        raise ValueError(
            f"The activations of text {index} can't become an array of numpy: {error} Give "
            "tensor.detach().float().cpu()."
        ) from error
    if array.ndim != 2 or array.dtype.kind not in "fiub":
        raise ValueError(
            f"Expected one (n_tokens, d_model) array of numbers a text, but text {index} is an array of shape "
            f"{array.shape} and dtype {array.dtype}."
        )
    # float16, a memory map of it included, stays as it is: it becomes float32 a chunk at a time.
    return array if array.dtype in (np.float16, np.float32) else array.astype(np.float32)
