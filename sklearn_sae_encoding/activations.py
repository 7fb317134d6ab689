"""Texts to token activations."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.metaestimators import available_if
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._lm.base import LanguageModelTransformer
from sklearn_sae_encoding._lm.extract import OFFSETS, TOKENS, Wanted
from sklearn_sae_encoding._lm.sites import SITES, resolve_hooks
from sklearn_sae_encoding._lm.tokens import TokenActivations

__all__ = ["LMActivationTransformer", "TokenActivations"]

_POOLINGS = {
    "mean": lambda tokens: tokens.mean(axis=0, dtype=np.float64),
    "sum": lambda tokens: tokens.sum(axis=0, dtype=np.float64),
    "max": lambda tokens: tokens.max(axis=0),
    "last": lambda tokens: tokens[-1],
}


def _gives_a_table(estimator) -> bool:
    return estimator.pooling is not None


class LMActivationTransformer(LanguageModelTransformer):
    """Activations of a causal language model on every token of every text, or pooled to one row a text."""

    _parameter_constraints: ClassVar[dict] = {
        **LanguageModelTransformer._parameter_constraints,
        "layer": [Integral, Real, str, list, tuple],
        "site": [StrOptions(set(SITES))],
        "pooling": [StrOptions(set(_POOLINGS)), None],
    }

    def __init__(
        self,
        model,
        layer,
        *,
        site="resid_post",
        pooling=None,
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
        self.layer = layer
        self.site = site
        self.pooling = pooling
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
        """Run the model on texts it has not seen, and look the others up.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts.

        Returns
        -------
        TokenActivations of length n_texts, or ndarray of shape (n_texts, d_model_)
            Activations of every token, or float32 rows with `pooling`.
        """
        records = self._records(X)
        values = [_side_by_side([record[hook] for hook in self.hook_names_]) for record in records]
        if self.pooling is not None:
            return np.stack([_POOLINGS[self.pooling](value) for value in values]).astype(np.float32)
        return TokenActivations(
            values,
            tokens=[record[TOKENS].tolist() for record in records],
            offsets=[record[OFFSETS] for record in records],
            model=self._source().name,
            hook=self.hook_names_[0] if len(self.hook_names_) == 1 else self.hook_names_,
            prepend_bos=self.prepend_bos,
        )

    @available_if(_gives_a_table)
    def get_feature_names_out(self, input_features=None):
        """Names of the columns, ``blocks.12.hook_resid_post_0`` and so on. Only with `pooling`.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        width = self.d_model_ // len(self.hook_names_)
        return np.array([f"{hook}_{j}" for hook in self.hook_names_ for j in range(width)], dtype=object)

    def set_output(self, *, transform=None):
        """Choose the container of the columns. Without `pooling` there are none, and TokenActivations stay as they are.

        Parameters
        ----------
        transform : {"default", "pandas", "polars"}, default=None
            Container of what ``transform`` gives; None leaves it as it was.

        Returns
        -------
        self
        """
        # scikit-learn's own is missing where there are no column names, and a pipeline's set_output would fail on it.
        if transform is not None:
            self._sklearn_output_config = {**getattr(self, "_sklearn_output_config", {}), "transform": transform}
        return self

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        # scikit-learn's checks compare what comes out as arrays, which TokenActivations are not.
        tags.input_tags.two_d_array = self.pooling is not None
        return tags

    def _fit_to(self, config) -> None:
        self.hook_names_ = self._wanted(config.num_hidden_layers).hooks
        self.d_model_ = config.hidden_size * len(self.hook_names_)

    def _wanted(self, n_layers: int) -> Wanted:
        return Wanted(hooks=resolve_hooks(self.layer, self.site, n_layers, self._source().name))


def _side_by_side(values: list[np.ndarray]) -> np.ndarray:
    return values[0] if len(values) == 1 else np.concatenate(values, axis=1)
