"""A fitted model, taken apart: what makes the features, what weighs them, and what they are for the texts at hand."""

from __future__ import annotations

import copy
from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._weights import coefficients, split_pipeline
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer

_BLOCK = 4096  # voxels at once


class Responses(NamedTuple):
    """What there is to know of each voxel's responses, all of shape (n_voxels,)."""

    mean: np.ndarray
    sd: np.ndarray  # NaN where a response isn't finite
    finite: np.ndarray

    @property
    def constant(self):
        return self.sd == 0


class Given(NamedTuple):
    """Data as the user gave them, to be hashed."""

    responses: object
    features: object  # None if the model makes them


class Fitted(NamedTuple):
    """What a report is about."""

    masked: MaskedTargetRegressor | None  # if the responses were images
    makers: list  # the estimators that make features, from texts on
    encoder: object  # with coef_
    coef: sparse.csr_array  # (n_fitted, n_features); voxels that are not missing
    X: sparse.csr_array  # (n_texts, n_features)
    names: np.ndarray  # (n_features,)
    texts: list
    Y: np.ndarray  # (n_texts, n_voxels), with missing voxels
    kept: np.ndarray  # (n_voxels,), whether a voxel was fitted
    responses: Responses
    given: Given

    def maker(self, kind):
        """The first estimator of a class, or of any of several, or None."""
        return next((maker for maker in self.makers if isinstance(maker, kind)), None)

    @property
    def masker(self):
        """The masker that turns values of voxels into maps, or None."""
        return None if self.masked is None else self.masked.masker_

    @property
    def is_surprisal(self):
        """Which columns are surprisal."""
        return np.array([_bare(name).startswith("surprisal") for name in self.names], dtype=bool)

    @property
    def n_content(self):
        """How many features other than surprisal each voxel uses."""
        content = self.coef[:, np.flatnonzero(~self.is_surprisal)]
        return np.asarray((content != 0).sum(axis=1)).ravel()

    def to_voxels(self, values):
        """Put values of the fitted voxels among all of them, NaN elsewhere."""
        everywhere = np.full(len(self.kept), np.nan)
        everywhere[self.kept] = values
        return everywhere


def take_apart(model, texts, Y, features):
    """Find the parts of a model, and check that texts, responses and features belong to it."""
    check_is_fitted(model)
    texts = _check_texts(texts)
    transformers, masked, encoder = _parts(model)
    given = Given(Y, features)
    Y = np.asarray(Y if masked is None else masked.mask_targets(Y))
    Y = Y[:, None] if Y.ndim == 1 else Y
    if len(Y) != len(texts):
        raise ValueError(f"Expected a row of Y a text: {len(texts)} texts, but {len(Y)} rows or images.")
    kept = np.ones(Y.shape[1], dtype=bool) if masked is None else ~masked.missing_
    coef = sparse.csr_array(coefficients(encoder))
    if coef.shape[0] != kept.sum():
        raise ValueError(f"The model was fitted to {coef.shape[0]} voxels, but Y has {kept.sum()}.")
    X = _features(transformers, texts, features, coef.shape[1])
    return Fitted(
        masked,
        [maker for transformer in transformers for maker in _makers(transformer)],
        encoder,
        coef,
        X,
        _names(transformers, encoder, features, X),
        texts,
        Y,
        kept,
        _describe(Y),
        given,
    )


def _parts(model):
    """The transformers in their order, the regressor of images (or None), and the linear model inside."""
    make, last = split_pipeline(model)
    if not isinstance(last, MaskedTargetRegressor):
        return ([] if make is None else [make]), None, last
    inner, encoder = split_pipeline(last.regressor_)
    return [transformer for transformer in (make, inner) if transformer is not None], last, encoder


def _describe(Y):
    # In blocks, so that a whole brain needs no second copy of the responses.
    mean, sd, finite = np.empty(Y.shape[1]), np.empty(Y.shape[1]), np.empty(Y.shape[1], dtype=bool)
    for start in range(0, Y.shape[1], _BLOCK):
        block = slice(start, start + _BLOCK)
        values = Y[:, block].astype(np.float64)
        finite[block] = np.isfinite(values).all(axis=0)
        with np.errstate(invalid="ignore"):
            mean[block], sd[block] = values.mean(axis=0), values.std(axis=0)
            sd[block][np.ptp(values, axis=0) == 0] = 0.0  # rounding in the mean may leave a trace
    return Responses(mean, np.where(finite, sd, np.nan), finite)


def _check_texts(texts):
    if isinstance(texts, str):
        raise ValueError(f"texts must be a list of texts, got a single string: {texts[:40]!r}. Put it in a list.")
    texts = list(np.ravel(texts) if hasattr(texts, "shape") else texts)
    for i, text in enumerate(texts):
        if not isinstance(text, str):
            raise ValueError(f"texts must be strings, but text {i} is {text!r}.")
    if not texts:
        raise ValueError("There is no text.")
    return texts


def _features(transformers, texts, features, n_features):
    if features is None and not transformers:
        raise ValueError(
            f"The model takes {n_features} features, not texts. Pass features=, a row a text, as it was fitted to them."
        )
    X = features
    if X is None:
        X = texts
        for transformer in transformers:
            X = transformer.transform(X)
    X = sparse.csr_array(X.to_numpy() if hasattr(X, "to_numpy") else X)
    if X.shape != (len(texts), n_features):
        raise ValueError(f"Expected features of shape {(len(texts), n_features)}, a row a text, got {X.shape}.")
    return X


def _names(transformers, encoder, features, X):
    if hasattr(features, "columns"):
        names = features.columns
    elif transformers:
        names = transformers[-1].get_feature_names_out()
    else:
        names = getattr(encoder, "feature_names_in_", [f"feature_{i:05d}" for i in range(X.shape[1])])
    return np.asarray(names, dtype=object)


def _makers(make):
    """All estimators inside pipelines and unions, in the order of the flow."""
    steps = getattr(make, "steps", None) or getattr(make, "transformer_list", None)
    if steps is None:
        return [] if make is None or isinstance(make, str) else [make]
    return [maker for _, step in steps for maker in _makers(step)]


def _bare(name):
    """A column's name without the prefix of a FeatureUnion."""
    return str(name).rsplit("__", 1)[-1]


def parts_of_predictions(fitted):
    """Give the sd over texts of surprisal's and of content's part of each prediction, in sd of the response."""
    is_surprisal = fitted.is_surprisal
    response = fitted.responses.sd[fitted.kept]
    parts = np.empty((2, fitted.coef.shape[0]))
    for row, columns in enumerate((is_surprisal, ~is_surprisal)):
        X, coef = fitted.X[:, np.flatnonzero(columns)], fitted.coef[:, np.flatnonzero(columns)]
        for start in range(0, coef.shape[0], _BLOCK):
            block = slice(start, start + _BLOCK)
            parts[row, block] = (X @ coef[block].T).toarray().std(axis=0)
    parts /= np.where(response > 0, response, np.nan)
    return fitted.to_voxels(parts[0]), fitted.to_voxels(parts[1])


class TokenValues(NamedTuple):
    """A feature on the tokens of a text."""

    offsets: np.ndarray  # (n_tokens, 2), characters
    values: np.ndarray  # (n_tokens,)


def values_on_tokens(fitted, rows, column):
    """Give what a feature is on each token of some texts, or None for each if it isn't made token by token."""
    texts, name = [fitted.texts[i] for i in rows], _bare(fitted.names[column])
    surprisal, projector = fitted.maker(SurprisalTransformer), fitted.maker(SAEProjector)
    if not texts:
        return []
    if surprisal is not None and name in surprisal.get_feature_names_out():
        tables = surprisal.by_token(texts)
        return [TokenValues(t[["start", "end"]].to_numpy(), t["surprisal"].to_numpy()) for t in tables]
    reader = fitted.maker(LMActivationTransformer)
    if projector is None or reader is None or reader.level != "token":
        return [None] * len(texts)
    found = np.flatnonzero(projector.get_feature_names_out() == name)
    if len(found) == 0:
        return [None] * len(texts)
    return _sae_values(reader, projector, texts, int(found[0]))


def _sae_values(reader, projector, texts, column):
    # A copy that shares what was fitted, so that the model itself stays as it is.
    by_token = copy.copy(projector).set_params(level="token")
    features = by_token.transform(reader.transform(texts))
    columns = [sparse.csr_array(one)[:, [column]].toarray().ravel() for one in features]
    return [TokenValues(offsets, values) for offsets, values in zip(features.offsets, columns, strict=True)]
