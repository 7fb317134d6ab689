"""Parts of bands against plain refits, planted shares, and bands of noise."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding._banded import fitting
from sklearn_sae_encoding.analysis import band_models, partition_by_region, partition_variance
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, fisher_mean

BANDS = {"words": slice(0, 10), "sound": slice(10, 16), "rate": slice(16, 18)}
FOLDS = KFold(4)


def score(models, X, Y):
    return cross_val_voxel_scores(models, X, Y, cv=FOLDS, return_predictions=True)


@pytest.mark.parametrize("measure", ["squared_r", "r2"])
def test_parts_are_those_of_plain_refits_on_the_same_rows(measure):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(120, 18))
    Y = X @ rng.normal(size=(18, 3)) + 3 * rng.normal(size=(120, 3))
    ceiling = np.array([0.7, 0.8, 0.9])
    models = band_models(BandedRidgeEncoder(BANDS, alphas=4.0, candidates=np.ones((1, 3))))
    table = partition_variance(score(models, X, Y), Y, noise_ceiling=ceiling, measure=measure)
    explained = {}
    for name in models:
        used = name.split(" + ")
        columns = np.concatenate([np.arange(18)[BANDS[band]] for band in used])
        alpha = 4.0 * len(used) / 3  # the sum of weights stays
        r, r2 = [], []
        for train, test in FOLDS.split(X):
            ridge = Ridge(alpha).fit(X[np.ix_(train, columns)], Y[train])
            predicted = ridge.predict(X[np.ix_(test, columns)])
            r.append([np.corrcoef(*pair)[0, 1] for pair in zip(predicted.T, Y[test].T, strict=True)])
            r2.append(1 - np.sum((Y[test] - predicted) ** 2, axis=0) / np.sum((Y[test] - Y[test].mean(0)) ** 2, axis=0))
        score_r = fisher_mean(np.array(r)) / ceiling
        explained[name] = np.sign(score_r) * score_r**2 if measure == "squared_r" else np.mean(r2, axis=0) / ceiling**2
        np.testing.assert_allclose(table[f"r_{name}"], score_r, rtol=1e-8)
        np.testing.assert_allclose(table[f"variance_{name}"], explained[name], rtol=1e-8)
    whole = explained["words + sound + rate"]
    np.testing.assert_allclose(table["unique_sound"], whole - explained["words + rate"], rtol=1e-8)
    unique = table[["unique_words", "unique_sound", "unique_rate"]].sum(axis=1)
    np.testing.assert_allclose(unique + table["shared"], whole, rtol=1e-8)


def test_planted_shares_are_recovered():
    rng = np.random.default_rng(1)
    X = rng.normal(size=(800, 18))
    X[:, 10:16] += X[:, :6]  # sound follows words
    Y = np.column_stack([X[:, 12], X[:, 16], X[:, 8]])
    table = partition_variance(score(band_models(BandedRidgeEncoder(BANDS, candidates=10)), X, Y), Y)
    parts = table[["unique_words", "unique_sound", "unique_rate", "shared"]].to_numpy()
    np.testing.assert_allclose(parts, [[0, 0.5, 0, 0.5], [0, 0, 1, 0], [1, 0, 0, 0]], atol=0.04)


def test_a_band_of_noise_costs_little_and_moves_the_others_by_less():
    """Forty simulated voxels: its unique part is at most 0 on average, above -0.02, and others move by under 0.01."""
    rng = np.random.default_rng(2)
    X = rng.normal(size=(240, 76))
    signal = X[:, :16] @ rng.normal(size=(16, 40))
    Y = signal / signal.std(axis=0) + rng.normal(size=(240, 40))
    labels = np.repeat(["words", "sound", "noise"], [10, 6, 60])
    encoder = BandedRidgeEncoder(labels, candidates=10)
    results = score(band_models(encoder, ["words", "sound", "noise"]), X, Y)
    whole = partition_variance(results, Y, measure="r2")
    without = band_models(BandedRidgeEncoder(labels[:16], candidates=10), ["words", "sound"])
    plain = partition_variance(score(without, X[:, :16], Y), Y, measure="r2")
    mean = whole.mean()
    standard_error = whole["unique_noise"].sem()
    assert -0.02 < mean["unique_noise"] < 2 * standard_error
    for band in ("words", "sound"):
        assert abs(mean[f"unique_{band}"] - plain[f"unique_{band}"].mean()) < 0.01
    train, test = next(FOLDS.split(X))
    shares = encoder.fit(X[train], Y[train]).band_scores(X[test], Y[test]).mean(axis=0)
    assert -0.02 < shares[2] < 0.01


def test_nested_models_make_the_kernel_of_a_band_once_a_fold_and_score_as_alone(monkeypatch):
    rng = np.random.default_rng(0)
    X, Y = sparse.csr_array(rng.normal(size=(60, 90)) * (rng.random((60, 90)) < 0.3)), rng.normal(size=(60, 3))
    bands = {"a": slice(0, 40), "b": slice(40, 70), "c": slice(70, 90)}
    models = band_models(BandedRidgeEncoder(bands, candidates=3, form="kernel"))
    made, make = [], fitting.band_products

    def counted(X, band, dtype):
        made.append(band)
        return make(X, band, dtype)

    monkeypatch.setattr(fitting, "band_products", counted)
    together = cross_val_voxel_scores(models, X, Y, cv=4)
    assert len(made) == 4 * 3
    made.clear()
    alone = {name: cross_val_voxel_scores(model, X, Y, cv=4) for name, model in models.items()}
    assert len(made) == 4 * sum(len(name.split(" + ")) for name in models)
    for name, result in alone.items():
        np.testing.assert_array_equal(together[name].fold_scores, result.fold_scores)


@pytest.mark.parametrize("order", [("rate", "words", "sound"), ("sound", "rate", "words")])
def test_the_order_of_bands_and_of_their_columns_changes_no_part(order):
    rng = np.random.default_rng(3)
    X = rng.normal(size=(120, 18))
    Y = X @ rng.normal(size=(18, 3)) + 3 * rng.normal(size=(120, 3))
    candidates = rng.dirichlet(np.ones(3), 5)
    plain = partition_variance(score(band_models(BandedRidgeEncoder(BANDS, candidates=candidates)), X, Y), Y)
    columns = np.concatenate([rng.permutation(np.arange(18)[BANDS[band]]) for band in order])
    bands = {band: [int(np.flatnonzero(columns == one)[0]) for one in np.arange(18)[BANDS[band]]] for band in order}
    places = [list(BANDS).index(band) for band in order]
    permuted = BandedRidgeEncoder(bands, candidates=candidates[:, places])
    table = partition_variance(score(band_models(permuted), X[:, columns], Y), Y)
    for name in ("unique_words", "unique_sound", "unique_rate", "shared"):
        np.testing.assert_allclose(table[name], plain[name], rtol=1e-7, atol=1e-10)


def test_models_hold_the_same_candidates_and_are_found_in_pipelines():
    model = make_pipeline(StandardScaler(), BandedRidgeEncoder(BANDS, candidates=7, random_state=3))
    models = band_models(model)
    assert list(models)[:2] == ["words + sound + rate", "sound + rate"]
    assert models["sound + rate"][-1].only == ["sound", "rate"]
    assert {one[-1].random_state for one in models.values()} == {3}
    two = band_models(BandedRidgeEncoder({"a": slice(0, 2), "b": slice(2, 4)}))
    assert list(two) == ["a + b", "b", "a"]


def test_regions_average_participants_not_voxels():
    partition = pd.DataFrame({"unique_words": [0.2, 0.4, 0.9, 0.5]})
    table = partition_by_region(partition, ["p1", "p1", "p2", "p2"], ["MFG", "MFG", "MFG", "IFG"])
    assert table.loc["MFG", "unique_words"] == pytest.approx((0.3 + 0.9) / 2)
    assert table.loc["MFG", "unique_words_sem"] == pytest.approx(0.3)
    assert table["n_participants"].to_dict() == {"MFG": 2, "IFG": 1}
    assert table["n_voxels"].to_dict() == {"MFG": 3, "IFG": 1}


def test_what_cannot_be_partitioned_is_named():
    X, Y = np.random.default_rng(0).normal(size=(40, 18)), np.random.default_rng(1).normal(size=(40, 2))
    models = band_models(BandedRidgeEncoder(BANDS, alphas=1.0, candidates=np.ones((1, 3))))
    results = score(models, X, Y)
    missing = {name: result for name, result in results.items() if name != "words + rate"}
    with pytest.raises(ValueError, match=r"none named \['words \+ rate'\]"):
        partition_variance(missing, Y)
    with pytest.raises(ValueError, match=r"found 0 such parameters in Ridge"):
        band_models(Ridge())
    with pytest.raises(ValueError, match="names of at least two bands"):
        band_models(BandedRidgeEncoder({"words": slice(0, 18)}))
    with pytest.raises(ValueError, match=r"Give the names of the bands"):
        band_models(BandedRidgeEncoder([slice(0, 2), slice(2, 18)]))
    with pytest.raises(ValueError, match=r"one label or weight a voxel, \(2,\)"):
        partition_by_region(partition_variance(results, Y), ["p1"], ["MFG"])
