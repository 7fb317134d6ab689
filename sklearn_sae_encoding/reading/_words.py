"""A table of words to the predictors of a language model."""

from __future__ import annotations

import re

import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding.reading._features import WordFeatures
from sklearn_sae_encoding.reading._frequency import log_frequency
from sklearn_sae_encoding.reading._rows import checked_table, checked_unique
from sklearn_sae_encoding.reading._spillover import add_spillover
from sklearn_sae_encoding.reading._texts import n_letters, place_words
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.tokens import TokenTable

_QUANTITIES = ("surprisal", "entropy", "rank", "probability")


def add_word_features(
    words,
    *,
    model,
    word="word",
    by="text",
    order="number",
    texts=None,
    separator=" ",
    quantities=("surprisal",),
    punctuation=True,
    punctuation_in_length=False,
    unit="nats",
    frequency=None,
    language="en",
    previous=(),
    line=None,
):
    """Add what a language model says of each word, with length and frequency, to a table of words.

    Every word is placed in its text, or named in an error. The rows, their order and the columns that are there stay,
    so that the table can go on to lme4, brms or mgcv by ``to_csv`` or ``to_parquet``.

    Parameters
    ----------
    words : DataFrame
        A row a word.

    model : str, path or LanguageModel
        The causal language model.

    word, by, order : str, default="word", "text", "number"
        Columns with the word, the name of its text, and its number in the text.

    texts : dict, Series or list, default=None
        The running texts by the values of the column ``by``; the words are found in them. None puts the words
        themselves together.

    separator : str, default=" "
        Between words that are put together; ``""`` for Chinese.

    quantities : sequence of {"surprisal", "entropy", "rank", "probability"}, default=("surprisal",)
        Surprisal is summed over the word's tokens, with the correction for leading white space where there is white
        space. Entropy (of the distribution that predicts it), rank (from 1) and probability are those of its first
        token.

    punctuation : bool, default=True
        Whether punctuation that clings to a word belongs to it: its surprisal counts then.

    punctuation_in_length : bool, default=False
        Whether ``length`` counts punctuation. It always counts letters and digits.

    unit : {"nats", "bits"}, default="nats"
        Of surprisal and entropy.

    frequency : "wordfreq", dict or Series, default=None
        Adds ``log_frequency``: see :func:`log_frequency`. None adds none.

    language : str, default="en"
        Of wordfreq's list.

    previous : int or sequence of int, default=()
        Also add all new numeric columns of the word so many before, by :func:`add_spillover`.

    line : str, default=None
        Column with the line on the screen, which spillover does not cross.

    Returns
    -------
    words : DataFrame
        With the new columns ``quantities``, ``length``, ``position`` (of the word in its text, from 1),
        ``log_frequency``, spillover, ``shared_token`` (the word lies inside a token of the word before: its surprisal,
        0, is counted there) and ``no_spelling`` (the row has no letters: it stands for the word before).

    Raises
    ------
    ValueError
        If a column is missing, is there already, two words have the same text and number, or a word is not in its
        text.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_provo, load_smollm2
    >>> from sklearn_sae_encoding.reading import add_word_features
    >>> table = add_word_features(load_provo().words, model=load_smollm2(), previous=1)  # doctest: +SKIP
    """
    unknown = [name for name in quantities if name not in _QUANTITIES]
    if unknown:
        raise ValueError(f"Unknown quantities {unknown}; choose among {list(_QUANTITIES)}.")
    placed = place_words(
        words, word=word, by=by, order=order, texts=texts, separator=separator, punctuation=punctuation
    )
    scorer = SurprisalTransformer(model, level="word", unit=unit, quantities=tuple(quantities)).fit(placed.texts)
    frames = scorer.by_word(placed.texts, spans=placed.spans)
    lengths = [n_letters(spelled, punctuation=punctuation_in_length) for spelled in words[word]]
    new = {"length": np.array(lengths)}
    if frequency is not None:
        given = None if isinstance(frequency, str) and frequency == "wordfreq" else frequency
        new["log_frequency"] = log_frequency(words[word], language=language, frequencies=given)
    new["position"] = _by_rows(placed, [np.arange(1, len(rows) + 1) for rows in placed.rows])
    for name in quantities:
        new[name] = _by_rows(placed, [frame[name].to_numpy() for frame in frames])
    spill = [name for name in new if name != "position"]
    new["shared_token"] = _by_rows(placed, [frame["shared"].to_numpy() for frame in frames])
    new["no_spelling"] = _by_rows(placed, [frame["joined"].to_numpy() for frame in frames])
    there = [name for name in new if name in words.columns]
    if there:
        raise ValueError(f"Column(s) {there} are in the table already: rename or drop them.")
    table = words.assign(**new)
    if np.size(previous):
        table = add_spillover(table, spill, previous=previous, by=by, order=order, line=line)
    return table


def _by_rows(placed, values):
    """Values of words by text, to the order of the table."""
    joined = np.concatenate(values)
    table = np.empty(len(joined), dtype=joined.dtype)
    table[np.concatenate(placed.rows)] = joined
    return table


def word_features(
    words, transformer, *, item="item", word="word", by="text", order="number", texts=None, separator=" ",
    punctuation=True, pooling="mean",
):  # fmt: skip
    """Features of each word of a table, such as those of a sparse autoencoder, pooled over its tokens.

    Parameters
    ----------
    words : DataFrame
        A row a word.

    transformer : estimator
        Fitted or not, from texts to a :class:`~sklearn_sae_encoding.tokens.TokenTable` of tokens: a pipeline of
        ``LMActivationTransformer(..., level="token")`` and ``SAEProjector(..., level="token")``, or the first alone for
        dense states.

    item : str, default="item"
        Column with the name by which reading times know the word.

    word, by, order, texts, separator, punctuation
        As in :func:`add_word_features`.

    pooling : {"mean", "sum", "max", "last", "first"}, default="mean"
        How a word's tokens become one row.

    Returns
    -------
    features : WordFeatures
        A row a word of the table, in its order.

    Raises
    ------
    ValueError
        If a word is not in its text, or two words share a name.
    """
    checked_table(words, [item], "the table of words")
    checked_unique(words, [item], "word")
    placed = place_words(
        words, word=word, by=by, order=order, texts=texts, separator=separator, punctuation=punctuation
    )
    tokens = _tokens_of(transformer, placed.texts)
    pooled = tokens.pool("word", pooling=pooling, spans=placed.spans)
    order_of = np.argsort(np.concatenate(placed.rows), kind="stable")
    values = pooled.concatenated()[order_of]
    keys = [by] if isinstance(by, str) else list(by)
    labels = words[by] if isinstance(by, str) else words[keys].agg(tuple, axis=1)
    values = sparse.csr_array(values) if sparse.issparse(values) else values
    return WordFeatures(values, words[item], texts=labels.to_numpy(), names=tokens.names)


def _tokens_of(transformer, texts):
    try:
        check_is_fitted(transformer)
        tokens = transformer.transform(texts)
    except NotFittedError:
        tokens = transformer.fit_transform(texts)
    if not isinstance(tokens, TokenTable):
        raise ValueError(
            f"The transformer gives a {type(tokens).__name__}, not a TokenTable of tokens: set level='token' in "
            "its steps."
        )
    return tokens


def word_table(texts, *, ids=None, spans=None):
    """The words of running texts as a table, to which :func:`add_word_features` adds.

    Parameters
    ----------
    texts : sequence of str

    ids : sequence of length n_texts, default=None
        Names of the texts; None numbers them from 1.

    spans : sequence of array-like of shape (n_words_i, 2), default=None
        First and last + 1 character of each text's words, such as a segmenter's. None takes what stands between white
        space.

    Returns
    -------
    words : DataFrame
        With ``item``, ``text``, ``number`` (from 1), ``word``, ``start`` and ``end``.

    Examples
    --------
    >>> from sklearn_sae_encoding.reading import word_table
    >>> word_table(["A dog barks."])["word"].tolist()
    ['A', 'dog', 'barks.']
    """

    ids = list(range(1, len(texts) + 1)) if ids is None else list(ids)
    if len(ids) != len(texts) or (spans is not None and len(spans) != len(texts)):
        raise ValueError(
            f"There are {len(texts)} texts, but {len(ids)} ids{'' if spans is None else f', {len(spans)} spans'}."
        )
    rows = []
    for at, (name, text) in enumerate(zip(ids, texts, strict=True)):
        places = (
            [match.span() for match in re.finditer(r"\S+", text)] if spans is None else np.asarray(spans[at]).tolist()
        )
        rows += [(f"{name}.{n:04d}", name, n, text[a:b], a, b) for n, (a, b) in enumerate(places, 1)]
    return pd.DataFrame(rows, columns=["item", "text", "number", "word", "start", "end"])
