"""Texts to SAE features beyond those of the tokens that the language model itself expected."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding import _validation as allow
from sklearn_sae_encoding._lm.candidates import candidates_of, probabilities_of
from sklearn_sae_encoding._lm.extract import Wanted
from sklearn_sae_encoding._lm.sites import SITES, resolve_hooks
from sklearn_sae_encoding._text_transformer import TextTransformer, samples_by_text
from sklearn_sae_encoding._tokens.derived import of_words
from sklearn_sae_encoding._tokens.pooling import POOLINGS, pool_ranges
from sklearn_sae_encoding.language_model import bos_token_of, pass_of
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.tokens import TokenTable

__all__ = ["NextTokenPredictionError"]


class NextTokenPredictionError(TextTransformer, auto_wrap_output_keys=None):
    """Features of each token, less those that the language model's own distribution of next tokens foretold.

    At each token the model says what could have come, `k` candidates c with probabilities p(c). Each candidate is read
    in the place of the token, after the same words, and its features f(c) are averaged::

        error = f(token) - Σ p(c) f(c) / Σ p(c)

    so that positive values are content that came unexpected, negative ones content that was expected and did not
    come. Put surprisal beside it as its control: what was not expected is also surprising.

    Parameters
    ----------
    model : str, path or LanguageModel
        The language model, which also says what it expects.

    layer : int, float or str
        Where activations are read, as in :class:`~sklearn_sae_encoding.activations.LMActivationTransformer`.

    projector : SAEProjector
        Activations to features; its `level`, `pooling` and `reconstruction` play no part. It is cloned, and
        fitted to the activations of the texts in ``fit``.

    k : int, default=10
        How many of the likeliest tokens are read. Raising it covers more of the distribution (:meth:`covered` says
        how much) and takes as many times longer.

    site : str, default="resid_post"
        Where in the block.

    level : {"text", "token", "word"}, default="text"
        What a row is; tokens and words of each text come as a TokenTable.

    pooling : {"mean", "sum", "max", "last", "first"}, default="mean"
        How tokens become a row.

    Attributes
    ----------
    projector_ : SAEProjector
        Fitted, of tokens.

    hook_name_ : str
        Where activations are read.

    n_layers_ : int
        Number of decoder blocks of the model.

    n_features_in_ : int
        Number of columns of the texts: 1 for a list.

    Raises
    ------
    ValueError
        If the model puts no beginning-of-sequence token before texts, so that nothing foretells the first token; and as
        LMActivationTransformer and SAEProjector.

    See Also
    --------
    sklearn_sae_encoding.residuals.FeaturePredictionError : What the features of the word before foretell.
    sklearn_sae_encoding.surprisal.SurprisalTransformer : The control.

    Notes
    -----
    How Guo, Wu and Yiu (arXiv:2605.23035) define prediction error could not be recovered: this is our reading.

    All candidates of a text run in few passes, in which each sees the words before its place alone. Where a
    family of models has no such passes, which is found by reading a token of the text itself among the candidates,
    every candidate runs behind its words: right, but slow for long texts.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_demo_sae, load_smollm2
    >>> from sklearn_sae_encoding.expectations import NextTokenPredictionError
    >>> from sklearn_sae_encoding.sae import SAEProjector
    >>> error = NextTokenPredictionError(load_smollm2(), 15, SAEProjector(load_demo_sae()), k=5)  # doctest: +SKIP
    >>> error.fit_transform(["The cat sat on the mat.", "The cat sat on the moon."]).shape  # doctest: +SKIP
    (2, 2048)
    """

    _allowed: ClassVar[dict] = {
        **TextTransformer._allowed,
        "layer": (allow.integer(), allow.real(), str),
        "projector": (SAEProjector,),
        "k": (allow.integer(1),),
        "site": (allow.one_of(*SITES),),
        "pooling": (allow.one_of(*POOLINGS),),
    }

    def __init__(self, model, layer, projector, *, k=10, site="resid_post", level="text", pooling="mean"):
        self.model = model
        self.layer = layer
        self.projector = projector
        self.k = k
        self.site = site
        self.level = level
        self.pooling = pooling

    def fit(self, X, y=None):
        """Read the texts, and load the SAE or learn one.

        Parameters
        ----------
        X : list of str, table of strings of shape (n_texts, n_columns), Spans, or DataFrame of text, start and end
            The texts, or spans in texts, each a sample.
        y : ignored

        Returns
        -------
        self
        """
        super().fit(X)
        samples = self._samples(X)
        whole = {"level": "token", "reconstruction": (), "sparse_output": True}
        if self.projector.pooling == "fraction_active":
            whole["pooling"] = "mean"
        self.projector_ = clone(self.projector).set_params(**whole).fit(self._activations(samples))
        return self

    def transform(self, X):
        """Compute what came and was not expected.

        Parameters
        ----------
        X : list of str, table of strings of shape (n_texts, n_columns), Spans, or DataFrame of text, start and end
            The texts, or spans in texts, each a sample that is read in its whole text.

        Returns
        -------
        errors : csr_array or ndarray of shape (n_samples, n_features), or TokenTable
            As sparse as the `sparse_output` of the projector says.
        """
        check_is_fitted(self)
        samples = self._samples(X)
        records = self._records(samples, Wanted(hooks=(self.hook_name_,)))
        errors = [None] * len(samples)
        for rows in samples_by_text(samples):
            own = records[rows[0]][self.hook_name_]
            found = self._errors(samples[rows[0]], own)
            for i in rows:
                errors[i] = found
        table = self._table(samples, records, errors, names=list(self.get_feature_names_out()))
        if self.level == "token":
            return table
        if self.level == "text":
            return self._contained(table.pool("text", pooling=self.pooling), X)
        words = self._words(samples, table)
        pairs = zip(table, words, strict=True)
        return of_words(table, words, [pool_ranges(v, w.tokens, self.pooling) for v, w in pairs], table.names)

    def covered(self, X):
        """Compute the probability that the `k` candidates have together, at each token.

        Parameters
        ----------
        X : list of str, table of strings, Spans, or DataFrame of text, start and end
            The texts.

        Returns
        -------
        covered : TokenTable of width 1
        """
        check_is_fitted(self)
        samples = self._samples(X)
        records = self._records(samples, Wanted())
        how, sums = pass_of(self._language_model()), [None] * len(samples)
        for rows in samples_by_text(samples):
            found = probabilities_of(how, samples[rows[0]], self.k).sum(axis=1, keepdims=True)
            for i in rows:
                sums[i] = found
        return self._table(samples, records, sums, names=["covered"])

    def get_feature_names_out(self, input_features=None):
        """Name the columns after the features: ``prediction_error_sae_00123``.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        names : ndarray of str objects
        """
        check_is_fitted(self)
        return np.array([f"prediction_error_{name}" for name in self.projector_.get_feature_names_out()], dtype=object)

    def _fit_to(self, config) -> None:
        name = self._language_model().name
        (self.hook_name_,) = resolve_hooks(self.layer, self.site, config.num_hidden_layers, name)

    def _activations(self, samples):
        records = self._records(samples, Wanted(hooks=(self.hook_name_,)))
        values = [record[self.hook_name_] for record in records]
        return self._table(samples, records, values, hook=self.hook_name_)

    def _errors(self, sample, own):
        """Features of the tokens of one text, less the expected ones."""
        model, expected = self._language_model(), []
        for some in candidates_of(pass_of(model), sample, self.hook_name_, self.k, own, model.batch_tokens):
            n, k = some.probabilities.shape
            shares = some.probabilities / some.probabilities.sum(axis=1, keepdims=True)
            average = sparse.csr_array((shares.ravel(), np.arange(n * k), np.arange(0, n * k + 1, k)), shape=(n, n * k))
            expected.append(average @ self._features(some.activations))
        errors = sparse.csr_array(self._features(own) - sparse.vstack(expected, format="csr"))
        return errors if self.projector.sparse_output else errors.toarray()

    def _features(self, activations):
        model = self._language_model()
        origin = {"model": model.name, "hook": self.hook_name_, "bos_token": bos_token_of(model)}
        return self.projector_.transform(TokenTable([activations], **origin))[0]
