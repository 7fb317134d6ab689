"""Which voxels share features: transfer scores to clusters."""

from typing import NamedTuple

import numpy as np
from scipy.cluster.hierarchy import fcluster, leaves_list, linkage, optimal_leaf_ordering
from scipy.spatial.distance import squareform
from sklearn.metrics import silhouette_score

# Cuts of the tree that are compared at most, evenly spaced over its merges.
_MAX_CUTS = 200


class VoxelClusters(NamedTuple):
    """Clusters of voxels, and the tree from which they were cut."""

    labels: np.ndarray  # (n_voxels,), 0 for the largest cluster and so on, -1 for voxels in none
    order: np.ndarray  # (n_voxels,), voxels in the order of the tree's leaves, neighbours alike
    linkage: np.ndarray  # (n_voxels - 1, 4), the tree, as in scipy
    similarity: np.ndarray  # (n_voxels, n_voxels), smaller score of both directions, NaN on the diagonal
    cut: float  # distance at which the tree was cut
    silhouette: float  # mean over voxels, those in no cluster counting 0


def cluster_voxels(scores, *, cut=0.7, min_size=2):
    """Cluster voxels whose features transfer to each other.

    The similarity of two voxels is the smaller score of both directions; their distance is one minus it, clipped to
    [0, 1]. Average linkage gives a tree, which is cut at one height.

    Parameters
    ----------
    scores : array-like of shape (n_voxels, n_voxels)
        Scores of sources (rows) on targets (columns), such as ``TransferScores.normalized_scores``. The diagonal is not
        looked at.

    cut : float or {"silhouette"}, default=0.7
        The distance at which the tree is cut. A float in [0, 1] merges clusters as long as the mean similarity between
        their voxels is at least one minus it: by default 0.3, with normalised scores in units of the noise ceiling.
        ``"silhouette"`` takes the cut with the largest mean silhouette, in which voxels in no cluster count 0 (of equal
        ones the lowest; of more than 200 merges, 200 are tried). It always finds some clusters, and rather few: look at
        the silhouette, which is about 0 without any structure.

    min_size : int, default=2
        Smaller clusters are none: their voxels get the label -1.

    Returns
    -------
    clusters : VoxelClusters
        A named tuple with

        - ``labels``, of shape `(n_voxels,)`: clusters numbered by their size, from 0, the largest; -1 for none;
        - ``order``, of shape `(n_voxels,)`: the order in which neighbours in the matrix are most alike (optimal leaf
          ordering);
        - ``linkage``, of shape `(n_voxels - 1, 4)`: the tree, for :func:`scipy.cluster.hierarchy.dendrogram`;
        - ``similarity``, of shape `(n_voxels, n_voxels)`, NaN on the diagonal;
        - ``cut`` and ``silhouette``: the distance of the cut, and the mean silhouette there.

    Raises
    ------
    ValueError
        If a pair of different voxels has no score.

    References
    ----------
    Lepori, Kay and Tuckute, arXiv:2606.06857, study 2, where clusters were chosen by eye in the ordered matrix.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import cluster_voxels
    >>> scores = np.full((5, 5), 0.1)
    >>> scores[:3, :3] = scores[3:, 3:] = 0.7
    >>> cluster_voxels(scores).labels
    array([0, 0, 0, 1, 1])
    >>> cluster_voxels(scores, min_size=3).labels
    array([ 0,  0,  0, -1, -1])
    """
    similarity = _similarity(scores)
    distance = np.clip(1 - similarity, 0, 1)
    np.fill_diagonal(distance, 0.0)
    condensed = squareform(distance, checks=False)
    tree = optimal_leaf_ordering(linkage(condensed, method="average"), condensed)
    if cut == "silhouette":
        height, labels, silhouette = _best_cut(tree, distance, min_size)
    elif np.isscalar(cut) and not isinstance(cut, str) and 0 <= cut <= 1:
        height, labels = float(cut), _labels_at(tree, cut, min_size)
        silhouette = _mean_silhouette(distance, labels)
    else:
        raise ValueError(f"cut must be 'silhouette' or a distance in [0, 1], got {cut!r}.")
    return VoxelClusters(labels, leaves_list(tree), tree, similarity, height, silhouette)


def _similarity(scores):
    scores = np.array(scores, dtype=np.float64)
    if scores.ndim != 2 or scores.shape[0] != scores.shape[1] or len(scores) < 2:
        raise ValueError(f"scores must be square, of two or more voxels as sources and targets; got {scores.shape}.")
    np.fill_diagonal(scores, 0.0)
    missing = np.argwhere(~np.isfinite(scores))
    if len(missing):
        raise ValueError(
            f"Source {missing[0, 0]} has no score on target {missing[0, 1]} ({len(missing)} pairs have none). "
            "Leave out voxels that are constant in a fold or have no noise ceiling."
        )
    similarity = np.minimum(scores, scores.T)
    np.fill_diagonal(similarity, np.nan)
    return similarity


def _best_cut(tree, distance, min_size):
    """Return height, labels and silhouette of the best cut."""
    heights = np.unique(tree[:, 2])
    if len(heights) > _MAX_CUTS:
        heights = heights[np.unique(np.linspace(0, len(heights) - 1, _MAX_CUTS).astype(int))]
    candidates = [(height, _labels_at(tree, height, min_size)) for height in heights]
    silhouettes = [_mean_silhouette(distance, labels) for _, labels in candidates]
    best = int(np.argmax(silhouettes))
    return float(candidates[best][0]), candidates[best][1], silhouettes[best]


def _labels_at(tree, height, min_size):
    raw = fcluster(tree, height, criterion="distance") - 1
    sizes = np.bincount(raw)
    by_size = np.argsort(-sizes, kind="stable")
    number = np.empty(len(sizes), dtype=np.intp)
    number[by_size] = np.arange(len(sizes))
    return np.where(sizes[raw] >= min_size, number[raw], -1)


def _mean_silhouette(distance, labels):
    """Mean silhouette over all voxels; those in no cluster count 0 and are no one's neighbours."""
    clustered = np.flatnonzero(labels >= 0)
    if not 2 <= len(np.unique(labels[clustered])) < len(clustered):
        return 0.0
    among = distance[np.ix_(clustered, clustered)]
    score = silhouette_score(among, labels[clustered], metric="precomputed")
    return float(score * len(clustered) / len(labels))
