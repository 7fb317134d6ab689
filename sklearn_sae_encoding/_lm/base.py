"""What the transformers that run a language model share: parameters, validation, one pass for all, cloning."""

from __future__ import annotations

import os
import threading
import weakref
from numbers import Integral
from typing import ClassVar

from sklearn.base import BaseEstimator, TransformerMixin, _fit_context
from sklearn.utils._param_validation import HasMethods, Interval, StrOptions

from sklearn_sae_encoding._cloning import clone_sharing
from sklearn_sae_encoding._lm.extract import Pass, Wanted, extract
from sklearn_sae_encoding._lm.source import ModelSource, load_config
from sklearn_sae_encoding._lm.store import open_store
from sklearn_sae_encoding._lm.texts import Sample, check_samples, check_texts

# Transformers of this process that may come to ask for the same texts. What one runs, it runs for all of them.
_living: weakref.WeakSet = weakref.WeakSet()
_living_lock = threading.Lock()  # a set must not grow in one thread while another goes through it

_SHARED_BY_CLONES = ("model", "tokenizer")


class LanguageModelTransformer(TransformerMixin, BaseEstimator):
    """Base of the transformers that put texts to a language model."""

    _parameter_constraints: ClassVar[dict] = {
        "model": [str, os.PathLike, HasMethods("forward")],
        "revision": [str, None],
        "tokenizer": [str, os.PathLike, HasMethods("convert_ids_to_tokens"), None],
        "weights": [StrOptions({"pretrained", "random"})],
        "random_state": [Interval(Integral, 0, None, closed="left")],
        "dtype": [StrOptions({"float32", "float16", "bfloat16", "float64", "auto"})],
        "device": [str],
        "prepend_bos": ["boolean"],
        "bos_token": [str, None],
        "context": [str, Interval(Integral, 0, None, closed="left"), None],
        "window": [Interval(Integral, 2, None, closed="left"), None],
        "stride": [Interval(Integral, 1, None, closed="left"), None],
        "batch_tokens": [Interval(Integral, 1, None, closed="left")],
        "blocks_path": [str, None],
        "memory": [str, os.PathLike, HasMethods("cache"), None],
        "verbose": ["verbose"],
    }

    def __new__(cls, *args, **kwargs):
        self = super().__new__(cls)  # also on the way of copies and pickles, which skip __init__
        with _living_lock:
            _living.add(self)
        return self

    @_fit_context(prefer_skip_nested_validation=True)
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
        self._samples(X, reset=True)
        config = load_config(self._source())
        self.n_layers_ = config.num_hidden_layers
        self._fit_to(config)
        return self

    def _fit_to(self, config) -> None:
        raise NotImplementedError

    def _wanted(self, n_layers: int) -> Wanted:
        raise NotImplementedError

    def _source(self) -> ModelSource:
        tokenizer = os.fspath(self.tokenizer) if isinstance(self.tokenizer, os.PathLike) else self.tokenizer
        return ModelSource(
            model=os.fspath(self.model) if isinstance(self.model, os.PathLike) else self.model,
            revision=self.revision,
            tokenizer=tokenizer,
            dtype=self.dtype,
            device=self.device,
            weights=self.weights,
            seed=self.random_state,
            blocks_path=self.blocks_path,
        )

    def _pass(self) -> Pass:
        return Pass(self._source(), self.prepend_bos, self.bos_token, self.context, self.window, self.stride)

    def _samples(self, X, reset: bool = False) -> list[Sample]:
        if isinstance(self.context, Integral):
            return check_samples(self, X, context_column=self.context, reset=reset)
        return [Sample(text) for text in check_texts(self, X, reset=reset)]

    def _records(self, samples: list[Sample]) -> list[dict]:
        """What the model says of every text, looked up or run."""
        how = self._pass()
        return extract(
            how,
            samples,
            self._wanted(self.n_layers_),
            self._wanted_by_others(how),
            open_store(self.memory),
            max_tokens=self.batch_tokens,
            verbose=self.verbose,
        )

    def _wanted_by_others(self, how: Pass) -> Wanted:
        """What the other living transformers of the same model will ask of these texts, as far as one can tell."""
        wanted = Wanted()
        with _living_lock:
            living = list(_living)
        for other in living:
            try:
                if other is not self and how.same_as(other._pass()):
                    wanted = wanted | other._wanted(self.n_layers_)
            except (AttributeError, TypeError, ValueError):
                continue  # half made, or set to what its own fit will refuse
        return wanted

    def __sklearn_clone__(self):
        return clone_sharing(self, _SHARED_BY_CLONES)

    def __sklearn_tags__(self):
        tags = super().__sklearn_tags__()
        tags.input_tags.string = True
        tags.input_tags.two_d_array = True
        tags.transformer_tags.preserves_dtype = []  # what comes out does not depend on how texts are stored
        return tags
