"""Comparisons over participants, against scipy and statsmodels, and calibrated under the null hypothesis."""

import numpy as np
import pandas as pd
import pytest
from scipy import special, stats
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.weightstats import ttost_paired

from sklearn_sae_encoding.analysis import average_participants, compare_models, mean_gain, paired_tests


@pytest.fixture
def table():
    """Three models, two regions; p3 has no voxel in IFGorb, and regions differ in numbers of voxels."""
    rng = np.random.default_rng(0)
    rows, voxel = [], 0
    for participant in ("p1", "p2", "p3", "p4"):
        for region, n in (("IFGorb", 3), ("MFG", 5)):
            if (participant, region) == ("p3", "IFGorb"):
                continue
            for _ in range(n + rng.integers(3)):
                for m, model in enumerate(("surprisal", "SAE", "dense")):
                    rows.append((participant, region, voxel, model, rng.normal(0.2 * m, 0.1)))
                voxel += 1
    return pd.DataFrame(rows, columns=["participant", "region", "voxel", "model", "normalized_score"])


def test_means_are_over_voxels_then_participants_who_have_the_region(table):
    comparison = compare_models(table, "surprisal").set_index(["region", "model"])
    for region, n in (("IFGorb", 3), ("MFG", 4)):
        means = []
        for participant in ("p1", "p2", "p3", "p4"):
            of_participant = table[table["participant"] == participant]
            chosen = of_participant.query("region == @region and model == 'SAE'")
            if len(chosen):
                means.append(chosen["normalized_score"].mean())
        row = comparison.loc[(region, "SAE")]
        assert row["n_participants"] == row["n_pairs"] == n
        np.testing.assert_allclose([row["mean"], row["sem"]], [np.mean(means), stats.sem(means)])


@pytest.mark.parametrize("adjust", ["bonferroni", "holm"])
def test_paired_tests_equal_scipy_and_adjustments_equal_statsmodels(table, adjust):
    means = average_participants(table)
    comparison = compare_models(table, "surprisal", adjust=adjust, random_state=0)
    for region, group in comparison.groupby("region"):
        wide = means.loc[region].dropna()
        expected = [stats.ttest_rel(wide[model], wide["surprisal"]) for model in group["model"]]
        np.testing.assert_allclose(group["t"], [test.statistic for test in expected])
        p = [test.pvalue for test in expected]
        np.testing.assert_allclose(group["p_value"], p)
        np.testing.assert_allclose(group["adjusted_p_value"], multipletests(p, method=adjust)[1])


def test_other_names_of_the_columns_change_nothing_else(table):
    expected = compare_models(table, "surprisal", random_state=0)
    renamed = table.rename(columns={"participant": "subject", "model": "which", "region": "parcel"})
    names = {"participant": "subject", "model": "which", "region": "parcel"}
    assert compare_models(renamed, "surprisal", random_state=0, **names).equals(expected)


def test_a_participants_own_level_does_not_matter(table):
    shift = table["participant"].map({"p1": 0.3, "p2": -1.0, "p3": 0.0, "p4": 2.0})
    columns = ["difference", "t", "p_value", "hedges_g", "low", "high"]
    plain = compare_models(table, "surprisal", random_state=0)
    shifted = table.assign(normalized_score=table["normalized_score"] + shift)
    np.testing.assert_allclose(compare_models(shifted, "surprisal", random_state=0)[columns], plain[columns])


def test_hedges_g_is_cohens_d_with_the_exact_gamma_correction():
    rng = np.random.default_rng(2)
    values = pd.DataFrame({"a": rng.normal(1, 1, 8), "b": rng.normal(0, 1, 8)})
    test = paired_tests(values, "b").iloc[0]
    d = (values["a"] - values["b"]).mean() / (values["a"] - values["b"]).std()
    exact = np.exp(special.gammaln(3.5) - special.gammaln(3)) / np.sqrt(3.5)
    assert test["cohen_d"] == pytest.approx(d)
    assert test["hedges_g"] == pytest.approx(d * exact, rel=0.005)


def test_the_printed_gain_is_the_mean_over_models_minus_the_reference(table):
    gain = mean_gain(compare_models(table, "surprisal"))
    means = average_participants(table).groupby(level="region").mean()
    for region in ("IFGorb", "MFG"):
        expected = means.loc[region, ["SAE", "dense"]].mean() - means.loc[region, "surprisal"]
        assert gain[region] == pytest.approx(expected)


def test_without_regions_all_voxels_of_a_participant_count_alike(table):
    means = average_participants(table, region=None).loc["all"]
    expected = table[table["model"] == "dense"].groupby("participant")["normalized_score"].mean()
    np.testing.assert_allclose(means["dense"], expected[means.index])


def test_one_of_two_models_is_compared_and_counted_alone(table):
    one = compare_models(table, "surprisal", models=["SAE"])
    np.testing.assert_allclose(one["adjusted_p_value"], one["p_value"])


def test_a_single_participant_has_a_mean_but_no_test(table):
    one = compare_models(table[table["participant"] == "p1"], "surprisal")
    assert one[["sem", "t", "p_value", "adjusted_p_value", "low", "hedges_g"]].isna().all(axis=None)
    assert one["mean"].notna().all()
    assert (one["stars"] == "").all()


def test_identical_differences_are_certain_and_identical_scores_are_untestable():
    values = pd.DataFrame({"a": [1.0, 2.0, 3.0], "b": [0.0, 1.0, 2.0], "c": [0.0, 1.0, 2.0]})
    tests = paired_tests(values, "b").set_index("condition")
    assert tests.loc["a", "p_value"] == 0
    assert tests.loc["a", "stars"] == "***"
    assert np.isnan(tests.loc["c", "p_value"])


def test_under_the_null_hypothesis_family_errors_and_interval_coverage_are_nominal():
    rng = np.random.default_rng(3)
    n_families, false, covered = 400, 0, []
    for _ in range(n_families):
        participant = rng.normal(size=(8, 1))
        values = pd.DataFrame(participant + rng.normal(0.0, 0.5, (8, 4)), columns=list("rabc"))
        tests = paired_tests(values, "r", n_bootstraps=500, random_state=rng.integers(2**31))
        false += (tests["adjusted_p_value"] < 0.05).any()
        covered.append(((tests["low"] < 0) & (tests["high"] > 0)).mean())
    print(f"family-wise errors {false / n_families:.3f}, coverage of 95% intervals {np.mean(covered):.3f}")
    assert 0.015 < false / n_families < 0.075
    assert 0.92 < np.mean(covered) < 0.98


def test_a_voxel_that_only_some_models_score_is_an_error_that_names_it(table):
    table.loc[table["voxel"].eq(4) & table["model"].eq("SAE"), "normalized_score"] = np.nan
    with pytest.raises(ValueError, match="for some models only, the first voxel 4 of p1"):
        compare_models(table, "surprisal")
    table.loc[table["voxel"].eq(4), "normalized_score"] = np.nan
    assert compare_models(table, "surprisal")["mean"].notna().all()


def test_unknown_models_columns_and_options_are_errors(table):
    with pytest.raises(ValueError, match=r"no model \['gpt'\]"):
        compare_models(table, "gpt")
    with pytest.raises(ValueError, match=r"no column \['parcel'\]"):
        compare_models(table, "surprisal", region="parcel")
    with pytest.raises(ValueError, match="'bonferroni', 'holm' or None"):
        compare_models(table, "surprisal", adjust="fdr")
    with pytest.raises(ValueError, match="reference 'x' is not among"):
        paired_tests(pd.DataFrame({"a": [1.0]}), "x")
    with pytest.raises(ValueError, match="between 0 and 1"):
        paired_tests(pd.DataFrame({"a": [1.0], "b": [1.0]}), "a", confidence=95)


def test_equivalence_is_statsmodels_two_one_sided_tests_and_not_worse_the_lower_of_them():
    rng = np.random.default_rng(0)
    values = pd.DataFrame(rng.normal(size=(8, 3)) * 0.03 + [0.5, 0.505, 0.45], columns=["dense", "SAE", "surprisal"])
    tests = paired_tests(values, "dense", margin=0.05, adjust="holm", random_state=0).set_index("condition")
    for name in ("SAE", "surprisal"):
        p, lower, _ = ttost_paired(values[name].to_numpy(), values["dense"].to_numpy(), -0.05, 0.05)
        assert tests.loc[name, "p_equivalent"] == pytest.approx(p)
        assert tests.loc[name, "p_not_worse"] == pytest.approx(lower[1])
    for name in ("p_equivalent", "p_not_worse"):
        np.testing.assert_allclose(tests[f"adjusted_{name}"], multipletests(tests[name], method="holm")[1])
    assert "p_equivalent" not in paired_tests(values, "dense", random_state=0)
    with pytest.raises(ValueError, match=r"margin must be a positive difference, got -0\.02"):
        paired_tests(values, "dense", margin=-0.02)


def test_t_intervals_are_scipys_and_hold_zero_where_the_test_is_not_significant():
    values = pd.DataFrame(np.random.default_rng(1).normal(size=(6, 2)), columns=["a", "b"])
    test = paired_tests(values, "a", random_state=0).iloc[0]
    expected = stats.ttest_rel(values["b"], values["a"]).confidence_interval()
    np.testing.assert_allclose(test[["t_low", "t_high"]].astype(float), expected)
    assert (test["t_low"] <= 0 <= test["t_high"]) == (test["p_value"] >= 0.05)


def test_equivalence_is_claimed_at_its_level_at_the_margin_and_with_power_inside_it():
    """At a true difference of the margin at most 5% of claims; at none, most; and few where the data can't tell."""
    rng = np.random.default_rng(0)
    claimed = {}
    for name, (difference, sd) in {"at the margin": (0.02, 0.01), "equal": (0.0, 0.01), "noisy": (0.0, 0.05)}.items():
        d = difference + sd * rng.normal(size=(300, 8))
        values = [pd.DataFrame({"dense": 0.0, "SAE": one}) for one in d]
        p = [paired_tests(v, "dense", margin=0.02, n_bootstraps=2)["p_equivalent"].iloc[0] for v in values]
        claimed[name] = np.mean(np.array(p) < 0.05)
    print(claimed)
    assert claimed["at the margin"] < 0.08
    assert claimed["equal"] > 0.9
    assert claimed["noisy"] < 0.1
