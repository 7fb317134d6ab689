"""Categories by region, and whether they sit where they were predicted to."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import spearmanr

from sklearn_sae_encoding.analysis import category_topography, topography_convergence


def planted_cortex(rng, strength):
    """Weights of three participants: category c is used in region c more often than elsewhere, by `strength`."""
    regions = np.repeat(["a", "b", "c", "d"], 100)
    weights = {}
    for participant in ("p1", "p2", "p3"):
        use = np.full((400, 12), 0.1)
        for c in range(4):
            use[100 * c : 100 * (c + 1), 3 * c : 3 * (c + 1)] += strength
        weights[participant] = sparse.csr_array((rng.random((400, 12)) < use) * rng.normal(size=(400, 12)))
    categories = {f"kind {c}": np.arange(3 * c, 3 * (c + 1)) for c in range(4)}
    return weights, dict.fromkeys(weights, regions), categories


@pytest.mark.parametrize("measure", ["voxels", "weight", "d"])
def test_a_planted_topography_is_found_by_every_measure(measure):
    weights, regions, categories = planted_cortex(np.random.default_rng(0), 0.3)
    topography = category_topography(weights, regions, categories, measure=measure)
    assert topography.mean.to_numpy().argmax(axis=1).tolist() == [0, 1, 2, 3]
    predicted = pd.DataFrame(np.eye(4), topography.mean.index, topography.mean.columns)
    found = topography_convergence(topography.mean, predicted, n_permutations=500, random_state=0)
    assert found.n_overlap == 4
    assert found.p_spearman < 0.05
    assert found.p_overlap == pytest.approx(1 / 1820)  # one of 16 choose 4


def test_selectivity_is_counted_by_hand():
    weights = np.array([[1.0, -1.0, 0.0], [0.0, 0.0, 3.0], [0.0, 0.0, 0.0], [2.0, 0.0, 0.0]])
    regions = ["x", "x", "x", None]
    shares = category_topography(weights, regions, {"both": [0, 2], "second": [1]}, measure="weight")
    assert shares.mean.loc["both", "x"] == pytest.approx((0.5 + 1) / 2)
    assert shares.cells["n_without"].tolist() == [1, 1]
    used = category_topography(weights, regions, {"both": [0, 2], "second": [1]})
    assert used.mean["x"].tolist() == pytest.approx([2 / 3, 1 / 3])
    assert used.cells["n_voxels"].tolist() == [3, 3]
    scaled = category_topography(weights, regions, {"both": [0, 2]}, measure="weight", feature_scale=[1, 3, 1])
    assert scaled.mean.loc["both", "x"] == pytest.approx((0.25 + 1) / 2)


def test_d_is_cohens_d_with_the_pooled_standard_deviation():
    rng = np.random.default_rng(1)
    share = rng.random(30)
    weights = np.column_stack([share, 1 - share])
    regions = np.repeat(["x", "y"], [10, 20])
    d = category_topography(weights, regions, {"first": [0]}, measure="d").mean.loc["first", "x"]
    pooled = np.sqrt((9 * share[:10].var(ddof=1) + 19 * share[10:].var(ddof=1)) / 28)
    assert d == pytest.approx((share[:10].mean() - share[10:].mean()) / pooled)


def test_spread_over_participants_is_the_standard_error_and_regions_of_some_are_counted():
    weights = {"p1": np.array([[1.0], [1.0]]), "p2": np.array([[0.0], [1.0]])}
    topography = category_topography(weights, {"p1": ["x", "y"], "p2": ["x", ""]}, {"one": [0]})
    assert topography.mean.loc["one"].tolist() == [0.5, 1.0]
    assert topography.sem.loc["one", "x"] == pytest.approx(0.5)
    assert topography.n.loc["one"].tolist() == [2, 1]


def test_the_correlation_is_scipys_and_cells_without_prediction_are_left_out():
    rng = np.random.default_rng(2)
    observed = pd.DataFrame(rng.random((3, 5)), list("abc"), list("vwxyz"))
    predicted = pd.DataFrame(rng.integers(0, 2, (3, 5)).astype(float), list("abc"), list("vwxyz"))
    predicted.iloc[0, :2] = np.nan
    result = topography_convergence(observed, predicted.iloc[::-1, ::-1], n_permutations=50, random_state=0)
    used = ~predicted.isna().to_numpy()
    expected = spearmanr(observed.to_numpy()[used], predicted.to_numpy()[used]).statistic
    assert result.spearman == pytest.approx(expected)
    assert result.n_cells == 13


def test_both_tests_hold_their_level_where_nothing_is_planted():
    rng = np.random.default_rng(3)
    predicted = pd.DataFrame(np.eye(4, 6), list("abcd"), list("uvwxyz"))
    results = [
        topography_convergence(
            pd.DataFrame(rng.random((4, 6)), list("abcd"), list("uvwxyz")), predicted, n_permutations=99, random_state=i
        )
        for i in range(200)
    ]
    assert 0.05 < np.mean([result.p_spearman <= 0.1 for result in results]) < 0.16
    assert np.mean([result.p_overlap <= 0.1 for result in results]) < 0.16


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"regions": {"p1": ["x"]}}, "p2 stand on one side only"),
        ({"regions": ["x"]}, "both as a dict of participants"),
        ({"regions": {"p1": ["x"], "p2": ["x", "y"]}}, "region for each of 1 voxels of participant 'p2'"),
        ({"regions": {"p1": ["x"], "p2": [""]}}, "No voxel of participant 'p2' is in a region"),
        ({"categories": {"empty": []}}, "category 'empty' has no feature"),
        ({"categories": {"far": [2]}}, "category 'far' must name columns from 0 to 1"),
        ({"measure": "share"}, "measure must be one of"),
        ({"feature_scale": [1.0]}, "must hold 2 numbers"),
    ],
)
def test_what_does_not_fit_is_named(change, message):
    given = {"regions": {"p1": ["x"], "p2": ["x"]}, "categories": {"one": [0]}}
    given.update(change)
    with pytest.raises(ValueError, match=message):
        category_topography(
            {"p1": [[1.0, 0.0]], "p2": [[1.0, 0.0]]}, given.pop("regions"), given.pop("categories"), **given
        )


@pytest.mark.parametrize(
    ("predicted", "options", "message"),
    [
        (pd.DataFrame([[1, 0]], ["a"], ["x", "z"]), {}, "differ in regions: y, z"),
        (pd.DataFrame([[1, 0]], ["b"], ["x", "y"]), {}, "differ in categories: a, b"),
        (pd.DataFrame([[0, 0]], ["a"], ["x", "y"]), {}, "0 of 2 cells are predicted"),
        (pd.DataFrame([[1, 0]], ["a"], ["x", "y"]), {"n_top": 2}, "n_top must lie between 1 and 1"),
    ],
)
def test_predictions_of_other_cells_are_refused(predicted, options, message):
    with pytest.raises(ValueError, match=message):
        topography_convergence(pd.DataFrame([[0.3, 0.1]], ["a"], ["x", "y"]), predicted, **options)
