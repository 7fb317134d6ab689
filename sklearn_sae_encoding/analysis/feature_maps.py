"""Where is each feature in the brain, which features share a map, and do participants agree?"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd
from scipy import sparse
from scipy.cluster.hierarchy import average, fcluster, leaves_list, optimal_leaf_ordering
from scipy.spatial.distance import squareform
from sklearn.utils import check_random_state


class FeatureMapClusters(NamedTuple):
    """What :func:`cluster_feature_maps` finds."""

    labels: np.ndarray  # (n_features,), cluster of each feature, the largest 0; -1 for those with a constant map
    maps: np.ndarray  # (n_voxels, n_clusters), mean of a cluster's maps, each in units of its standard deviation
    voxels: np.ndarray  # (n_voxels,), cluster with the highest mean map; -1 where none is above 0


def locate_features(weights, coordinates, *, feature_names=None):
    """Find where each feature's weights lie: centre, spread and side.

    Parameters
    ----------
    weights : {ndarray, sparse array} of shape (n_voxels, n_features)
        Weights; their absolute values are the masses.

    coordinates : array-like of shape (n_voxels, 3)
        Place of each voxel in mm, x from left (negative) to right.

    feature_names : array-like of str of shape (n_features,), default=None
        Names of the columns.

    Returns
    -------
    table : pandas.DataFrame
        A row a feature that any voxel uses: `feature`, `index`, `n_voxels`, the centre of mass `x`, `y`, `z` (mm),
        `spread` (root mean square distance from it, mm) and `lateralisation` (left minus right over both, -1 to 1; at
        x = 0 neither).

    Raises
    ------
    ValueError
        If there isn't a finite place for each voxel, or a name for each feature.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import locate_features
    >>> locate_features([[1.0], [3.0]], [[-40, 0, 0], [40, 0, 0]]).round(2)
      feature  index  n_voxels     x    y    z  spread  lateralisation
    0       0      0         2  20.0  0.0  0.0   34.64            -0.5
    """
    mass = abs(sparse.csc_array(weights)).astype(np.float64)
    places = np.asarray(coordinates, dtype=np.float64)
    if places.shape != (mass.shape[0], 3) or not np.isfinite(places).all():
        raise ValueError(
            f"coordinates must hold a finite (x, y, z) for each of {mass.shape[0]} voxels, got shape {places.shape}"
            f"{'' if np.isfinite(places).all() else ' with values that are not finite'}."
        )
    names = np.arange(mass.shape[1]).astype(str) if feature_names is None else np.asarray(feature_names, dtype=object)
    if len(names) != mass.shape[1]:
        raise ValueError(f"Expected one name a column: {mass.shape[1]} columns, but {len(names)} names.")
    total = mass.sum(axis=0)
    used = np.flatnonzero(total)
    mass, total = mass[:, used], total[used]
    centre = (mass.T @ places) / total[:, None]
    # Around the middle of the head the squares are small, so that their difference loses nothing that matters.
    spread = np.sqrt(np.maximum((mass.T @ (places**2).sum(axis=1)) / total - (centre**2).sum(axis=1), 0.0))
    side = np.sign(places[:, 0])
    left, right = (mass.T @ (side == sign) for sign in (-1, 1))
    with np.errstate(invalid="ignore"):
        lateralisation = (left - right) / (left + right)
    table = pd.DataFrame({"feature": names[used], "index": used, "n_voxels": (mass > 0).sum(axis=0)})
    table[["x", "y", "z"]] = centre
    return table.assign(spread=spread, lateralisation=lateralisation)


def compare_feature_maps(weights):
    """Compute how alike the maps of features are.

    Parameters
    ----------
    weights : {ndarray, sparse array} of shape (n_voxels, n_features)
        Weights, signed.

    Returns
    -------
    similarity : ndarray of shape (n_features, n_features)
        Correlations over voxels; NaN for features with a constant map.

    order : ndarray of int of shape (n_used,)
        Features with a map that varies, such that neighbours are alike: average linkage of 1 - r, optimal leaf order.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import compare_feature_maps
    >>> similarity, order = compare_feature_maps([[1.0, 0.0, 2.0], [0.0, 1.0, 0.5], [0.0, 0.0, 0.0]])
    >>> similarity.round(2)[0].tolist(), order.tolist()
    ([1.0, -0.5, 0.97], [1, 2, 0])
    """
    maps = sparse.csc_array(weights).astype(np.float64)
    mean = maps.mean(axis=0)
    products = (maps.T @ maps).toarray() - maps.shape[0] * np.outer(mean, mean)
    scale = np.sqrt(np.maximum(np.diag(products), 0.0))
    scale[scale <= 1e-7 * np.sqrt(np.diag((maps.T @ maps).toarray()))] = np.nan  # rounding of a constant map
    similarity = products / np.outer(scale, scale)
    used = np.flatnonzero(~np.isnan(scale))
    if len(used) < 2:
        return similarity, used
    distances = np.clip(1 - similarity[np.ix_(used, used)], 0, None)
    np.fill_diagonal(distances, 0.0)
    tree = average(squareform((distances + distances.T) / 2, checks=False))
    return similarity, used[leaves_list(optimal_leaf_ordering(tree, squareform(distances, checks=False)))]


def cluster_feature_maps(weights, n_clusters):
    """Group features that have alike maps, and find which group is strongest where.

    Average linkage of 1 - r, as in :func:`compare_feature_maps`. Maps of opposite sign are not alike: give absolute
    weights to group features by place alone.

    Parameters
    ----------
    weights : {ndarray, sparse array} of shape (n_voxels, n_features)
        Maps of the features.

    n_clusters : int
        Number of clusters, or fewer where features don't differ.

    Returns
    -------
    clusters : FeatureMapClusters
        A named tuple of ``labels``, ``maps`` and ``voxels``;
        :func:`~sklearn_sae_encoding.plotting.plot_cluster_map` draws the last on the brain.

    Raises
    ------
    ValueError
        If there are fewer features with a map that varies than clusters.

    Examples
    --------
    >>> from sklearn_sae_encoding.analysis import cluster_feature_maps
    >>> front, back = [1.0, 2.0, 0.0, 0.0], [0.0, 0.0, 1.0, 3.0]
    >>> clusters = cluster_feature_maps([*zip(front, front, back)], 2)
    >>> clusters.labels.tolist(), clusters.voxels.tolist()
    ([0, 0, 1], [0, 0, -1, 1])
    """
    maps = sparse.csc_array(weights).astype(np.float64)
    similarity, used = compare_feature_maps(maps)
    used = np.sort(used)
    if not 1 <= n_clusters <= len(used):
        raise ValueError(f"Expected 1 to {len(used)} clusters, as many as maps that vary, got {n_clusters}.")
    found = np.ones(len(used), dtype=int)
    if len(used) > 1:
        distances = np.clip(1 - similarity[np.ix_(used, used)], 0, None)
        np.fill_diagonal(distances, 0.0)
        tree = average(squareform((distances + distances.T) / 2, checks=False))
        found = fcluster(tree, n_clusters, criterion="maxclust")
    sizes = np.bincount(found)[1:]
    rank = np.empty(len(sizes), dtype=int)
    rank[np.argsort(-sizes, kind="stable")] = np.arange(len(sizes))
    labels = np.full(maps.shape[1], -1)
    labels[used] = rank[found - 1]
    z = maps[:, used].toarray()
    z = (z - z.mean(axis=0)) / z.std(axis=0)
    means = np.column_stack([z[:, labels[used] == k].mean(axis=1) for k in range(len(sizes))])
    return FeatureMapClusters(labels, means, np.where(means.max(axis=1) > 0, means.argmax(axis=1), -1))


def map_consistency(weights, *, n_splits=100, random_state=None):
    """Compute how alike a feature's maps are over participants in a common space.

    Parameters
    ----------
    weights : dict of participant to {ndarray, sparse array} of shape (n_voxels, n_features)
        Weights of each participant, voxel by voxel at the same places.

    n_splits : int, default=100
        Random halves of the participants.

    random_state : int, RandomState instance or None, default=None
        Seed of the halves.

    Returns
    -------
    table : pandas.DataFrame
        A row a feature: `index`, `split_half` (mean over splits of the correlation of the halves' mean maps, on
        Fisher's z scale), `reliability` (of the mean of all, by Spearman and Brown), `dice` (mean over pairs of
        participants of the overlap of voxels that use the feature) and `n_participants` that use it at all. NaN where
        nothing varies.

    Raises
    ------
    ValueError
        For fewer than two participants, or shapes that differ.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import map_consistency
    >>> shared = np.random.default_rng(0).normal(size=(50, 2)) * [1, 0]
    >>> map_consistency({"p1": shared, "p2": 2 * shared}, random_state=0)["dice"].tolist()
    [1.0, nan]
    """
    if len(weights) < 2:
        raise ValueError(f"Consistency is between participants: expected two or more, got {len(weights)}.")
    maps = [sparse.csc_array(one) for one in weights.values()]
    if len({one.shape for one in maps}) > 1:
        shapes = ", ".join(f"{name}: {one.shape}" for name, one in zip(weights, maps, strict=True))
        raise ValueError(f"Maps must be in a common space, with as many voxels and features for all, got {shapes}.")
    rng = check_random_state(random_state)
    halves = [rng.permutation(len(maps)) for _ in range(n_splits)]
    rows = [
        _consistency(np.column_stack([one[:, [j]].toarray() for one in maps]), halves) for j in range(maps[0].shape[1])
    ]
    table = pd.DataFrame(rows, columns=["split_half", "reliability", "dice", "n_participants"])
    return table.rename_axis("index").reset_index()


def _consistency(maps, halves):
    """Split-half correlation, reliability, dice and users of one feature; `maps` is (n_voxels, n_participants)."""
    middle = maps.shape[1] // 2
    z = [
        np.arctanh(np.clip(_r(maps[:, half[:middle]].mean(axis=1), maps[:, half[middle:]].mean(axis=1)), -1, 1 - 1e-15))
        for half in halves
    ]
    r = np.tanh(np.mean(z))
    users = maps != 0
    sizes, shared = users.sum(axis=0), users.T.astype(float) @ users
    one, other = np.triu_indices(maps.shape[1], 1)
    both = sizes[one] + sizes[other]
    dice = np.mean(2 * shared[one, other][both > 0] / both[both > 0]) if (both > 0).any() else np.nan
    return r, 2 * r / (1 + r) if r > -1 else np.nan, dice, int((sizes > 0).sum())


def _r(x, y):
    x, y = x - x.mean(), y - y.mean()
    scale = np.linalg.norm(x) * np.linalg.norm(y)
    return x @ y / scale if scale > 0 else np.nan
