"""Fitted linear models to their weights, in one layout."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from sklearn_sae_encoding.banded import BandedRidgeEncoder

# Numbers that are computed without being asked for: weights in the kernel form may be far more than the data.
MOST = 2**26


def shape_of_weights(linear) -> tuple[int, int]:
    """Give the numbers of targets and of features; raise if a model has no weights."""
    if hasattr(linear, "coef_"):
        return (1, *linear.coef_.shape)[-2:]
    if isinstance(linear, BandedRidgeEncoder) and hasattr(linear, "dual_coef_"):
        return len(linear.intercept_), linear.n_features_in_
    raise AttributeError(f"The {type(linear).__name__} has no coef_: it gives no weights to map.")


def weights_of(linear):
    """Give the weights of a linear model, a CSR array of shape (n_targets, n_features)."""
    n_targets, n_features = shape_of_weights(linear)
    if hasattr(linear, "coef_"):
        return as_weights(linear.coef_)
    if n_targets * n_features > MOST:
        raise ValueError(
            f"The {n_targets:,} x {n_features:,} weights of a BandedRidgeEncoder in the kernel form are too many to be "
            "computed at once. Ask for some: primal_weights(bands=..., targets=...), or "
            "analysis.rank_band_features(model, bands=...)."
        )
    return as_weights(linear.primal_weights())


def some_weights(linear, columns):
    """Give the weights of some columns, a CSR array of shape (n_targets, n_columns)."""
    if hasattr(linear, "coef_"):
        return as_weights(linear.coef_)[:, columns]
    return as_weights(linear.primal_weights(features=columns))


def scales_by_run(linear) -> bool:
    """Tell whether a linear model divides columns by their standard deviation in each run before it weighs them."""
    return hasattr(linear, "n_runs_")


def check_units(linear) -> None:
    """Refuse to multiply weights with rows whose run, and so whose unit, is not known."""
    if scales_by_run(linear):
        raise ValueError(
            "The encoder divides columns by their standard deviation in each run (scale='runs'), and whose run a row "
            "is can't be told here. Fit RunwiseRegressor(..., scale='runs') to a list of runs instead: it scales while "
            "it makes the features."
        )


def as_weights(coef):
    """Give weights of any form and type as a CSR array of floats, whose signs and products can't overflow."""
    coef = coef if sparse.issparse(coef) else np.atleast_2d(np.asarray(coef))
    return sparse.csr_array(coef, dtype=coef.dtype if coef.dtype == np.float32 else np.float64)


def band_of_columns(linear):
    """Give the band of each column, if the model has bands."""
    if not isinstance(linear, BandedRidgeEncoder):
        return None
    names = np.empty(linear.n_features_in_, dtype=object)
    for name, columns in linear.bands_.items():
        names[columns] = name
    return names
