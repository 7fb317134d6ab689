"""Fitted linear models, alone or at the end of a pipeline, to their weights."""

from __future__ import annotations

import numpy as np
from scipy import sparse

# Voxels whose predictions are taken apart at once.
_BLOCK = 4096


def split_pipeline(fitted):
    """Give the part of a fitted model that makes the features (None if nothing does), and the one that weighs them."""
    fitted = getattr(fitted, "best_estimator_", fitted)
    if not hasattr(fitted, "steps"):
        return None, fitted
    return (fitted[:-1] if len(fitted) > 1 else None), fitted[-1]


def coefficients(fitted):
    """Give the weights, an array or a CSR array of shape (n_targets, n_features)."""
    _, linear = split_pipeline(fitted)
    if not hasattr(linear, "coef_"):
        raise AttributeError(f"The {type(linear).__name__} has no coef_: it gives no weights to map.")
    return sparse.csr_array(linear.coef_) if sparse.issparse(linear.coef_) else np.atleast_2d(linear.coef_)


def column_of(fitted, feature) -> int:
    """Find a feature's column by its number or name."""
    n_features = coefficients(fitted).shape[1]
    if not isinstance(feature, str):
        if not -n_features <= feature < n_features:
            raise ValueError(f"feature must be a column from {-n_features} to {n_features - 1}, got {feature}.")
        return int(feature) % n_features
    make, linear = split_pipeline(fitted)
    names = getattr(linear, "feature_names_in_", None) if make is None else make.get_feature_names_out()
    if names is None:
        raise ValueError(f"The features have no names, so that {feature!r} can't be found. Give its column.")
    found = np.flatnonzero(np.asarray(names) == feature)
    if len(found) != 1:
        raise ValueError(f"There is no feature named {feature!r} among {len(names)}, such as {names[0]!r}.")
    return int(found[0])


def contributions(fitted, X, feature):
    """Give the sd over X of the parts of each target's prediction due to a feature and to all others."""
    make, _ = split_pipeline(fitted)
    features = X if make is None else make.transform(X)
    features = sparse.csr_array(features) if sparse.issparse(features) else np.asarray(features)
    coef, column = coefficients(fitted), column_of(fitted, feature)
    alone = features[:, [column]]
    of_feature, of_others = np.empty((2, coef.shape[0]))
    for start in range(0, coef.shape[0], _BLOCK):
        block = slice(start, start + _BLOCK)
        part = dense(alone @ coef[block][:, [column]].T)
        others = dense(features @ coef[block].T) - part
        of_feature[block], of_others[block] = part.std(axis=0), others.std(axis=0)
    return of_feature, of_others


def dense(values):
    """Give an array, also of a sparse one."""
    return values.toarray() if sparse.issparse(values) else values
