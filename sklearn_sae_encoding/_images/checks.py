"""Responses that do not belong to the samples or the mask, and voxels that cannot be fitted."""

from __future__ import annotations

import os
import warnings

import numpy as np
from sklearn.utils.validation import check_array

from sklearn_sae_encoding._images.masks import is_region_masker
from sklearn_sae_encoding._images.rows import is_images
from sklearn_sae_encoding._validation import count_samples

_MASK_GAPS = (
    " To average each region over the voxels that are finite in all images, give the masker "
    "mask_img=ImageRows(imgs).finite_mask_img()."
)


def check_rows(y, masker):
    """Give responses that are masked already as an array, and refuse those of another mask."""
    y = check_array(y, ensure_2d=False, ensure_all_finite=False, dtype="numeric", input_name="y")
    expected = getattr(masker, "n_elements_", None)
    columns = y.shape[1] if y.ndim == 2 else 1
    if expected is not None and columns != expected:
        raise ValueError(
            f"The responses have {columns} column(s), but the {type(masker).__name__} has {expected} voxels or regions."
        )
    return y


def check_arguments(X, params=()) -> None:
    """Refuse images in the place of features, and what belongs to the cleaning of runs."""
    if is_images(X) and not _are_texts(X):
        raise TypeError(
            "X is an image; expected features or texts, one a sample. Images are the targets: fit(X, imgs)."
        )
    if unknown := sorted({"confounds", "sample_mask"} & set(params)):
        raise TypeError(
            f"MaskedTargetRegressor takes no {unknown[0]}: clean each run before its trials are estimated, "
            "for example by FirstLevelModel.fit(runs, events=events, confounds=confounds)."
        )


def _are_texts(X) -> bool:
    return isinstance(X, (list, tuple)) and isinstance(X[0], (str, os.PathLike))


def check_counts(X, y, kind):
    """Refuse other numbers of samples and of images or rows; X is None if there is nothing to compare."""
    if X is None:
        return
    n_samples = count_samples(X)
    if n_samples != len(y):
        raise ValueError(f"X and y hold inconsistent numbers of samples: {n_samples} in X, but {len(y)} {kind} in y.")


def find_exclusions(Y, masker, warn_of_constant=True):
    """Say which voxels are missing in some sample and which never change, and warn of both.

    Regressors of ours count the constant ones themselves, so that nobody needs to be warned of them twice.

    Returns two boolean arrays of shape (n_elements,); raises if no voxel is left.
    """
    # Minima and maxima carry NaN and infinity along and, unlike np.isfinite, need no second array.
    low, high = np.atleast_1d(Y.min(axis=0)), np.atleast_1d(Y.max(axis=0))
    missing = ~(np.isfinite(low) & np.isfinite(high))
    constant = ~missing & (low == high)
    all_elements = f"{len(low)} {'regions' if is_region_masker(masker) else 'voxels'}"
    advice = _MASK_GAPS if is_region_masker(masker) else ""
    if missing.all():
        raise ValueError(f"None of the {all_elements} is finite {_explain_all_missing(Y)}{advice}")
    if missing.any():
        warnings.warn(
            f"{missing.sum()} of {all_elements} are left out of the fit, because they hold NaN or infinite "
            f"values in at least one sample. Predictions and maps are NaN there.{advice}",
            stacklevel=3,
        )
    if warn_of_constant and constant.any() and len(low) > 1:
        warnings.warn(
            f"{constant.sum()} of {all_elements} are constant over the samples of this fit: there is nothing "
            "to explain in them.",
            stacklevel=3,
        )
    return missing, constant


def _explain_all_missing(Y):
    lost = np.flatnonzero(~np.isfinite(Y.reshape(len(Y), -1)).any(axis=1))
    where = f"sample(s) {', '.join(map(str, lost[:5]))} hold no finite value" if len(lost) else "each has a gap"
    return f"in all {len(Y)} samples: {where}. Input contains NaN or infinity."
