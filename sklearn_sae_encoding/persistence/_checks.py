"""What must hold of the parts of a saved encoder, before anything computes with them."""

from __future__ import annotations

import inspect
import math

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator

from ._trees import MASKER_FILES

_WEIGHTS = ("coef_", "intercept_")
_MOST_VOXELS = 2**28  # of a grid that a masker may be told to resample to


def check_fitted(made) -> None:
    """Refuse an object without its parameters, with something in a method's place, or with broken weights."""
    kind, state = type(made), vars(made)
    name = kind.__name__
    if isinstance(made, BaseEstimator):
        _check_parameters(made)
    if covered := sorted(key for key in state if callable(getattr(kind, key, None))):
        raise ValueError(f"a {name} has a value in place of its {', '.join(covered)}")
    if name == "SAEArrays":
        _check_sae(made)
    check_weights(made)


def _check_parameters(made):
    """Give a parameter that a newer version of the class has its default, and refuse to do without any other."""
    for one in inspect.signature(type(made)).parameters.values():
        if one.kind in (one.VAR_KEYWORD, one.VAR_POSITIONAL) or one.name in vars(made):
            continue
        if one.default is one.empty:
            raise ValueError(f"a {type(made).__name__} has no {one.name}")
        setattr(made, one.name, one.default)


def check_weights(estimator) -> None:
    """Refuse weights that are not finite or not of the shape that the rest of the estimator has."""
    name = type(estimator).__name__
    found = {key: vars(estimator)[key] for key in _WEIGHTS if key in getattr(estimator, "__dict__", {})}
    for key, value in found.items():
        numbers = value.data if sparse.issparse(value) else np.asarray(value)
        if numbers.dtype.kind not in "biuf":
            raise ValueError(f"{key} of a {name} is no array of numbers")
        finite = np.isfinite(numbers) | (_of_missing_voxels(key, value, numbers, found.get("intercept_")))
        if not finite.all():
            raise ValueError(f"{key} of a {name} holds values that are not finite")
    if len(found) < 2:
        return
    weights, intercept = np.shape(found["coef_"]), np.shape(found["intercept_"])
    n_features = getattr(estimator, "n_features_in_", weights[-1] if weights else None)
    if not weights or weights[-1] != n_features or intercept not in ((), weights[:-1] or (1,)):
        raise ValueError(
            f"coef_ of a {name} has the shape {weights} and intercept_ {intercept}, for {n_features} features"
        )


def _of_missing_voxels(key, value, numbers, intercept):
    """Where weights may be NaN: a voxel without data has a NaN intercept, and nothing is predicted for it."""
    missing = np.isnan(intercept) if np.ndim(intercept) == 1 and np.asarray(intercept).dtype.kind == "f" else False
    if key == "intercept_" or np.ndim(missing) == 0:
        return missing & np.isnan(numbers)
    if sparse.issparse(value) or value.shape[:1] != missing.shape:
        return False
    return missing.reshape(-1, *[1] * (value.ndim - 1)) & np.isnan(numbers)


def check_image(data, affine) -> None:
    """Refuse what is no volume, or several on one grid."""
    if data.ndim not in (3, 4) or affine.shape != (4, 4) or affine.dtype.kind != "f":
        raise ValueError(f"an image has data of the shape {data.shape} and an affine of the shape {affine.shape}")
    if not np.isfinite(affine).all() or np.linalg.det(affine[:3, :3]) == 0:
        raise ValueError("the affine of an image can't be inverted")


def check_masker_params(params, fitted) -> None:
    """Refuse paths, which a masker would open, and grids that are too large to be resampled to."""
    if type(fitted) is not bool:
        raise ValueError(f"a masker is fitted or not, not {fitted!r:.60}")
    for key in MASKER_FILES:
        value = params.get(key)
        if value is not None and not (hasattr(value, "affine") or hasattr(value, "mesh") or hasattr(value, "columns")):
            raise ValueError(f"{key} of a masker is no image: {value!r:.60}; paths in a saved encoder are not opened")
    shape, affine = params.get("target_shape"), params.get("target_affine")
    if shape is not None and math.prod(int(n) for n in shape) > _MOST_VOXELS:
        raise ValueError(f"a masker has the target_shape {shape}")
    if affine is not None:
        _check_target_affine(np.asarray(affine, dtype=float), [params.get(key) for key in MASKER_FILES[:3]])


def _check_target_affine(affine, images):
    if affine.shape not in ((3, 3), (4, 4)) or not np.isfinite(affine).all():
        raise ValueError("the target_affine of a masker is no affine")
    for img in images:
        if img is None or not hasattr(img, "affine"):
            continue
        volume = abs(np.linalg.det(img.affine[:3, :3])) * math.prod(img.shape[:3])
        if volume > _MOST_VOXELS * abs(np.linalg.det(affine[:3, :3])):
            raise ValueError("the target_affine of a masker gives a grid that is too large")


def _check_sae(made):
    """Check the weights of an SAE against its own widths; what sae-lens makes of the rest it says itself."""
    config, weights = made.config, made.weights
    if not isinstance(config, dict) or not isinstance(weights, dict):
        raise ValueError("an SAE has no configuration or no weights")
    widths = config.get("d_in"), config.get("d_sae")
    if not all(type(width) is int and width > 0 for width in widths):
        raise ValueError(f"an SAE has the widths {widths}")
    for name, array in weights.items():
        if not isinstance(array, np.ndarray) or array.dtype.kind != "f" or not np.isfinite(array).all():
            raise ValueError(f"{name!r} of an SAE is no array of finite numbers")
    d_in, d_sae = widths
    for name, shape in {"W_enc": (d_in, d_sae), "W_dec": (d_sae, d_in)}.items():
        if name not in weights or weights[name].shape != shape:
            raise ValueError(f"{name} of an SAE has not the shape {shape}")
