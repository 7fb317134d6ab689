"""Clusters of voxels against scipy and scikit-learn, and planted ones found again."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from scipy.spatial.distance import squareform
from sklearn.metrics import adjusted_rand_score, silhouette_score

from sklearn_sae_encoding.analysis import cluster_voxels


def _blocks(sizes=(12, 8, 5), n_alone=4, within=0.6, noise=0.08, seed=0):
    """Scores of planted clusters and of voxels that are alike to none, in random order."""
    rng = np.random.default_rng(seed)
    planted = np.r_[np.repeat(np.arange(len(sizes)), sizes), np.full(n_alone, -1)]
    rng.shuffle(planted)
    same = (planted[:, None] == planted) & (planted[:, None] >= 0)
    return np.where(same, within, 0.1) + noise * rng.normal(size=same.shape), planted


@pytest.mark.parametrize("cut", ["silhouette", 0.7])
def test_planted_clusters_are_found_and_loners_are_in_none(cut):
    scores, planted = _blocks()
    clusters = cluster_voxels(scores, cut=cut, min_size=4)
    np.testing.assert_array_equal(clusters.labels, planted)  # numbered by size, as planted
    changes = np.count_nonzero(np.diff(planted[clusters.order]))
    assert changes <= 3 + 4  # each cluster is one run in the order


def test_tree_and_labels_equal_scipy_on_the_smaller_direction():
    scores, _ = _blocks(seed=1)
    clusters = cluster_voxels(scores, cut=0.75, min_size=1)
    distance = np.clip(1 - np.minimum(scores, scores.T), 0, 1)
    np.fill_diagonal(distance, 0)
    expected = fcluster(linkage(squareform(distance), "average"), 0.75, "distance")
    assert adjusted_rand_score(clusters.labels, expected) == 1
    np.testing.assert_allclose(np.sort(clusters.linkage[:, 2]), linkage(squareform(distance), "average")[:, 2])
    assert clusters.silhouette == pytest.approx(silhouette_score(distance, expected, metric="precomputed"))


def test_a_cut_keeps_the_mean_similarity_of_merged_clusters_above_one_minus_it():
    scores, _ = _blocks(noise=0.2, seed=2)
    clusters = cluster_voxels(scores, cut=0.6, min_size=1)
    similarity = np.clip(clusters.similarity, 0, 1)
    for label in range(clusters.labels.max()):
        inside, outside = clusters.labels == label, clusters.labels == label + 1
        assert similarity[np.ix_(inside, outside)].mean() < 0.4


def test_the_silhouette_tells_structure_from_none():
    structured, _ = _blocks()
    rng = np.random.default_rng(0)
    assert cluster_voxels(structured, cut="silhouette").silhouette > 0.3
    assert cluster_voxels(0.1 + 0.1 * rng.normal(size=(40, 40)), cut="silhouette").silhouette < 0.1


def test_the_chosen_cut_has_the_largest_silhouette_of_all():
    scores, _ = _blocks(noise=0.2, seed=3)
    best = cluster_voxels(scores, cut="silhouette")
    others = [cluster_voxels(scores, cut=float(height)).silhouette for height in best.linkage[:, 2]]
    assert best.silhouette == pytest.approx(max(others))


def test_the_diagonal_is_not_looked_at_and_a_missing_pair_is_named():
    scores, _ = _blocks()
    expected = cluster_voxels(scores).labels
    np.fill_diagonal(scores, np.nan)
    np.testing.assert_array_equal(cluster_voxels(scores).labels, expected)
    scores[2, 5] = np.nan
    with pytest.raises(ValueError, match=r"Source 2 has no score on target 5 \(1 pairs"):
        cluster_voxels(scores)


def test_wrong_shapes_and_cuts_are_refused():
    with pytest.raises(ValueError, match=r"must be square.*\(2, 3\)"):
        cluster_voxels(np.ones((2, 3)))
    for cut in ("gap", 1.5):
        with pytest.raises(ValueError, match="'silhouette' or a distance"):
            cluster_voxels(np.eye(3), cut=cut)
