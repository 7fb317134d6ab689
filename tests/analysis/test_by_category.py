"""What categories of features predict."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import encode_by_category, summarize_categories
from sklearn_sae_encoding.metrics import cross_val_voxel_scores

CV = KFold(4, shuffle=True, random_state=0)


def planted(n_categories, rng, n_samples=600, n_voxels=3):
    """Independent categories of two features each; category c explains a share that falls with c."""
    X = rng.normal(size=(n_samples, 2 * n_categories)) + 2
    effects = np.repeat(0.7 ** np.arange(n_categories), 2)
    Y = X @ (effects[:, None] * np.ones((1, n_voxels))) + 0.5 * rng.normal(size=(n_samples, n_voxels)) + 5
    return X, Y, {f"c{c}": [2 * c, 2 * c + 1] for c in range(n_categories)}


def test_models_are_scored_on_the_columns_of_their_categories_and_identical_folds():
    X, Y, groups = planted(3, np.random.default_rng(0))
    found = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV)
    splits = list(CV.split(X))
    for name, columns in {"c1": [2, 3], "c0 + c2": [0, 1, 4, 5], "c0 + c1 + c2": range(6)}.items():
        expected = cross_val_voxel_scores(Ridge(), X[:, columns], Y, cv=splits).scores
        np.testing.assert_allclose(found.scores[name], expected)
    assert found.scores.shape[1] == 2**3
    assert found.peak == "c0 + c1 + c2"


@pytest.mark.parametrize("n_categories", [3, 6])
def test_unique_parts_and_shapley_values_find_planted_independent_categories(n_categories):
    X, Y, groups = planted(n_categories, np.random.default_rng(1))
    found = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV, n_orders=8, random_state=0)
    shares = 2 * 0.7 ** (2 * np.arange(n_categories))
    shares = shares / (shares.sum() + 0.25)
    for c, share in enumerate(shares):
        assert found.parts[f"shapley_c{c}"].mean() == pytest.approx(share, abs=0.07)
        assert found.parts[f"unique_c{c}"].mean() == pytest.approx(share, abs=0.1)
    total = sum(found.parts[f"shapley_c{c}"] for c in range(n_categories))
    whole = found.scores[" + ".join(groups)]
    np.testing.assert_allclose(total, whole**2)  # they share out all that is explained
    assert (found.shapley_se is None) == (n_categories <= 5)
    if n_categories > 5:
        assert (found.shapley_se < 0.05).all()


def test_sparse_features_and_columns_that_are_always_there_give_the_same():
    X, Y, groups = planted(2, np.random.default_rng(2))
    dense = encode_by_category(Ridge(), X, Y, groups={"c0": groups["c0"], "c1": [2]}, always=[3], cv=CV)
    packed = encode_by_category(
        Ridge(), sparse.csr_array(X), Y, groups={"c0": groups["c0"], "c1": [2]}, always=[3], cv=CV
    )
    np.testing.assert_allclose(dense.scores, packed.scores, atol=1e-6)
    np.testing.assert_allclose(dense.scores["none"], cross_val_voxel_scores(Ridge(), X[:, [3]], Y, cv=CV).scores)


def test_the_summary_averages_within_participants_first_and_says_fractions_of_the_peak_in_r_and_r2():
    X, Y, groups = planted(2, np.random.default_rng(3), n_voxels=5)
    found = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV)
    who = ["p1", "p1", "p1", "p2", "p2"]
    table = summarize_categories(found, participants=who).set_index("category")
    by = found.scores.groupby(who).mean()
    assert table.loc["c0", "r"] == pytest.approx(by["c0"].mean())
    assert table.loc["c0", "fraction_r"] == pytest.approx(by["c0"].mean() / by[found.peak].mean())
    squares = (found.scores**2).groupby(who).mean()
    assert table.loc["c0", "fraction_r2"] == pytest.approx(squares["c0"].mean() / squares[found.peak].mean())
    half = 12.706 * by["c0"].std(ddof=1) / np.sqrt(2)
    assert table.loc["c0", "high"] - table.loc["c0", "r"] == pytest.approx(half, rel=1e-3)
    regions = summarize_categories(found, regions=["x", "x", "y", "y", None])
    assert regions["region"].tolist() == ["x", "x", "y", "y"]
    assert regions["n_participants"].tolist() == [1] * 4


def test_a_ceiling_divides_scores():
    X, Y, groups = planted(2, np.random.default_rng(4))
    plain = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV)
    divided = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV, noise_ceiling=0.5)
    pd.testing.assert_frame_equal(divided.scores.drop(columns="none"), 2 * plain.scores.drop(columns="none"))


@pytest.mark.parametrize(
    ("groups", "message"),
    [
        ({"a": [0]}, "two categories or more"),
        ({"a": [0], "b": []}, "category 'b' has no feature"),
        ({"a": [0], "b": [9]}, "category 'b' must name columns from 0 to 3, got 9"),
        ({"a": [0], "b": [4]}, "category 'b' must name columns from 0 to 3, got 4"),
    ],
)
def test_categories_of_no_feature_are_named(groups, message):
    with pytest.raises(ValueError, match=message):
        encode_by_category(Ridge(), np.ones((20, 4)), np.ones((20, 1)), groups=groups)
    found = encode_by_category(Ridge(), *planted(2, np.random.default_rng(0))[:2], groups={"a": [0], "b": [1]})
    with pytest.raises(ValueError, match="a participant for each of 3 voxels"):
        summarize_categories(found, participants=["p1"])


def test_intervals_over_folds_are_those_of_scipy_over_the_means_of_each_fold():
    X, Y, groups = planted(2, np.random.default_rng(7), n_samples=120)
    Y += 5 * np.random.default_rng(8).normal(size=Y.shape)
    found = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV, noise_ceiling=0.8)
    table = summarize_categories(found, participants=["a", "a", "b"]).set_index("category")
    of_folds = cross_val_voxel_scores(Ridge(), X[:, :2], Y, cv=CV).fold_scores / 0.8
    means = (of_folds[:, :2].mean(axis=1) + of_folds[:, 2]) / 2  # participants weigh alike
    low, high = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    assert table.loc["c0", ["low_folds", "high_folds"]].tolist() == pytest.approx([low, high])
