"""A fitted model, taken apart: what makes the features, what weighs them, and what they are for the texts at hand."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import sparse
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding.analysis import link_features
from sklearn_sae_encoding.fitted import FittedView, fitted_view
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.report._runs import Runs, find_runs

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

    view: FittedView
    masked: MaskedTargetRegressor | None  # if the responses were images
    X: sparse.csr_array  # (n_texts, n_features)
    texts: list  # of runs the words heard at each row, a scan
    Y: np.ndarray  # (n_texts, n_voxels), with missing voxels; of runs the rows that trained
    kept: np.ndarray  # (n_voxels,), whether a voxel was fitted
    responses: Responses
    given: Given
    runs: Runs | None  # if a sample is a run
    Y_of_all_scans: np.ndarray  # the same, also of scans in gaps
    pages: list | None = None  # of each feature the address of its page, or None; None if there are none at all

    def delay(self, column):
        """How many scans before its row a feature was heard."""
        return int(self.view.features["delay"].iloc[column])

    @property
    def encoder(self):
        """The estimator that has the weights."""
        return self.view.linear

    @property
    def coef(self):
        """Weights of the voxels that are not missing, a CSR array."""
        return self.view.weights

    @property
    def same_targets(self):
        """Whether the linear model was fitted to the responses as they are, not to a function of them."""
        return not any(hasattr(wrapper, "transformer_") for wrapper in self.view.wrappers)

    @property
    def names(self):
        """Names of the features."""
        return self.view.features["feature"].to_numpy()

    @property
    def masker(self):
        """The masker that turns values of voxels into maps, or None."""
        return None if self.masked is None else self.masked.masker_

    @property
    def surprisal(self):
        """Columns of surprisal."""
        return self.view.of_kind("surprisal")

    @property
    def content(self):
        """Columns of what is content, as far as anybody knows: neither surprisal nor a control."""
        return self.view.of_kind("sae", "activation", "unknown")

    @property
    def n_content(self):
        """How many features of content each voxel uses."""
        return np.asarray((self.coef[:, self.content] != 0).sum(axis=1)).ravel()

    def to_voxels(self, values):
        """Put values of the fitted voxels among all of them, NaN elsewhere."""
        everywhere = np.full(len(self.kept), np.nan)
        everywhere[self.kept] = values
        return everywhere


def take_apart(model, texts, Y, features, feature_table=None, labels=None):
    """Find the parts of a model, and check that texts, responses and features belong to it."""
    check_is_fitted(model)
    if feature_table is None and hasattr(features, "columns"):
        feature_table = list(features.columns)
    view = fitted_view(model, features=feature_table, labels=labels)
    runs = find_runs(view, texts)
    masked = view.wrapper(MaskedTargetRegressor)
    given = Given(Y, features)
    Y = Y if masked is None else masked.mask_targets(Y)
    if runs is not None:
        return _of_runs(view, masked, runs, Y, given)
    texts, Y = _check_texts(texts), np.asarray(Y)
    Y = Y[:, None] if Y.ndim == 1 else Y
    if len(Y) != len(texts):
        raise ValueError(f"Expected a row of Y a text: {len(texts)} texts, but {len(Y)} rows or images.")
    kept = np.ones(Y.shape[1], dtype=bool) if masked is None else ~masked.missing_
    if view.weights.shape[0] != kept.sum():
        raise ValueError(f"The model was fitted to {view.weights.shape[0]} voxels, but Y has {kept.sum()}.")
    return Fitted(view, masked, _features(view, texts, features), texts, Y, kept, _describe(Y), given, None, Y)


def _of_runs(view, masked, runs, Y, given):
    """Put the scans of runs below each other, those that trained; a row is a scan."""
    if not isinstance(Y, (list, tuple)) or len(Y) != len(runs.runs):
        raise ValueError(f"Expected the responses to {len(runs.runs)} runs, a list with one array or image a run.")
    Y = np.concatenate([np.reshape(run, (len(run), -1)) for run in Y])
    if len(Y) != len(runs.run):
        raise ValueError(f"Expected a row of Y a scan: {len(runs.run):,} scans, but {len(Y):,} rows.")
    kept = np.ones(Y.shape[1], dtype=bool) if masked is None else ~masked.missing_
    if kept.sum() != len(runs.absent):
        raise ValueError(f"The model was fitted to {len(runs.absent)} voxels, but Y has {kept.sum()}.")
    kept[kept] = ~runs.absent
    X = sparse.csr_array(view.transform(runs.runs))[runs.trained]
    texts = [runs.heard(row) for row in np.flatnonzero(runs.trained)]
    every, Y = Y, Y[runs.trained]
    own = runs._replace(run=runs.run[runs.trained], scan=runs.scan[runs.trained])
    return Fitted(view, masked, X, texts, Y, kept, _describe(Y), given, own, every)


def find_pages(features, pages):
    """The address of each feature's page: those that the SAE tells of ("auto"), or by an address with {index}."""
    if pages != "auto":
        features = link_features(features, pages)
    found = features["page"].tolist() if "page" in features else []
    # A table of features may come from anywhere, and a link must not run anything.
    found = [page if str(page).startswith(("https://", "http://")) else None for page in found]
    return found if any(found) else None


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


def _features(view, texts, features):
    n_features = view.weights.shape[1]
    if features is None and not view.transformers:
        raise ValueError(
            f"The model takes {n_features} features, not texts. Pass features=, a row a text, as it was fitted to them."
        )
    X = view.transform(texts) if features is None else features
    X = sparse.csr_array(X.to_numpy() if hasattr(X, "to_numpy") else X)
    if X.shape != (len(texts), n_features):
        raise ValueError(f"Expected features of shape {(len(texts), n_features)}, a row a text, got {X.shape}.")
    return X


def parts_of_predictions(fitted):
    """Give the sd over texts of surprisal's and of the rest's part of each prediction, in sd of the response."""
    response = fitted.responses.sd[fitted.kept]
    parts = fitted.view.contributions_of(fitted.X, fitted.surprisal) / np.where(response > 0, response, np.nan)
    return fitted.to_voxels(parts[0]), fitted.to_voxels(parts[1])
