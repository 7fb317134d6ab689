"""Images to rows of numbers, through any of nilearn's maskers."""

from __future__ import annotations

import copy

import numpy as np
from sklearn.base import clone
from sklearn.exceptions import NotFittedError
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._images.rows import ImageRows, data_parts, image_like, is_surface_img

# What a masker would compute over all samples it sees: in cross-validation, over training and test samples alike.
_OVER_SAMPLES = {
    "standardize": "standardizes each voxel",
    "detrend": "removes each voxel's trend",
    "low_pass": "filters",
    "high_pass": "filters",
    "high_variance_confounds": "regresses out confounds",
}
_REGION_PARAMETERS = ("labels_img", "maps_img", "seeds")


# Share of a voxel's or region's value that comes from values that are not finite; less is rounding.
_NO_GAP = 1e-8


def fit_masker(masker, rows=None):
    """Give a fitted copy of a masker: of itself if it is fitted, else of a clone fitted to the rows, if any."""
    if not all(hasattr(masker, name) for name in ("fit", "transform", "inverse_transform", "get_params")):
        raise TypeError(f"masker must be a nilearn masker, such as NiftiMasker() or SurfaceMasker(), got {masker!r}.")
    if is_fitted(masker):
        masker = _said_plainly(copy.copy(masker))
    elif rows is None:
        masker = _fit_without_images(_said_plainly(clone(masker)))
    else:
        masker = _fit_to_images(_said_plainly(clone(masker)), rows)
    if masker is not None and getattr(masker, "n_elements_", 1) == 0:
        raise ValueError(f"The mask of the {type(masker).__name__} is empty: no voxel would be left to fit.")
    return masker


def mask_rows(rows: ImageRows, masker) -> np.ndarray:
    """Mask images, a few at a time, into one float32 array; NaN where a value is made of any that is not finite."""
    check_masker(masker)
    check_same_space(rows, masker)
    values = None
    for numbers, img in rows.chunks(rows.file_order()):
        missing = [~np.isfinite(part) for part in data_parts(img)]
        has_gaps = any(part.any() for part in missing)
        chunk = _transform(masker, rows.image(data_parts(img, finite=True)) if has_gaps else img)
        if has_gaps:
            # nilearn would count what is not finite as 0.
            chunk = np.where(_gaps(rows, masker, missing), np.float32(np.nan), chunk)
        if values is None:
            values = np.empty((len(rows), chunk.shape[1]), dtype=np.float32)
        values[numbers] = chunk
    return values


def unmask(values, masker):
    """Give an image of values, of shape (n_elements,) or (n_images, n_elements); NaN where a missing value reaches."""
    if hasattr(masker, "seeds") and getattr(masker, "mask_img", None) is None:
        raise ValueError(
            f"Spheres alone don't tell the grid of a map: give the {type(masker).__name__} a mask_img, or fit the "
            "regressor to images instead of an array."
        )
    values = np.asarray(values, dtype=np.float32)
    missing = ~np.isfinite(values)
    if not (missing.any() and is_region_masker(masker)):
        return masker.inverse_transform(values)
    # nilearn refuses what is not finite here; a voxel may belong to several maps.
    img = masker.inverse_transform(np.where(missing, np.float32(0), values))
    reached = masker.inverse_transform(missing.astype(np.float32))
    parts = zip(data_parts(img), data_parts(reached), strict=True)
    return image_like(img, [np.where(np.abs(there) > _NO_GAP, np.float32(np.nan), part) for part, there in parts])


def _said_plainly(masker):
    """Turn ``standardize=False``, nilearn's default, into the None that newer versions ask for with each transform."""
    if getattr(masker, "standardize", None) is False:
        masker.standardize = None
    return masker


def _gaps(rows, masker, missing) -> np.ndarray:
    """Say which values of a masker, of shape (n_images, n_elements), are made of any that is missing."""
    concerned = np.any([part.any(axis=tuple(range(part.ndim - 1))) for part in missing], axis=0)
    # 2, because of images of 0 and 1 nilearn asks whether they are meant to be interpolated.
    img = rows.image([part[..., concerned].astype(np.float32) * 2 for part in missing])
    counter = copy.copy(masker)
    if hasattr(masker, "strategy"):
        counter.strategy = "mean"  # a median or minimum would not tell
    grid = _grid_of(masker)
    if grid is not None:
        from nilearn.image import resample_to_img

        # The masker's own interpolation overshoots: gaps would be seen far away.
        img = resample_to_img(img, grid, interpolation="linear", force_resample=True, copy_header=True)
    found = np.abs(_transform(counter, img)) > _NO_GAP
    gaps = np.zeros((len(concerned), found.shape[1]), dtype=bool)
    gaps[concerned] = found
    return gaps


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


def is_region_masker(masker) -> bool:
    return any(hasattr(masker, name) for name in _REGION_PARAMETERS)


def is_fitted(masker) -> bool:
    try:
        check_is_fitted(masker)
    except NotFittedError:
        return False
    return True


def _fit_without_images(masker):
    """Fit a masker that knows its voxels; None if only images could tell."""
    if not is_region_masker(masker) and getattr(masker, "mask_img", None) is None:
        return None
    return masker.fit()


def _fit_to_images(masker, rows):
    knows = is_region_masker(masker) or getattr(masker, "mask_img", None) is not None
    check_same_space(rows, masker)  # before nilearn resamples labels and masks
    if hasattr(masker, "seeds") and masker.mask_img is None:
        # The spheres' voxels are the same, and maps of them have a grid.
        masker.mask_img = image_like(rows[0], [np.ones(part.shape, dtype=np.int8) for part in data_parts(rows[0])])
    if not knows:
        # nilearn computes a mask from the mean image, so that this gives the same mask without all images at once.
        return masker.fit(rows.mean_img())
    # Images with a mask would make nilearn ask which of them is meant; regions may be resampled to them.
    return masker.fit(rows[0]) if is_region_masker(masker) else masker.fit()


def _transform(masker, img) -> np.ndarray:
    return np.atleast_2d(masker.transform(img))


def check_same_space(rows, masker) -> None:
    """Refuse images that lie elsewhere than what the masker was given, unless it was told to resample them."""
    for what, img in _references(masker).items():
        surface = is_surface_img(img)
        if rows.is_surface != surface:
            kinds = ("volume", "surface")
            raise ValueError(
                f"The images are of the kind {kinds[rows.is_surface]}, but the {type(masker).__name__} masks the kind "
                f"{kinds[surface]}."
            )
        # nilearn compares meshes itself; volumes it would resample in silence.
        difference = None if surface or _resamples_images(masker) else rows.differs_from(img)
        if difference:
            raise ValueError(
                f"The images and the {what} must lie on the same grid, but the images have {difference[0]} and the "
                f"{what} has {difference[1]}. Resample the {what} (nilearn.image.resample_to_img({what}, img, "
                f"interpolation='nearest')), or set the masker's {_told_by(masker)} if the images are to be resampled."
            )


def _references(masker) -> dict:
    """Give the images that say where a masker's voxels or regions lie, as fitted if it is fitted."""
    names = {"mask": "mask_img", "labels": "labels_img", "maps": "maps_img"}
    found = {what: getattr(masker, f"{name}_", getattr(masker, name, None)) for what, name in names.items()}
    return {what: _first(img) if what == "maps" else img for what, img in found.items() if img is not None}


def _first(maps_img):
    """Give one of several maps; they share a grid."""
    return maps_img if is_surface_img(maps_img) else ImageRows(maps_img)[0]


def _told_by(masker) -> str:
    if hasattr(masker, "labels_img"):
        return "resampling_target='labels'"
    return "resampling_target='maps'" if hasattr(masker, "maps_img") else "target_affine"


def _resamples_images(masker) -> bool:
    if getattr(masker, "resampling_target", None) in ("labels", "maps", "mask"):
        return True
    return getattr(masker, "target_affine", None) is not None or getattr(masker, "target_shape", None) is not None


def _grid_of(masker):
    """Give an image on the grid to which a masker resamples images; None if it doesn't."""
    if not _resamples_images(masker):
        return None
    target = getattr(masker, "resampling_target", "mask")
    return _references(masker)[target]
