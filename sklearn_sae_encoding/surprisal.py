"""Texts to surprisal."""

from __future__ import annotations

from functools import partial
from operator import itemgetter
from typing import ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._lm.extract import DISTRIBUTION, OFFSETS, SCORES, TOKENS, Wanted
from sklearn_sae_encoding._lm.words import first_tokens, single_spaced, token_surprisal, word_surprisal
from sklearn_sae_encoding._text_transformer import TextTransformer, places_of, samples_by_text
from sklearn_sae_encoding._tokens.alignment import checked_spans, word_spans, words_of
from sklearn_sae_encoding._tokens.word_lists import spans_of_texts
from sklearn_sae_encoding._validation import one_of
from sklearn_sae_encoding.language_model import bos_token_of
from sklearn_sae_encoding.tokens import TokenTable

__all__ = ["SurprisalTransformer"]

_POOLINGS = {
    "mean": partial(np.mean, axis=0),
    "sum": partial(np.sum, axis=0),
    "max": partial(np.max, axis=0),
    "last": itemgetter(-1),
    "first": itemgetter(0),
}
_QUANTITIES = ("surprisal", "entropy", "rank", "probability")
_UNITS = {"nats": 1.0, "bits": np.log(2)}


class SurprisalTransformer(TextTransformer, auto_wrap_output_keys=None):
    """Surprisal of texts under a causal language model: how unexpected their tokens or words are.

    The surprisal of a token is ``-log p(token | BOS, previous tokens of its text)``; the first token is conditioned on
    the beginning-of-sequence token, which itself never counts. The surprisal of a word is the sum over its tokens,
    with the leading-whitespace correction [1]_ [2]_: most tokenizers put white space into the first token of the next
    word, so that the sum alone is the surprisal of a word that *begins* so. Words are read in running text: any white
    space, a line's end too, counts as one space, so that two spaces change nothing. Where no white space is, as in
    Chinese, there is no correction.

    It shares the model, the forward pass and what is kept of it with
    :class:`~sklearn_sae_encoding.activations.LMActivationTransformer`.

    Parameters
    ----------
    model : str, path or LanguageModel
        The language model; a name, folder or GGUF file is short for
        :class:`~sklearn_sae_encoding.language_model.LanguageModel` of it.

    level : {"text", "token", "word"}, default="text"
        What a row is: a text, a token, or a word, which is what stands between white space.

    pooling : {"mean", "sum", "max", "last", "first"} or list of these, default="mean"
        How the values of a text, or a span, become one, for ``level="text"``; a list gives one column each.

    unit : {"nats", "bits"}, default="nats"
        Unit of surprisal.

    over : {"token", "word"}, default="token"
        Whether `pooling` goes over the tokens of a text or over its words.

    quantities : sequence of {"surprisal", "entropy", "rank", "probability"}, default=("surprisal",)
        What is given of each token: besides surprisal the entropy of the distribution that predicts it, in `unit`, its
        rank in that distribution, from 1, and its probability. Of a word, those of its first token, and of the white
        space before it where that is a token of its own.

    Attributes
    ----------
    n_layers_ : int
        Number of decoder blocks of the model.

    n_features_in_ : int
        Number of columns of the texts: 1 for a list.

    feature_names_in_ : ndarray of str
        Names of the columns, if ``X`` in ``fit`` was a DataFrame.

    Raises
    ------
    ValueError
        In ``fit`` or ``transform``: for a model that is not found (with what was looked for and where), damaged or
        incomplete weights, a model that looks ahead or has no logits (a trial tells), and texts that are none or have
        no token with a probability, with the sample.

    See Also
    --------
    sklearn_sae_encoding.activations.LMActivationTransformer : Activations, from the same pass.

    References
    ----------
    .. [1] Pimentel and Meister, "How to Compute the Probability of a Word", EMNLP 2024.
    .. [2] Oh and Schuler, "Leading Whitespaces of Language Models' Subword Vocabulary Pose a Confound for Calculating
       Word Probabilities", EMNLP 2024.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_smollm2
    >>> from sklearn_sae_encoding.surprisal import SurprisalTransformer
    >>> surprisal = SurprisalTransformer(load_smollm2(), pooling=["mean", "max"], unit="bits")  # doctest: +SKIP
    >>> surprisal.fit_transform(["The cat sat on the mat.", "A dog!"]).shape  # doctest: +SKIP
    (2, 2)
    """

    _allowed: ClassVar[dict] = {
        **TextTransformer._allowed,
        "pooling": (one_of(*_POOLINGS), list, tuple),
        "unit": (one_of(*_UNITS),),
        "over": (one_of("token", "word"),),
        "quantities": (tuple, list),
    }

    def __init__(self, model, *, level="text", pooling="mean", unit="nats", over="token", quantities=("surprisal",)):
        self.model = model
        self.level = level
        self.pooling = pooling
        self.unit = unit
        self.over = over
        self.quantities = quantities

    def transform(self, X):
        """Surprisal of each text or span, or of its tokens or words.

        Parameters
        ----------
        X : list of str, table of strings of shape (n_texts, n_columns), Spans, or DataFrame of text, start and end
            The texts; the cells of a row are joined by a space. Or spans in texts, each a sample that is read in its
            whole text. The surprisal of a span that lies inside another's token is 0: the token is counted with the
            span that it begins in.

        Returns
        -------
        ndarray of shape (n_samples, n_columns), or TokenTable
            Positive: float64 rows, one a text or span, or the values of its tokens or words.
        """
        check_is_fitted(self)
        unit, samples = self.over if self.level == "text" else self.level, self._samples(X)
        frames = self._by_token(samples) if unit == "token" else self._by_word(samples, None)
        values = [frame[list(self.quantities)].to_numpy() for frame in frames]
        if self.level == "text":
            return self._contained(np.array([self._pooled(value, i) for i, value in enumerate(values)]), X)
        flags = {flag: [frame[flag] for frame in frames] if unit == "word" else None for flag in ("shared", "joined")}
        return TokenTable(
            values,
            texts=[sample.text for sample in samples],
            tokens=[frame[unit].tolist() for frame in frames],
            offsets=[frame[["start", "end"]].to_numpy() for frame in frames],
            names=self.get_feature_names_out(),
            model=self._language_model().name,
            bos_token=bos_token_of(self._language_model()),
            **flags,
        )

    def by_token(self, X):
        """Surprisal of every token.

        Parameters
        ----------
        X : list of str, table of strings of shape (n_texts, n_columns), Spans, or DataFrame of text, start and end
            The texts, or spans in texts.

        Returns
        -------
        list of DataFrame
            One a text, with a row a token and the columns ``token`` (as the tokenizer spells it), ``start`` and
            ``end`` (characters in the text) and the `quantities` (``surprisal`` in `unit`; NaN where nothing stands
            before the token).
        """
        check_is_fitted(self)
        return self._by_token(self._samples(X))

    def by_word(self, X, spans=None):
        """Surprisal of every word: its tokens summed, with the leading-whitespace correction.

        A tokenizer that does not mark white space needs no correction and gets none. White space of any kind and
        length counts as one space.

        Parameters
        ----------
        X : list of str, table of strings of shape (n_texts, n_columns), Spans, or DataFrame of text, start and end
            The texts, or spans in texts.
        spans : sequence of array-like of int of shape (n_words_i, 2), or callable, default=None
            The words of each text: first and last + 1 character, as
            :func:`~sklearn_sae_encoding.tokens.align_words` finds them, or what splits a text into its words, such as
            a segmenter for Chinese. None takes what stands between white space.

        Returns
        -------
        list of DataFrame
            One a text, with a row a word and the columns ``word``, ``start`` and ``end`` (characters in the text), the
            `quantities` (``surprisal`` in `unit`), and ``shared`` and ``joined``: a word that lies inside the token of
            another one, or has no characters, has the surprisal 0, which is counted with the word before.
        """
        check_is_fitted(self)
        samples = self._samples(X)
        if spans is not None:
            spans = spans_of_texts([sample.text for sample in samples], spans)
        return self._by_word(samples, spans)

    def get_feature_names_out(self, input_features=None):
        """Names of the columns: ``surprisal_mean`` and so on, ``word_surprisal_mean`` for words.

        Parameters
        ----------
        input_features : array-like of str, default=None
            Ignored.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        prefix = "word_" if (self.over if self.level == "text" else self.level) == "word" else ""
        endings = [f"_{name}" for name in self._poolings()] if self.level == "text" else [""]
        return np.array([f"{prefix}{name}{end}" for name in self.quantities for end in endings], dtype=object)

    def _fit_to(self, config) -> None:
        self._poolings()
        unknown = [name for name in self.quantities if name not in _QUANTITIES]
        if unknown or not self.quantities or len(set(self.quantities)) < len(self.quantities):
            raise ValueError(f"quantities must be some of {', '.join(_QUANTITIES)}, got {self.quantities!r}.")

    def _poolings(self) -> list[str]:
        names = [self.pooling] if isinstance(self.pooling, str) else list(self.pooling)
        if not names or any(name not in _POOLINGS for name in names):
            raise ValueError(f"pooling must be one or a list of {', '.join(_POOLINGS)}, got {self.pooling!r}.")
        return names

    def _scored(self, samples) -> list[dict]:
        distribution = not {"entropy", "rank"}.isdisjoint(self.quantities)
        return self._records(samples, Wanted(surprisal=True, distribution=distribution))

    def _by_token(self, samples) -> list:
        records, frames = self._scored(samples), []
        for record, (rows, shared) in zip(records, places_of(samples, records), strict=True):
            nats = token_surprisal(record[SCORES])[rows] * (not shared)
            values = self._values(record, nats, np.arange(len(record[SCORES]))[rows])
            frames.append(_frame("token", record[TOKENS][rows].tolist(), record[OFFSETS][rows], values))
        return frames

    def _by_word(self, samples, spans) -> list:
        spaced = {text: single_spaced(text) for text in {sample.text for sample in samples}}
        records = self._scored([sample._replace(text=spaced[sample.text].text, span=None) for sample in samples])
        frames = [None] * len(samples)
        # All spans of a text at once, or each text with the words that were given.
        for rows in [[i] for i in range(len(samples))] if spans is not None else samples_by_text(samples):
            text, record = samples[rows[0]].text, records[rows[0]]
            given = [spans[i] if spans is not None else _words_within(samples[i]) for i in rows]
            given = [checked_spans(one, text, f"text {i}") for i, one in zip(rows, given, strict=True)]
            found = self._columns_of_words(
                spaced[text], record, np.concatenate(given), f"text {rows[0]}", spans is None
            )
            owner = np.repeat(rows, [len(one) for one in given])[found.pop("index")]
            for i in rows:
                frames[i] = _frame_of_words(text, {name: column[owner == i] for name, column in found.items()})
        return frames

    def _columns_of_words(
        self, spaced, record: dict, spans: np.ndarray, of: str, leave_out: bool
    ) -> dict[str, np.ndarray]:
        """Columns of a text's words; `index` says which of the spans each is, and `spans` where."""
        words = words_of(spaced.text, record[OFFSETS], spaced.moved(spans), of=of, leave_out=leave_out)
        nats = word_surprisal(record[SCORES], spaced.text, record[OFFSETS], words)
        values = self._values(record, nats, first_tokens(spaced.text, record[OFFSETS], words))
        flags = {"shared": words.shared, "joined": words.joined}
        return {"index": words.index, "spans": spans[words.index], **values, **flags}

    def _values(self, record: dict, nats: np.ndarray, first: np.ndarray) -> dict[str, np.ndarray]:
        """The quantities of tokens or words, of which `first` are the first tokens."""
        unit, known = _UNITS[self.unit], {"surprisal": lambda: nats / _UNITS[self.unit]}
        known["entropy"] = lambda: record[DISTRIBUTION][first, 0].astype(np.float64) / unit
        known["rank"] = lambda: record[DISTRIBUTION][first, 1].astype(np.float64)
        known["probability"] = lambda: np.exp(-token_surprisal(record[SCORES])[first])
        return {name: known[name]() for name in self.quantities}

    def _pooled(self, values: np.ndarray, sample: int) -> list[float]:
        known = values[~np.isnan(values).any(axis=1)]
        if not len(known):
            raise ValueError(
                f"Sample {sample} has {'no' if not len(values) else 'one'} {self.over} and nothing before it, so that "
                'it has no probability. Let its LanguageModel have a bos_token such as "auto", or give it a context.'
            )
        return np.column_stack([_POOLINGS[name](known) for name in self._poolings()]).ravel().tolist()


def _words_within(sample) -> np.ndarray:
    """Words between white space, of a text or a span."""
    start, end = (0, len(sample.text)) if sample.span is None else sample.span
    return start + word_spans(sample.text[start:end])


def _frame_of_words(text: str, columns: dict[str, np.ndarray]):
    spans = columns.pop("spans")
    return _frame("word", [text[start:end] for start, end in spans.tolist()], spans, columns)


def _frame(unit: str, names: list[str], offsets: np.ndarray, values: dict[str, np.ndarray]):
    import pandas as pd

    return pd.DataFrame({unit: names, "start": offsets[:, 0], "end": offsets[:, 1], **values})
