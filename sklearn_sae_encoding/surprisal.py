"""Texts to surprisal."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._lm.extract import OFFSETS, SCORES, TOKENS, Wanted
from sklearn_sae_encoding._lm.tokens import TokenActivations
from sklearn_sae_encoding._lm.words import token_surprisal, word_names, word_surprisal, words_of
from sklearn_sae_encoding._text_transformer import TextTransformer
from sklearn_sae_encoding._validation import one_of
from sklearn_sae_encoding.language_model import bos_token_of

__all__ = ["SurprisalTransformer"]

_POOLINGS = {"mean": np.mean, "sum": np.sum, "max": np.max}
_UNITS = {"nats": 1.0, "bits": np.log(2)}


class SurprisalTransformer(TextTransformer, auto_wrap_output_keys=None):
    """Surprisal of texts under a causal language model: how unexpected their tokens or words are.

    The surprisal of a token is ``-log p(token | BOS, previous tokens of its text)``; the first token is conditioned on
    the beginning-of-sequence token, which itself never counts. The surprisal of a word is the sum over its tokens,
    with the leading-whitespace correction [1]_ [2]_: most tokenizers put white space into the first token of the next
    word, so that the sum alone is the surprisal of a word that *begins* so.

    It shares the model, the forward pass and what is kept of it with
    :class:`~sklearn_sae_encoding.activations.LMActivationTransformer`.

    Parameters
    ----------
    model : str, path or LanguageModel
        The language model; a name, folder or GGUF file is short for
        :class:`~sklearn_sae_encoding.language_model.LanguageModel` of it.

    level : {"text", "token", "word"}, default="text"
        What a row is: a text, a token, or a word, which is what stands between white space.

    pooling : {"mean", "sum", "max"} or list of these, default="mean"
        How the values of a text become one, for ``level="text"``; a list gives one column each.

    unit : {"nats", "bits"}, default="nats"
        Unit of surprisal.

    over : {"token", "word"}, default="token"
        Whether `pooling` goes over the tokens of a text or over its words.

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
    }

    def __init__(self, model, *, level="text", pooling="mean", unit="nats", over="token"):
        self.model = model
        self.level = level
        self.pooling = pooling
        self.unit = unit
        self.over = over

    def transform(self, X):
        """Surprisal of each text.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts. The cells of a row are joined by a space.

        Returns
        -------
        ndarray of shape (n_texts, n_poolings), or TokenActivations of width 1
            Positive, in `unit`: float64 rows, one a text, or the values of its tokens or words.
        """
        check_is_fitted(self)
        unit = self.over if self.level == "text" else self.level
        frames = self.by_token(X) if unit == "token" else self.by_word(X)
        values = [frame["surprisal"].to_numpy() for frame in frames]
        if self.level == "text":
            return self._contained(np.array([self._pooled(value, i) for i, value in enumerate(values)]), X)
        return TokenActivations(
            [value[:, None] for value in values],
            tokens=[frame[unit].tolist() for frame in frames],
            offsets=[frame[["start", "end"]].to_numpy() for frame in frames],
            model=self._language_model().name,
            bos_token=bos_token_of(self._language_model()),
        )

    def by_token(self, X):
        """Surprisal of every token.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts.

        Returns
        -------
        list of DataFrame
            One a text, with a row a token and the columns ``token`` (as the tokenizer spells it), ``start`` and
            ``end`` (characters in the text) and ``surprisal`` (in `unit`; NaN where nothing stands before the token).
        """
        check_is_fitted(self)
        return [
            self._frame("token", record[TOKENS].tolist(), record[OFFSETS], token_surprisal(record[SCORES]))
            for record in self._records(self._samples(X), Wanted(surprisal=True))
        ]

    def by_word(self, X):
        """Surprisal of every word: its tokens summed, with the leading-whitespace correction.

        A tokenizer that does not mark white space needs no correction and gets none.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts.

        Returns
        -------
        list of DataFrame
            One a text, with a row a word and the columns ``word``, ``start`` and ``end`` (characters in the text)
            and ``surprisal`` (in `unit`).
        """
        check_is_fitted(self)
        samples = self._samples(X)
        frames = []
        for (text, _), record in zip(samples, self._records(samples, Wanted(surprisal=True)), strict=True):
            words = words_of(text, record[OFFSETS])
            surprisal = word_surprisal(record[SCORES], words)
            frames.append(self._frame("word", word_names(text, words), words.spans, surprisal))
        return frames

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
        if self.level != "text":
            return np.array(["surprisal" if self.level == "token" else "word_surprisal"], dtype=object)
        prefix = "surprisal" if self.over == "token" else "word_surprisal"
        return np.array([f"{prefix}_{name}" for name in self._poolings()], dtype=object)

    def _fit_to(self, config) -> None:
        self._poolings()

    def _poolings(self) -> list[str]:
        names = [self.pooling] if isinstance(self.pooling, str) else list(self.pooling)
        if not names or any(name not in _POOLINGS for name in names):
            raise ValueError(f"pooling must be one or a list of {', '.join(_POOLINGS)}, got {self.pooling!r}.")
        return names

    def _frame(self, unit: str, names: list[str], offsets: np.ndarray, nats: np.ndarray):
        import pandas as pd

        columns = {unit: names, "start": offsets[:, 0], "end": offsets[:, 1], "surprisal": nats / _UNITS[self.unit]}
        return pd.DataFrame(columns)

    def _pooled(self, values: np.ndarray, sample: int) -> list[float]:
        known = values[~np.isnan(values)]
        if not len(known):
            raise ValueError(
                f"Sample {sample} has one {self.over} and nothing before it, so that it has no probability. Let its "
                'LanguageModel have a bos_token such as "auto", or give it a context.'
            )
        return [float(_POOLINGS[name](known)) for name in self._poolings()]
