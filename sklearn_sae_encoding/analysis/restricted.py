"""Encoders that see only some of the features: a Matryoshka bin, surprisal alone, content alone."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_sae_encoding.pipeline import make_published_encoder


def restrict_encoder(content=None, *, surprisal=True, encoder=None):
    """Build an encoder of some columns of features that were computed once.

    The features of all texts, surprisal last, are the input of every such encoder, so that models which differ in what
    they may see are scored on the same features and folds. Surprisal is standardised by the texts given to ``fit``;
    the content keeps its scale. The model is a :class:`~sklearn.pipeline.Pipeline` of ``columns`` and ``encoder``; the
    attribute ``columns_`` of the first tells which columns of the features the weights of the second belong to.

    Parameters
    ----------
    content : int, tuple of two int, array-like of int, or None, default=None
        The content columns to use: a prefix, a Matryoshka bin ``(lo, hi)``, or columns; ``[]`` is none. None is all.

    surprisal : bool, default=True
        Whether to use surprisal, the last column of the features, and have the encoder always keep it.

    encoder : estimator, default=None
        Cloned, with its ``forced_features`` (if it has them) set to surprisal or to None. None is the published one,
        see :func:`~sklearn_sae_encoding.pipeline.make_published_encoder`.

    Returns
    -------
    model : sklearn.pipeline.Pipeline
        Unfitted. ``fit(X, Y)`` takes features of shape `(n_texts, n_content + 1)`, dense or sparse.

    Raises
    ------
    ValueError
        If neither content nor surprisal is asked for; in ``fit``, if a content column doesn't exist.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import restrict_encoder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((60, 9))
    >>> model = restrict_encoder((2, 5)).fit(X, X[:, [2, 8]])
    >>> model["columns"].transform(X).shape  # three features and surprisal
    (60, 4)
    """
    nothing = content is not None and np.ndim(content) > 0 and len(content) == 0
    if nothing and not surprisal:
        raise ValueError("content=[] and surprisal=False leave no features. Ask for at least one of them.")
    encoder = make_published_encoder(surprisal) if encoder is None else clone(encoder)
    if "forced_features" in encoder.get_params():
        encoder.set_params(forced_features=[-1] if surprisal else None)
    return Pipeline([("columns", _ContentAndSurprisal(content, surprisal)), ("encoder", encoder)])


class _ContentAndSurprisal(TransformerMixin, BaseEstimator):
    """Take content columns as they are and the last column, surprisal, standardised; sparse stays sparse."""

    def __init__(self, content=None, surprisal=True):
        self.content = content
        self.surprisal = surprisal

    def fit(self, X, y=None):
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32))
        self.columns_ = _content_columns(self.content, X.shape[1] - 1)
        if self.surprisal:
            self.columns_ = np.append(self.columns_, X.shape[1] - 1)
            surprisal = _to_dense(X[:, [-1]]).astype(np.float64)
            self.mean_, self.scale_ = surprisal.mean(), surprisal.std() or 1.0
        return self

    def transform(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        taken = X[:, self.columns_]
        if not self.surprisal:
            return taken
        surprisal = ((_to_dense(taken[:, [-1]]) - self.mean_) / self.scale_).astype(X.dtype)
        if not sparse.issparse(X):
            return np.hstack([taken[:, :-1], surprisal])
        return sparse.csr_array(sparse.hstack([taken[:, :-1], sparse.csr_array(surprisal)], format="csr"))


def _content_columns(content, n_content):
    if content is None:
        return np.arange(n_content)
    if isinstance(content, Integral):
        content = (0, content)
    if np.ndim(content) > 0 and len(content) == 0:
        return np.zeros(0, dtype=np.intp)
    columns = np.arange(*content) if isinstance(content, tuple) and len(content) == 2 else np.asarray(content)
    # Without this check, a bin that reaches too far would take surprisal for content.
    if columns.ndim != 1 or len(columns) == 0 or columns.min() < 0 or columns.max() >= n_content:
        raise ValueError(
            f"content={content!r} asks for columns that are not among the {n_content} before surprisal, which is the "
            "last of the features."
        )
    return columns


def _to_dense(X):
    return X.toarray() if sparse.issparse(X) else np.asarray(X)
