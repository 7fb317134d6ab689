"""Texts to token activations."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._lm.extract import OFFSETS, TOKENS, Wanted
from sklearn_sae_encoding._lm.sites import SITES, resolve_hooks
from sklearn_sae_encoding._lm.tokens import TokenActivations
from sklearn_sae_encoding._lm.words import Words, word_names, words_of
from sklearn_sae_encoding._text_transformer import TextTransformer
from sklearn_sae_encoding._validation import integer, one_of, real
from sklearn_sae_encoding.language_model import bos_token_of

__all__ = ["LMActivationTransformer", "TokenActivations"]

_POOLINGS = {
    "mean": lambda tokens: tokens.mean(axis=0, dtype=np.float64),
    "sum": lambda tokens: tokens.sum(axis=0, dtype=np.float64),
    "max": lambda tokens: tokens.max(axis=0),
    "last": lambda tokens: tokens[-1],
}


class LMActivationTransformer(TextTransformer, auto_wrap_output_keys=None):
    """Activations of a causal language model on every token of every text, or pooled to one row a text.

    The activations are read by hooks on the decoder blocks, so that the last layer is the residual stream too, before
    the final norm. Padding stands on the right and changes nothing; a text gives the same row in any batch.

    Every text runs once. What the model says of a text is kept, and serves all transformers that hold an equal
    LanguageModel: activations of several layers, and the surprisal of
    :class:`~sklearn_sae_encoding.surprisal.SurprisalTransformer`, as the `keep` of the LanguageModel says. Layers above
    the highest one that is asked for are not computed, unless surprisal is kept.

    Parameters
    ----------
    model : str, path or LanguageModel
        The language model; a name, folder or GGUF file is short for
        :class:`~sklearn_sae_encoding.language_model.LanguageModel` of it.

    layer : int, float, str, or list of these
        Decoder block: its index from 0 (negative from the end), a fraction of depth between 0.0 and 1.0, or a hook
        name such as ``"blocks.12.hook_resid_post"``, which also names the site. Activations of several layers stand
        side by side, from one pass.

    site : {"resid_post", "resid_pre", "attn_out", "mlp_out"}, default="resid_post"
        Where in the block: the residual stream after or before it, or what its attention or MLP adds to the stream.

    level : {"token", "word", "text"}, default="token"
        What a row is: a token, as ``SAEProjector`` wants it, a word (what stands between white space), or a whole text.

    pooling : {"mean", "last", "max", "sum"}, default="mean"
        How tokens become a row, if that is a word or a text.

    Attributes
    ----------
    hook_names_ : tuple of str
        Hooks that are read, such as ``("blocks.12.hook_resid_post",)``.

    d_model_ : int
        Width of an activation vector, all hooks together.

    n_layers_ : int
        Number of decoder blocks of the model.

    n_features_in_ : int
        Number of columns of the texts: 1 for a list.

    feature_names_in_ : ndarray of str
        Names of the columns, if ``X`` in ``fit`` was a DataFrame.

    Raises
    ------
    ValueError
        In ``fit`` or ``transform``: for a model that is not found (with what was looked for and where), a layer that it
        does not have, damaged or incomplete weights, and texts that are none, with the sample.

    See Also
    --------
    sklearn_sae_encoding.sae.SAEProjector : Token activations to SAE features.
    sklearn_sae_encoding.surprisal.SurprisalTransformer : Surprisal, from the same pass.

    Examples
    --------
    >>> from sklearn_sae_encoding.activations import LMActivationTransformer
    >>> from sklearn_sae_encoding.datasets import load_smollm2
    >>> texts = ["The cat sat on the mat.", "A dog!"]
    >>> acts = LMActivationTransformer(load_smollm2(), layer=15).fit_transform(texts)  # doctest: +SKIP
    >>> acts.hook, acts.n_tokens.tolist(), acts.d_model  # doctest: +SKIP
    ('blocks.15.hook_resid_post', [7, 3], 576)
    """

    _allowed: ClassVar[dict] = {
        **TextTransformer._allowed,
        "layer": (integer(), real(), str, list, tuple),
        "site": (one_of(*SITES),),
        "pooling": (one_of(*_POOLINGS),),
    }

    def __init__(self, model, layer, *, site="resid_post", level="token", pooling="mean"):
        self.model = model
        self.layer = layer
        self.site = site
        self.level = level
        self.pooling = pooling

    def transform(self, X):
        """Activations of texts: looked up where they are known, computed otherwise.

        Parameters
        ----------
        X : list of str, or table of strings of shape (n_texts, n_columns)
            The texts. The cells of a row are joined by a space.

        Returns
        -------
        TokenActivations of length n_texts, or ndarray of shape (n_texts, d_model_)
            Activations of every token or word, or float32 rows, one a text.
        """
        check_is_fitted(self)
        samples = self._samples(X)
        records = self._records(samples, Wanted(hooks=self.hook_names_))
        values = [_side_by_side([record[hook] for hook in self.hook_names_]) for record in records]
        if self.level == "text":
            rows = np.stack([_POOLINGS[self.pooling](value) for value in values]).astype(np.float32)
            return self._contained(rows, X)
        tokens, offsets = [record[TOKENS].tolist() for record in records], [record[OFFSETS] for record in records]
        if self.level == "word":
            words = [words_of(sample.text, spans) for sample, spans in zip(samples, offsets, strict=True)]
            values = [_by_word(value, one, self.pooling) for value, one in zip(values, words, strict=True)]
            tokens = [word_names(sample.text, one) for sample, one in zip(samples, words, strict=True)]
            offsets = [one.spans for one in words]
        return TokenActivations(
            values,
            tokens=tokens,
            offsets=offsets,
            model=self._language_model().name,
            hook=self.hook_names_[0] if len(self.hook_names_) == 1 else self.hook_names_,
            bos_token=bos_token_of(self._language_model()),
        )

    def get_feature_names_out(self, input_features=None):
        """Names of the columns, such as ``blocks.12.hook_resid_post_0``, of whatever is a row.

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

    def _fit_to(self, config) -> None:
        name = self._language_model().name
        self.hook_names_ = resolve_hooks(self.layer, self.site, config.num_hidden_layers, name)
        self.d_model_ = config.hidden_size * len(self.hook_names_)


def _side_by_side(values: list[np.ndarray]) -> np.ndarray:
    return values[0] if len(values) == 1 else np.concatenate(values, axis=1)


def _by_word(values: np.ndarray, words: Words, pooling: str) -> np.ndarray:
    parts = np.split(values, words.first[1:-1])
    return np.stack([_POOLINGS[pooling](part) for part in parts]).astype(np.float32)
