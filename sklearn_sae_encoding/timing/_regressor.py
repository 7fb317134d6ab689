"""Runs to responses: features made, delayed and cut run by run, and any regressor on the rows."""

from __future__ import annotations

import numpy as np
from scipy import sparse
from sklearn.base import BaseEstimator, MetaEstimatorMixin, RegressorMixin, clone
from sklearn.utils import get_tags
from sklearn.utils.validation import check_is_fitted, check_X_y, validate_data

from sklearn_sae_encoding.metrics._scores import voxel_metric
from sklearn_sae_encoding.timing._delays import RunwiseDelayer
from sklearn_sae_encoding.timing._folds import set_bands, set_folds, stack_rows, trained_rows
from sklearn_sae_encoding.timing._lists import (
    as_arrays,
    check_responses,
    is_list_of_arrays,
    is_list_of_runs,
    warn_of_baselines,
)
from sklearn_sae_encoding.timing._run import StoryRun
from sklearn_sae_encoding.timing._union import named_bands


class RunwiseRegressor(MetaEstimatorMixin, RegressorMixin, BaseEstimator):
    """Regress responses on delayed features, where a sample is a run.

    `X` is a list of runs and `y` a list with one array a run, so that scikit-learn's own splitters hold out whole runs.
    In ``fit``, features are made of each run, delayed inside the run, cut to the scans that the responses hold, and
    stacked; a clone of `regressor` is fitted to the rows. Between runs nothing crosses.

    Parameters
    ----------
    features : transformer or None
        From a list of runs to a list of arrays of shape `(n_scans_i, width)`, such as
        :func:`~sklearn_sae_encoding.pipeline.make_story_features` or a :class:`BandUnion`. It is cloned. None says that
        `X` holds such arrays already.

    regressor : estimator
        Any regressor of many targets. It is cloned. If it has `cv`, an integer there means folds of whole runs, a
        splitter gets the number of the run of each row as ``groups``, and a single run is cut into contiguous blocks.
        If it has `bands`, it is told which columns belong to which band.

    delays : sequence of int or dict of str to sequence of int, default=None
        Delays in scans, for all bands or by band; see :class:`RunwiseDelayer`. None delays nothing.

    bands : dict of str to slice, array of int, str or sequence of str, default=None
        Which columns are which band: by number, or by the names of features or of bands of the `features`. None asks
        the features for their ``bands_``.

    gap : int, default=None
        Scans left out of training beside scans of the same recording that are held out, by the caller or in the
        regressor's own folds. None takes that of :meth:`StoryRun.cut`, and for a single run the reach of the delays.

    scale : {"runs"} or None, default=None
        ``"runs"`` divides each feature by its standard deviation in its run; see :class:`RunwiseDelayer`.

    Attributes
    ----------
    features_ : transformer
        The fitted features, or None.

    delayer_ : RunwiseDelayer

    regressor_ : estimator
        The fitted regressor. Its features are the delayed columns, its targets the voxels that are not absent.

    absent_ : ndarray of bool of shape (n_voxels,)
        Voxels that were NaN in all scans of ``fit``: left out, predicted as NaN.

    trained_rows_ : ndarray of bool of shape (n_rows,)
        Which of the stacked rows trained; the others lay in a gap.

    design_ : DataFrame
        What each column of the rows is: ``name``, ``feature``, ``column``, ``band``, ``delay``.

    n_features_in_ : int
        Number of features before delaying.

    Raises
    ------
    ValueError
        If X and y are swapped or differ in number, a run has fewer scans than delays or other voxels, responses hold a
        NaN scan, or a voxel is absent in some runs only.

    See Also
    --------
    sklearn_sae_encoding.metrics.cross_val_voxel_scores : Cross-validated scores; takes lists of runs.

    Notes
    -----
    An array in place of a list is one run; predictions are then an array, too. scikit-learn's own scorers, such as
    ``scoring="r2"``, don't take lists; ``scoring=None`` asks the estimator.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.model_selection import KFold, cross_val_score
    >>> from sklearn_sae_encoding.timing import RunwiseRegressor
    >>> rng = np.random.default_rng(0)
    >>> X = [rng.normal(size=(60, 2)) for _ in range(4)]
    >>> y = [np.roll(run, 2, axis=0) + 0.1 * rng.normal(size=(60, 2)) for run in X]  # two scans later
    >>> model = RunwiseRegressor(None, Ridge(), delays=(1, 2, 3))
    >>> cross_val_score(model, X, y, cv=KFold(4)) > 0.8
    array([ True,  True,  True,  True])
    >>> [run.shape for run in model.fit(X, y).predict(X[:2])]
    [(60, 2), (60, 2)]
    """

    sample_is_run = True  # what masks images asks

    def __init__(self, features, regressor, *, delays=None, bands=None, gap=None, scale=None):
        self.features = features
        self.regressor = regressor
        self.delays = delays
        self.bands = bands
        self.gap = gap
        self.scale = scale

    def fit(self, X, y):
        """Make the rows of the runs and fit the regressor to them.

        Parameters
        ----------
        X : list of StoryRun or of arrays of shape (n_scans_i, n_features)
            The runs. An array is one run.

        y : list of array-like of shape (n_rows_i, n_voxels) or (n_rows_i,)
            Responses, cleaned, one array a run, with the rows of the run (after ``scans`` and ``kept``).

        Returns
        -------
        self : RunwiseRegressor
        """
        runs, y = self._check(X, y, reset=True)
        self.features_, tables = None, None
        if self.features is not None:
            _check_features(self.features)
            self.features_ = clone(self.features)
            tables = self.features_.fit_transform(_different(runs))  # made once for fitting and for the rows
        designs = self._designs(runs, tables, reset=True)
        responses, self.absent_ = check_responses([design.shape[0] for design in designs], y)
        self._one_target = np.asarray(y[0]).ndim == 1
        warn_of_baselines(responses, stacklevel=3)
        self._fit_rows(_stack(designs), np.concatenate(responses)[:, ~self.absent_], self._rows(runs, designs), runs)
        return self

    def predict(self, X):
        """Predict the responses to runs.

        Parameters
        ----------
        X : list of StoryRun or of arrays of shape (n_scans_i, n_features)

        Returns
        -------
        y : list of ndarray of shape (n_rows_i, n_voxels) or (n_rows_i,)
            One array a run, with the rows that its responses hold; an array if `X` is one. NaN for absent voxels.
        """
        check_is_fitted(self)
        runs, _ = self._check(X, None, reset=False)
        designs = self._designs(runs)
        stacked = np.asarray(self.regressor_.predict(_stack(designs)))
        stacked = stacked.reshape(len(stacked), -1)
        predicted = np.full((len(stacked), len(self.absent_)), np.nan, dtype=stacked.dtype)
        predicted[:, ~self.absent_] = stacked
        predicted = predicted[:, 0] if self._one_target else predicted
        parts = np.split(predicted, np.cumsum([design.shape[0] for design in designs])[:-1])
        return parts if is_list_of_runs(X) or is_list_of_arrays(X) else parts[0]

    def score(self, X, y):
        """Compute the coefficient of determination over all rows of the runs, averaged over voxels.

        Parameters
        ----------
        X : list of StoryRun or of arrays

        y : list of array-like

        Returns
        -------
        score : float
            Voxels without a score don't count.
        """
        scores = self.voxel_scores(X, y, metric="r2")
        return float(np.nanmean(scores)) if np.isfinite(scores).any() else float("nan")

    def voxel_scores(self, X, y, metric="pearson", *, by="pooled"):
        """Score each voxel.

        Parameters
        ----------
        X : list of StoryRun or of arrays

        y : list of array-like

        metric : {"pearson", "r2"} or callable, default="pearson"
            A function takes measured and predicted responses.

        by : {"pooled", "run"}, default="pooled"
            Over all scans of all runs, or run by run.

        Returns
        -------
        scores : ndarray of shape (n_voxels,) or (n_runs, n_voxels)
        """
        if by not in ("pooled", "run"):
            raise ValueError(f"by must be 'pooled' or 'run', got {by!r}.")
        metric = voxel_metric(metric)
        predicted = self.predict(X)
        predicted = predicted if isinstance(predicted, list) else [predicted]
        _, y = self._check(X, y, reset=False)
        measured, _ = check_responses([len(run) for run in predicted], y)
        predicted = [run.reshape(len(run), -1) for run in predicted]
        if by == "run":
            return np.array([metric(true, guess) for true, guess in zip(measured, predicted, strict=True)])
        return metric(np.concatenate(measured), np.concatenate(predicted))

    @property
    def n_features_in_(self):
        """Number of features before delaying."""
        if not hasattr(self, "delayer_"):
            raise AttributeError(f"This {type(self).__name__} has no n_features_in_ before it is fitted.")
        return self.delayer_.n_features_in_

    @property
    def feature_transformers_(self):
        """What made the columns of the regressor, in order."""
        return [part for part in (self.features_, self.delayer_) if part is not None]

    def __sklearn_is_fitted__(self):
        return hasattr(self, "regressor_")

    def __sklearn_tags__(self):
        tags, inner = super().__sklearn_tags__(), get_tags(self.regressor)
        tags.input_tags, tags.target_tags = inner.input_tags, inner.target_tags
        tags.input_tags.allow_nan = False
        tags.regressor_tags = inner.regressor_tags
        return tags

    def _check(self, X, y, *, reset):
        """Give X as a list of runs or arrays, and y as a list."""
        if isinstance(X, StoryRun):
            raise ValueError("X must be a list of runs, got a single StoryRun: give [run], and [responses] as y.")
        if is_list_of_runs(X):
            if self.features is None:
                raise ValueError(
                    "X holds StoryRuns, but features=None takes arrays. Say how features are made of runs."
                )
            return list(X), y
        if y is not None and is_list_of_runs(y):
            raise ValueError("y holds StoryRuns: X and y are swapped. X are the runs, y the responses to them.")
        if self.features is not None:
            raise ValueError(f"X must be a list of StoryRuns, of which features are made, got {_described(X)}.")
        if is_list_of_arrays(X):
            return as_arrays(X), y
        if reset:
            if y is None:
                raise ValueError(f"This {type(self).__name__} requires y to be passed, but the target y is None.")
            X, y = check_X_y(X, y, accept_sparse="csr", multi_output=True, estimator=self, dtype=_FLOATS)
            return [X], [y]
        checker = _Checker(self.delayer_.n_features_in_)
        return [validate_data(checker, X, accept_sparse="csr", dtype=_FLOATS, reset=False)], None if y is None else [y]

    def _designs(self, runs, tables=None, *, reset=False):
        """Make the rows of each run: features of all scans, delayed, then cut."""
        different = _different(runs)
        if self.features is None:
            tables = different
        else:
            tables = as_arrays(self.features_.transform(different) if tables is None else tables)
        if len(tables) != len(different):
            raise ValueError(f"The features of {len(different)} runs are {len(tables)} arrays; expected one a run.")
        for run, table in zip(different, tables, strict=True):
            if isinstance(run, StoryRun) and table.shape[0] != run.n_scans:
                raise ValueError(
                    f"Features must have a row for each of the {run.n_scans} scans of {run!r}, got {table.shape}."
                )
        if reset:
            bands = named_bands(self.bands, self.features_)
            delays = (0,) if self.delays is None else self.delays
            self.delayer_ = RunwiseDelayer(delays, bands=bands, scale=self.scale).fit(tables)
            names = getattr(self.features_, "get_feature_names_out", lambda: None)()
            self.design_ = self.delayer_.table(names)
        delayed = self.delayer_.transform(tables)
        at = {_stimulus(run): table for run, table in zip(different, delayed, strict=True)}
        return [at[_stimulus(run)][run.rows] if isinstance(run, StoryRun) else at[_stimulus(run)] for run in runs]

    def _rows(self, runs, designs):
        return stack_rows(
            [design.shape[0] for design in designs], [run if isinstance(run, StoryRun) else None for run in runs]
        )

    def _fit_rows(self, X, Y, rows, runs):
        self.trained_rows_ = trained_rows(rows, [run if isinstance(run, StoryRun) else None for run in runs], self.gap)
        if not self.trained_rows_.all():
            X, Y = X[self.trained_rows_], Y[self.trained_rows_]
            rows = type(rows)(*(part[self.trained_rows_] for part in rows))
        regressor = clone(self.regressor)
        set_folds(regressor, rows, self._inner_gap(runs))
        set_bands(regressor, self.delayer_.delayed_bands_)
        self.regressor_ = regressor.fit(X, Y[:, 0] if self._one_target else Y)

    def _inner_gap(self, runs):
        if self.gap is not None:
            return self.gap
        cut = [run.block.gap for run in runs if isinstance(run, StoryRun) and run.block is not None]
        if len(runs) > 1:
            return max(cut, default=0)
        every = [delay for delays in self.delayer_.delays_.values() for delay in delays]
        return max([*cut, max(every) - min(every)])


_FLOATS = (np.float64, np.float32)


class _Checker(BaseEstimator):
    """What scikit-learn's check of the number of columns needs to know."""

    def __init__(self, n_features_in_=None):
        self.n_features_in_ = n_features_in_


def _check_features(features):
    if not hasattr(features, "fit_transform"):
        raise ValueError(
            f"features must be a transformer of runs, such as WordsToScans('rate') or make_story_features(...), got "
            f"{features!r}."
        )


def _described(X):
    if isinstance(X, (list, tuple)):
        kinds = ", ".join(sorted({type(run).__name__ for run in X})) or "nothing"
        return f"a list of {kinds}"
    return f"{type(X).__name__}" + (f" of shape {X.shape}" if hasattr(X, "shape") else "")


def _stimulus(run):
    """What features depend on: parts of a recording share it, so that it is made once."""
    if not isinstance(run, StoryRun):
        return id(run)
    return (id(run.words), id(run.tables), run.text, run.n_scans, run.t_r, run.onset, run.scan_time)


def _different(runs):
    return list({_stimulus(run): run for run in runs}.values())


def _stack(designs):
    return sparse.vstack(designs, format="csr") if sparse.issparse(designs[0]) else np.concatenate(designs)
