"""What a fitted banded ridge says of new rows, band by band, and its weights where they are asked for."""

from __future__ import annotations

import numpy as np
from scipy import sparse

from .._solvers.banded.bands import Band
from .._solvers.banded.kernels import cross_blocks
from .bands import find_columns
from .responses import READ


def band_of(encoder, name) -> Band:
    """Gather the kept columns of a band."""
    columns = encoder.bands_[name]
    columns = columns[encoder.kept_[columns]]
    return Band(columns, encoder.feature_means_[columns], encoder.feature_scales_[columns])


def chosen_bands(encoder, bands) -> list:
    """Check names of bands; None is all."""
    if bands is None:
        return list(encoder.bands_)
    bands = [bands] if isinstance(bands, str) or not np.iterable(bands) else list(bands)
    unknown = [band for band in bands if band not in encoder.bands_]
    if unknown:
        raise ValueError(f"There are no bands {unknown}; the bands are {list(encoder.bands_)}.")
    return bands


def chosen_columns(encoder, bands, features) -> np.ndarray:
    """Return the columns of bands, in the order of X, or of features."""
    if features is None:
        return np.sort(np.concatenate([encoder.bands_[name] for name in chosen_bands(encoder, bands)]))
    if bands is not None:
        raise ValueError("Give bands or features, not both.")
    names = getattr(encoder, "feature_names_in_", ())
    return find_columns("features", np.atleast_1d(features), names, encoder.n_features_in_)


def band_part(encoder, X, name) -> np.ndarray:
    """Part of the predictions (n_samples, n_targets) that a band makes, 0 for its mean over the training rows."""
    band, n_targets = band_of(encoder, name), len(encoder.intercept_)
    if encoder.form_ == "primal":
        weights = encoder.coef_[:, band.columns].astype(np.float64)  # means may be far from zero
        part = (X[:, band.columns] @ weights.T) - weights @ band.means
        return np.asarray(part, dtype=X.dtype)
    out = np.zeros((X.shape[0], n_targets), dtype=encoder.dual_coef_.dtype)
    if len(band.columns):
        inverse = inverse_alphas(encoder, name).astype(out.dtype)
        for rows, block in cross_blocks(X, encoder.X_fit_, band):
            np.matmul(block.astype(out.dtype), encoder.dual_coef_, out=out[rows])
            out[rows] *= inverse
    return out


def inverse_alphas(encoder, name) -> np.ndarray:
    alphas = encoder.band_alphas_[:, list(encoder.bands_).index(name)]
    return np.where(np.isfinite(alphas), 1 / np.where(np.isfinite(alphas), alphas, 1.0), 0.0)


def weights_of(encoder, columns, targets) -> np.ndarray:
    """Weights (n_targets, n_columns) of some columns, in original units."""
    if encoder.form_ == "primal":
        return encoder.coef_[targets][:, columns]
    residuals = encoder.dual_coef_[:, targets]
    owners = np.full(len(encoder.kept_), -1)
    for place, own in enumerate(encoder.bands_.values()):
        owners[own] = place
    X = encoder.X_fit_[:, columns]
    products = X.T @ residuals
    if sparse.issparse(products):
        products = products.toarray()
    products = products - np.outer(encoder.feature_means_[columns], residuals.sum(axis=0))
    inverse = np.array([inverse_alphas(encoder, name)[targets] for name in encoder.bands_])[owners[columns]]
    weights = products * inverse / encoder.feature_scales_[columns, None] ** 2
    return np.where(encoder.kept_[columns, None], weights, 0.0).T.astype(residuals.dtype)


def intercepts(encoder, means) -> np.ndarray:
    """Return the prediction of a row of zeros."""
    values = means.copy()
    for name in encoder.bands_:
        band = band_of(encoder, name)
        if encoder.form_ == "primal":
            values -= encoder.coef_[:, band.columns] @ band.means
        elif len(band.columns):
            scaled = np.zeros(encoder.n_features_in_)
            scaled[band.columns] = band.means / band.scales**2
            products = encoder.X_fit_ @ scaled - scaled[band.columns] @ band.means
            values -= inverse_alphas(encoder, name) * _products(products, encoder.dual_coef_)
    return values


def _products(left, right):
    """Multiply a vector in double precision with a matrix, some columns at a time, so that no copy of it is made."""
    step = max(1, READ // (8 * len(right)))
    return np.concatenate([left @ right[:, start : start + step] for start in range(0, right.shape[1], step)])
