"""Tables made of a table: other values of the same tokens, values of its words."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from sklearn_sae_encoding._tokens.alignment import Words
from sklearn_sae_encoding._tokens.files import PER_TEXT


def of_tokens(table, values: Sequence, names=None):
    """Other values of the same tokens, such as the SAE features of their activations."""
    known = {name: getattr(table, name) for name in PER_TEXT}
    return type(table)(values, **known, **{**table.origin(), "names": names})


def of_words(table, words: list[Words], values: Sequence, names=None):
    """A table of words, of the `values` of those of each text."""
    return type(table)(
        values,
        texts=table.texts,
        tokens=[[text[a:b] for a, b in w.spans.tolist()] for text, w in zip(table.texts, words, strict=True)],
        offsets=[of_text.spans for of_text in words],
        shared=[of_text.shared for of_text in words],
        joined=[of_text.joined for of_text in words],
        **{**table.origin(), "names": names},
    )


def cut_by_text(rows, words: list[Words]) -> list:
    """Rows of the words of all texts, one array a text."""
    ends = np.cumsum([len(of_text.spans) for of_text in words])
    return [rows[end - len(of_text.spans) : end] for end, of_text in zip(ends, words, strict=True)]
