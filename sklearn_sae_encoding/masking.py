"""Images to targets, and maps back: any regressor on the voxels of any nilearn masker."""

from __future__ import annotations

import numpy as np
from sklearn import get_config
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils.metadata_routing import process_routing
from sklearn.utils.validation import check_is_fitted

from sklearn_sae_encoding._images.by_run import by_run, mask_runs, pooled, takes_runs
from sklearn_sae_encoding._images.checks import check_arguments, check_counts, check_rows, find_exclusions
from sklearn_sae_encoding._images.masks import fit_masker, mask_rows, unmask
from sklearn_sae_encoding._images.pycortex import PycortexMasker, from_pycortex, to_pycortex
from sklearn_sae_encoding._images.pycortex_rois import convert_pycortex_rois, read_pycortex_rois, region_names
from sklearn_sae_encoding._images.rows import ImageRows, is_images
from sklearn_sae_encoding._images.surfaces import read_surface, read_surface_files, surface_to_cifti, surface_to_gifti
from sklearn_sae_encoding._images.wrapping import WrapsRegressor
from sklearn_sae_encoding._voxelwise import counts_constant
from sklearn_sae_encoding.fitted import fitted_view
from sklearn_sae_encoding.metrics._scores import voxel_metric

__all__ = [
    "ImageRows",
    "MaskedTargetRegressor",
    "PycortexMasker",
    "convert_pycortex_rois",
    "from_pycortex",
    "read_pycortex_rois",
    "read_surface",
    "region_names",
    "surface_to_cifti",
    "surface_to_gifti",
    "to_pycortex",
]


class MaskedTargetRegressor(WrapsRegressor, MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Regress brain images on features or texts, and give brain images back.

    The images are masked, a few at a time, into one float32 array of one row a sample, and a clone of `regressor` is
    fitted to it. What the fitted regressor says of each voxel comes back as a map.

    Parameters
    ----------
    regressor : estimator
        Any regressor of many targets, such as :class:`~sklearn_sae_encoding.encoder.SparseVoxelEncoder` or the whole
        pipeline of :func:`~sklearn_sae_encoding.pipeline.make_augmented_encoder`. It is cloned.

    masker : nilearn masker
        Any of nilearn's maskers of volumes or surfaces, for voxels or vertices, labels, maps or spheres. A fitted one
        is used as it is, also by clones of this estimator; another one is cloned and fitted in ``fit``. It is never
        changed. A masker that standardizes, detrends, filters or smooths is refused (see Raises).

    Attributes
    ----------
    regressor_ : estimator
        The fitted regressor. Its targets are the voxels that are not `missing_`.

    masker_ : nilearn masker
        The fitted masker. None if `y` was an array and the masker knows of no mask: then there are no maps.

    n_elements_ : int
        Number of voxels, vertices or regions of the masker: of values in a map.

    missing_ : ndarray of bool of shape (n_elements,)
        Voxels with a value that is not finite in some sample of ``fit``, and regions that hold such a voxel. They are
        left out of the fit; predictions and maps are NaN there.

    constant_ : ndarray of bool of shape (n_elements,)
        Voxels that are the same in all samples of ``fit``. There is nothing to explain in them.

    n_features_in_ : int
        Number of features, if the regressor tells it.

    feature_names_in_ : ndarray of str
        Names of the features, if the regressor tells them.

    Raises
    ------
    ValueError
        If images and samples differ in number; images differ in shape or affine among themselves, or from the mask,
        labels or maps while the masker has no ``target_affine`` or ``resampling_target`` to resample them to; the mask
        is empty; a single 3-D image is given; no voxel is finite; the masker computes something over all samples,
        training and test alike (``standardize``, ``detrend``, filters), or across the edge of its mask
        (``smoothing_fwhm``).

    Warns
    -----
    UserWarning
        Says how many voxels or regions are missing or constant.

    See Also
    --------
    ImageRows : Images that scikit-learn can split, for GridSearchCV.
    sklearn_sae_encoding.metrics.cross_val_voxel_scores : Cross-validated scores; takes images with this estimator.

    Notes
    -----
    ``cross_val_voxel_scores(model, X, imgs)`` masks the images once. For ``GridSearchCV(model, grid)`` either do that
    yourself, ``fit(X, model.mask_targets(imgs))``, or give ``fit(X, ImageRows(imgs))``, which keeps no masked copy but
    masks the rows of each fold anew. In both cases the masker needs a mask or labels, or to be fitted, if the maps
    of the folds are to be compared.

    Examples
    --------
    >>> import numpy as np
    >>> from nibabel import Nifti1Image
    >>> from nilearn.maskers import NiftiMasker
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_sae_encoding.masking import MaskedTargetRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(30, 4))
    >>> imgs = Nifti1Image(rng.normal(size=(5, 5, 5, 30)).astype("float32"), np.eye(4))
    >>> mask = Nifti1Image(np.ones((5, 5, 5), dtype="int8"), np.eye(4))
    >>> model = MaskedTargetRegressor(Ridge(), NiftiMasker(mask)).fit(X, imgs)
    >>> model.predict(X).shape, model.predict(X, as_image=True).shape, model.coef_img(0).shape
    ((30, 125), (5, 5, 5, 30), (5, 5, 5))
    """

    def __init__(self, regressor, masker):
        self.regressor = regressor
        self.masker = masker

    def fit(self, X, y, **fit_params):
        """Mask the images and fit the regressor to them.

        Parameters
        ----------
        X : sequence of length n_samples
            What the regressor takes: features, texts.

        y : images, ImageRows or array-like of shape (n_samples, n_elements) or (n_samples,)
            One image a sample, in any form that :class:`ImageRows` takes, or responses that are masked already. With a
            :class:`~sklearn_sae_encoding.timing.RunwiseRegressor` one 4-D or surface image, or array, a run, in a list.
            CIFTI files and pairs (left, right) of GIFTI files are read on the mesh of a masker that has a `mask_img`.

        **fit_params : dict
            Handed to the ``fit`` of the regressor; routed, if metadata routing is enabled.

        Returns
        -------
        self : MaskedTargetRegressor
        """
        if y is None:
            raise ValueError("This MaskedTargetRegressor requires y to be passed, but the target y is None.")
        check_arguments(X, fit_params)
        self.masker_, Y = self._mask(y, None, X)
        rows = pooled(Y)
        self.n_elements_, self._is_1d = rows.shape[1] if rows.ndim == 2 else 1, rows.ndim == 1
        self.missing_, self.constant_ = find_exclusions(rows, self.masker, not counts_constant(self.regressor))
        del rows
        if get_config()["enable_metadata_routing"]:
            fit_params = process_routing(self, "fit", **fit_params).regressor.fit
        if self.missing_.any():
            # Under the same name, so that the whole is not held beside the part.
            Y = by_run(lambda rows: rows[:, ~self.missing_], Y)
        self.regressor_ = clone(self.regressor).fit(X, Y, **fit_params)
        return self

    def predict(self, X, as_image=False, **predict_params):
        """Predict responses.

        Parameters
        ----------
        X : sequence of length n_samples
            What the regressor takes.

        as_image : bool, default=False
            Whether to give one image with all samples (4-D, or a surface image with one column a sample).

        **predict_params : dict
            Handed to the ``predict`` of the regressor, here and by methods that score, such as ``groups``.

        Returns
        -------
        y : ndarray of shape (n_samples, n_elements) or (n_samples,), or image, or a list of one of these a run
            NaN in voxels that are missing.
        """
        check_is_fitted(self)
        check_arguments(X, predict_params)
        predicted = by_run(self._as_fitted, self.regressor_.predict(X, **predict_params))
        return by_run(self.to_img, predicted) if as_image else predicted

    def score(self, X, y, **predict_params):
        """Compute the mean over voxels of the coefficient of determination.

        Voxels that are missing, or constant in `y`, don't count.

        Parameters
        ----------
        X : sequence of length n_samples

        y : images, ImageRows or array-like
            Measured responses, as in ``fit``.

        Returns
        -------
        score : float
        """
        scores = self.voxel_scores(X, y, metric="r2", **predict_params)
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")

    def voxel_scores(self, X, y, metric="pearson", **predict_params):
        """Compute the score of each voxel.

        Parameters
        ----------
        X : sequence of length n_samples

        y : images, ImageRows or array-like
            Measured responses, as in ``fit``.

        metric : {"pearson", "r2"} or callable, default="pearson"
            A callable takes the true and the predicted responses and returns an array.

        Returns
        -------
        scores : ndarray of shape (n_elements,)
            NaN in voxels that are missing or constant.
        """
        check_is_fitted(self)
        metric, Y = voxel_metric(metric), self._mask(y, self.masker_, X)[1]
        return metric(pooled(Y), pooled(self.predict(X, **predict_params)))

    def voxel_scores_img(self, X, y, metric="pearson", **predict_params):
        """Give the score of each voxel as an image; see :meth:`voxel_scores`."""
        return self.to_img(self.voxel_scores(X, y, metric, **predict_params))

    def coef_img(self, feature):
        """Give the weight of a feature in each voxel as an image.

        Parameters
        ----------
        feature : int or str
            Column of the regressor's features (negative ones count from the end), or its name.

        Returns
        -------
        img : image
            In units of the response over units of the feature; 0 in a sparse model that doesn't use the feature.
        """
        check_is_fitted(self)
        return self._map(fitted_view(self.regressor_).weights_for([feature]).toarray().ravel())

    def alpha_img(self, band=None):
        """Give the penalty that was chosen for each voxel as an image.

        Parameters
        ----------
        band : str, default=None
            Of a :class:`~sklearn_sae_encoding.banded.BandedRidgeEncoder` the band, whose penalty it is; infinite where
            the voxel leaves it out.

        Returns
        -------
        img : image
        """
        check_is_fitted(self)
        linear = fitted_view(self.regressor_).linear
        bands = list(getattr(linear, "bands_", ()))
        if band is not None or bands:
            if band not in bands:
                raise ValueError(f"Penalties are given by band: band must be one of {bands}, got {band!r}.")
            return self._map(linear.band_alphas_[:, bands.index(band)])
        if not hasattr(linear, "alpha_"):
            raise AttributeError(f"The {type(linear).__name__} chose no penalties: it has no alpha_.")
        return self._map(np.broadcast_to(linear.alpha_, np.sum(~self.missing_)))

    def support_size_img(self):
        """Give the number of features that each voxel uses as an image."""
        check_is_fitted(self)
        return self._map(np.asarray((fitted_view(self.regressor_).weights != 0).sum(axis=1)).ravel())

    def contributions(self, X, surprisal=None):
        """Split predictions into what surprisal and what all other features (content) contribute.

        Parameters
        ----------
        X : sequence of length n_samples
            What the regressor takes.

        surprisal : int, str or sequence of these, default=None
            Columns or names of surprisal among the features. None asks what made them.

        Returns
        -------
        surprisal : ndarray of shape (n_elements,)
            Standard deviation over `X` of surprisal's part of the prediction, in units of the response.

        content : ndarray of shape (n_elements,)
            The same of the other features' part.
        """
        check_is_fitted(self)
        view = fitted_view(self.regressor_)
        alone, content = view.contributions(X, view.columns(surprisal))
        return self._expanded(alone), self._expanded(content)

    def surprisal_img(self, X, surprisal=None):
        """Give how far surprisal moves the prediction of each voxel as an image; see :meth:`contributions`."""
        return self.to_img(self.contributions(X, surprisal)[0])

    def content_img(self, X, surprisal=None):
        """Give how far all features but surprisal move each voxel's prediction; see :meth:`contributions`."""
        return self.to_img(self.contributions(X, surprisal)[1])

    def to_img(self, values):
        """Put values of voxels back into an image.

        Parameters
        ----------
        values : array-like of shape (n_elements,) or (n_images, n_elements)
            For example scores of :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores`.

        Returns
        -------
        img : image
            float32, of the masker's kind.
        """
        check_is_fitted(self)
        if self.masker_ is None:
            raise ValueError(
                f"There is no mask to make images with: the {type(self.masker).__name__} has none and was not fitted, "
                "and y was an array. Give it a mask_img, or fit it to images first."
            )
        return unmask(values, self.masker_)

    def mask_targets(self, imgs):
        """Mask images into an array, as ``fit`` does.

        Parameters
        ----------
        imgs : images, ImageRows or array-like
            As `y` in ``fit``. An array is given back.

        Returns
        -------
        Y : ndarray of shape (n_samples, n_elements)
            float32. Values that are not finite are NaN.
        """
        if is_images(imgs) and not hasattr(self, "masker_") and fit_masker(self.masker) is None:
            raise ValueError(
                f"The {type(self.masker).__name__} has no mask yet, so that folds and fits would each find their own. "
                "Give it a mask_img, or fit it to the images first."
            )
        return self._mask(imgs, getattr(self, "masker_", None))[1]

    def _mask(self, y, masker, X=None):
        """Give the fitted masker and the responses as an array, which has a row a sample of `X`, if that is given."""
        y = read_surface_files(y, self.masker if masker is None else masker, takes_runs(self.regressor))
        if isinstance(y, (list, tuple)) and takes_runs(self.regressor):
            return mask_runs(y, masker, self.masker, X)
        if not is_images(y):
            masker = fit_masker(self.masker) if masker is None else masker
            Y = check_rows(y, masker)
            check_counts(X, Y, "rows")
            return masker, Y
        rows = ImageRows(y)
        check_counts(X, rows, "images")  # before any is read
        masker = fit_masker(self.masker, rows) if masker is None else masker
        return masker, mask_rows(rows, masker)

    def _as_fitted(self, predicted):
        predicted = np.asarray(predicted)
        predicted = self._expanded(predicted.reshape(len(predicted), -1))  # a single target comes as 1-D or 2-D
        return predicted[:, 0] if self._is_1d else predicted

    def _expanded(self, values):
        """Put values of the fitted voxels among those of all voxels, NaN for the missing ones."""
        if not self.missing_.any():
            return np.asarray(values)
        values = np.asarray(values)
        everywhere = np.full((*values.shape[:-1], self.n_elements_), np.nan, dtype=np.result_type(values, np.float32))
        everywhere[..., ~self.missing_] = values
        return everywhere

    def _map(self, values):
        return self.to_img(self._expanded(values))
