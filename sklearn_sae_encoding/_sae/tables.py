"""Tables of tokens to tables of features: every token, or every word."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from sklearn_sae_encoding._sae.encoding import Encoded, Encoder, pooled_features, token_features
from sklearn_sae_encoding._tokens.derived import cut_by_text, of_tokens, of_words


def features_of_tokens(
    encoder: Encoder, table, texts: list, finish: Callable[[Encoded], Any], chunk_size: int | None, names
):
    """A table of the features of every token; `texts` are the values of `table`, checked."""
    return of_tokens(table, token_features(encoder, texts, chunk_size, finish), names)


def features_of_words(encoder: Encoder, table, texts: list, finish: Callable[[Encoded], Any], how: tuple, names):
    """A table of the features of every word; `how` is the pooling and the chunk size.

    To the encoder a word is a text of few tokens.
    """
    words = table.words()
    tokens = [text[a:b] for text, of_text in zip(texts, words, strict=True) for a, b in of_text.tokens.tolist()]
    rows = finish(pooled_features(encoder, tokens, *how))
    return of_words(table, words, cut_by_text(rows, words), names)
