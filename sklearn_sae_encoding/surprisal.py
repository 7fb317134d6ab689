"""Texts to surprisal."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._lm.base import LanguageModelTransformer
from sklearn_sae_encoding._lm.extract import SCORES, Wanted

__all__ = ["SurprisalTransformer"]

_REDUCTIONS = {"mean": np.mean, "sum": np.sum, "max": np.max}


class SurprisalTransformer(LanguageModelTransformer):
    """Surprisal of texts under a causal language model: how unexpected their tokens or words are."""

    _parameter_constraints: ClassVar[dict] = {
        **LanguageModelTransformer._parameter_constraints,
        "reduction": [StrOptions(set(_REDUCTIONS)), list, tuple],
        "unit": [StrOptions({"nats", "bits"})],
    }

    def __init__(
        self,
        model,
        *,
        reduction="mean",
        unit="nats",
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
            The texts.

        Returns
        -------
        ndarray of shape (n_texts, n_reductions)
            Positive, in `unit` per token.
        """
        values = [self._in_unit(-record[SCORES][:, 0].astype(np.float64)) for record in self._records(X)]
        return np.array([[_REDUCTIONS[name](value) for name in self._reductions()] for value in values])

    def get_feature_names_out(self, input_features=None):
        """Names of the columns, such as ``surprisal_mean``.

        Parameters
        ----------
        input_features : None
            Ignored.

        Returns
        -------
        ndarray of str
        """
        check_is_fitted(self)
        return np.array([f"surprisal_{name}" for name in self._reductions()], dtype=object)

    def _fit_to(self, config) -> None:
        self._reductions()

    def _wanted(self, n_layers: int) -> Wanted:
        return Wanted(surprisal=True)

    def _reductions(self) -> list[str]:
        names = [self.reduction] if isinstance(self.reduction, str) else list(self.reduction)
        unknown = [name for name in names if name not in _REDUCTIONS]
        if unknown or not names:
            raise ValueError(f"reduction must be one or a list of {', '.join(_REDUCTIONS)}, got {self.reduction!r}.")
        return names

    def _in_unit(self, nats: np.ndarray) -> np.ndarray:
        return nats / np.log(2) if self.unit == "bits" else nats
