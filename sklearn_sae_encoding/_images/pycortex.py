"""Voxels of a mask in nilearn's order to pycortex' order, and back."""

import numpy as np
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.utils.validation import check_is_fitted


class PycortexMasker(TransformerMixin, BaseEstimator):
    """Mask volumes in pycortex' order of voxels, that of the published responses of ds003020.

    With it a :class:`MaskedTargetRegressor` takes such responses as arrays beside volumes, and gives maps that are
    right; values of a NiftiMasker's order never meet it. For values alone there are :func:`to_pycortex` and
    :func:`from_pycortex`.

    Parameters
    ----------
    mask_img : image or path
        The mask, in three dimensions, in nilearn's orientation.

    Attributes
    ----------
    masker_ : nilearn.maskers.NiftiMasker
        Fitted; its order is another one.

    mask_img_ : image

    n_elements_ : int
        Number of voxels.

    See Also
    --------
    sklearn_sae_encoding.datasets.load_lebel2023 : Gives the mask of a participant, and responses in this order.

    Examples
    --------
    >>> import numpy as np
    >>> from nibabel import Nifti1Image
    >>> from sklearn_sae_encoding.masking import PycortexMasker
    >>> masker = PycortexMasker(Nifti1Image(np.ones((2, 1, 2), dtype="int8"), np.eye(4))).fit()
    >>> img = masker.inverse_transform([1.0, 2.0, 3.0, 4.0])
    >>> img.get_fdata()[:, 0].tolist()  # x runs fastest
    [[1.0, 3.0], [2.0, 4.0]]
    >>> masker.transform(img).tolist()
    [[1.0, 2.0, 3.0, 4.0]]
    """

    def __init__(self, mask_img):
        self.mask_img = mask_img

    def fit(self, X=None, y=None):
        """Read the mask.

        Parameters
        ----------
        X, y : None

        Returns
        -------
        self : PycortexMasker
        """
        from nilearn.maskers import NiftiMasker

        self.masker_ = NiftiMasker(self.mask_img, standardize=None).fit()
        self.mask_img_, self.n_elements_ = self.masker_.mask_img_, self.masker_.n_elements_
        return self

    def transform(self, X):
        """Give the values of volumes in pycortex' order.

        Parameters
        ----------
        X : image or path
            On the grid of the mask.

        Returns
        -------
        values : ndarray of shape (n_images, n_voxels)
        """
        check_is_fitted(self)
        return to_pycortex(np.atleast_2d(self.masker_.transform(X)), self.mask_img_)

    def inverse_transform(self, X):
        """Make volumes of values in pycortex' order.

        Parameters
        ----------
        X : array-like of shape (n_images, n_voxels) or (n_voxels,)

        Returns
        -------
        img : Nifti1Image
            In four dimensions, or in three of one dimension.
        """
        check_is_fitted(self)
        return self.masker_.inverse_transform(from_pycortex(X, self.mask_img_))


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
