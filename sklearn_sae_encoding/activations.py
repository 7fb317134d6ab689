"""Texts to token activations."""

from __future__ import annotations

from numbers import Integral, Real
from typing import ClassVar

import numpy as np
from sklearn.utils._param_validation import StrOptions
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._lm.base import LanguageModelTransformer
from sklearn_sae_encoding._lm.documentation import with_shared_parameters
from sklearn_sae_encoding._lm.extract import OFFSETS, TOKENS, Wanted
from sklearn_sae_encoding._lm.loading import release_models
from sklearn_sae_encoding._lm.sites import SITES, resolve_hooks
from sklearn_sae_encoding._lm.store import forget_texts
from sklearn_sae_encoding._lm.tokens import TokenActivations

__all__ = ["LMActivationTransformer", "TokenActivations", "forget_texts", "release_models"]

_POOLINGS = {
    "mean": lambda tokens: tokens.mean(axis=0, dtype=np.float64),
    "sum": lambda tokens: tokens.sum(axis=0, dtype=np.float64),
    "max": lambda tokens: tokens.max(axis=0),
    "last": lambda tokens: tokens[-1],
}


@with_shared_parameters
class LMActivationTransformer(LanguageModelTransformer):
    """Activations of a causal language model on every token of every text, or pooled to one row a text.

    The activations are read by hooks on the decoder blocks, so that the last layer is the residual stream too, before
    the final norm. Padding stands on the right and changes nothing; a text gives the same row in any batch.

    Every text runs once. What the model says of a text is kept, and one pass serves all transformers of this process
    that name the same model with the same settings: activations of several layers, and the surprisal of
    :class:`~sklearn_sae_encoding.surprisal.SurprisalTransformer`. Layers above the highest one that any of them asks
    for are not computed, unless one asks for surprisal.

    Parameters
    ----------
    %(model)s

    layer : int, float, str, or list of these
        Decoder block: its index from 0 (negative from the end), a fraction of depth between 0.0 and 1.0, or a hook
        name such as ``"blocks.12.hook_resid_post"``, which also names the site. Activations of several layers stand
        side by side, from one pass.

    site : {"resid_post", "resid_pre", "attn_out", "mlp_out"}, default="resid_post"
        Where in the block: the residual stream after or before it, or what its attention or MLP adds to the stream.

    pooling : {"mean", "last", "max", "sum"}, default=None
        How the tokens of a text become one row. None gives every token, as ``SAEProjector`` wants it.

    %(settings)s

    Attributes
    ----------
    hook_names_ : tuple of str
        Hooks that are read, such as ``("blocks.12.hook_resid_post",)``.

    d_model_ : int
        Width of an activation vector, all hooks together.

    %(attributes)s

    Raises
    ------
    ValueError
        In ``fit`` or ``transform``: for a model that is not found (with what was looked for and where), a layer that it
        does not have, damaged or incomplete weights, and texts that are none, with the sample.

    See Also
    --------
    sklearn_sae_encoding.sae.SAEProjector : Token activations to SAE features.
    sklearn_sae_encoding.surprisal.SurprisalTransformer : Surprisal, from the same pass.

    Notes
    -----
    Where they take little room (512 MiB a call), a pass keeps in memory all layers that it goes through, so that a
    search over layers still runs each text once. On disk it keeps only what was asked for.

    Examples
    --------
    >>> from sklearn_sae_encoding.activations import LMActivationTransformer
    >>> from sklearn_sae_encoding.datasets import load_smollm2
    >>> texts = ["The cat sat on the mat.", "A dog!"]
    >>> acts = LMActivationTransformer(load_smollm2(), layer=15).fit_transform(texts)  # doctest: +SKIP
    >>> acts.hook, acts.n_tokens.tolist(), acts.d_model  # doctest: +SKIP
    ('blocks.15.hook_resid_post', [7, 3], 576)
    """

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
        """Activations of texts: looked up where they are known, computed otherwise.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts. The cells of a row are joined by a space.

        Returns
        -------
        TokenActivations of length n_texts, or ndarray of shape (n_texts, d_model_)
            Activations of every token, or float32 rows with `pooling`.
        """
        check_is_fitted(self)
        records = self._records(self._samples(X))
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

    def get_feature_names_out(self, input_features=None):
        """Names of the columns, such as ``blocks.12.hook_resid_post_0``. Without `pooling`, those of each token's row.

        Parameters
        ----------
        input_features : array-like of str, default=None
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
        if transform is not None:
            self._sklearn_output_config = {"transform": transform}
        return self

    @property
    def _sklearn_output_config(self):
        # TokenActivations make no table: scikit-learn must not wrap them, whatever container is set for all.
        if self.pooling is None:
            return {"transform": "default"}
        return self.__dict__.get("_sklearn_output_config", {})

    @_sklearn_output_config.setter
    def _sklearn_output_config(self, config):
        self.__dict__["_sklearn_output_config"] = config

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
