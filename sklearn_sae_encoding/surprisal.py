"""Texts to surprisal."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._lm.base import LanguageModelTransformer
from sklearn_sae_encoding._lm.documentation import with_shared_parameters
from sklearn_sae_encoding._lm.extract import OFFSETS, SCORES, TOKENS, Wanted
from sklearn_sae_encoding._lm.words import token_surprisal, word_surprisal, words_of

__all__ = ["SurprisalTransformer"]

_REDUCTIONS = {"mean": np.mean, "sum": np.sum, "max": np.max}
_UNITS = {"nats": 1.0, "bits": np.log(2)}


@with_shared_parameters
class SurprisalTransformer(LanguageModelTransformer):
    """Surprisal of texts under a causal language model: how unexpected their tokens or words are.

    The surprisal of a token is ``-log p(token | BOS, previous tokens of its text)``; the first token is conditioned on
    the beginning-of-sequence token, which itself never counts. The surprisal of a word is the sum over its tokens,
    with the leading-whitespace correction [1]_ [2]_: most tokenizers put white space into the first token of the next
    word, so that the sum alone is the surprisal of a word that *begins* so.

    It shares the model, the forward pass and what is kept of it with
    :class:`~sklearn_sae_encoding.activations.LMActivationTransformer`.

    Parameters
    ----------
    %(model)s

    reduction : {"mean", "sum", "max"} or list of these, default="mean"
        How the values of a text become one; a list gives one column each.

    unit : {"nats", "bits"}, default="nats"
        Unit of surprisal.

    level : {"token", "word"}, default="token"
        Whether to reduce over tokens or over words, which are what stands between white space.

    %(settings)s

    Attributes
    ----------
    %(attributes)s

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
    >>> surprisal = SurprisalTransformer(load_smollm2(), reduction=["mean", "max"], unit="bits")  # doctest: +SKIP
    >>> surprisal.fit_transform(["The cat sat on the mat.", "A dog!"]).shape  # doctest: +SKIP
    (2, 2)
    """

    _parameter_constraints: ClassVar[dict] = {
        **LanguageModelTransformer._parameter_constraints,
        "reduction": [StrOptions(set(_REDUCTIONS)), list, tuple],
        "unit": [StrOptions(set(_UNITS))],
        "level": [StrOptions({"token", "word"})],
    }

    def __init__(
        self,
        model,
        *,
        reduction="mean",
        unit="nats",
        level="token",
        revision=None,
        tokenizer=None,
        weights="pretrained",
        random_state=0,
        dtype="float32",
        device="cpu",
        prepend_bos=True,
        bos_token=None,
        context=None,
        window=None,
        stride=None,
        batch_tokens=1024,
        blocks_path=None,
        memory=None,
        verbose=0,
    ):
        self.model = model
        self.reduction = reduction
        self.unit = unit
        self.level = level
        self.revision = revision
        self.tokenizer = tokenizer
        self.weights = weights
        self.random_state = random_state
        self.dtype = dtype
        self.device = device
        self.prepend_bos = prepend_bos
        self.bos_token = bos_token
        self.context = context
        self.window = window
        self.stride = stride
        self.batch_tokens = batch_tokens
        self.blocks_path = blocks_path
        self.memory = memory
        self.verbose = verbose

    def transform(self, X):
        """Surprisal of each text.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts. The cells of a row are joined by a space.

        Returns
        -------
        ndarray of shape (n_texts, n_reductions)
            Positive, float64, in `unit`.
        """
        frames = self.by_token(X) if self.level == "token" else self.by_word(X)
        return np.array([self._reduced(frame["surprisal"].to_numpy(), i) for i, frame in enumerate(frames)])

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
            for record in self._records(self._samples(X))
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
        for (text, _), record in zip(samples, self._records(samples), strict=True):
            words = words_of(text, record[OFFSETS])
            names = [text[start:end] for start, end in words.spans.tolist()]
            frames.append(self._frame("word", names, words.spans, word_surprisal(record[SCORES], words)))
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
        prefix = "surprisal" if self.level == "token" else "word_surprisal"
        return np.array([f"{prefix}_{name}" for name in self._reductions()], dtype=object)

    def _fit_to(self, config) -> None:
        self._reductions()

    def _wanted(self, n_layers: int) -> Wanted:
        return Wanted(surprisal=True)

    def _reductions(self) -> list[str]:
        names = [self.reduction] if isinstance(self.reduction, str) else list(self.reduction)
        if not names or any(name not in _REDUCTIONS for name in names):
            raise ValueError(f"reduction must be one or a list of {', '.join(_REDUCTIONS)}, got {self.reduction!r}.")
        return names

    def _frame(self, unit: str, names: list[str], offsets: np.ndarray, nats: np.ndarray):
        import pandas as pd

        columns = {unit: names, "start": offsets[:, 0], "end": offsets[:, 1], "surprisal": nats / _UNITS[self.unit]}
        return pd.DataFrame(columns)

    def _reduced(self, values: np.ndarray, sample: int) -> list[float]:
        known = values[~np.isnan(values)]
        if not len(known):
            raise ValueError(
                f"Sample {sample} has one {self.level} and nothing before it, so that it has no probability. Set "
                "prepend_bos=True, or give a context."
            )
        return [float(_REDUCTIONS[name](known)) for name in self._reductions()]
