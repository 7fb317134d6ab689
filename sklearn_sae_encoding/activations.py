"""Texts to token activations."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._lm.extract import Wanted
from sklearn_sae_encoding._lm.sites import SITES, resolve_hooks, width_of
from sklearn_sae_encoding._text_transformer import TextTransformer
from sklearn_sae_encoding._tokens.derived import of_words
from sklearn_sae_encoding._tokens.pooling import POOLINGS, pool_ranges
from sklearn_sae_encoding._tokens.rows import pooled_rows
from sklearn_sae_encoding._validation import integer, one_of, real

__all__ = ["LMActivationTransformer"]


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

    site : {"resid_post", "resid_pre", "attn_out", "mlp_out", "z", "mlp_in"}, default="resid_post"
        Where in the block: the residual stream after or before it; what its attention or MLP adds to the stream; what
        the output projection of its attention reads, heads side by side ("z"); or what its MLP reads, after the norm.

    level : {"token", "word", "text"}, default="token"
        What a row is: a token, as ``SAEProjector`` wants it, a word (what stands between white space), or a whole text.

    pooling : {"mean", "sum", "max", "last", "first"}, default="mean"
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
        does not have, damaged or incomplete weights, another model's tokenizer, and texts that are none, with the
        sample. For "attn_out" and "mlp_out" of a model whose modules do not give what its blocks add: on the first
        batch, ``resid_pre + attn_out + mlp_out`` is compared with ``resid_post``.

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
    >>> acts.hook, acts.n_tokens.tolist(), acts.width  # doctest: +SKIP
    ('blocks.15.hook_resid_post', [7, 3], 576)
    """

    _allowed: ClassVar[dict] = {
        **TextTransformer._allowed,
        "layer": (integer(), real(), str, list, tuple),
        "site": (one_of(*SITES),),
        "pooling": (one_of(*POOLINGS),),
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
        X : list of str, table of strings of shape (n_texts, n_columns), Spans, or DataFrame of text, start and end
            The texts; the cells of a row are joined by a space. Or spans in texts, each a sample that is read in its
            whole text.

        Returns
        -------
        TokenTable of length n_samples, or ndarray of shape (n_samples, d_model)
            Activations of every token or word, or float32 rows, one a text or span.
        """
        check_is_fitted(self)
        samples = self._samples(X)
        records = self._records(samples, Wanted(hooks=self.hook_names_))
        values = [_side_by_side([record[hook] for hook in self.hook_names_]) for record in records]
        hook = self.hook_names_[0] if len(self.hook_names_) == 1 else self.hook_names_
        table = self._table(samples, records, values, hook=hook)
        if self.level == "token":
            return table
        if self.level == "text":
            return self._contained(pooled_rows(table.pool("text", pooling=self.pooling), self.pooling), X)
        words = self._words(samples, table)
        pairs = zip(table, words, strict=True)
        return of_words(table, words, [pool_ranges(value, one.tokens, self.pooling) for value, one in pairs])

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
        widths = dict(zip(self.hook_names_, self._widths, strict=True))
        return np.array([f"{hook}_{j}" for hook, width in widths.items() for j in range(width)], dtype=object)

    def _fit_to(self, config) -> None:
        name = self._language_model().name
        self.hook_names_ = resolve_hooks(self.layer, self.site, config.num_hidden_layers, name)
        self._widths = tuple(width_of(hook, config) for hook in self.hook_names_)
        self.d_model_ = sum(self._widths)


def _side_by_side(values: list[np.ndarray]) -> np.ndarray:
    return values[0] if len(values) == 1 else np.concatenate(values, axis=1)
