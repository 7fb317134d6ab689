"""Stability of supports over folds, against loops over sets and Nogueira's variance formula."""

from itertools import combinations

import numpy as np
import pytest
from scipy import sparse

from sklearn_sae_encoding.analysis import support_stability


@pytest.fixture
def folds():
    rng = np.random.default_rng(0)
    core = rng.random((6, 30)) < 0.1
    return [np.where(core | (rng.random((6, 30)) < 0.1), rng.normal(size=(6, 30)), 0.0) for _ in range(5)]


def test_counts_equal_sets_of_features_voxel_by_voxel(folds):
    table = support_stability([sparse.csr_array(fold) for fold in folds], full=folds[0])
    for v, row in table.iterrows():
        sets = [set(np.flatnonzero(fold[v])) for fold in folds]
        assert row["n_intersection"] == len(set.intersection(*sets))
        assert row["n_union"] == len(set.union(*sets))
        assert row["mean_size"] == pytest.approx(np.mean([len(s) for s in sets]))
        assert row["sd_size"] == pytest.approx(np.std([len(s) for s in sets]))
        assert row["jaccard"] == pytest.approx(np.mean([len(a & b) / len(a | b) for a, b in combinations(sets, 2)]))
        assert row["full_size"] == len(sets[0])
        assert row["full_in_folds"] == pytest.approx(np.mean([len(sets[0] & s) / len(sets[0]) for s in sets]))


def test_stability_is_one_minus_sample_variances_over_those_of_random_choice(folds):
    table = support_stability(folds)
    for v in range(6):
        chosen = np.array([fold[v] != 0 for fold in folds], dtype=float)  # (n_folds, n_features)
        share = chosen.mean()
        expected = 1 - chosen.var(axis=0, ddof=1).mean() / (share * (1 - share))
        assert table.loc[v, "stability"] == pytest.approx(expected)


def test_random_supports_have_no_stability_and_equal_ones_have_it_all():
    rng = np.random.default_rng(1)
    random = [(rng.random((500, 40)) < 0.2).astype(float) for _ in range(5)]
    assert abs(support_stability(random)["stability"].mean()) < 0.02
    table = support_stability([random[0]] * 5)
    np.testing.assert_allclose(table[["stability", "jaccard"]], 1.0)


def test_forced_columns_are_left_out_and_empty_supports_agree(folds):
    for fold in folds:
        fold[:, -1] = 1.0
        fold[0, :-1] = 0.0
    table = support_stability(folds, exclude=[-1], full=folds[0])
    assert table.loc[0, ["n_union", "mean_size", "full_size"]].tolist() == [0, 0, 0]
    assert table.loc[0, "jaccard"] == 1
    assert np.isnan(table.loc[0, "stability"])
    assert np.isnan(table.loc[0, "full_in_folds"])
    with_forced = support_stability(folds)
    np.testing.assert_array_equal(with_forced["n_intersection"], table["n_intersection"] + 1)
    without = support_stability([fold[:, :-1] for fold in folds])
    np.testing.assert_allclose(table["stability"], without["stability"])


def test_one_fold_and_other_shapes_are_errors(folds):
    with pytest.raises(ValueError, match="at least two folds, got 1"):
        support_stability(folds[:1])
    with pytest.raises(ValueError, match="same shape"):
        support_stability([folds[0], folds[1][:3]])
    with pytest.raises(ValueError, match=r"full must have the shape.*\(6, 30\), got \(3, 30\)"):
        support_stability(folds, full=folds[0][:3])
