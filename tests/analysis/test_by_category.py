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
    with pytest.raises(ValueError, match="a region for each of 3 voxels"):
        summarize_categories(found, regions=["IFG"])
    with pytest.raises(ValueError, match="No voxel has both a participant and a region"):
        summarize_categories(found, regions=["", None, np.nan])


def test_intervals_over_folds_are_those_of_scipy_over_the_means_of_each_fold():
    X, Y, groups = planted(2, np.random.default_rng(7), n_samples=120)
    Y += 5 * np.random.default_rng(8).normal(size=Y.shape)
    found = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV, noise_ceiling=0.8)
    table = summarize_categories(found, participants=["a", "a", "b"]).set_index("category")
    of_folds = cross_val_voxel_scores(Ridge(), X[:, :2], Y, cv=CV).fold_scores / 0.8
    means = (of_folds[:, :2].mean(axis=1) + of_folds[:, 2]) / 2  # participants weigh alike
    low, high = stats.t.interval(0.95, 3, means.mean(), stats.sem(means))
    assert table.loc["c0", ["low_folds", "high_folds"]].tolist() == pytest.approx([low, high])


def test_intervals_of_parts_are_over_participants_and_by_the_jackknife_over_folds():
    X, Y, groups = planted(3, np.random.default_rng(9), n_samples=160)
    Y += 4 * np.random.default_rng(10).normal(size=Y.shape)
    found, ceiling = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV, noise_ceiling=0.8), 0.8
    table = summarize_categories(found, participants=["a", "a", "b"]).set_index("category")
    by_participant = found.parts.groupby(["a", "a", "b"]).mean()
    for part in ("unique", "shapley"):
        low, high = stats.t.interval(0.95, 1, table.loc["c1", part], stats.sem(by_participant[f"{part}_c1"]))
        assert table.loc["c1", [f"{part}_low", f"{part}_high"]].tolist() == pytest.approx([low, high])
    whole, others = (
        cross_val_voxel_scores(Ridge(), X[:, c], Y, cv=CV).fold_scores for c in ([*range(6)], [0, 1, 4, 5])
    )
    left = []
    for k in range(4):
        kept = np.arange(4) != k
        unique = [(np.tanh(np.arctanh(r[kept]).mean(axis=0)) / ceiling) ** 2 for r in (whole, others)]
        unique = unique[0] - unique[1]
        left.append((unique[:2].mean() + unique[2]) / 2)
    error = np.sqrt(3 / 4 * np.sum((np.array(left) - np.mean(left)) ** 2))
    half = stats.t.ppf(0.975, 3) * error
    assert table.loc["c1", "unique_high_folds"] - table.loc["c1", "unique"] == pytest.approx(half)
    assert table.loc["c1", "unique"] - table.loc["c1", "unique_low_folds"] == pytest.approx(half)


def test_the_interval_over_folds_of_a_part_holds_the_truth_about_as_often_as_it_says():
    """A planted unique part, and runs that are drawn anew: 19 of 20 intervals should hold the mean of all estimates."""
    rng, found = np.random.default_rng(11), []
    for _ in range(40):
        X, Y, groups = planted(2, rng, n_samples=300, n_voxels=1)
        Y += 2 * rng.normal(size=Y.shape)
        found.append(summarize_categories(encode_by_category(Ridge(), X, Y, groups=groups, cv=CV)).iloc[1])
    found = pd.DataFrame(found)
    truth = found["unique"].mean()
    assert 0.85 <= ((found["unique_low_folds"] <= truth) & (truth <= found["unique_high_folds"])).mean() <= 1


@pytest.mark.parametrize("n_categories", [2, 6])
def test_a_jackknifed_part_is_there_for_every_part_and_fold(n_categories):
    X, Y, groups = planted(n_categories, np.random.default_rng(12), n_samples=100)
    found = encode_by_category(Ridge(), X, Y, groups=groups, cv=CV, n_orders=3, random_state=0)
    assert list(found.jackknife) == list(found.parts)
    assert {one.shape for one in found.jackknife.values()} == {(4, 3)}
    table = summarize_categories(found)
    assert table[["shapley_low", "unique_high"]].isna().all(axis=None)  # one participant
    assert table[["shapley_low_folds", "unique_high_folds"]].notna().all(axis=None)
