"""Words, phrases or sentences inside texts, each a sample."""

from __future__ import annotations

from collections.abc import Iterator
from numbers import Integral
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._tokens.checks import positions, without_ellipsis

_COLUMNS = ("text", "start", "end")


class Span(NamedTuple):
    """One sample: its whole text, and first and last + 1 character of what it is about."""

    text: str
    start: int
    end: int


class Spans:
    """Words, phrases or sentences inside texts, as samples: each is read in its whole text.

    As ``X`` of a text estimator it gives one row a span. Each different text goes through the model once. Rows equal
    samples, so that cross-validation, grids and groups work; ``groups=spans.ids`` keeps the spans of a text in one
    fold. A DataFrame with the columns ``text``, ``start`` and ``end`` stands for the same.

    Parameters
    ----------
    texts : sequence of str
        The texts: one a span, or with `ids` those that the ids name.
    spans : array-like of int of shape (n_spans, 2)
        First and last + 1 character of each span in its text.
    ids : array-like of int of shape (n_spans,), default=None
        Position in `texts` of the text of each span. None takes one text a span; equal texts then have one id.

    Attributes
    ----------
    shape : tuple of int
        ``(n_spans,)``.

    Raises
    ------
    ValueError
        If numbers differ, or a span is empty or not inside its text, with the span.

    Examples
    --------
    >>> from sklearn_sae_encoding.tokens import Spans
    >>> spans = Spans(["A dog barks.", "So what?"], [(2, 5), (0, 2), (3, 8)], ids=[0, 1, 1])
    >>> spans
    Spans(3 spans in 2 texts)
    >>> [span.text[span.start : span.end] for span in spans]
    ['dog', 'So', 'what?']
    >>> spans[1:].ids
    array([1, 1])
    """

    ndim = 1

    def __init__(self, texts, spans, ids=None):
        if isinstance(texts, str):
            raise ValueError("Expected a list of texts, got one string.")
        self.texts = list(texts)
        self.spans = _as_pairs(spans)
        self.ids = _first_of_equals(self.texts) if ids is None else np.asarray(ids)
        self._check()

    @classmethod
    def of_texts(cls, texts, spans) -> Spans:
        """Stack the spans of several texts.

        Parameters
        ----------
        texts : sequence of str
            The texts.
        spans : sequence of array-like of int of shape (n_spans_i, 2)
            Those of each text, such as :func:`~sklearn_sae_encoding.tokens.align_words` finds them.

        Returns
        -------
        Spans
            In the order of the texts.
        """
        texts, spans = list(texts), [_as_pairs(of_text) for of_text in spans]
        if len(texts) != len(spans):
            raise ValueError(f"Expected the spans of each of {len(texts)} texts, got those of {len(spans)}.")
        stacked = np.concatenate(spans) if spans else _as_pairs([])
        return cls(texts, stacked, np.repeat(np.arange(len(texts)), [len(of_text) for of_text in spans]))

    @property
    def shape(self) -> tuple[int]:
        """Number of spans, as a tuple of one."""
        return (len(self.spans),)

    def __len__(self) -> int:
        return len(self.spans)

    def __iter__(self) -> Iterator[Span]:
        return (self[i] for i in range(len(self)))

    def __getitem__(self, key):
        if isinstance(key, tuple):  # scikit-learn indexes what has a shape as X[key, ...]
            key = without_ellipsis(key, "Spans")
        if isinstance(key, Integral) and not isinstance(key, (bool, np.bool_)):
            return Span(self.texts[self.ids[key]], *self.spans[key].tolist())
        chosen = positions(key, len(self), "Spans")
        return Spans(self.texts, self.spans[chosen], self.ids[chosen])

    def __array__(self, dtype=None, copy=None):
        raise TypeError("Spans are no table of numbers. Put them to a text estimator, or see .to_frame().")

    def __eq__(self, other):
        if not isinstance(other, Spans):
            return NotImplemented
        return len(self) == len(other) and all(one == two for one, two in zip(self, other, strict=True))

    __hash__ = None

    def __repr__(self) -> str:
        n_texts = len(np.unique(self.ids))
        return f"Spans({len(self)} span{'s' * (len(self) != 1)} in {n_texts} text{'s' * (n_texts != 1)})"

    def to_frame(self):
        """Give a DataFrame with a row a span and the columns ``text``, ``start`` and ``end``.

        Returns
        -------
        DataFrame
        """
        import pandas as pd

        return pd.DataFrame(list(self), columns=list(_COLUMNS))

    def _check(self) -> None:
        if self.ids.shape != (len(self.spans),) or self.ids.dtype.kind not in "iu":
            raise ValueError(
                f"Expected one text, or with ids one position of a text, for each of {len(self.spans)} spans, got "
                f"{len(self.texts)} texts and ids of shape {self.ids.shape} and dtype {self.ids.dtype}."
            )
        for i, text in enumerate(self.texts):
            if not isinstance(text, str):
                raise ValueError(f"Text {i} is of type {type(text).__name__}, not a string.")
        wrong = np.flatnonzero((self.ids < 0) | (self.ids >= len(self.texts)))
        if len(wrong):
            raise ValueError(f"Span {wrong[0]} is in text {self.ids[wrong[0]]}, but there are {len(self.texts)} texts.")
        lengths = np.array([len(text) for text in self.texts], dtype=np.int64)[self.ids]
        start, end = self.spans.T
        wrong = np.flatnonzero((start < 0) | (end <= start) | (end > lengths))
        if len(wrong):
            i = int(wrong[0])
            raise ValueError(
                f"Span {i} is {tuple(self.spans[i].tolist())}, which is not at least one character inside its text of "
                f"{lengths[i]} characters: {self.texts[self.ids[i]][:60]!r}."
            )


def as_spans(X) -> Spans | None:
    """`X` as spans, if it is, or is a DataFrame with the columns text, start and end (others are not looked at)."""
    if isinstance(X, Spans):
        return X
    columns = getattr(X, "columns", None)
    if columns is None or not set(_COLUMNS) <= {name for name in columns if isinstance(name, str)}:
        return None
    texts = list(X["text"])
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"The text of span {i} is of type {type(text).__name__}, not a string: {text!r}.")
    return Spans(texts, np.column_stack([np.asarray(X["start"]), np.asarray(X["end"])]))


def _as_pairs(spans) -> np.ndarray:
    array = np.asarray(spans)
    if array.size == 0:
        return np.empty((0, 2), dtype=np.int64)
    if array.ndim != 2 or array.shape[1] != 2 or array.dtype.kind not in "iu":
        raise ValueError(
            "Expected spans as integers of shape (n_spans, 2), first and last + 1 character, got shape "
            f"{array.shape} and dtype {array.dtype}."
        )
    return array.astype(np.int64)


def _first_of_equals(texts: list[str]) -> np.ndarray:
    first: dict[str, int] = {}
    return np.array([first.setdefault(text, i) for i, text in enumerate(texts)], dtype=np.int64)
