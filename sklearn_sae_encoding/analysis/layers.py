"""Models of several layers to a score by layer and voxel, and to what a layer chosen beforehand scores."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.utils.parallel import Parallel, delayed

from sklearn_sae_encoding._notes import gathering, tell
from sklearn_sae_encoding._solvers.running import Problem, Status, as_they_come, part_of, sharing
from sklearn_sae_encoding._solvers.running.keeping import Keeper
from sklearn_sae_encoding._validation import take_samples
from sklearn_sae_encoding.metrics import fisher_mean, normalize_scores
from sklearn_sae_encoding.metrics._cross_val import Fold, collect, prepare, run_fold
from sklearn_sae_encoding.metrics._runs import n_voxels, take


class LayerProfile(NamedTuple):
    """Scores by layer, and of the layer that was chosen without the samples that are scored."""

    layers: list  # as given, n_layers of them
    scores: np.ndarray  # (n_layers, n_voxels), cross-validated
    chosen: np.ndarray  # (n_folds, n_voxels), place in `layers` of the best on the fold's training samples
    chosen_scores: np.ndarray  # (n_voxels,), of the layer chosen in each fold
    best_scores: np.ndarray  # (n_voxels,), the highest of `scores`: too good, its layer was chosen on what is scored
    results: dict  # the VoxelScores of each layer

    def table(self):
        """Give means over voxels as a table.

        Returns
        -------
        table : pandas.DataFrame
            A row a layer: ``layer``, ``score`` (mean over voxels) and ``chosen``, the share of voxels and folds that
            chose it.
        """
        shares = np.bincount(self.chosen[self.chosen >= 0], minlength=len(self.layers)) / max(
            (self.chosen >= 0).sum(), 1
        )
        means = [np.nanmean(score) if np.isfinite(score).any() else np.nan for score in self.scores]
        return pd.DataFrame({"layer": self.layers, "score": means, "chosen": shares})


def layer_profile(
    models, X, Y, *, cv=5, inner_cv=5, groups=None, noise_ceiling=None, n_jobs=None, memory=None, verbose=0
):
    """Score a model of each layer, and choose the best layer of each voxel on training samples.

    The highest of a voxel's scores over layers is too high: it was chosen among scores that noise moves. So in each
    fold the layer is chosen anew, by cross-validation inside the fold's training samples, and the chosen layer's model
    of the fold is scored.

    Parameters
    ----------
    models : dict of layer to estimator
        From the lowest layer to the highest. With estimators that share a
        :class:`~sklearn_sae_encoding.language_model.LanguageModel`, a text goes through it once: the highest layer is
        asked for first, and the pass keeps those below (``keep_layers="passed"``).

    X, Y : sequences of length n_samples
        As for :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores`; of stories, lists with one entry a run.

    cv : int, splitter or iterable of (train, test), default=5
        Folds in which layers are scored.

    inner_cv : int or splitter, default=5
        Folds of their training samples, in which a layer is chosen.

    groups : array-like of shape (n_samples,), default=None
        Labels for group splitters, outside and inside.

    noise_ceiling : array-like of shape (n_voxels,) or float, default=None
        In units of r: all scores are divided by it.

    n_jobs : int, default=None
        Fits at once.

    memory : str or joblib.Memory, default=None
        Keep the scores of each finished fit, of a layer in a fold, here, so that an interrupted call with the same
        models, samples and responses goes on where it was. That a text goes through the language model once is what the
        ``memory`` of the :class:`~sklearn_sae_encoding.language_model.LanguageModel` is for.

    verbose : int, default=0
        Above 0, a status line says which layer and fold was fitted last, how many fits are done, how long they took and
        how long the others will take.

    Returns
    -------
    profile : LayerProfile
        A named tuple with

        - ``layers``, those given;
        - ``scores``, of shape `(n_layers, n_voxels)`: Pearson's r, Fisher mean over folds;
        - ``chosen``, of shape `(n_folds, n_voxels)`: places in `layers`, -1 where no layer has a score;
        - ``chosen_scores``, of shape `(n_voxels,)`: what to report;
        - ``best_scores``, of shape `(n_voxels,)`: the optimistic curve's maximum, to show by how much it is too high;
        - ``results``, the VoxelScores of each layer;
        - ``table()``, means over voxels.

    Raises
    ------
    ValueError
        If there are fewer than two layers, or a fold's training samples are too few to be split again.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.compose import make_column_transformer
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn.pipeline import make_pipeline
    >>> from sklearn_sae_encoding.analysis import layer_profile
    >>> rng = np.random.default_rng(0)
    >>> X = rng.normal(size=(100, 3))  # three "layers" of a column each
    >>> Y = X[:, [1, 2]] + rng.normal(size=(100, 2))
    >>> models = {i: make_pipeline(make_column_transformer(("passthrough", [i])), Ridge()) for i in range(3)}
    >>> profile = layer_profile(models, X, Y)
    >>> profile.scores.argmax(axis=0), profile.chosen[0]
    (array([1, 2]), array([1, 2]))
    """
    if not isinstance(models, Mapping) or len(models) < 2:
        raise ValueError("models must be a dictionary of at least two layers, each with its estimator.")
    layers = list(models)
    with gathering() as notes:
        X, Y, routed, splits = prepare(models, X, Y, cv, groups)
        inner = [_inner_splits(models, X, Y, groups, fold, train, inner_cv) for fold, (train, _) in enumerate(splits)]
        params = {layer: routed[layer].estimator.fit for layer in layers}
        task = _Task({layer: clone(model) for layer, model in models.items()}, X, Y, params)
        found = _score_all(task, _fits(layers, splits, inner), n_jobs, memory, verbose)
    tell(notes, stacklevel=2)
    results = {layer: collect([Fold(row, None, None, []) for row in found[layer, None]], splits, Y) for layer in layers}
    chosen = np.array([_best(found, layers, fold) for fold in range(len(splits))])
    fold_scores = np.array([results[layer].fold_scores for layer in layers])  # (n_layers, n_folds, n_voxels)
    picked = np.take_along_axis(fold_scores, np.maximum(chosen, 0)[None], axis=0)[0]
    scores = np.array([results[layer].scores for layer in layers])
    known = np.where(np.isnan(scores), -np.inf, scores).max(axis=0)
    best = np.where(np.isneginf(known), np.nan, known)
    own = [scores, fisher_mean(np.where(chosen < 0, np.nan, picked)), best]
    if noise_ceiling is not None:
        own = [normalize_scores(values, noise_ceiling) for values in own]
    return LayerProfile(layers, own[0], chosen, own[1], own[2], results)


class _Task(NamedTuple):
    """What all fits share."""

    models: dict
    X: object
    Y: object
    params: dict  # by layer, of `fit`


class _Fit(NamedTuple):
    """A layer's model, and the samples that it is fitted to and scored on."""

    layer: object
    fold: int
    n_folds: int
    choice: int | None  # the fold inside that its layer is chosen in; None scores the fold itself
    n_choices: int
    split: tuple  # (train, test)

    @property
    def label(self):
        inside = "" if self.choice is None else f", choosing in fold {self.choice + 1} of {self.n_choices}"
        return f"layer {self.layer}, fold {self.fold + 1} of {self.n_folds}{inside}"


class _Row(NamedTuple):
    scores: np.ndarray  # (1, n_voxels)


def _inner_splits(models, X, Y, groups, fold, train, inner_cv):
    """Split a fold's training samples again; gives the samples by their place among all."""
    train = np.arange(len(Y))[train]
    if len(train) < 2:
        raise ValueError(
            f"Fold {fold} trains on {len(train)} sample(s), which can't be split again to choose a layer. Give more "
            "runs or fewer folds."
        )
    labels = None if groups is None else np.asarray(groups)[train]
    parts = prepare(models, take_samples(X, train), take(Y, train), inner_cv, labels).splits
    return [(train[learn], train[rest]) for learn, rest in parts]


def _fits(layers, splits, inner):
    """List all fits: the highest layer first, since its pass serves those below, and layer after layer on some rows."""
    fits = []
    for fold, (split, parts) in enumerate(zip(splits, inner, strict=True)):
        for choice, pair in enumerate([split, *parts], start=-1):
            about = (fold, len(splits), None if choice < 0 else choice, len(parts), pair)
            fits += [_Fit(layer, *about) for layer in reversed(layers)]
    return fits


def _score_all(task, fits, n_jobs, memory, verbose):
    """Score all fits: by layer and fold, None for the outer ones, rows of scores."""
    keeper = None if memory is None else Keeper(memory, Problem(task, _solve, _nothing))
    parallel = as_they_come(Parallel, n_jobs) if verbose else Parallel(n_jobs=n_jobs)
    found, notes = {}, []
    with sharing(), Status(len(fits), "fits") as status:
        for fit, (row, said) in zip(fits, parallel(delayed(_score)(task, fit, keeper) for fit in fits), strict=True):
            found.setdefault((fit.layer, None if fit.choice is None else fit.fold), []).append(row)
            notes += said
            if verbose:
                with part_of(fit.label):
                    status.add(1)
    tell(notes, stacklevel=2)
    return found


def _score(task, fit, keeper):
    with part_of(fit.label), gathering() as notes:
        row = _solve(task, [fit], 1) if keeper is None else keeper.solve(Problem(task, _solve, _nothing), [fit], 1)
    return row.scores[0], notes


def _solve(task, fits, _n_threads):
    (fit,) = fits
    model, params = clone(task.models[fit.layer]), task.params[fit.layer]
    return _Row(run_fold(model, task.X, task.Y, fit.split, params).scores[None])


def _nothing(task):
    return _Row(np.zeros((0, n_voxels(task.Y))))


def _best(found, layers, fold):
    """Find the place of each voxel's best layer in a fold's training samples; -1 where none has a score."""
    scores = np.array([fisher_mean(np.array(found[layer, fold])) for layer in layers])
    known = np.isfinite(scores)
    return np.where(known.any(axis=0), np.where(known, scores, -np.inf).argmax(axis=0), -1)
