"""How much of a response does each band of features explain, alone, on its own, and together?"""

import numpy as np
import pandas as pd
from sklearn.base import clone

from sklearn_sae_encoding.metrics import fisher_mean, normalize_scores, voxelwise_pearson, voxelwise_r2

PLUS = " + "


def band_models(encoder, bands=None):
    """Build the nested models that tell bands apart: all bands, all but one, and each alone.

    Parameters
    ----------
    encoder : BandedRidgeEncoder, or estimator that holds one
        A pipeline, say. It is cloned for each model, with the parameter ``only`` of its BandedRidgeEncoder set. All
        else, such as seed and candidates, is the same.

    bands : sequence of str, default=None
        Names of the bands. None takes those of the encoder, if its ``bands`` is a mapping.

    Returns
    -------
    models : dict of str to estimator
        Named by their bands, in the order given: ``"words"``, ``"words + sound"``. The first is the model of all.

    Raises
    ------
    ValueError
        If there is not exactly one parameter ``only``, or bands are not named.

    See Also
    --------
    partition_variance : What their cross-validated predictions say.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import band_models
    >>> from sklearn_sae_encoding.banded import BandedRidgeEncoder
    >>> bands = {"words": slice(0, 4), "sound": slice(4, 6), "rate": slice(6, 7)}
    >>> list(band_models(BandedRidgeEncoder(bands)))
    ['words + sound + rate', 'sound + rate', 'words + rate', 'words + sound', 'words', 'sound', 'rate']
    """
    params = encoder.get_params()
    paths = [name for name in params if name == "only" or name.endswith("__only")]
    if len(paths) != 1:
        raise ValueError(
            f"Expected an estimator with one BandedRidgeEncoder, whose parameter `only` leaves bands out, but found "
            f"{len(paths)} such parameters in {type(encoder).__name__}: {paths}."
        )
    if bands is None:
        bands = params[paths[0].removesuffix("only") + "bands"]
    if not hasattr(bands, "keys") and (
        isinstance(bands, str) or not all(isinstance(band, str) for band in bands or [])
    ):
        raise ValueError(f"Give the names of the bands, bands=[...]: the encoder's own are no mapping, but {bands!r}.")
    names = list(bands or [])
    if len(names) < 2 or any(PLUS in name for name in names):
        raise ValueError(f"Expected the names of at least two bands, none of them with {PLUS!r}, got {names}.")
    models = {}
    for subset in nested_sets(names):
        models[PLUS.join(subset)] = clone(encoder).set_params(**{paths[0]: list(subset)})
    return models


def nested_sets(bands):
    """List all bands, all but one, and each alone, without repeats."""
    without = [tuple(other for other in bands if other != band) for band in bands]
    return list(dict.fromkeys([tuple(bands), *without, *((band,) for band in bands)]))


def partition_variance(results, Y, *, models=None, noise_ceiling=None, measure="squared_r"):
    """Split what each voxel's model explains into each band's own part and what bands share.

    With V the variance that a model explains in held-out samples, on identical folds::

        unique_b = V(all) - V(all but b)
        shared   = V(all) - the sum of unique_b over bands

    All can be negative. A band of noise costs the model of all bands a little held out, since its penalty is finite,
    so that its unique part is below 0 on average; and the part that bands share is negative where they tell more
    together than alone. Nothing is clipped, which would bias the means over voxels.

    Parameters
    ----------
    results : dict of str to VoxelScores
        Of :func:`band_models`, or any nested models, from ``cross_val_voxel_scores(models, X, Y,
        return_predictions=True)``. Models of all bands and of all but one are needed; models of each alone are
        reported.

    Y : array-like of shape (n_samples, n_voxels)
        The responses that were predicted.

    models : dict of str to sequence of str, default=None
        The bands that each model uses. None reads them from its name, such as ``"words + sound"``.

    noise_ceiling : array-like of shape (n_voxels,) or float, default=None
        Ceilings in units of r. Correlations are divided by them, and variances by their squares.

    measure : {"squared_r", "r2"}, default="squared_r"
        What V is. ``"squared_r"`` is the square of the score, the Fisher mean of r, with its sign: the variance that is
        explained once the predictions are scaled rightly. It is 0 on average for a model of nothing. ``"r2"`` is the
        mean over folds of the coefficient of determination, which also asks for the right scale and mean.

    Returns
    -------
    table : pandas.DataFrame
        A row a voxel: `r_<model>` (Fisher means over folds) and `variance_<model>` for each model, in the order of
        `results`; `unique_<band>` for each band, and `shared`.

    Raises
    ------
    ValueError
        If a model is missing, was scored on other folds or without predictions, or the measure is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import band_models, partition_variance
    >>> from sklearn_sae_encoding.banded import BandedRidgeEncoder
    >>> from sklearn_sae_encoding.metrics import cross_val_voxel_scores
    >>> X = np.random.default_rng(0).normal(size=(2000, 6))
    >>> Y = X[:, [0]] + X[:, [3]] + X[:, [4]]
    >>> bands = {"words": slice(0, 3), "sound": slice(3, 6)}
    >>> models = band_models(BandedRidgeEncoder(bands, candidates=5))
    >>> results = cross_val_voxel_scores(models, X, Y, return_predictions=True)
    >>> partition_variance(results, Y)[["unique_words", "unique_sound", "shared"]].round(1)
       unique_words  unique_sound  shared
    0           0.3           0.7    -0.0
    """
    if measure not in ("squared_r", "r2"):
        raise ValueError(f"measure must be 'squared_r' or 'r2', got {measure!r}.")
    Y = np.asarray(Y)
    Y = Y[:, None] if Y.ndim == 1 else Y
    models = {name: name.split(PLUS) for name in results} if models is None else models
    bands, names = _names_of(models, results)
    results = {name: results[name] for name in models}
    _check_results(results, Y)
    ceiling = 1.0 if noise_ceiling is None else np.asarray(noise_ceiling, dtype=np.float64)
    columns = {}
    for name, result in results.items():
        columns[f"r_{name}"] = normalize_scores(fisher_mean(_score_folds(voxelwise_pearson, result, Y)), ceiling)
    for name, result in results.items():
        columns[f"variance_{name}"] = _variance(columns[f"r_{name}"], result, Y, ceiling, measure)
    whole = columns[f"variance_{names[frozenset(bands)]}"]
    unique = {band: whole - columns[f"variance_{names[frozenset(bands) - {band}]}"] for band in bands}
    columns |= {f"unique_{band}": part for band, part in unique.items()}
    columns["shared"] = whole - np.sum(list(unique.values()), axis=0)
    return pd.DataFrame(columns, index=pd.RangeIndex(Y.shape[1]))


def partition_by_region(partition, participants, regions):
    """Average the parts over participants, region by region.

    Voxels are averaged within participants first; participants without a voxel in a region don't count there.

    Parameters
    ----------
    partition : pandas.DataFrame of n_voxels rows
        From :func:`partition_variance`.

    participants, regions : array-like of shape (n_voxels,)
        Labels of the voxels.

    Returns
    -------
    table : pandas.DataFrame
        A row a region, in order of appearance: `n_participants`, `n_voxels`, and the mean over participants of each
        column of `partition`, each with its standard error (`..._sem`).

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    n_voxels = len(partition)
    region, participant = label_voxels(regions, n_voxels), label_voxels(participants, n_voxels)
    by_participant = partition.reset_index(drop=True).groupby([region, participant], sort=False).mean()
    groups = by_participant.groupby(level=0, sort=False)
    mean, sem = groups.mean(), groups.sem()
    counts = pd.Series(region).groupby(region, sort=False).size()
    columns = {"n_participants": groups.size(), "n_voxels": counts}
    for name in partition.columns:
        columns[name], columns[f"{name}_sem"] = mean[name], sem[name]
    return pd.DataFrame(columns, index=mean.index).rename_axis("region")


def label_voxels(values, n_voxels):
    """Check that there is one value a voxel."""
    values = np.asarray(values)
    if values.shape != (n_voxels,):
        raise ValueError(f"Expected one label or weight a voxel, ({n_voxels},), got shape {values.shape}.")
    return values


def _names_of(models, results):
    """Return all bands, and names of models by their sets of bands; raise if a model that is needed is missing."""
    bands = list(max(models.values(), key=len, default=[]))
    names = {frozenset(used): name for name, used in models.items()}
    missing = [name for name in models if name not in results]
    for used in (tuple(bands), *(tuple(other for other in bands if other != band) for band in bands)):
        if frozenset(used) not in names:
            missing.append(PLUS.join(used))
    if missing or len(bands) < 2:
        raise ValueError(
            f"Expected the scores of a model of all of the bands {bands} and of models of all but one, but there is "
            f"none named {missing}."
        )
    return bands, names


def _variance(r, result, Y, ceiling, measure):
    if measure == "squared_r":
        return np.sign(r) * r**2
    return normalize_scores(np.mean(_score_folds(voxelwise_r2, result, Y), axis=0), ceiling**2)


def _score_folds(metric, result, Y):
    return [metric(Y[test], result.predictions.reshape(Y.shape)[test]) for _, test in result.splits]


def _check_results(results, Y):
    first = None
    for name, result in results.items():
        if result.predictions is None or result.predictions.size != Y.size:
            raise ValueError(
                f"The model {name!r} needs predictions of the {Y.shape[0]} x {Y.shape[1]} responses: score it on them "
                "with return_predictions=True."
            )
        tests = [test for _, test in result.splits]
        if first is None:
            first = (name, tests)
        elif len(tests) != len(first[1]) or not all(map(np.array_equal, tests, first[1])):
            raise ValueError(f"{name!r} and {first[0]!r} were scored on other folds. Score all models in one call.")
