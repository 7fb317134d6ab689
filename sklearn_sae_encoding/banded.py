"""Features in bands to voxels: ridge with a penalty for each band and voxel."""

from __future__ import annotations

from types import SimpleNamespace

import numpy as np
from sklearn.base import BaseEstimator
from sklearn.model_selection import check_cv
from sklearn.utils.validation import check_is_fitted, validate_data

from ._banded.bands import resolve_bands
from ._banded.fitting import fit_bands, warn_of_edges
from ._banded.parameters import ALLOWED
from ._banded.predicting import band_part, chosen_bands, chosen_columns, intercepts, weights_of
from ._banded.preparing import prepare_bands
from ._banded.responses import check_responses, describe_responses, is_read_by_block, warn_of_unfitted
from ._banded.runs import runs_to_fit, runs_to_predict, scaled_by_run
from ._solvers.banded.bands import without_duplicates
from ._validation import check_parameters
from ._voxelwise import VoxelwiseRegressorMixin
from .metrics._leaks import note_repeats

__all__ = ["BandedRidgeEncoder"]


class BandedRidgeEncoder(VoxelwiseRegressorMixin, BaseEstimator):
    r"""Ridge from bands of features to very many voxels, with a cross-validated penalty for each band and voxel.

    For each voxel, with targets :math:`y` and bands :math:`X_b`, it minimises

    .. math::

        \Big\|y - \sum_b X_b w_b - c\Big\|^2 + \sum_b \alpha_b \|w_b\|^2 ,
        \qquad \alpha_b = \alpha / \gamma_b ,

    with the weight :math:`\gamma_b` of the band and the penalty :math:`\alpha` of least held-out squared error among
    the candidates. The penalty is that of :class:`~sklearn.linear_model.Ridge`, not of the lasso of
    :class:`~sklearn_sae_encoding.encoder.SparseVoxelEncoder`, whose squared error is divided by twice the samples.
    himalaya's solvers do the search [1]_. The :ref:`user guide <banded>` has the mathematics.

    Parameters
    ----------
    bands : mapping, sequence or None, default=None
        Which columns belong together: a mapping of names to slices, column numbers, boolean masks or (for a DataFrame)
        column names; a list of such; or a label for each column. Each column belongs to exactly one band. None is one
        band of all.
    alphas : int, float or array-like of shape (n_alphas,), default=20
        An integer is a number of log-spaced penalties, and makes the search independent of the scales and widths of
        bands: candidates are then weights of kernels whose mean diagonal is one, and penalties go from 1e-4 to 1e3
        times the number of samples. Other values are penalties of Ridge, in units of the columns.
    candidates : int or array-like of shape (n_candidates, n_bands), default=30
        How many weights of the bands to draw from Dirichlet distributions, the first being equal ones, or the weights
        themselves. Zeros leave a band out. One band needs none.
    concentration : float or sequence of float, default=(0.1, 1.0)
        Of the Dirichlet distributions, in turn. Small values favour few bands; 1 is uniform.
    only : str or list of str, default=None
        Bands that the model uses. Candidates are those of all bands, with the weights of the others left out and the
        rest raised to the same sum, so that nested models are searched over the same. None is all.
    search : {"random", "gradient"}, default="random"
        ``"gradient"`` starts from each voxel's best candidate and goes down the gradient of the held-out error in the
        logarithms of the weights, for at most `n_steps` steps. Its folds share the mean of all rows.
    n_steps : int, default=20
        Steps of the gradient search.
    cv : int, splitter or iterable of (train, test) rows, default=5
        How to split the samples; an integer is that many contiguous folds.
    scale : {"columns", "runs"} or None, default=None
        ``"columns"`` divides each column by its standard deviation over the training rows, inside the kernel;
        ``"runs"`` by that over the rows of a run, told by the `groups` of ``fit`` and of every method that predicts.
        For lists of runs see :class:`~sklearn_sae_encoding.timing.RunwiseRegressor`, which scales before it delays.
    firing : tuple of two float, or mapping of bands to such, default=None
        Shares of the training rows, ``(lowest, highest)``. Columns that are not zero in fewer or more leave, counted.
    form : {"auto", "kernel", "primal"}, default="auto"
        Decompose kernels of all pairs of rows, or of as many rotated rows as there are columns. ``"auto"`` takes the
        primal form if fewer columns than rows are used. Solutions are the same.
    fit_intercept : bool, default=True
        Fit an unpenalised intercept; columns and targets are centred by the training rows of each fold.
    keep : {"weights", "penalties"}, default="weights"
        ``"weights"`` keeps what predictions need: weights in the primal form, in the kernel form dual weights, as many
        as there are responses. ``"penalties"`` keeps penalties and scores only.
    random_state : int, RandomState instance or None, default=0
        Seed of the candidates.
    device : str or torch.device, default="cpu"
        Where decompositions and products run: ``"cpu"`` is NumPy; ``"cuda"``, and torch.device objects, are torch.
    max_memory : float, default=None
        Gigabytes that a fit may take besides its data. A fit that would take more is refused with what would fit.
    block_size : int or "auto", default="auto"
        Voxels that are searched together; decompositions are done once a block. ``"auto"`` takes as many as fit.
    n_jobs : int, default=None
        Candidates searched at a time, through joblib. Threads take turns (himalaya has one backend); use processes.
    memory : str or joblib.Memory, default=None
        Keep the scores of finished candidates here, so that an interrupted fit resumes where it was.
    verbose : int, default=0
        Above 0, print the time and peak memory to expect, then how many candidates are done.

    Attributes
    ----------
    band_alphas_ : ndarray of shape (n_targets, n_bands)
        Penalties; infinite for a band that was left out, NaN for voxels that were not fitted.
    cv_scores_ : ndarray of shape (n_targets, n_candidates)
        Negative mean squared held-out error of each candidate with its best penalty. Only if there was a choice.
    candidates_ : ndarray of shape (n_candidates, n_bands)
        Weights of the bands that were searched, for kernels of the columns as they are.
    alphas_ : ndarray of shape (n_alphas,)
        Penalties that were searched, ascending.
    bands_ : dict of str to ndarray
        Columns of each band.
    left_out_ : dict of str to dict
        How many columns of each band are not used: ``"rare"`` and ``"frequent"`` ones (see `firing`), and
        ``"constant"`` ones, which an intercept makes superfluous.
    kept_ : ndarray of shape (n_features,)
        Whether a column is used.
    form_ : {"kernel", "primal"}
    coef_ : ndarray of shape (n_targets, n_features)
        Only in the primal form; see :meth:`primal_weights`.
    dual_coef_ : ndarray of shape (n_samples, n_targets)
        Only in the kernel form: residuals of the training rows. Weights of a band are ``X_b.T @ residuals / alpha_b``.
    X_fit_ : {ndarray, sparse array} of shape (n_samples, n_features)
        Only in the kernel form.
    intercept_, target_means_ : ndarray of shape (n_targets,)
        Predictions of a row of zeros, and of a row of mean features.
    gradient_scores_ : ndarray of shape (n_targets, n_steps)
        Negative held-out errors at each step of the gradient search.
    n_runs_ : int
        Runs of ``fit``; only with ``scale="runs"``.
    n_features_in_ : int
    feature_names_in_ : ndarray of shape (n_features,)

    Notes
    -----
    A voxel that is NaN in every sample gets NaN predictions; a constant voxel its constant; both are counted in one
    warning. A voxel that is NaN in some samples is a data error and raises. Voxels that are predicted, and clearly
    better with the smallest penalty than with the next, are counted in another warning if they are more
    than one in twenty; one for all fits of :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores`. Responses may
    be a memory map or a data set of HDF5 (h5py), which are read by blocks of voxels.

    References
    ----------
    .. [1] Dupré la Tour, Eickenberg, Nunez-Elizalde and Gallant, Feature-space selection with banded ridge regression,
       NeuroImage 264 (2022).

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.banded import BandedRidgeEncoder
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(120, 40))
    >>> Y = X[:, :20] @ rng.normal(size=(20, 2)) + rng.normal(size=(120, 2))
    >>> encoder = BandedRidgeEncoder({"content": slice(0, 20), "noise": slice(20, 40)}).fit(X, Y)
    >>> encoder.band_alphas_[:, 0] < encoder.band_alphas_[:, 1]
    array([ True,  True])
    """

    # Wherever metadata are routed, the run of each row comes along.
    __metadata_request__fit = __metadata_request__predict = __metadata_request__score = {"groups": True}  # noqa: RUF012

    def __init__(
        self,
        bands=None,
        *,
        alphas=20,
        candidates=30,
        concentration=(0.1, 1.0),
        only=None,
        search="random",
        n_steps=20,
        cv=5,
        scale=None,
        firing=None,
        form="auto",
        fit_intercept=True,
        keep="weights",
        random_state=0,
        device="cpu",
        max_memory=None,
        block_size="auto",
        n_jobs=None,
        memory=None,
        verbose=0,
    ):
        self.bands = bands
        self.alphas = alphas
        self.candidates = candidates
        self.concentration = concentration
        self.only = only
        self.search = search
        self.n_steps = n_steps
        self.cv = cv
        self.scale = scale
        self.firing = firing
        self.form = form
        self.fit_intercept = fit_intercept
        self.keep = keep
        self.random_state = random_state
        self.device = device
        self.max_memory = max_memory
        self.block_size = block_size
        self.n_jobs = n_jobs
        self.memory = memory
        self.verbose = verbose

    def fit(self, X, y, **params):
        """Choose penalties of each band and voxel by cross-validation and solve on all samples.

        Parameters
        ----------
        X : {array-like, sparse array, DataFrame} of shape (n_samples, n_features)
            Features; sparse ones are never made dense.
        y : array-like, memory map or h5py.Dataset of shape (n_samples, n_targets) or (n_samples,)
            Responses.
        **params : dict
            Passed to the splitter, for example ``groups`` (with ``scale="runs"`` the run of each row); with metadata
            routing enabled, as requested.

        Returns
        -------
        self : BandedRidgeEncoder

        Raises
        ------
        ValueError
            If bands overlap, miss columns or name unknown ones; if a voxel is NaN in some samples but not in all; if a
            kernel is not finite; if a fold trains on one row.
        MemoryError
            If the fit would take more than `max_memory`; the message says what would fit.
        """
        check_parameters(self, ALLOWED)
        X, Y = self._validate(X, y)
        as_given = X
        if self.scale == "runs":
            runs = runs_to_fit(params.get("groups"), X.shape[0])
            X, self.n_runs_ = scaled_by_run(X, runs), len(np.unique(runs))
        else:
            vars(self).pop("n_runs_", None)
        split_params = self._split_params(params)
        columns = resolve_bands(self.bands, getattr(self, "feature_names_in_", ()), X.shape[1])
        given = SimpleNamespace(**self.get_params(deep=False))
        responses = describe_responses(Y, self.fit_intercept)
        warn_of_unfitted(responses, stacklevel=2)
        prepared = prepare_bands(X, columns, given)
        shown = None if is_read_by_block(Y) else Y
        solution = fit_bands(X, responses, prepared, lambda: check_cv(self.cv).split(X, shown, **split_params), given)
        note_repeats(as_given, solution.folds, stacklevel=2)
        warn_of_edges(solution, X.shape[0], stacklevel=2)
        return self._store(X, columns, prepared, responses, solution)

    def predict(self, X, bands=None, groups=None):
        """Predict responses.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)
        bands : str or list of str, default=None
            Predict from these only, the other bands being at their means over the training rows. None is all.
        groups : array-like of shape (n_samples,), default=None
            With ``scale="runs"`` the run of each row. None is one run, and an error if ``fit`` was given several.

        Returns
        -------
        Y : ndarray of shape (n_samples, n_targets) or (n_samples,)
            In original units; NaN for voxels that were NaN in `fit`. One dimension if `fit` was given one.
        """
        X = self._check_new(X, groups)
        Y = np.tile(self.target_means_.astype(X.dtype), (X.shape[0], 1))
        for name in chosen_bands(self, bands):
            Y += band_part(self, X, name)
        return Y[:, 0] if self._one_target else Y

    def predict_by_band(self, X, groups=None):
        """Split predictions into what each band adds to the mean response.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)
        groups : array-like of shape (n_samples,), default=None; see :meth:`predict`

        Returns
        -------
        parts : ndarray of shape (n_bands, n_samples, n_targets) or (n_bands, n_samples)
            Their sum and `target_means_` are the predictions.
        """
        X = self._check_new(X, groups)
        parts = np.array([band_part(self, X, name) for name in self.bands_])
        parts[:, :, np.isnan(self.target_means_)] = np.nan
        return parts[..., 0] if self._one_target else parts

    def band_scores(self, X, Y, groups=None):
        r"""Split each voxel's r² over the bands, by the product measure.

        With parts :math:`f_b` of the predictions, :math:`f` their sum and :math:`e` the responses less the mean over
        the training rows, a band's share is :math:`\sum f_b (2e - f) / \sum (y - \bar y)^2`.

        Parameters
        ----------
        X : {array-like, sparse array} of shape (n_samples, n_features)
        Y : array-like of shape (n_samples, n_targets) or (n_samples,)
        groups : array-like of shape (n_samples,), default=None; see :meth:`predict`

        Returns
        -------
        shares : ndarray of shape (n_targets, n_bands)
            They add up to the r² of the predictions less the (never positive) r² of predicting the mean over the
            training rows. Negative where a band makes predictions worse; NaN for absent and constant voxels.
        """
        parts = self.predict_by_band(X, groups).reshape(len(self.bands_), -1, len(self.intercept_))
        Y = np.asarray(Y, dtype=np.float64).reshape(parts.shape[1:])
        doubled = 2 * (Y - self.target_means_) - parts.sum(axis=0)
        total = np.sum((Y - Y.mean(axis=0)) ** 2, axis=0)
        shares = np.array([np.sum(part * doubled, axis=0) for part in parts])
        with np.errstate(divide="ignore", invalid="ignore"):
            return np.where(np.ptp(Y, axis=0) > 0, shares / total, np.nan).T

    def primal_weights(self, bands=None, *, features=None, targets=None):
        """Compute weights of chosen bands or features, in original units (of runs' deviations with ``scale="runs"``).

        Parameters
        ----------
        bands : str or list of str, default=None
            All columns of these bands, in the order of X. None is all.
        features : array-like of int or str, default=None
            These columns instead, by number or (for a DataFrame) name, in this order.
        targets : array-like of int, slice or None, default=None
            These voxels. None is all; the array may then be large.

        Returns
        -------
        weights : ndarray of shape (n_targets, n_columns)
            0 for columns that are not used.
        """
        self._check_keeps()
        columns = chosen_columns(self, bands, features)
        return weights_of(self, columns, slice(None) if targets is None else targets)

    def _validate(self, X, y):
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), ensure_min_samples=2)
        X = without_duplicates(X)
        Y = check_responses(self, y, X.shape[0])
        self._one_target = Y.ndim == 1
        return X, Y[:, None] if self._one_target else Y

    def _check_keeps(self):
        check_is_fitted(self)
        if not hasattr(self, "intercept_"):
            raise AttributeError("This encoder keeps penalties only: fit it with keep='weights' to predict.")

    def _check_new(self, X, groups=None):
        self._check_keeps()
        X = validate_data(self, X, accept_sparse="csr", dtype=(np.float64, np.float32), reset=False)
        if not hasattr(self, "n_runs_"):
            return X
        return scaled_by_run(X, runs_to_predict(groups, X.shape[0], self.n_runs_))

    def _store(self, X, columns, prepared, responses, solution):
        for name in ("coef_", "dual_coef_", "X_fit_", "intercept_", "cv_scores_", "gradient_scores_"):
            vars(self).pop(name, None)
        self.bands_, self.left_out_, self.feature_deviations_ = columns, prepared.left_out, prepared.deviations
        self.feature_means_, self.feature_scales_, self.kept_ = prepared.by_column()
        self.candidates_ = np.zeros((len(solution.candidates.weights), len(columns)))
        self.candidates_[:, prepared.used], self.alphas_ = solution.candidates
        self.form_ = "primal" if solution.primal else "kernel"
        self.target_means_ = responses.means
        self.band_alphas_ = np.full((len(responses.means), len(columns)), np.inf)
        self.band_alphas_[responses.absent | responses.constant] = np.nan
        with np.errstate(divide="ignore"):
            self.band_alphas_[:, prepared.used] = 1 / solution.inverse_alphas.T
        if solution.errors is not None:
            self.cv_scores_ = np.negative(solution.errors, out=solution.errors)
        if solution.steps is not None:
            self.gradient_scores_ = -solution.steps
        if solution.values is None:
            return self
        if solution.primal:
            self.coef_ = np.zeros((len(responses.means), X.shape[1]), dtype=X.dtype)
            used = np.concatenate([band.columns for band in prepared.bands])
            self.coef_[:, used] = (solution.values / self.feature_scales_[used, None]).T
        else:
            self.dual_coef_, self.X_fit_ = solution.values, X
        self.intercept_ = intercepts(self, responses.means).astype(X.dtype)
        return self
