"""Models of several layers to a score by layer and voxel, and to what a layer chosen beforehand scores."""

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_sae_encoding._notes import gathering, tell
from sklearn_sae_encoding._validation import take_samples
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, fisher_mean, normalize_scores
from sklearn_sae_encoding.metrics._runs import take


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


def layer_profile(models, X, Y, *, cv=5, inner_cv=5, groups=None, noise_ceiling=None, n_jobs=None):
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
        Folds at once.

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
    layers, from_above = list(models), dict(reversed(models.items()))
    options = {"noise_ceiling": None, "n_jobs": n_jobs}
    with gathering() as notes:
        results = cross_val_voxel_scores(from_above, X, Y, cv=cv, groups=groups, **options)
        chosen = np.array(
            [
                _choose(from_above, layers, _training(X, Y, groups, train, fold), inner_cv, options)
                for fold, (train, _) in enumerate(results[layers[0]].splits)
            ]
        )
    tell(notes, stacklevel=2)
    fold_scores = np.array([results[layer].fold_scores for layer in layers])  # (n_layers, n_folds, n_voxels)
    picked = np.take_along_axis(fold_scores, np.maximum(chosen, 0)[None], axis=0)[0]
    scores = np.array([results[layer].scores for layer in layers])
    known = np.where(np.isnan(scores), -np.inf, scores).max(axis=0)
    best = np.where(np.isneginf(known), np.nan, known)
    own = [scores, fisher_mean(np.where(chosen < 0, np.nan, picked)), best]
    if noise_ceiling is not None:
        own = [normalize_scores(values, noise_ceiling) for values in own]
    return LayerProfile(layers, own[0], chosen, own[1], own[2], {layer: results[layer] for layer in layers})


def _training(X, Y, groups, train, fold):
    """Take the training samples of a fold."""
    Y = Y if isinstance(Y, list) else np.asarray(Y)
    n_train = len(np.arange(len(Y))[train])
    if n_train < 2:
        raise ValueError(
            f"Fold {fold} trains on {n_train} sample(s), which can't be split again to choose a layer. Give more runs "
            "or fewer folds."
        )
    labels = None if groups is None else np.asarray(groups)[train]
    return take_samples(X, train), take(Y, train), labels


def _choose(models, layers, training, inner_cv, options):
    """Find the place of each voxel's best layer; -1 where none has a score."""
    X, Y, groups = training
    inner = cross_val_voxel_scores(models, X, Y, cv=inner_cv, groups=groups, **options)
    scores = np.array([inner[layer].scores for layer in layers])
    known = np.isfinite(scores)
    return np.where(known.any(axis=0), np.where(known, scores, -np.inf).argmax(axis=0), -1)
