"""Where features are, which share a map, and whether participants agree."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_sae_encoding.analysis import cluster_feature_maps, compare_feature_maps, locate_features, map_consistency


def test_centre_spread_and_side_follow_from_the_masses():
    rng = np.random.default_rng(0)
    places, weights = rng.normal(scale=40, size=(50, 3)), rng.normal(size=(50, 3)) * [1, 0, 1]
    table = locate_features(sparse.csr_array(weights), places, feature_names=["a", "b", "c"])
    assert table["feature"].tolist() == ["a", "c"]
    mass = np.abs(weights[:, 0])
    centre = np.average(places, axis=0, weights=mass)
    np.testing.assert_allclose(table.loc[0, ["x", "y", "z"]].to_numpy(dtype=float), centre)
    assert table.loc[0, "spread"] == pytest.approx(np.sqrt(np.average(((places - centre) ** 2).sum(1), weights=mass)))
    left, right = mass[places[:, 0] < 0].sum(), mass[places[:, 0] > 0].sum()
    assert table.loc[0, "lateralisation"] == pytest.approx((left - right) / (left + right))


def test_similarity_is_numpys_correlation_and_constant_maps_have_none():
    rng = np.random.default_rng(1)
    weights = rng.normal(size=(40, 5)) + 7
    weights[:, 3] = 7.0
    similarity, order = compare_feature_maps(weights)
    expected = np.corrcoef(np.delete(weights, 3, axis=1).T)
    np.testing.assert_allclose(np.delete(np.delete(similarity, 3, 0), 3, 1), expected)
    assert np.isnan(similarity[3]).all()
    assert sorted(order) == [0, 1, 2, 4]


def test_features_of_one_map_stand_side_by_side():
    rng = np.random.default_rng(2)
    maps = rng.normal(size=(200, 2))[:, [0, 1, 0, 1, 0, 1]] + 0.3 * rng.normal(size=(200, 6))
    _, order = compare_feature_maps(maps)
    assert {tuple(sorted(order[:3])), tuple(sorted(order[3:]))} == {(0, 2, 4), (1, 3, 5)}


def test_shared_maps_are_consistent_and_private_ones_are_not():
    rng = np.random.default_rng(3)
    shared = rng.normal(size=300) * (rng.random(300) < 0.3)
    weights = {
        f"p{i}": sparse.csr_array(
            np.column_stack([shared * rng.uniform(0.5, 2), rng.normal(size=300) * (rng.random(300) < 0.3)])
        )
        for i in range(6)
    }
    table = map_consistency(weights, random_state=0).set_index("index")
    assert table.loc[0, "split_half"] > 0.999
    assert abs(table.loc[1, "split_half"]) < 0.1
    assert table.loc[0, "dice"] == pytest.approx(1.0)
    assert table.loc[1, "dice"] == pytest.approx(0.3, abs=0.05)
    assert table["n_participants"].tolist() == [6, 6]


def test_reliability_is_that_of_spearman_and_brown():
    rng = np.random.default_rng(4)
    signal = rng.normal(size=(500, 1))
    weights = {name: signal + rng.normal(size=(500, 1)) for name in "abcdefgh"}
    table = map_consistency(weights, random_state=1)
    r = table.loc[0, "split_half"]
    assert table.loc[0, "reliability"] == pytest.approx(2 * r / (1 + r))
    assert table.loc[0, "reliability"] == pytest.approx(8 / 9, abs=0.03)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: locate_features([[1.0]], [[0.0, 0.0]]), r"\(x, y, z\) for each of 1 voxels"),
        (lambda: locate_features([[1.0]], [[0.0, 0.0, np.nan]]), "not finite"),
        (lambda: locate_features([[1.0]], [[0.0, 0.0, 1.0]], feature_names=["a", "b"]), "one name a column"),
        (lambda: map_consistency({"p1": [[1.0]]}), "expected two or more, got 1"),
        (lambda: map_consistency({"p1": [[1.0]], "p2": [[1.0, 2.0]]}), "common space"),
    ],
)
def test_what_does_not_fit_is_named(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_planted_clusters_of_maps_are_found_with_the_voxels_where_they_are_strongest():
    rng = np.random.default_rng(0)
    centres = np.repeat(np.eye(3), 40, axis=0)  # 120 voxels in three regions
    truth = np.repeat([0, 1, 2], [9, 6, 3])
    weights = np.column_stack([centres[:, truth] + 0.3 * rng.normal(size=(120, 18)), np.zeros(120)])
    order = rng.permutation(19)
    found = cluster_feature_maps(weights[:, order], 3)
    assert found.labels.tolist() == np.append(truth, -1)[order].tolist()  # larger clusters come first
    assert (found.voxels == np.repeat([0, 1, 2], 40)).mean() > 0.98
    np.testing.assert_allclose(found.maps.mean(axis=0), 0, atol=1e-12)


def test_more_clusters_than_maps_that_vary_are_refused():
    with pytest.raises(ValueError, match="Expected 1 to 2 clusters"):
        cluster_feature_maps(np.array([[1.0, 0, 5], [0, 1.0, 5]]), 3)
