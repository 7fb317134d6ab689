"""What the transformers share that put texts to a language model: parameters, checks, and the container of rows."""

from __future__ import annotations

import os
from numbers import Integral
from typing import ClassVar

from sklearn.base import BaseEstimator, TransformerMixin

from sklearn_sae_encoding._lm.extract import Wanted
from sklearn_sae_encoding._lm.source import load_config
from sklearn_sae_encoding._lm.texts import Sample, check_samples, check_texts
from sklearn_sae_encoding._validation import check_parameters, one_of
from sklearn_sae_encoding.language_model import (
    LanguageModel,
    as_language_model,
    check_language_model,
    records_of,
    source_of,
)


# scikit-learn would wrap whatever comes out of transform, also what is no table: here it is asked where rows come out.
class TextTransformer(TransformerMixin, BaseEstimator, auto_wrap_output_keys=None):
    """Base of the transformers that put texts to a language model."""

    _allowed: ClassVar[dict] = {
        "model": (str, os.PathLike, LanguageModel),
        "level": (one_of("text", "token", "word"),),
    }
    _container = None  # what set_output asked for

    def fit(self, X, y=None):
        """Check the texts, and that the model and what is asked of it exist. The weights are not loaded yet.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts.
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

    def set_output(self, *, transform=None):
        """Choose the container of rows. Tokens and words, which are no table, stay what they are.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Container of what ``transform`` gives; None leaves it as it was.

        Returns
        -------
        self
        """
        if transform is not None:
            self._container = transform
        return self

    def _fit_to(self, config) -> None:
        raise NotImplementedError

    def _language_model(self) -> LanguageModel:
        return as_language_model(self.model)

    def _samples(self, X, reset: bool = False) -> list[Sample]:
        context = self._language_model().context
        if isinstance(context, Integral):
            return check_samples(self, X, context_column=context, reset=reset)
        return [Sample(text) for text in check_texts(self, X, reset=reset)]

    def _records(self, samples: list[Sample], wanted: Wanted) -> list[dict]:
        return records_of(self._language_model(), samples, wanted)

    def _contained(self, rows, X):
        """Rows in the container that was asked for, named and indexed as scikit-learn does."""
        return _Rows(rows, self.get_feature_names_out()).set_output(transform=self._container).transform(X)

    def __sklearn_clone__(self):
        new = super().__sklearn_clone__()
        new._container = self._container
        return new

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        # scikit-learn's checks compare what comes out as arrays, which tokens and words are not.
        tags.input_tags.two_d_array = self.level == "text"
        tags.transformer_tags.preserves_dtype = []  # what comes out does not depend on how texts are stored
        return tags


class _Rows(TransformerMixin, BaseEstimator):
    """Gives out rows that are made already, so that scikit-learn puts them in a container."""

    def __init__(self, rows, names):
        self.rows = rows
        self.names = names

    def transform(self, X):
        return self.rows

    def get_feature_names_out(self, input_features=None):
        return self.names
