"""Voxels of a mask in nilearn's order to pycortex' order, and back."""

import numpy as np


def to_pycortex(values, mask_img):
    """Put values of a mask's voxels from nilearn's order into pycortex'.

    Both take the voxels of a mask in the order of an array, but nilearn's array is `(x, y, z)` and pycortex' is
    `(z, y, x)`: the last axis runs fastest, which is `z` there and `x` here. Both orders have the same length, so that
    a map in the wrong one raises no error anywhere and shows other voxels.

    Parameters
    ----------
    values : array-like of shape (..., n_voxels)
        In the order of :class:`nilearn.maskers.NiftiMasker`, such as scores or predictions.

    mask_img : image or path
        The mask, in three dimensions: the voxels that are not 0.

    Returns
    -------
    values : ndarray of shape (..., n_voxels)
        In the order of ``cortex.Volume(values, subject, xfm, mask=...)`` and of the published responses of ds003020.

    Raises
    ------
    ValueError
        If there is not one value a voxel of the mask.

    Examples
    --------
    >>> import numpy as np
    >>> from nibabel import Nifti1Image
    >>> from sklearn_sae_encoding.masking import from_pycortex, to_pycortex
    >>> mask = Nifti1Image(np.ones((2, 1, 2), dtype="int8"), np.eye(4))
    >>> to_pycortex(["x0 z0", "x0 z1", "x1 z0", "x1 z1"], mask).tolist()
    ['x0 z0', 'x1 z0', 'x0 z1', 'x1 z1']
    >>> from_pycortex(to_pycortex([1, 2, 3, 4], mask), mask).tolist()
    [1, 2, 3, 4]
    """
    mask, values = _checked(values, mask_img)
    return values[..., _places(mask)]


def from_pycortex(values, mask_img):
    """Put values of a mask's voxels from pycortex' order into nilearn's; see :func:`to_pycortex`.

    Parameters
    ----------
    values : array-like of shape (..., n_voxels)
        In pycortex' order, such as the published responses of ds003020.

    mask_img : image or path
        The mask, in nilearn's orientation: its data are `(x, y, z)`. A mask that pycortex stored as an array `(z, y,
        x)` has to be transposed.

    Returns
    -------
    values : ndarray of shape (..., n_voxels)
        In the order of :class:`nilearn.maskers.NiftiMasker`, whose ``inverse_transform`` takes them.

    Raises
    ------
    ValueError
        If there is not one value a voxel of the mask.
    """
    mask, values = _checked(values, mask_img)
    given = np.empty_like(values)
    given[..., _places(mask)] = values
    return given


def _places(mask):
    """Give the place in nilearn's order of each voxel in pycortex' order."""
    numbers = np.zeros(mask.shape, dtype=np.intp)
    numbers[mask] = np.arange(mask.sum())
    return numbers.T[mask.T]


def _checked(values, mask_img):
    from nilearn.image import load_img

    mask = np.asarray(load_img(mask_img).dataobj) != 0
    values = np.asarray(values)
    if mask.ndim != 3:
        raise ValueError(f"mask_img must have three dimensions, got the shape {mask.shape}.")
    if values.ndim < 1 or values.shape[-1] != mask.sum():
        raise ValueError(
            f"Expected a value for each of the {mask.sum()} voxels of the mask, got values of shape {values.shape}."
        )
    return mask, values
