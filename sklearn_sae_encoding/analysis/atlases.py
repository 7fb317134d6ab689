"""Which region is each voxel or vertex in? Labels from an atlas image, through the masker of the voxels."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd

from sklearn_sae_encoding._images.masks import fit_masker, is_region_masker, mask_rows
from sklearn_sae_encoding._images.rows import ImageRows, data_parts, is_images, is_surface_img


def atlas_regions(atlas, masker, *, names=None):
    """Look up the region of each voxel or vertex of a masker in an atlas.

    Parameters
    ----------
    atlas : 3-D image, SurfaceImage or path
        A whole number at each voxel or vertex, 0 for none: ``maps`` of nilearn's ``fetch_atlas_...``. A volume on
        another grid than the masker's is resampled to that, each voxel getting the number at its centre.

    masker : nilearn masker of voxels or vertices
        Which made rows of voxels of the responses, such as ``MaskedTargetRegressor.masker_``; fitted, or with a
        `mask_img`.

    names : mapping of int to str, DataFrame, or sequence of str, default=None
        What the numbers mean: a mapping, a table of `index` and `name` (``lut`` of nilearn's atlases), or names by
        number, the first being that of 0 (their ``labels``). None takes the numbers as names.

    Returns
    -------
    regions : ndarray of str objects of shape (n_voxels,)
        "" where there is none, for :func:`category_topography`, :func:`summarize_categories` and all else that takes
        a region a voxel.

    Raises
    ------
    ValueError
        If the masker knows no voxels or is one of regions, the atlas holds other than whole numbers (such as
        probabilities), a number has no name, surfaces are of another resolution, or no voxel is in a region.

    Examples
    --------
    >>> import numpy as np
    >>> from nibabel import Nifti1Image
    >>> from nilearn.maskers import NiftiMasker
    >>> from sklearn_sae_encoding.analysis import atlas_regions
    >>> atlas = Nifti1Image(np.repeat([0, 1, 2], 4).reshape(3, 2, 2).astype("int32"), np.eye(4))
    >>> mask = Nifti1Image(np.ones((3, 2, 2), dtype="int8"), np.eye(4))
    >>> regions = atlas_regions(atlas, NiftiMasker(mask), names=["Background", "IFG", "AntTemp"])
    >>> regions[[0, 4, 11]].tolist()
    ['', 'IFG', 'AntTemp']
    """
    masker = fit_masker(masker)
    if masker is None or is_region_masker(masker):
        raise ValueError(
            "The masker must tell voxels or vertices: fit it or give it a mask_img. One of regions has averaged them; "
            "its regions are the rows, and their names its region_names_."
        )
    rows = ImageRows([atlas])
    if len(rows) != 1:
        raise ValueError(f"An atlas is one map of numbers, got {len(rows)} maps. Of probabilities take the largest.")
    if not rows.is_surface and not is_surface_img(masker.mask_img_) and rows.differs_from(masker.mask_img_):
        from nilearn.image import resample_to_img

        grid = {"interpolation": "nearest", "force_resample": True, "copy_header": True}
        rows = ImageRows([resample_to_img(rows[0], masker.mask_img_, **grid)])
    _check_vertices(rows, masker, "atlas has")
    regions = _named(mask_rows(rows, masker).ravel(), names)
    if not (regions != "").any():
        raise ValueError("No voxel of the masker is in a region of the atlas. Do they lie in the same space?")
    return regions


def _named(numbers, names=None):
    """Name the numbers of an atlas: "" for 0 and NaN."""
    numbers = np.nan_to_num(np.asarray(numbers, dtype=np.float64))
    if not np.array_equal(numbers, np.round(numbers)):
        odd = numbers[numbers != np.round(numbers)][0]
        raise ValueError(f"An atlas holds whole numbers, one a region, got {odd:g}. Of probabilities take the largest.")
    numbers = numbers.astype(np.int64)
    known = {number: str(number) for number in np.unique(numbers).tolist()} if names is None else _mapping(names)
    if missing := sorted(set(np.unique(numbers).tolist()) - set(known) - {0}):
        raise ValueError(f"The atlas has regions without a name: {', '.join(map(str, missing[:10]))}.")
    return np.array(["" if number == 0 else known[number] for number in numbers.tolist()], dtype=object)


def images_to_voxels(weights, regions, masker, names):
    """Give weights as an array with a row a voxel, and the region of each; what is an array already stays one."""
    if not is_atlas(regions) and not is_images(weights):
        return weights, regions
    rows = ImageRows(weights) if is_images(weights) else None
    if masker is None:
        if rows is None or not is_atlas(regions):
            raise ValueError(
                "An atlas image needs the masker that made voxels of the weights, and images of weights without one an "
                "atlas image: give masker=."
            )
        masker = _masker_of(ImageRows([regions]))
    if is_atlas(regions):
        regions = atlas_regions(regions, masker, names=names)
    if rows is None:
        return weights, regions
    masker = fit_masker(masker)
    _check_vertices(rows, masker, "images of weights have")
    weights = mask_rows(rows, masker).T
    missing = ~np.isfinite(weights).all(axis=1)  # voxels that no model was fitted to
    regions = np.array(regions, dtype=object)
    if regions.shape == missing.shape:
        regions[missing] = ""
    return np.nan_to_num(weights), regions


def is_atlas(regions):
    """Whether regions come as an image, or the path of one; a list is of regions' names."""
    return not isinstance(regions, (list, tuple)) and is_images(regions)


def _check_vertices(rows, masker, whose):
    """Refuse surfaces of another resolution; what is a surface and what a volume, is said elsewhere."""
    if not rows.is_surface or not is_surface_img(getattr(masker, "mask_img_", None)):
        return
    given, wanted = (
        {side: len(np.asarray(part)) for side, part in image.data.parts.items()}
        for image in (rows[0], masker.mask_img_)
    )
    if given != wanted:
        raise ValueError(
            f"The {whose} {given} vertices, but the masker {wanted}. Is the sphere of another resolution? Give images "
            "on one mesh, such as fsaverage5."
        )


def _masker_of(atlas):
    """A masker of the voxels that are in a region."""
    from nilearn.maskers import NiftiMasker, SurfaceMasker

    (image,) = atlas
    inside = [np.nan_to_num(part) != 0 for part in data_parts(image)]
    if is_surface_img(image):
        return SurfaceMasker(atlas.image([part.reshape(len(part)) for part in inside]))
    return NiftiMasker(atlas.image([part.astype(np.int8) for part in inside]))


def _mapping(names):
    if isinstance(names, pd.DataFrame):
        if missing := {"index", "name"} - set(names):
            raise ValueError(f"A table of names needs the columns index and name; {sorted(missing)} is missing.")
        return {int(i): str(name) for i, name in zip(names["index"], names["name"], strict=True)}
    items = names.items() if isinstance(names, Mapping) else enumerate(names)
    return {int(i): str(name) for i, name in items}
