"""Encoders that see only some of the features: a Matryoshka bin, surprisal alone, content alone."""

from numbers import Integral

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.pipeline import Pipeline
from sklearn.utils.validation import check_is_fitted, validate_data

from sklearn_sae_encoding._fitted.tables import default_names, find_features
from sklearn_sae_encoding.fitted import features_of
from sklearn_sae_encoding.pipeline import make_published_encoder


def restrict_encoder(content=None, *, surprisal=True, features=None, encoder=None):
    """Build an encoder of some columns of features that were computed once.

    The features of all texts are the input of every such encoder, so that models which differ in what they may see are
    scored on the same features and folds. Surprisal is standardised by the texts given to ``fit``; the content keeps
    its scale. The model is a :class:`~sklearn.pipeline.Pipeline` of ``columns`` and ``encoder``;
    :func:`~sklearn_sae_encoding.fitted.fitted_view` tells which features the weights belong to.

    Parameters
    ----------
    content : int, tuple of two int, sequence of int or str, or None, default=None
        What to use of the features that are not surprisal: a prefix of the SAE's features, a Matryoshka bin
        ``(lo, hi)``, or columns and names; ``[]`` is none. None is all.

    surprisal : bool, default=True
        Whether to use surprisal, and have the encoder always keep it.

    features : transformer, FittedView or DataFrame, default=None
        What the features are: the fitted transformer that made them, or their table, such as ``view.features`` or
        :func:`~sklearn_sae_encoding.fitted.feature_table`. None is the convention of
        :func:`~sklearn_sae_encoding.pipeline.make_published_encoder`: all of an SAE's features in their order, then one
        column of surprisal.

    encoder : estimator, default=None
        Cloned, with its ``forced_features`` (if it has them) set to surprisal or to None. None is the published one,
        see :func:`~sklearn_sae_encoding.pipeline.make_published_encoder`.

    Returns
    -------
    model : sklearn.pipeline.Pipeline
        Unfitted. ``fit(X, Y)`` takes features of shape `(n_texts, n_features)`, dense or sparse. Surprisal is the last
        of the columns that its encoder sees.

    Raises
    ------
    ValueError
        If neither content nor surprisal is asked for, surprisal is asked for but none of the features is surprisal, or
        a feature doesn't exist or is no content (without `features`, in ``fit``).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import restrict_encoder
    >>> from sklearn_sae_encoding.fitted import fitted_view
    >>> rng = np.random.default_rng(0)
    >>> X = rng.random((60, 9))
    >>> model = restrict_encoder((2, 5)).fit(X, X[:, [2, 8]])
    >>> fitted_view(model).features[["feature", "kind"]].values.tolist()
    [['x2', 'unknown'], ['x3', 'unknown'], ['x4', 'unknown'], ['x8', 'surprisal']]
    """
    nothing = content is not None and np.ndim(content) > 0 and len(content) == 0
    if nothing and not surprisal:
        raise ValueError("content=[] and surprisal=False leave no features. Ask for at least one of them.")
    surprisal_columns = (-1,)
    if features is not None:
        content, surprisal_columns = _resolve(content, features_of(features), surprisal)
    encoder = make_published_encoder(surprisal) if encoder is None else clone(encoder)
    if "forced_features" in encoder.get_params():
        last = list(range(-len(surprisal_columns), 0))
        encoder.set_params(forced_features=last if surprisal else None)
    return Pipeline([("columns", _ContentAndSurprisal(content, surprisal, surprisal_columns)), ("encoder", encoder)])


def _resolve(content, table, surprisal):
    """Give the columns of content, and those of surprisal, of features that are known."""
    is_surprisal = (table["kind"] == "surprisal").to_numpy()
    if surprisal and not is_surprisal.any():
        raise ValueError("surprisal=True, but none of the features is surprisal. Set surprisal=False.")
    if content is None:
        columns = np.flatnonzero(~is_surprisal)
    elif _is_range(content):
        lo, hi = (0, content) if isinstance(content, Integral) else content
        own = table["sae_index"].to_numpy(dtype=np.float64, na_value=np.nan)
        columns = np.flatnonzero((own >= lo) & (own < hi))
        if len(columns) == 0:
            raise ValueError(f"content={content!r} asks for features of an SAE, but none has an index in [{lo}, {hi}).")
    else:
        columns = find_features(table, content)
        if is_surprisal[columns].any():
            raise ValueError(f"content={content!r} asks for surprisal. Leave it out, and set surprisal=True.")
    return columns.tolist(), tuple(np.flatnonzero(is_surprisal).tolist())


def _is_range(content):
    return isinstance(content, Integral) or (isinstance(content, tuple) and len(content) == 2)


class _ContentAndSurprisal(TransformerMixin, BaseEstimator):
    """Take content columns as they are, and those of surprisal, standardised, after them; sparse stays sparse."""

    def __init__(self, content=None, surprisal=True, surprisal_columns=(-1,)):
        self.content = content
        self.surprisal = surprisal
        self.surprisal_columns = surprisal_columns

    def fit(self, X, y=None):
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32))
        of_surprisal = np.asarray(self.surprisal_columns, dtype=np.intp) % X.shape[1]
        content = _content_columns(self.content, np.setdiff1d(np.arange(X.shape[1]), of_surprisal))
        self.n_content_ = len(content)
        self.columns_ = np.append(content, of_surprisal) if self.surprisal else content
        if self.surprisal:
            surprisal = _to_dense(X[:, of_surprisal]).astype(np.float64)
            sd = surprisal.std(axis=0)
            self.mean_, self.scale_ = surprisal.mean(axis=0), np.where(sd > 0, sd, 1.0)
        return self

    def transform(self, X):
        check_is_fitted(self)
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        content = X[:, self.columns_[: self.n_content_]]
        if not self.surprisal:
            return content
        surprisal = _to_dense(X[:, self.columns_[self.n_content_ :]])
        surprisal = ((surprisal - self.mean_) / self.scale_).astype(X.dtype)
        if not sparse.issparse(X):
            return np.hstack([content, surprisal])
        return sparse.csr_array(sparse.hstack([content, sparse.csr_array(surprisal)], format="csr"))

    def get_feature_names_out(self, input_features=None):
        check_is_fitted(self)
        names = getattr(self, "feature_names_in_", None) if input_features is None else input_features
        names = default_names(self.n_features_in_) if names is None else names
        return np.asarray(names, dtype=object)[self.columns_]

    def get_feature_table_out(self, given):
        table = given.iloc[self.columns_].reset_index(drop=True)
        is_surprisal = np.arange(len(table)) >= self.n_content_
        table["kind"] = table["kind"].mask(is_surprisal, "surprisal")
        if self.surprisal:
            old = table["scale"].to_numpy(dtype=np.float64)[self.n_content_ :]
            table.loc[is_surprisal, "centre"] += self.mean_ * old
            table.loc[is_surprisal, "scale"] = old * self.scale_
        return table


def _content_columns(content, offered):
    """The columns of content, among those that are offered: by place in them, unless they are given one by one."""
    if content is None:
        return offered
    if np.ndim(content) > 0 and len(content) == 0:
        return np.zeros(0, dtype=np.intp)
    asked = range(*((0, content) if isinstance(content, Integral) else content)) if _is_range(content) else content
    columns = np.asarray(asked)
    # Without this check, a bin that reaches too far would take surprisal for content.
    if columns.ndim != 1 or columns.dtype.kind not in "iu" or len(columns) == 0 or not np.isin(columns, offered).all():
        raise ValueError(
            f"content={content!r} asks for columns that are not among the {len(offered)} of content, which are all but "
            "surprisal. Pass features= if surprisal is not the last of them, or to ask for names."
        )
    return columns


def _to_dense(X):
    return X.toarray() if sparse.issparse(X) else np.asarray(X)
