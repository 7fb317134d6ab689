"""Matryoshka bins: planted in one of them, and selected at random."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_sae_encoding.analysis import bin_firing, bin_occupancy, matryoshka_models
from sklearn_sae_encoding.datasets import make_voxel_responses
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.fitted import feature_table
from sklearn_sae_encoding.metrics import cross_val_voxel_scores

WIDTHS = (16, 64, 256)
FEATURES = feature_table(257, kinds=["sae"] * 256 + ["surprisal"], widths=WIDTHS)


def _features(n_texts=200, seed=0):
    """Coarse features fire on many texts and fine ones on few; surprisal is the last column."""
    rng = np.random.default_rng(seed)
    rates = np.concatenate([rng.uniform(0.2, 0.9, 16), rng.uniform(0.05, 0.6, 48), rng.uniform(0.0, 0.3, 192)])
    values = rng.exponential(size=(n_texts, 256)) * (rng.random((n_texts, 256)) < rates)
    return sparse.csr_array(np.hstack([values, rng.normal(size=(n_texts, 1))]))


def test_models_cover_bins_prefixes_and_rests_and_all_but_bins_with_surprisal():
    X = _features()
    models = matryoshka_models(WIDTHS, encoder=SparseVoxelEncoder(alphas=[0.5]))
    ranges = {"0-16": (0, 16), "16-64": (16, 64), "64-256": (64, 256), "0-64": (0, 64), "16+": (16, 256)}
    assert list(models) == [*ranges, "all"]
    for name, (lo, hi) in (ranges | {"all": (0, 256)}).items():
        assert models[name]["columns"].fit(X).columns_.tolist() == [*range(lo, hi), 256]
    without = matryoshka_models(WIDTHS, surprisal=False)
    assert without["16-64"]["columns"].fit(X).columns_.tolist() == list(range(16, 64))


@pytest.mark.parametrize(("planted", "best", "rest"), [((0, 16), "0-16", "16+"), ((16, 64), "16-64", "0-16")])
def test_voxels_driven_by_one_bin_need_that_bin_only(planted, best, rest):
    X = _features()
    content = np.arange(*planted)
    data = make_voxel_responses(X[:, content], n_voxels=15, n_informative=4, noise_ceiling=0.9, random_state=0)
    encoder = SparseVoxelEncoder(alphas=np.logspace(-2, 0, 5), refit="ridge")
    results = cross_val_voxel_scores(matryoshka_models(WIDTHS, encoder=encoder), X, data.betas, cv=5)
    scores = {name: result.scores.mean() for name, result in results.items()}
    print({name: round(float(value), 2) for name, value in scores.items()})
    assert scores[best] > scores["all"] - 0.03
    assert scores[best] > scores[rest] + 0.3


def test_occupancy_equals_counting_and_leaves_surprisal_out():
    rng = np.random.default_rng(0)
    coef = rng.normal(size=(40, 257)) * (rng.random((40, 257)) < 0.1)
    table = bin_occupancy(sparse.csr_array(coef), FEATURES)
    total = np.count_nonzero(coef[:, :256])
    for row, (lo, hi) in zip(table.itertuples(), ((0, 16), (16, 64), (64, 256)), strict=True):
        assert (row.bin, row.n_features) == (f"{lo}-{hi}", hi - lo)
        assert row.mean_count == pytest.approx(np.count_nonzero(coef[:, lo:hi]) / 40)
        assert row.share == pytest.approx(np.count_nonzero(coef[:, lo:hi]) / total)
        assert row.n_used == np.count_nonzero(coef[:, lo:hi].any(axis=0))


def test_firing_features_equal_counting_and_leave_surprisal_out():
    X = _features()
    table = bin_firing(X, FEATURES, at_least=(1, 100)).set_index("bin")
    dense = X.toarray() != 0
    for name, (lo, hi) in (("0-16", (0, 16)), ("16-64", (16, 64)), ("64-256", (64, 256))):
        for n_texts in (1, 100):
            assert table.loc[name, f"{n_texts}+"] == sum(dense[:, j].sum() >= n_texts for j in range(lo, hi))
    assert table["n_features"].tolist() == [16, 48, 192]
    with pytest.raises(ValueError, match="40 columns, but 257 names"):
        bin_firing(X[:, :40], FEATURES)


def test_one_number_of_texts_is_a_list_of_one_and_a_share_of_them_is_none():
    X = _features()
    assert bin_firing(X, FEATURES, at_least=50).equals(bin_firing(X, FEATURES, at_least=(50,)))
    for share in (0.5, (1, 0.5), "50"):
        with pytest.raises(ValueError, match="at_least must be a number of texts, such as 50, or a list of these"):
            bin_firing(X, FEATURES, at_least=share)


def test_chance_given_firing_rates_is_calibrated_though_coarse_features_fire_more():
    """Selected by firing rate alone, coarse bins are full, but no fuller than chance."""
    p_values, shares = [], []
    X = _features(seed=1)
    rates = np.asarray((X[:, :256] != 0).mean(axis=0)).ravel()
    rng = np.random.default_rng(0)
    for _ in range(200):
        liked = rates**2 * rng.exponential(size=256)  # voxels share preferences, whatever the bin
        coef = np.hstack([rng.random((30, 256)) < np.minimum(0.3 * liked, 1), np.ones((30, 1))]).astype(float)
        table = bin_occupancy(coef, FEATURES, X=X, n_permutations=99, random_state=rng.integers(2**31))
        p_values.append(table["p_value"])
        shares.append(table[["share", "expected_share"]].to_numpy())
    false = np.mean(np.array(p_values) <= 0.05, axis=0)
    share, expected = np.mean(shares, axis=0).T
    print(f"false positives by bin {false}, share {share.round(3)}, expected {expected.round(3)}")
    assert share[0] > 2 * 16 / 256  # far above the bin's width
    np.testing.assert_allclose(share, expected, atol=0.02)
    assert np.all(false < 0.1)


def test_a_bin_that_is_preferred_beyond_its_firing_rates_stands_out():
    X = _features()
    rng = np.random.default_rng(0)
    chance = np.where(np.arange(256) < 16, 0.4, 0.05)
    coef = np.hstack([rng.random((50, 256)) < chance, np.ones((50, 1))]).astype(float)
    table = bin_occupancy(coef, FEATURES, X=X, random_state=0)
    assert table.loc[0, "ratio"] > 1.3
    assert table.loc[0, "p_value"] < 0.05
    assert table["expected_share"].sum() == pytest.approx(1)
    assert table["n_firing"].sum() == np.count_nonzero((X[:, :256] != 0).sum(axis=0))


def test_wrong_widths_columns_and_empty_supports_are_errors():
    with pytest.raises(ValueError, match=r"widths must increase from at least 1, got \[4, 4\]"):
        matryoshka_models([4, 4])
    table = feature_table(4, kinds="sae", widths=[2, 4])
    with pytest.raises(ValueError, match="3 columns, but 4 names"):
        bin_occupancy(np.eye(3), table)
    with pytest.raises(ValueError, match="X must have the columns of the weights, 4, but has 5"):
        bin_occupancy(np.eye(4), table, X=np.eye(5))
    with pytest.raises(ValueError, match="No voxel selects any"):
        bin_occupancy(np.zeros((2, 4)), table)
    with pytest.raises(ValueError, match="None of the features has a Matryoshka bin"):
        bin_occupancy(np.eye(4))


def test_bins_are_those_of_the_saes_own_indices_wherever_the_columns_stand():
    rng = np.random.default_rng(3)
    coef = rng.normal(size=(20, 257)) * (rng.random((20, 257)) < 0.2)
    X, order = _features(), rng.permutation(257)
    shuffled = FEATURES.iloc[order]
    seeds = {"n_permutations": 5, "random_state": 0}
    counted = ["bin", "n_features", "n_used", "mean_count", "share", "n_firing"]
    expected = bin_occupancy(coef, FEATURES, X=X, **seeds)[counted]
    assert bin_occupancy(coef[:, order], shuffled, X=X[:, order], **seeds)[counted].equals(expected)
    assert bin_firing(X[:, order], shuffled).equals(bin_firing(X, FEATURES))
    models = matryoshka_models(WIDTHS, features=shuffled, encoder=SparseVoxelEncoder(alphas=[0.5]))
    for name, (lo, hi) in {"16-64": (16, 64), "64-256": (64, 256), "all": (0, 256)}.items():
        columns = models[name]["columns"].fit(X[:, order]).columns_
        assert sorted(order[columns[:-1]]) == list(range(lo, hi))
        assert order[columns[-1]] == 256
