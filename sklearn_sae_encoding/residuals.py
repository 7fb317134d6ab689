"""Activations and features to what an SAE leaves out of them, and what their context did not foretell."""

from __future__ import annotations

from typing import ClassVar

import numpy as np
from scipy import sparse
from scipy.linalg import cho_factor, cho_solve
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding import _validation as allow
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.tokens import TokenTable

__all__ = ["FeaturePredictionError", "SAEResidual"]

_POOLINGS = ("mean", "sum", "max", "last", "first")
_LEVELS = ("text", "token", "word")
_MOST_FEATURES = 8192  # whose covariance takes half a gigabyte


class SAEResidual(TransformerMixin, BaseEstimator):
    """What an SAE's features leave out of the activations: ``x - decode(encode(x))`` of each token, then pooled.

    As a band beside the features, it asks whether the features keep what a response needs.

    Parameters
    ----------
    projector : SAEProjector
        Whose SAE reconstructs; its `features`, `level` and `pooling` play no part. It is cloned.
    level : {"text", "token", "word"}, default="text"
        What a row is; tokens and words of each text come as a TokenTable.
    pooling : {"mean", "sum", "max", "last", "first"}, default="mean"
        How the tokens become it.

    Attributes
    ----------
    projector_ : SAEProjector
        Fitted, of all features.
    n_features_in_ : int
        Width of the activations, and of what comes out.

    Raises
    ------
    ValueError
        If `X` is no TokenTable of activations, or the SAE has no inverse: transcoders, and SAEs that rescale tokens.

    References
    ----------
    Guo, Wu and Yiu, arXiv:2605.23035, report r = .031 for encoding from an error that is read as this one.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.residuals import SAEResidual
    >>> from sklearn_sae_encoding.sae import SAEProjector
    >>> from sklearn_sae_encoding.tokens import TokenTable
    >>> rng = np.random.default_rng(0)
    >>> activations = TokenTable([rng.standard_normal((n_tokens, 8)) for n_tokens in (3, 5, 4, 7)])
    >>> residual = SAEResidual(SAEProjector(n_features=16, random_state=0))
    >>> residual.fit_transform(activations).shape
    (4, 8)
    """

    _allowed: ClassVar = {
        "projector": (SAEProjector,),
        "level": (allow.one_of(*_LEVELS),),
        "pooling": (allow.one_of(*_POOLINGS),),
    }

    def __init__(self, projector, *, level="text", pooling="mean"):
        self.projector = projector
        self.level = level
        self.pooling = pooling

    def fit(self, X, y=None):
        """Load or learn the SAE.

        Parameters
        ----------
        X : TokenTable
            Activations.
        y : ignored

        Returns
        -------
        self
        """
        allow.check_parameters(self, self._allowed)
        _check_table(X, "activations")
        whole = {"level": "token", "features": None, "reconstruction": (), "scale_by_decoder_norm": False}
        self.projector_ = clone(self.projector).set_params(**whole).fit(X)
        self.n_features_in_ = X.width
        return self

    def transform(self, X):
        """Take the reconstruction away, and pool.

        Parameters
        ----------
        X : TokenTable
            Activations.

        Returns
        -------
        residuals : ndarray of shape (n_texts, n_features_in), or TokenTable
        """
        check_is_fitted(self)
        _check_table(X, "activations")
        features = self.projector_.transform(X)
        errors = [
            np.asarray(values) - self.projector_.inverse_transform(of_text)
            for values, of_text in zip(X, features, strict=True)
        ]
        return _pooled(X, errors, self.get_feature_names_out(), self.level, self.pooling)

    def get_feature_names_out(self, input_features=None):
        """Name the columns ``sae_residual_0`` and so on.

        Parameters
        ----------
        input_features : ignored

        Returns
        -------
        names : ndarray of str objects
        """
        check_is_fitted(self)
        return np.array([f"sae_residual_{j}" for j in range(self.n_features_in_)], dtype=object)


class FeaturePredictionError(TransformerMixin, BaseEstimator):
    """What a word's features are beyond what those of the word before foretell.

    A ridge regression ``f_t = A f_(t-1) + b`` is fitted to neighbouring rows of the texts in ``fit``, so that in a
    pipeline nothing is learnt from texts that are held out. What comes out is ``f_t - A f_(t-1) - b``, whose positive
    part is content that came unexpected; the first row of a text is compared with the mean. Put surprisal beside it:
    what was not expected is also surprising.

    Parameters
    ----------
    alpha : float, default=1.0
        Ridge penalty for features in units of their standard deviation. Raising it expects less.
    level : {"text", "token"}, default="text"
        What a row is: a text, or a row of the table given (a token or word), as a TokenTable.
    pooling : {"mean", "sum", "max", "last", "first"}, default="mean"
        How rows become a text's (or a sample's, which then foretells the next).
    unit : {"row", "sample"}, default="row"
        What foretells what. "row": a row of a text the next one. "sample": samples are words in their stories, as
        :class:`~sklearn_sae_encoding.timing.WordsToScans` hands them on, and each, pooled, foretells the next sample of
        the same text; a row a sample comes out.

    Attributes
    ----------
    coef_ : ndarray of shape (n_features, n_features)
        ``A`` transposed: weights of the features before.
    mean_ : ndarray of shape (n_features,)
        Mean of each feature.
    n_features_in_ : int

    Raises
    ------
    ValueError
        If `X` is no TokenTable, has more than 8,192 features, or no text of two rows.

    Notes
    -----
    How Guo, Wu and Yiu (arXiv:2605.23035) define prediction error could not be recovered: this is our reading.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.residuals import FeaturePredictionError
    >>> from sklearn_sae_encoding.tokens import TokenTable
    >>> walk = np.tile([[1.0, 0.0], [0.0, 1.0]], (50, 1))  # each word foretells the next
    >>> errors = FeaturePredictionError(alpha=1e-3, level="token").fit_transform(TokenTable([walk, walk[1:]]))
    >>> bool(np.abs(errors[0][1:]).max() < 0.01)
    True
    """

    _allowed: ClassVar = {
        "alpha": (allow.real(0, closed="neither"),),
        "level": (allow.one_of("text", "token"),),
        "pooling": (allow.one_of(*_POOLINGS),),
        "unit": (allow.one_of("row", "sample"),),
    }

    def __init__(self, alpha=1.0, *, level="text", pooling="mean", unit="row"):
        self.alpha = alpha
        self.level = level
        self.pooling = pooling
        self.unit = unit

    def fit(self, X, y=None):
        """Learn what rows foretell of the next.

        Parameters
        ----------
        X : TokenTable
            Features of tokens or words.
        y : ignored

        Returns
        -------
        self
        """
        allow.check_parameters(self, self._allowed)
        X = self._chains(X)
        if X.width > _MOST_FEATURES:
            raise ValueError(
                f"The table has {X.width} features, of which each would foretell each; at most {_MOST_FEATURES} fit. "
                "Choose some: SAEProjector(features=...)."
            )
        values = [sparse.csr_array(value).astype(np.float64) for value in X if value.shape[0] > 1]
        if not values:
            raise ValueError("No text has two rows, so that none foretells another.")
        before, after = (sparse.vstack([value[part] for value in values]) for part in (slice(-1), slice(1, None)))
        every = sparse.vstack(values)
        mean = every.mean(axis=0)
        scale = np.sqrt(np.maximum(every.multiply(every).mean(axis=0) - mean**2, 0.0))
        scale[scale <= 1e-7 * np.abs(mean).max(initial=1e-300)] = 1.0
        n = before.shape[0]
        # Centred by hand: the rows stay sparse.
        first, second = before.mean(axis=0), after.mean(axis=0)
        gram = (before.T @ before).toarray() - n * np.outer(first, first)
        cross = (before.T @ after).toarray() - n * np.outer(first, second)
        factor = cho_factor(gram / np.outer(scale, scale) + self.alpha * np.eye(X.width))
        self.coef_ = cho_solve(factor, cross / scale[:, None]) / scale[:, None]
        self.intercept_, self.mean_ = second - first @ self.coef_, mean
        self.n_features_in_, self.names_ = X.width, X.names
        return self

    def transform(self, X):
        """Take what was foretold away, and pool.

        Parameters
        ----------
        X : TokenTable
            Features of tokens or words.

        Returns
        -------
        errors : ndarray of shape (n_texts, n_features), or TokenTable
        """
        check_is_fitted(self)
        X = self._chains(X)
        if X.width != self.n_features_in_:
            raise ValueError(f"X has {X.width} features, but this was fitted to {self.n_features_in_}.")
        errors = []
        for value in X:
            dense = value.toarray() if sparse.issparse(value) else np.asarray(value)
            foretold = np.vstack([self.mean_, dense[:-1] @ self.coef_ + self.intercept_])[: len(dense)]
            errors.append((dense - foretold).astype(np.float32))
        if self.unit == "sample":
            return np.concatenate(errors)
        return _pooled(X, errors, self.get_feature_names_out(), self.level, self.pooling)

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
        names = range(self.n_features_in_) if self.names_ is None else self.names_
        return np.array([f"prediction_error_{name}" for name in names], dtype=object)

    def _chains(self, X):
        """Texts of rows, the next of which each foretells."""
        _check_table(X, "features")
        if self.unit == "row":
            return X
        if X.texts is None or self.level != "text":
            raise ValueError("unit='sample' needs a TokenTable that knows its texts, and level='text'.")
        rows = X.pool("text", pooling=self.pooling)
        starts = [i for i in range(len(X)) if i == 0 or X.texts[i] != X.texts[i - 1]]
        return TokenTable([rows[a:b] for a, b in zip(starts, [*starts[1:], len(X)], strict=True)], names=X.names)


def _check_table(X, what):
    if not isinstance(X, TokenTable) or not len(X):
        raise ValueError(f"Expected a TokenTable of {what}, with at least one text, got {type(X).__name__}: {X!r:.80}.")


def _pooled(table, values, names, level, pooling):
    lists = {name: getattr(table, name) for name in ("texts", "tokens", "offsets", "shared", "joined")}
    origin = {"model": table.model, "hook": table.hook, "bos_token": table.bos_token}
    errors = TokenTable(values, names=list(names), **lists, **origin)
    if level == "token":
        return errors
    return errors.pool(by=level, pooling=pooling)
