"""Estimators, features and responses to cross-validated voxel scores."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
from sklearn import get_config
from sklearn.base import clone
from sklearn.model_selection import check_cv
from sklearn.utils import Bunch
from sklearn.utils.metadata_routing import MetadataRouter, MethodMapping, process_routing
from sklearn.utils.parallel import Parallel, delayed

from sklearn_sae_encoding._images.rows import is_images
from sklearn_sae_encoding._notes import gathering, tell
from sklearn_sae_encoding._solvers.running import part_of, sharing
from sklearn_sae_encoding._validation import count_samples, params_of_predict, some_folds, take_params, take_samples
from sklearn_sae_encoding.metrics._leaks import check_no_overlap, warn_of_leaks
from sklearn_sae_encoding.metrics._runs import (
    check_runs,
    is_runs,
    n_rows,
    nothing_like,
    pooled,
    put,
    shaped_like,
    take,
    too_few_runs,
)
from sklearn_sae_encoding.metrics._samples import check_ceiling, check_samples
from sklearn_sae_encoding.metrics._scores import (
    ceiling_of,
    fisher_mean,
    normalize_scores,
    voxelwise_pearson,
    voxelwise_r2,
)


class Splits(list):
    """Pairs of (train, test), the rows of each fold, that remember who made them."""

    def __init__(self, pairs=(), made_by=""):
        super().__init__(pairs)
        self.made_by = made_by  # the splitter and its seed, in words


class VoxelScores(NamedTuple):
    """Cross-validated scores of one model."""

    fold_scores: np.ndarray  # (n_folds, n_voxels)
    scores: np.ndarray  # (n_voxels,), over folds: Fisher mean of r, plain mean of R²
    normalized_scores: np.ndarray | None  # (n_voxels,), scores over noise ceilings; None without ceilings
    splits: Splits  # of (train, test), the rows of each fold; `made_by` names the splitter
    predictions: np.ndarray | None  # (n_samples, n_voxels), of the fold that left the row out, NaN if none did
    estimators: list | None  # the fitted estimator of each fold
    metric: str  # "pearson" or "r2", what the scores are


def _mean_over_folds(fold_scores):
    return np.mean(fold_scores, axis=0)


# What a fold's score is, and how folds are averaged.
_METRICS = {"pearson": (voxelwise_pearson, fisher_mean), "r2": (voxelwise_r2, _mean_over_folds)}


def cross_val_voxel_scores(
    estimator,
    X,
    Y,
    *,
    cv=5,
    groups=None,
    metric="pearson",
    noise_ceiling=None,
    n_jobs=None,
    verbose=0,
    params=None,
    return_predictions=False,
    return_estimators=False,
):
    """Score every voxel by cross-validation, for one model or several on identical folds.

    In each fold a clone is fitted to the other folds' texts and its predictions of the fold are scored, voxel by
    voxel. Folds are averaged on Fisher's z scale (``metric="pearson"``), and the average is divided by the voxel's
    noise ceiling.

    Parameters
    ----------
    estimator : estimator or dict of str to estimator
        What is scored; each is cloned for each fold. A dictionary of models is scored on the same folds.

    X : list of str, array-like, sparse matrix, DataFrame or TokenTable, of length n_samples
        Whatever the estimator takes, one item a sample. Of stories a sample is a run: a list of
        :class:`~sklearn_sae_encoding.timing.StoryRun` or of arrays.

    Y : array-like of shape (n_samples, n_voxels) or (n_samples,), list of arrays, or images
        Responses, finite. One dimension is one voxel. A list holds one array of shape `(n_scans_i, n_voxels)` a run: a
        fold's score is over all scans of its runs, and a voxel that is NaN in all scans of all runs gets none. Images,
        one a sample, are masked once by the :class:`~sklearn_sae_encoding.masking.MaskedTargetRegressor` that is a
        model, ends a pipeline, is searched over or wrapped; several models need maskers that give the same.

    cv : int, splitter or iterable of (train, test), default=5
        Folds. An int is that many contiguous ones. The splits are drawn once and serve all models. Each fold needs
        two test samples.

    groups : array-like of shape (n_samples,), default=None
        Labels for a group splitter. With metadata routing enabled they also reach every estimator that asks for
        them in ``fit``.

    metric : {"pearson", "r2"}, default="pearson"
        Score of a voxel in a fold: :func:`voxelwise_pearson` or :func:`voxelwise_r2`. R² is averaged as it is and
        divided by the squared noise ceiling.

    noise_ceiling : array-like of shape (n_voxels,) or float, default=None
        Ceilings in units of r, whatever the metric. None leaves ``normalized_scores`` at None.

    n_jobs : int, default=None
        Folds (times models) that run at once, through joblib. None is 1.

    verbose : int, default=0
        1 and more shows joblib's progress.

    params : dict, default=None
        Parameters for ``fit``; what is as long as ``X`` is split like it. With metadata routing enabled each goes
        to the estimator or splitter that asks for it.

    return_predictions : bool, default=False
        Whether to keep the out-of-fold predictions, as large as ``Y``.

    return_estimators : bool, default=False
        Whether to keep the fitted estimators.

    Returns
    -------
    voxel_scores : VoxelScores or dict of str to VoxelScores
        A named tuple with

        - ``fold_scores``, of shape `(n_folds, n_voxels)`;
        - ``scores``, of shape `(n_voxels,)`;
        - ``normalized_scores``, of shape `(n_voxels,)`, or None;
        - ``splits``, a list of (train, test), whose ``made_by`` names the splitter and its seed;
        - ``predictions``, of shape `(n_samples, n_voxels)`, or None: each row from the fold that left it out; of runs
          a list with one array a run;
        - ``estimators``, a list, or None;
        - ``metric``, as given.

        A voxel that is constant in a fold's test samples has no correlation there: its score is NaN.

    Raises
    ------
    ValueError
        If ``X`` and ``Y`` differ in length, ``Y`` is not finite, a fold has fewer than two test samples, test samples
        of folds overlap (ShuffleSplit, RepeatedKFold) and predictions are to be kept, or models would mask images
        differently.

    Warns
    -----
    UserWarning
        If samples are tested though an equal text, or an equal row of features, is in the training part of the fold:
        once, with their number and how to group, see :func:`group_repeats`.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, use ``cv=KFold(5, shuffle=True, random_state=19)``.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.dummy import DummyRegressor
    >>> from sklearn_sae_encoding.metrics import cross_val_voxel_scores
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 3))
    >>> Y = X @ rng.normal(size=(3, 2)) + 0.1 * rng.normal(size=(100, 2))
    >>> models = {"ridge": Ridge(), "mean": DummyRegressor()}
    >>> results = cross_val_voxel_scores(models, X, Y, cv=5)
    >>> results["ridge"].scores > 0.9
    array([ True,  True])
    >>> results["mean"].scores
    array([0., 0.])
    """
    if metric not in _METRICS:
        raise ValueError(f"metric must be one of {sorted(_METRICS)}, got {metric!r}.")
    ceiling = None if noise_ceiling is None else ceiling_of(metric, noise_ceiling)
    models = estimator if isinstance(estimator, Mapping) else {"": estimator}
    X, Y, routed, splits = prepare(models, X, Y, cv, groups, params)
    if return_predictions:
        check_no_overlap(splits, len(Y))
    check_ceiling(ceiling, Y)
    # Fold by fold, so that what models share on the same rows, as kernels of bands, is made once a fold.
    jobs = [(fold, split, name) for fold, split in enumerate(splits) for name in models]
    with sharing():
        folds = Parallel(n_jobs=n_jobs, verbose=verbose)(
            delayed(_told)(
                _label(name, fold, len(splits)),
                *(clone(models[name]), X, Y, split, routed[name].estimator.fit, metric),
                *(return_predictions, return_estimators),
            )
            for fold, split, name in jobs
        )
    tell([note for fold in folds for note in fold.notes], stacklevel=2)
    results = {}
    for i, name in enumerate(models):
        results[name] = collect(folds[i :: len(models)], splits, Y, metric, ceiling)
    return results if isinstance(estimator, Mapping) else results[""]


class Prepared(NamedTuple):
    """What is checked before anything is fitted."""

    X: object
    Y: object
    routed: dict  # by model, what goes to the splitter and to `fit`
    splits: Splits


def prepare(models, X, Y, cv, groups=None, params=None):
    """Check samples and responses, mask images, route parameters, split once, and warn of leaks."""
    Y, may_miss_voxels = masked(Y, models)
    if is_runs(X, Y):
        X, Y = list(X), check_runs(X, Y)
    else:
        X, Y = check_samples(X, Y, may_miss_voxels)
    seen = isinstance(cv, Splits)  # the folds of an earlier call, which has warned
    cv = check_cv(cv, Y, classifier=False)
    routed = {name: _route(model, cv, groups, params or {}) for name, model in models.items()}
    splits = _splits(cv, X, Y, routed)
    if not seen:
        warn_of_leaks(X, splits, stacklevel=3)
    return Prepared(X, Y, routed, splits)


class Fold(NamedTuple):
    scores: np.ndarray
    predictions: np.ndarray | None
    estimator: object
    notes: list  # what its fit would have warned of


def _label(name, fold, n_folds):
    return f"{name}, fold {fold + 1} of {n_folds}" if name != "" else f"fold {fold + 1} of {n_folds}"


def _told(label, *fold):
    """Run a fold; what is solved meanwhile says in its status line which one."""
    with part_of(label), gathering() as notes:
        return run_fold(*fold)._replace(notes=notes)


def run_fold(estimator, X, Y, split, fit_params, metric="pearson", keep_predictions=False, keep_estimator=False):
    """Fit an estimator to the training part of a fold and score what is held out."""
    train, test = split
    n_samples = count_samples(X)
    estimator.fit(take_samples(X, train), take(Y, train), **take_params(fit_params, n_samples, train))
    measured = take(Y, test)
    own = take_params(params_of_predict(estimator, fit_params), n_samples, test)
    predictions = shaped_like(estimator.predict(take_samples(X, test), **own), measured)
    scores = _METRICS[metric][0](pooled(measured), pooled(predictions))
    return Fold(scores, predictions if keep_predictions else None, estimator if keep_estimator else None, [])


def collect(folds, splits, Y, metric="pearson", ceiling=None):
    """Put the folds of a model together."""
    _, average = _METRICS[metric]
    fold_scores = np.array([fold.scores for fold in folds])
    scores = average(fold_scores)
    predictions = None
    if folds[0].predictions is not None:
        predictions = nothing_like(Y)
        for fold, (_, test) in zip(folds, splits, strict=True):
            put(predictions, test, fold.predictions)
    return VoxelScores(
        fold_scores=fold_scores,
        scores=scores,
        normalized_scores=None if ceiling is None else normalize_scores(scores, ceiling),
        splits=splits,
        predictions=predictions,
        estimators=None if folds[0].estimator is None else [fold.estimator for fold in folds],
        metric=metric,
    )


def _route(estimator, cv, groups, params):
    """Say what goes to ``fit`` and what to ``split``."""
    if not get_config()["enable_metadata_routing"]:
        return Bunch(splitter=Bunch(split={"groups": groups}), estimator=Bunch(fit=params))
    if groups is not None:
        params = {**params, "groups": groups}
    router = (
        MetadataRouter(owner="cross_val_voxel_scores")
        .add(splitter=cv, method_mapping=MethodMapping().add(caller="fit", callee="split"))
        .add(estimator=estimator, method_mapping=MethodMapping().add(caller="fit", callee="fit"))
    )
    return process_routing(router, "fit", **params)


def _splits(cv, X, Y, routed):
    # The splitter is routed the same for each model; models differ in what they ask for themselves.
    first = next(iter(routed.values()), None)
    if first is None:
        raise ValueError("There is no model to score: the dictionary of estimators is empty.")
    try:
        splits = Splits(cv.split(X, Y, **first.splitter.split), _name(cv, first.splitter.split))
    except ValueError as error:
        raise (too_few_runs(cv, Y, error) if isinstance(Y, list) else error) from error
    for i, (_, test) in enumerate(some_folds(splits)):
        n_test = n_rows(take(Y, test))
        if n_test < 2:
            what = "scans" if isinstance(Y, list) else "samples"
            raise ValueError(
                f"A voxel's score needs at least 2 test {what}, but fold {i} of {len(splits)} has {n_test}. "
                "Use fewer or larger folds."
            )
    return splits


def _name(cv, params):
    """Name a splitter with its seed; scikit-learn wraps folds that were given as they are."""
    name = "folds given one by one" if type(cv).__name__ == "_CVIterableWrapper" else " ".join(repr(cv).split())
    return name + (" by groups" if params.get("groups") is not None else "")


def masked(Y, models):
    """Turn images into rows, once for all folds, if a model says how. It then deals with missing voxels, too."""
    found = {name: model for name, model in ((name, _masks(models[name])) for name in models) if model is not None}
    if not found:
        if is_images(Y):
            raise ValueError(
                "Y holds images, but no model says how to mask them. Put the regressor into a MaskedTargetRegressor."
            )
        return Y, False
    (name, first), *others = found.items()
    rows = first.mask_targets(Y)
    for other, model in others if is_images(Y) else ():
        same = model.masker is first.masker or np.array_equal(model.mask_targets(Y), rows, equal_nan=True)
        if not same:
            raise ValueError(
                f"Models are compared voxel by voxel, but the maskers of {name!r} and {other!r} make different "
                "responses of the images. Give all models the same masker, or score them one by one."
            )
    return rows, True


def _masks(model):
    """Find what masks images in a model: itself, the last step of a pipeline, what is searched over or wrapped."""
    if hasattr(model, "mask_targets"):
        return model
    inner = [model.steps[-1][1]] if getattr(model, "steps", None) else []
    inner += [getattr(model, name, None) for name in ("estimator", "regressor")]
    return next((found for found in map(_masks, (part for part in inner if part is not None)) if found), None)
