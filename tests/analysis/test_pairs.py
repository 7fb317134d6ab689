"""Averages over pairs against loops, correlations against numpy."""

import itertools

import numpy as np
import pandas as pd
import pytest
from scipy import stats
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import average_pairs, compare_regions, correlate_predictors, within_and_across
from sklearn_sae_encoding.metrics import fisher_mean


@pytest.fixture
def labelled():
    rng = np.random.default_rng(0)
    participants, regions = rng.choice(["p1", "p2", "p3"], 20), rng.choice(["IFG", "MFG"], 20)
    scores = rng.normal(size=(20, 20))
    scores[3, 7] = np.nan
    return participants, regions, scores


def test_group_means_equal_a_loop_over_pairs_without_self_pairs(labelled):
    participants, regions, scores = labelled
    table = average_pairs(participants, regions, transfer=scores, doubled=2 * scores.T)
    for row in table.itertuples():
        pairs = [
            (s, t)
            for s, t in itertools.permutations(range(20), 2)
            if (participants[s], regions[s], participants[t], regions[t])
            == (row.source_participant, row.source_region, row.target_participant, row.target_region)
            and (s, t) not in {(3, 7), (7, 3)}  # missing in one of the scores
        ]
        assert row.n_pairs == len(pairs)
        assert row.transfer == pytest.approx(np.mean([scores[pair] for pair in pairs]))
        assert row.doubled == pytest.approx(np.mean([2 * scores[t, s] for s, t in pairs]))
        assert row.same_participant == (row.source_participant == row.target_participant)
        assert row.same_region == (row.source_region == row.target_region)
    assert table["n_pairs"].sum() == 20 * 19 - 2


def test_within_and_across_weight_every_pair_the_same(labelled):
    participants, regions, scores = labelled
    means = within_and_across(average_pairs(participants, regions, transfer=scores))
    off = ~np.eye(20, dtype=bool) & ~np.isnan(scores)
    assert len(means) == 3 * 4
    for row in means.itertuples():
        pairs = off & (participants == row.target_participant)
        pairs &= (participants[:, None] == participants) == row.same_participant
        pairs &= (regions[:, None] == regions) == row.same_region
        assert row.n_pairs == pairs.sum()
        assert row.transfer == pytest.approx(scores[pairs].mean())


def _unequal_regions(bonus):
    """Scores of a source's and a target's region only, plus a bonus within regions; region sizes are unequal."""
    rng = np.random.default_rng(2)
    sizes = {("p1", "A"): 9, ("p1", "B"): 2, ("p2", "A"): 8, ("p2", "B"): 3, ("p2", "C"): 2, ("p3", "A"): 1}
    labels = pd.DataFrame([label for label, n in sizes.items() for _ in range(n)], columns=["participant", "region"])
    good_source, good_target = {"A": 0.3, "B": 0.0, "C": 0.1}, {"A": 0.4, "B": 0.1, "C": 0.0}
    source, target = (labels["region"].map(quality).to_numpy() for quality in (good_source, good_target))
    same = labels["region"].to_numpy()[:, None] == labels["region"].to_numpy()
    noise = 1e-3 * rng.normal(size=same.shape)
    return (
        labels["participant"].to_numpy(),
        labels["region"].to_numpy(),
        source[:, None] + target + bonus * same + noise,
    )


@pytest.mark.parametrize("bonus", [0.0, 0.05])
def test_balanced_regions_differ_by_what_they_share_and_not_by_how_good_they_are(bonus):
    participants, regions, scores = _unequal_regions(bonus)
    table = average_pairs(participants, regions, transfer=scores)
    comparison = compare_regions(table, "transfer")
    np.testing.assert_allclose(comparison["same"] - comparison["other"], bonus, atol=2e-3)
    pooled = within_and_across(table).groupby("same_region")["transfer"].mean()
    assert pooled[True] - pooled[False] > bonus + 0.05  # the plain means of these data are confounded


def test_balanced_regions_are_means_over_the_four_kinds_of_pairs():
    participants, regions, scores = _unequal_regions(0.05)
    comparison = compare_regions(average_pairs(participants, regions, transfer=scores), "transfer")
    assert not ((comparison["source_participant"] == "p3") | (comparison["target_participant"] == "p3")).any()
    assert set(zip(comparison["region"], comparison["other_region"], strict=True)) == {
        ("A", "B"),
        ("A", "C"),
        ("B", "C"),
    }
    row = comparison.query("source_participant == 'p1' and target_participant == 'p2' and other_region == 'B'").iloc[0]
    blocks = {
        (a, b): scores[np.ix_((participants == "p1") & (regions == a), (participants == "p2") & (regions == b))].mean()
        for a in "AB"
        for b in "AB"
    }
    assert row["same"] == pytest.approx((blocks["A", "A"] + blocks["B", "B"]) / 2)
    assert row["other"] == pytest.approx((blocks["A", "B"] + blocks["B", "A"]) / 2)
    assert not row["same_participant"]


def test_participants_without_two_regions_in_common_give_no_comparison():
    table = average_pairs(["p1", "p2", "p2"], ["A", "A", "A"], transfer=np.ones((3, 3)))
    assert len(compare_regions(table, "transfer")) == 0
    with pytest.raises(ValueError, match="no column 'score'"):
        compare_regions(table, "score")


def test_correlations_equal_scipy_over_all_texts_and_over_folds():
    rng = np.random.default_rng(1)
    predictors, Y = rng.normal(size=(60, 3)), 5 + rng.normal(size=(60, 4))
    expected = [[stats.pearsonr(p, y).statistic for y in Y.T] for p in predictors.T]
    np.testing.assert_allclose(correlate_predictors(predictors, Y), expected, rtol=1e-12)
    ceiling = np.array([0.5, 0.6, 0.7, 0.8])
    np.testing.assert_allclose(correlate_predictors(predictors, Y, noise_ceiling=ceiling), expected / ceiling)
    cv = KFold(5, shuffle=True, random_state=19)
    folds = [stats.pearsonr(predictors[test, 1], Y[test, 2]).statistic for _, test in cv.split(Y)]
    assert correlate_predictors(predictors, Y, cv=cv)[1, 2] == pytest.approx(fisher_mean(folds))


def test_constant_predictors_correlate_zero_and_constant_voxels_nan():
    Y = np.array([[1.0, 0.1], [2.0, 0.1], [4.0, 0.1]])
    r = correlate_predictors(np.array([[0.3, 1.0], [0.3, 2.0], [0.3, 4.0]]), Y)
    np.testing.assert_allclose(r, [[0.0, np.nan], [1.0, np.nan]])


def test_mismatched_labels_scores_and_rows_are_refused():
    with pytest.raises(ValueError, match="2 participants and 3 regions"):
        average_pairs(["p1", "p1"], ["a", "b", "c"], transfer=np.eye(2))
    with pytest.raises(ValueError, match=r"transfer must score all pairs of the 2.*\(2, 3\)"):
        average_pairs(["p1", "p1"], ["a", "b"], transfer=np.ones((2, 3)))
    with pytest.raises(ValueError, match="at least one matrix"):
        average_pairs(["p1", "p1"], ["a", "b"])
    with pytest.raises(ValueError, match="3 and 2 rows"):
        correlate_predictors(np.ones((3, 1)), np.ones((2, 1)))


def test_correlations_over_no_folds_are_an_error():
    with pytest.raises(ValueError, match="cv gave no folds"):
        correlate_predictors(np.eye(4), np.eye(4), cv=iter(()))
