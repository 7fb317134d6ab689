"""Where do kinds of features sit in cortex, and is it where the literature says?"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.stats import hypergeom, rankdata, spearmanr
from sklearn.utils import check_random_state

from sklearn_sae_encoding.analysis.atlases import images_to_voxels, is_atlas

_MEASURES = ("voxels", "weight", "d")


class Topography(NamedTuple):
    """What :func:`category_topography` gives."""

    cells: pd.DataFrame  # a row a participant, category and region: `selectivity`, `n_voxels`, `n_without`
    mean: pd.DataFrame  # category × region, mean over participants
    sem: pd.DataFrame  # category × region, its standard error; NaN with one participant
    n: pd.DataFrame  # category × region, participants that have voxels there


class Convergence(NamedTuple):
    """What :func:`topography_convergence` finds."""

    spearman: float  # over all cells that have a prediction
    p_spearman: float  # share of permutations that reach it, the observed one counted as one
    null: np.ndarray  # (n_permutations,), Spearman correlations
    n_overlap: int  # predicted cells among the top observed ones
    n_predicted: int
    n_top: int
    n_cells: int  # that have a prediction
    p_overlap: float  # hypergeometric: so many or more by chance


def category_topography(
    weights, regions, categories, *, measure="voxels", feature_scale=None, masker=None, region_names=None
):
    """Compute how selective each region is for each category of features.

    Parameters
    ----------
    weights : dict of participant to {ndarray, sparse array} of shape (n_voxels, n_features) or images, or one of these
        Weights of each participant's voxels, such as ``SparseVoxelEncoder.coef_``; or images of them, one a feature: a
        4-D volume, a SurfaceImage, or a list such as of ``MaskedTargetRegressor.coef_img``. One is one participant.

    regions : dict of participant to array-like of shape (n_voxels,) or image, or one of these
        Region of each voxel or vertex; None, NaN and "" are none. Or an atlas, volume or surface, image or path, as in
        :func:`atlas_regions`; one may serve all participants.

    categories : dict of str to array-like of int
        Columns of the features of each category. Categories may share columns.

    measure : {"voxels", "weight", "d"}, default="voxels"
        Selectivity: the share of the region's voxels that use a feature of the category; the category's share of a
        voxel's absolute weights, averaged over the region's voxels that have weights; or Cohen's d of that share
        between the region's voxels and those of all other regions together.

    feature_scale : array-like of shape (n_features,), default=None
        Standard deviations by which weights are multiplied, so that "weight" and "d" measure parts of predictions;
        features on one scale need none.

    masker : nilearn masker of voxels or vertices, or dict of participant to these, default=None
        What made voxels of the weights, or shall make them of images. Needed beside an atlas unless weights are images;
        these are then counted wherever the atlas has a region, which may lie outside of what was measured.

    region_names : mapping, DataFrame or sequence, default=None
        Names of the atlas' numbers, as in :func:`atlas_regions`.

    Returns
    -------
    topography : Topography
        A named tuple of the table ``cells`` (`participant`, `category`, `region`, `selectivity`, `n_voxels` and
        `n_without`, voxels without any weight) and ``mean``, ``sem`` and ``n`` over participants, category × region.

    Raises
    ------
    ValueError
        If participants of weights and regions differ, numbers of voxels or features don't fit, a category has no
        feature or names a column that is not there, no voxel is in a region, or an atlas and its masker don't fit.

    References
    ----------
    Guo, Wu and Yiu, arXiv:2605.23035, report the proportion of features or voxels; which of these is not known.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import category_topography
    >>> weights = [[1.0, 0.0, 0.0], [0.5, 0.5, 0.0], [0.0, 0.0, 2.0]]
    >>> result = category_topography(weights, ["front", "front", "back"], {"people": [0], "places": [1, 2]})
    >>> result.mean["front"].to_dict()
    {'people': 1.0, 'places': 0.5}
    """
    if measure not in _MEASURES:
        raise ValueError(f"measure must be one of {_MEASURES}, got {measure!r}.")
    if isinstance(weights, Mapping) and is_atlas(regions):
        regions = dict.fromkeys(weights, regions)
    if isinstance(weights, Mapping) != isinstance(regions, Mapping):
        raise ValueError("Give weights and regions both as a dict of participants, or both as one array.")
    if not isinstance(weights, Mapping):
        weights, regions = {"": weights}, {"": regions}
    if set(weights) != set(regions):
        only = sorted(map(str, set(weights) ^ set(regions)))
        raise ValueError(f"Participants of weights and regions differ: {', '.join(only)} stand on one side only.")
    cells = []
    for participant, coef in weights.items():
        own = masker[participant] if isinstance(masker, Mapping) else masker
        coef, labels = images_to_voxels(coef, regions[participant], own, region_names)
        coef = abs(sparse.csr_array(coef)).astype(np.float64)
        labels = _labels(labels, coef.shape[0], participant)
        columns = {name: _columns(name, given, coef.shape[1]) for name, given in categories.items()}
        if feature_scale is not None:
            coef = coef @ sparse.diags_array(_scale(feature_scale, coef.shape[1]))
        cells += _cells(coef, labels, columns, measure, participant)
    cells = pd.DataFrame(cells)
    order = {"index": list(categories), "columns": list(dict.fromkeys(cells["region"]))}
    grouped = cells.groupby(["category", "region"], sort=False)["selectivity"]
    tables = [grouped.agg(how).unstack("region").reindex(**order) for how in ("mean", "sem", "count")]
    return Topography(cells, *tables)


def topography_convergence(observed, predicted, *, n_top=None, n_permutations=10_000, random_state=None):
    """Test whether categories sit where they were predicted to.

    Two tests of one question: Spearman's correlation over all cells, with regions permuted within each category, and
    the overlap of predicted cells with the top observed ones. Both take regions as exchangeable, which smooth maps are
    not: beside them, spin the maps (:func:`spin_test`).

    Parameters
    ----------
    observed : DataFrame of shape (n_categories, n_regions)
        Selectivity, such as ``category_topography(...).mean``.

    predicted : DataFrame of shape (n_categories, n_regions)
        What the literature says: 1 or True where a category is expected, 0 where not (or any graded expectation), NaN
        where it says nothing. Rows and columns are matched by their labels.

    n_top : int, default=None
        How many of the observed cells count as top. None is as many as are predicted.

    n_permutations : int, default=10000
        Permutations of the regions, drawn for each category on its own.

    random_state : int, RandomState instance or None, default=None
        Seed of the permutations.

    Returns
    -------
    result : Convergence
        A named tuple of ``spearman``, ``p_spearman`` (one-sided), ``null``, ``n_overlap``, ``n_predicted``, ``n_top``,
        ``n_cells`` and ``p_overlap``. Cells without a prediction or an observation are left out.

    Raises
    ------
    ValueError
        If a category or region stands in one table only, nothing or everything is predicted, or `n_top` is no number
        of cells.

    References
    ----------
    Guo, Wu and Yiu, arXiv:2605.23035, report Spearman's rho .72 (p < .001) and a hypergeometric p of .007. How they
    permuted is not known; this is our reading.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.analysis import topography_convergence
    >>> observed = pd.DataFrame([[0.9, 0.2, 0.1], [0.1, 0.3, 0.8]], ["emotion", "places"], ["ATL", "IFG", "PPA"])
    >>> predicted = pd.DataFrame([[1, 0, 0], [0, 0, 1]], ["emotion", "places"], ["ATL", "IFG", "PPA"])
    >>> result = topography_convergence(observed, predicted, random_state=0)
    >>> result.n_overlap, round(result.p_overlap, 3)
    (2, 0.067)
    """
    observed, predicted = pd.DataFrame(observed), pd.DataFrame(predicted)
    for axis, word in ((0, "categories"), (1, "regions")):
        only = observed.axes[axis].symmetric_difference(predicted.axes[axis])
        if len(only):
            raise ValueError(
                f"observed and predicted differ in {word}: {', '.join(map(str, only))} stand in one of them only. Give "
                "both the same, with NaN where nothing is predicted."
            )
    predicted = predicted.loc[observed.index, observed.columns].to_numpy(dtype=np.float64)
    observed = observed.to_numpy(dtype=np.float64)
    used = ~(np.isnan(observed) | np.isnan(predicted))
    expected = used & (predicted > 0)
    n_cells, n_predicted = int(used.sum()), int(expected.sum())
    if n_predicted in (0, n_cells):
        raise ValueError(f"{n_predicted} of {n_cells} cells are predicted: there is nothing to tell apart.")
    n_top = n_predicted if n_top is None else n_top
    if not 0 < n_top < n_cells:
        raise ValueError(f"n_top must lie between 1 and {n_cells - 1}, one less than the cells, got {n_top}.")
    rho = spearmanr(observed[used], predicted[used]).statistic
    ranks = np.split(rankdata(observed[used]), np.cumsum(used.sum(axis=1))[:-1])
    null = _permuted(ranks, rankdata(predicted[used]), n_permutations, check_random_state(random_state))
    p_spearman = (1 + np.sum(null >= rho - 1e-12)) / (1 + n_permutations)
    top = np.argsort(-observed[used], kind="stable")[:n_top]
    n_overlap = int(expected[used][top].sum())
    p_overlap = float(hypergeom.sf(n_overlap - 1, n_cells, n_predicted, n_top))
    return Convergence(float(rho), float(p_spearman), null, n_overlap, n_predicted, n_top, n_cells, p_overlap)


def _labels(regions, n_voxels, participant):
    labels = np.asarray(regions, dtype=object)
    whose = f" of participant {participant!r}" if participant else ""
    if labels.shape != (n_voxels,):
        raise ValueError(f"Expected a region for each of {n_voxels} voxels{whose}, got shape {labels.shape}.")
    labels = np.array(["" if label is None or label != label else str(label) for label in labels], dtype=object)
    if not (labels != "").any():
        raise ValueError(f"No voxel{whose} is in a region.")
    return labels


def _columns(name, given, n_features):
    columns = np.unique(np.asarray(given))
    if not len(columns):
        raise ValueError(f"The category {name!r} has no feature.")
    if columns.dtype.kind not in "iu" or columns.min() < 0 or columns.max() >= n_features:
        raise ValueError(f"The category {name!r} must name columns from 0 to {n_features - 1}, got {columns[-1]!r}.")
    return columns


def _scale(given, n_features):
    scale = np.asarray(given, dtype=np.float64)
    if scale.shape != (n_features,) or not (scale >= 0).all():
        raise ValueError(f"feature_scale must hold {n_features} numbers of at least 0, got shape {scale.shape}.")
    return scale


def _cells(coef, labels, columns, measure, participant):
    """Yield a row for each category and region of one participant."""
    total = coef.sum(axis=1)
    for category, chosen in columns.items():
        mass = coef[:, chosen].sum(axis=1)
        with np.errstate(invalid="ignore"):
            values = (mass > 0).astype(np.float64) if measure == "voxels" else mass / total
        for region in dict.fromkeys(labels[labels != ""]):
            here, elsewhere = labels == region, (labels != region) & (labels != "")
            inside = values[here & ~np.isnan(values)]
            outside = values[elsewhere & ~np.isnan(values)]
            yield {
                "participant": participant,
                "category": category,
                "region": region,
                "selectivity": _d(inside, outside) if measure == "d" else inside.mean() if len(inside) else np.nan,
                "n_voxels": int(here.sum()),
                "n_without": int((total[here] == 0).sum()),
            }


def _d(inside, outside):
    if min(len(inside), len(outside)) < 2:
        return np.nan
    within = np.sum((inside - inside.mean()) ** 2) + np.sum((outside - outside.mean()) ** 2)
    pooled = np.sqrt(within / (len(inside) + len(outside) - 2))
    return (inside.mean() - outside.mean()) / pooled if pooled > 0 else np.nan


def _permuted(observed, predicted, n_permutations, rng):
    """Correlations of ranks with the observed ones of each category put into its other regions that have a prediction.

    `observed` holds the ranks of a category's cells each; `predicted` those of all cells in the same order.
    """
    null = np.empty(n_permutations)
    for k in range(n_permutations):
        null[k] = np.corrcoef(np.concatenate([rng.permutation(row) for row in observed]), predicted)[0, 1]
    return null
