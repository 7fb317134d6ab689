"""How much of a response is plain surprisal, how much content, and how much either?"""

import numpy as np
from scipy import sparse

from sklearn_sae_encoding.analysis.restricted import restrict_encoder
from sklearn_sae_encoding.analysis.variance import label_voxels, partition_by_region, partition_variance

PARTS = {"surprisal": ["surprisal"], "content": ["content"], "both": ["surprisal", "content"]}


def surprisal_content_models(encoder=None, *, features=None):
    """Build the three models that tell surprisal from content: either alone, and both.

    Parameters
    ----------
    encoder, features
        As for :func:`restrict_encoder`.

    Returns
    -------
    models : dict of str to Pipeline
        ``"surprisal"``, ``"content"`` and ``"both"``.

    See Also
    --------
    partition_surprisal : What their cross-validated predictions say.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import surprisal_content_models
    >>> list(surprisal_content_models())
    ['surprisal', 'content', 'both']
    """
    return {
        "surprisal": restrict_encoder([], features=features, encoder=encoder),
        "content": restrict_encoder(surprisal=False, features=features, encoder=encoder),
        "both": restrict_encoder(features=features, encoder=encoder),
    }


def partition_surprisal(results, Y, *, noise_ceiling=None, measure="squared_r"):
    """Split what a voxel's model explains into surprisal's own part, content's own part and what they share.

    With V the variance that a model explains in held-out texts, on identical folds::

        unique_surprisal = V(both) - V(content)
        unique_content   = V(both) - V(surprisal)
        shared           = V(surprisal) + V(content) - V(both)

    They add up to V(both). Each can be negative: to either predictor alone, what the other does is noise, which costs
    it a little and lowers the shared part. Nothing is clipped, which would bias the means over voxels.

    Parameters
    ----------
    results : dict of str to VoxelScores
        Of :func:`surprisal_content_models`, or any three models with these names, from
        ``cross_val_voxel_scores(models, X, Y, return_predictions=True)``.

    Y : array-like of shape (n_samples, n_voxels)
        The responses that were predicted.

    noise_ceiling : array-like of shape (n_voxels,) or float, default=None
        Ceilings in units of r. Correlations are divided by them, and variances by their squares.

    measure : {"squared_r", "r2"}, default="squared_r"
        What V is. ``"squared_r"`` is the square of the score, the Fisher mean of r, with its sign: the variance that is
        explained once the predictions are scaled rightly. It is 0 on average for a model of nothing. ``"r2"`` is the
        mean over folds of the coefficient of determination, which also asks for the right scale and mean; selection on
        few texts makes predictions too large, so that it is often negative where r is not.

    Returns
    -------
    table : pandas.DataFrame
        A row a voxel: `r_surprisal`, `r_content`, `r_both` (Fisher means over folds), `variance_surprisal`,
        `variance_content`, `variance_both`, `unique_surprisal`, `unique_content` and `shared`.

    Raises
    ------
    ValueError
        If a model is missing, was scored on other folds or without predictions, or the measure is unknown.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_sae_encoding.analysis import partition_surprisal, surprisal_content_models
    >>> from sklearn_sae_encoding.metrics import cross_val_voxel_scores
    >>> X = np.random.default_rng(0).normal(size=(3000, 4))
    >>> Y = X[:, [0]] + X[:, [3]]  # as much content as surprisal, the last column
    >>> models = surprisal_content_models(Ridge())
    >>> results = cross_val_voxel_scores(models, X, Y, return_predictions=True)
    >>> partition_surprisal(results, Y)[["unique_surprisal", "unique_content", "shared"]].round(1)
       unique_surprisal  unique_content  shared
    0               0.5             0.5     0.0
    """
    return partition_variance(results, Y, models=PARTS, noise_ceiling=noise_ceiling, measure=measure)


def surprisal_by_region(partition, participants, regions, *, weights=None):
    """Average the parts over participants, region by region, with the ratio that tells regions apart.

    Voxels are averaged within participants first; participants without a voxel in a region don't count there.

    Parameters
    ----------
    partition : pandas.DataFrame of n_voxels rows
        From :func:`partition_surprisal`.

    participants, regions : array-like of shape (n_voxels,)
        Labels of the voxels.

    weights : array-like or sparse of shape (n_voxels,) or (n_voxels, 1), default=None
        Weights of surprisal, such as ``view.weights[:, view.columns(kind="surprisal")]``. Positive: the voxel responds
        more to surprising texts.

    Returns
    -------
    table : pandas.DataFrame
        A row a region, in order of appearance: `n_participants`, `n_voxels`, the mean over participants of each column
        of `partition`, each with its standard error (`..._sem`), and `ratio`, the mean of `r_surprisal` over the mean
        of `r_both`: near 1, the region is driven by surprisal. With `weights`, `positive_weight`: the share of voxels
        whose weight is positive, in each participant, then the mean over participants (and its standard error).

    Raises
    ------
    ValueError
        If the lengths differ.
    """
    if weights is not None:
        weights = weights.toarray() if sparse.issparse(weights) else np.asarray(weights)
        partition = partition.assign(positive_weight=label_voxels(weights.ravel(), len(partition)) > 0)
    table = partition_by_region(partition, participants, regions)
    table["ratio"] = table["r_surprisal"] / table["r_both"]
    return table
