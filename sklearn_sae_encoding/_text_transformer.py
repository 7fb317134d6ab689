"""What the transformers share that put texts to a language model: parameters, checks, texts and spans."""

from __future__ import annotations

import os
from numbers import Integral
from typing import ClassVar, NamedTuple

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin

from sklearn_sae_encoding._containers import RowsInContainer
from sklearn_sae_encoding._lm.extract import OFFSETS, TOKENS, Wanted
from sklearn_sae_encoding._lm.source import load_config
from sklearn_sae_encoding._lm.texts import Sample, check_samples, check_spans, check_texts
from sklearn_sae_encoding._tokens.alignment import Words, words_of, words_within
from sklearn_sae_encoding._tokens.spans import as_spans
from sklearn_sae_encoding._validation import check_parameters, one_of
from sklearn_sae_encoding.language_model import (
    LanguageModel,
    as_language_model,
    bos_token_of,
    check_language_model,
    records_of,
    source_of,
)
from sklearn_sae_encoding.tokens import TokenTable


class TextTransformer(RowsInContainer, TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Base of the transformers that put texts to a language model."""

    _allowed: ClassVar[dict] = {
        "model": (str, os.PathLike, LanguageModel),
        "level": (one_of("text", "token", "word"),),
    }

    def fit(self, X, y=None):
        """Check the texts, and that the model and what is asked of it exist. The weights are not loaded yet.

        Parameters
        ----------
        X : list of str, table of strings of shape (n_texts, n_columns), Spans, or DataFrame of text, start and end
            The texts, or spans in texts, each a sample.
        y : None
            Ignored.

        Returns
        -------
        self
        """
        if hasattr(self.model, "forward"):
            raise TypeError(
                f"model must be a name, a path or a LanguageModel, got a {type(self.model).__name__}. Give a loaded "
                "model with its tokenizer: LanguageModel(model, tokenizer=tokenizer)."
            )
        check_parameters(self, self._allowed)
        check_language_model(self._language_model())
        self._samples(X, reset=True)
        config = load_config(source_of(self._language_model()))
        self.n_layers_ = config.num_hidden_layers
        self._fit_to(config)
        return self

    def set_params(self, **params):
        """Set parameters, those of its LanguageModel as ``model__bos_token`` and so on.

        Parameters
        ----------
        **params : dict
            Parameters.

        Returns
        -------
        self

        Raises
        ------
        ValueError
            For parameters that do not exist, and for one of the model where that is a mere name.
        """
        inner = {name.removeprefix("model__"): value for name, value in params.items() if name.startswith("model__")}
        model = params.get("model", self.model)
        if inner and not isinstance(model, LanguageModel):
            said = ", ".join(f"{name}={value!r}" for name, value in inner.items())
            raise ValueError(
                f"model is {str(model)!r}, which has no parameters of its own. Give model=LanguageModel("
                f"{str(model)!r}, {said}), or model=LanguageModel({str(model)!r}) to set them later."
            )
        return super().set_params(**params)

    def _fit_to(self, config) -> None:
        raise NotImplementedError

    def _language_model(self) -> LanguageModel:
        return as_language_model(self.model)

    def _samples(self, X, reset: bool = False) -> list[Sample]:
        context, spans = self._language_model().context, as_spans(X)
        if spans is not None:
            if reset:
                self.n_features_in_ = 1
            return check_spans(spans, _context_column(X, context) if isinstance(context, Integral) else None)
        if isinstance(context, Integral):
            return check_samples(self, X, context_column=context, reset=reset)
        return [Sample(text) for text in check_texts(self, X, reset=reset)]

    def _records(self, samples: list[Sample], wanted: Wanted) -> list[dict]:
        """What the model says of every text, looked up or run: once for each, however many samples it has."""
        return records_of(self._language_model(), samples, wanted)

    def _table(self, samples: list[Sample], records: list[dict], values: list, **known) -> TokenTable:
        """Values of the tokens of each sample: of its text, or of its span in the text."""
        places = places_of(samples, records)
        return TokenTable(
            [value[place.rows] for value, place in zip(values, places, strict=True)],
            texts=[sample.text for sample in samples],
            tokens=[record[TOKENS][place.rows].tolist() for record, place in zip(records, places, strict=True)],
            offsets=[record[OFFSETS][place.rows] for record, place in zip(records, places, strict=True)],
            model=self._language_model().name,
            bos_token=bos_token_of(self._language_model()),
            **known,
        )

    def _words(self, samples: list[Sample], table: TokenTable) -> list[Words]:
        """Words between white space, of each sample."""
        pairs = zip(samples, table.offsets, strict=True)
        return [words_within(s.text, offsets, s.span, of=f"sample {i}") for i, (s, offsets) in enumerate(pairs)]

    def __sklearn_clone__(self):
        return self._with_container(super().__sklearn_clone__())

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        # scikit-learn's checks compare what comes out as arrays, which tokens and words are not.
        tags.input_tags.two_d_array = self.level == "text"
        tags.transformer_tags.preserves_dtype = []  # what comes out does not depend on how texts are stored
        return tags


class Place(NamedTuple):
    """Where the tokens of a sample stand among those of its text."""

    rows: slice
    shared: bool  # the sample lies inside a token that begins before it


def places_of(samples: list[Sample], records: list[dict]) -> list[Place]:
    """Find the tokens of each sample: all of its text, or those of its span."""
    places = [Place(slice(None), False)] * len(samples)
    for rows in samples_by_text(samples):
        first = samples[rows[0]]
        if first.span is not None:
            spans = np.array([samples[i].span for i in rows])
            words = words_of(first.text, records[rows[0]][OFFSETS], spans, of=f"the text of sample {rows[0]}")
            for i, (start, end), shared in zip(rows, words.tokens.tolist(), words.shared.tolist(), strict=True):
                places[i] = Place(slice(start, end), shared)
    return places


def samples_by_text(samples: list[Sample]) -> list[list[int]]:
    """Positions of the samples of each different text, and context before it."""
    groups: dict[tuple, list[int]] = {}
    for i, sample in enumerate(samples):
        groups.setdefault((sample.text, sample.context), []).append(i)
    return list(groups.values())


def _context_column(X, column: int):
    """The contexts of spans."""
    names = list(getattr(X, "columns", []))
    if not column < len(names) or names[column] in ("text", "start", "end"):
        raise ValueError(
            f"context={column} names a column of X that holds the context of each span, besides text, start and end "
            f"(counted from 0), but X has {names or 'no columns'}. For one context before all texts, give it as a "
            "string."
        )
    return X[names[column]]
