"""Prevalence and entropy, against scipy's entropy and exhaustive search."""

from itertools import product

import numpy as np
import pytest
from scipy import sparse, stats

from sklearn_sae_encoding.analysis import prevalence_entropy, prevalence_references


def test_entropy_is_that_of_rates_per_participant_and_signs_do_not_matter():
    rng = np.random.default_rng(0)
    groups = np.repeat(["p2", "p1", "p3"], [20, 7, 40])
    coef = rng.normal(size=(67, 9)) * (rng.random((67, 9)) < 0.3)
    coef[:, 4] = 0
    table = prevalence_entropy(sparse.csr_array(coef), groups, [f"f{j}" for j in range(9)])
    assert 4 not in set(table["index"])
    assert table["prevalence"].is_monotonic_decreasing
    for row in table.itertuples():
        used = coef[:, row.index] != 0
        rates = [used[groups == g].mean() for g in ("p1", "p2", "p3")]
        assert row.prevalence == used.sum()
        assert row.entropy == pytest.approx(stats.entropy(rates, base=2))
        assert row.n_groups == np.count_nonzero(rates)


def test_a_feature_of_all_voxels_has_the_largest_entropy_though_groups_differ_in_size():
    table = prevalence_entropy(np.ones((50, 1)), np.repeat([0, 1], [45, 5]), ["f"])
    assert table.loc[0, "entropy"] == pytest.approx(1.0)


def test_most_specific_curve_equals_exhaustive_search():
    groups = np.repeat(["a", "b", "c"], [3, 5, 2])
    prevalence, lowest = prevalence_references(groups, random_state=0).curves["most specific"]
    for n, value in zip(prevalence, lowest, strict=True):
        possible = [c for c in product(range(4), range(6), range(3)) if sum(c) == n]
        assert value == pytest.approx(min(stats.entropy(np.divide(c, [3, 5, 2]), base=2) for c in possible))


def test_most_specific_curve_of_many_unequal_groups_equals_all_choices_of_full_and_partial_groups():
    sizes = np.array([7, 1, 12, 3, 3, 9, 2, 5])
    groups = np.repeat(np.arange(8), sizes)
    prevalence, lowest = prevalence_references(groups, random_state=0, n_draws=2).curves["most specific"]
    for n, value in zip(prevalence, lowest, strict=True):
        entropies = []
        for full in product((False, True), repeat=8):
            rest = n - sizes[list(full)].sum()
            for g in np.flatnonzero(~np.array(full)):
                if 0 <= rest <= sizes[g]:
                    entropies.append(stats.entropy([*np.ones(sum(full)), rest / sizes[g]], base=2))
        assert value == pytest.approx(min(entropies, default=3.0), abs=1e-9)  # none: all voxels, all groups full


def test_many_participants_have_references_too():
    references = prevalence_references(np.repeat(np.arange(40), 25), random_state=0)
    prevalence, lowest = references.curves["most specific"]
    assert references.max_entropy == pytest.approx(np.log2(40))
    np.testing.assert_allclose(lowest[[0, -1]], [0, np.log2(40)], atol=1e-9)
    assert np.all(np.diff(lowest) >= -1e-12)
    assert np.all(lowest <= references.curves["voxels at random"][1] + 1e-9)
    assert np.all(lowest >= np.log2(np.maximum(prevalence // 25, 1)) - 1e-9)  # that many participants are full


def test_curves_end_where_every_voxel_uses_the_feature_and_random_ones_lie_between():
    groups = np.repeat(["a", "b", "c", "d"], [30, 50, 20, 10])
    references = prevalence_references(groups, random_state=0)
    assert references.max_entropy == 2
    assert references.max_prevalence == 110
    assert references.only["prevalence"].tolist() == [30, 50, 20, 10]
    prevalence, random = references.curves["voxels at random"]
    _, lowest = references.curves["most specific"]
    assert prevalence[[0, -1]].tolist() == [1, 110]
    np.testing.assert_allclose([random[0], random[-1], lowest[0], lowest[-1]], [0, 2, 0, 2], atol=1e-9)
    assert np.all(lowest <= random + 1e-9)
    assert np.all(random <= 2 + 1e-9)


def test_features_planted_at_random_follow_the_curve_and_private_ones_fall_below():
    rng = np.random.default_rng(0)
    groups = np.repeat(["a", "b", "c", "d"], 100)
    coef = np.zeros((400, 60))
    for j in range(50):
        coef[rng.choice(400, 40, replace=False), j] = 1
    for j in range(50, 60):
        coef[rng.choice(100, 40, replace=False), j] = 1
    table = prevalence_entropy(coef, groups, [f"f{j}" for j in range(60)]).set_index("index")
    x, y = prevalence_references(groups, random_state=0).curves["voxels at random"]
    expected = np.interp(40, x, y)
    assert table.loc[:49, "entropy"].mean() == pytest.approx(expected, abs=0.02)
    assert (table.loc[50:, "entropy"] == 0).all()


def test_wrong_numbers_of_labels_and_names_are_errors():
    with pytest.raises(ValueError, match=r"one label a voxel, \(2,\)"):
        prevalence_entropy(np.eye(2), ["p1"], ["a", "b"])
    with pytest.raises(ValueError, match="2 columns, but 1 names"):
        prevalence_entropy(np.eye(2), ["p1", "p2"], ["a"])
