"""Images to rows of numbers, through any of nilearn's maskers."""

from __future__ import annotations

import copy
import warnings
from typing import NamedTuple

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._images.rows import ImageRows, data_parts, is_surface_img

# What a masker would compute over all samples it sees: in cross-validation, over training and test samples alike.
_OVER_SAMPLES = {
    "standardize": "standardizes each voxel",
    "detrend": "removes each voxel's trend",
    "low_pass": "filters",
    "high_pass": "filters",
    "high_variance_confounds": "regresses out confounds",
}
_REGION_PARAMETERS = ("labels_img", "maps_img", "seeds")


class MaskedRows(NamedTuple):
    """Images after the masker."""

    values: np.ndarray  # (n_rows, n_targets), float32; NaN where a voxel's value was not finite
    n_touched: int  # regions averaged over some values that were not finite, which nilearn counts as 0


def fit_masker(masker, rows=None):
    """Give a fitted copy of a masker: of itself if it is fitted, else of a clone fitted to the rows, if any."""
    if not all(hasattr(masker, name) for name in ("fit", "transform", "inverse_transform", "get_params")):
        raise TypeError(f"masker must be a nilearn masker, such as NiftiMasker() or SurfaceMasker(), got {masker!r}.")
    if is_fitted(masker):
        masker = copy.copy(masker)
    elif rows is None:
        masker = _fit_without_images(clone(masker))
    else:
        masker = _fit_to_images(clone(masker), rows)
    if masker is not None and getattr(masker, "n_elements_", 1) == 0:
        raise ValueError(f"The mask of the {type(masker).__name__} is empty: no voxel would be left to fit.")
    return masker


def mask_rows(rows: ImageRows, masker) -> MaskedRows:
    """Mask images chunk by chunk into one float32 array."""
    check_masker(masker)
    _check_same_space(rows, masker)
    values, touched = None, 0
    for where, img in rows.chunks():
        missing = [~np.isfinite(part) for part in data_parts(img)]
        gaps = None
        if any(part.any() for part in missing):
            gaps = _transform(masker, rows.image([part.astype(np.float32) for part in missing])) > 0
            img = rows.image(data_parts(img, finite=True))
        chunk = _transform(masker, img)
        if values is None:
            values = np.empty((len(rows), chunk.shape[1]), dtype=np.float32)
        values[where] = chunk
        if gaps is not None and _is_region_masker(masker):
            touched = touched | gaps.any(axis=0)
        elif gaps is not None:
            values[where][gaps] = np.nan
    return MaskedRows(values, int(np.sum(touched)))


def check_masker(masker) -> None:
    """Refuse a masker that would mix samples, or voxels inside the mask with those outside, when it masks images."""
    name = type(masker).__name__
    for parameter, does in _OVER_SAMPLES.items():
        if getattr(masker, parameter, None) not in (None, False):
            raise ValueError(
                f"The {name} {does} over all samples, test samples included ({parameter}="
                f"{getattr(masker, parameter)!r}). Leave it off: clean the images of each run before the trials are "
                "estimated, and let the regressor standardize voxels on training samples."
            )
    if getattr(masker, "smoothing_fwhm", None):
        raise ValueError(
            f"The {name} smooths (smoothing_fwhm={masker.smoothing_fwhm!r}), which carries values across the edge of "
            "its mask. Set it to None, and smooth the images beforehand (nilearn.image.smooth_img) if this is intended."
        )


def _is_region_masker(masker) -> bool:
    return any(hasattr(masker, name) for name in _REGION_PARAMETERS)


def is_fitted(masker) -> bool:
    try:
        check_is_fitted(masker)
    except NotFittedError:
        return False
    return True


def _fit_without_images(masker):
    """Fit a masker that knows its voxels; None if only images could tell."""
    if not _is_region_masker(masker) and getattr(masker, "mask_img", None) is None:
        return None
    return masker.fit()


def _fit_to_images(masker, rows):
    knows = _is_region_masker(masker) or getattr(masker, "mask_img", None) is not None
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*Generation of a mask.*")
        # nilearn computes a mask from the mean image, so that this gives the same mask without all images at once.
        return masker.fit(rows[0] if knows else rows.mean_img())


def _transform(masker, img) -> np.ndarray:
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", message=".*boolean values for 'standardize'.*", category=FutureWarning)
        return np.atleast_2d(masker.transform(img))


def _check_same_space(rows, masker) -> None:
    mask = getattr(masker, "mask_img_", None)
    if mask is None or _is_region_masker(masker):
        return
    if rows.is_surface != is_surface_img(mask):
        kinds = ("volume", "surface")
        raise ValueError(
            f"The images are of the kind {kinds[rows.is_surface]}, but the {type(masker).__name__} masks the kind "
            f"{kinds[is_surface_img(mask)]}."
        )
    asked = getattr(masker, "target_affine", None) is not None or getattr(masker, "target_shape", None) is not None
    if rows.is_surface or asked:
        return
    difference = rows.differs_from(mask)
    if difference:
        raise ValueError(
            f"The images and the mask must lie on the same grid, but the images have {difference[0]} and the mask has "
            f"{difference[1]}. Resample the mask (nilearn.image.resample_to_img(mask, img, interpolation='nearest')), "
            "or set the masker's target_affine if the images are to be resampled."
        )
