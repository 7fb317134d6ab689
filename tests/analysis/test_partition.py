"""Surprisal against content: a plain re-implementation, planted shares, and nothing planted."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import (
    partition_surprisal,
    restrict_encoder,
    surprisal_by_region,
    surprisal_content_models,
)
from sklearn_sae_encoding.datasets import make_voxel_responses
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, fisher_mean

FOLDS = KFold(5, shuffle=True, random_state=19)


def _encoder():
    return SparseVoxelEncoder(alphas=np.logspace(-2, 0, 5), refit="ridge")


@pytest.fixture(scope="module")
def X():
    """Sparse features of 300 texts, unrelated to the surprisal in the last column."""
    rng = np.random.default_rng(0)
    features = rng.random((300, 60)) * (rng.random((300, 60)) < 0.3)
    return sparse.csr_array(np.hstack([features, rng.normal(5.0, 2.0, (300, 1))]))


@pytest.mark.parametrize("measure", ["squared_r", "r2"])
def test_parts_equal_a_plain_reimplementation_and_add_up(X, measure):
    Y = np.random.default_rng(1).normal(size=(300, 4)) + X[:, [0, 1, 2, 60]].toarray()
    ceiling = np.array([0.5, 0.6, 0.7, 0.8])
    results = cross_val_voxel_scores(
        surprisal_content_models(Ridge()), X.toarray(), Y, cv=FOLDS, return_predictions=True
    )
    table = partition_surprisal(results, Y, noise_ceiling=ceiling, measure=measure)
    for v in range(4):
        explained = {}
        for part, columns in (("surprisal", [60]), ("content", range(60)), ("both", range(61))):
            fold_r, fold_r2 = [], []
            for train, test in FOLDS.split(Y):
                seen = X.toarray()
                seen[:, 60] = (seen[:, 60] - seen[train, 60].mean()) / seen[train, 60].std()
                fitted = Ridge().fit(seen[np.ix_(train, columns)], Y[train, v])
                predicted = fitted.predict(seen[np.ix_(test, columns)])
                fold_r.append(np.corrcoef(predicted, Y[test, v])[0, 1])
                fold_r2.append(fitted.score(seen[np.ix_(test, columns)], Y[test, v]))
            r = fisher_mean(fold_r) / ceiling[v]
            explained[part] = np.sign(r) * r**2 if measure == "squared_r" else np.mean(fold_r2) / ceiling[v] ** 2
            assert table.loc[v, f"r_{part}"] == pytest.approx(r)
            assert table.loc[v, f"variance_{part}"] == pytest.approx(explained[part])
        assert table.loc[v, "unique_surprisal"] == pytest.approx(explained["both"] - explained["content"])
        assert table.loc[v, "unique_content"] == pytest.approx(explained["both"] - explained["surprisal"])
    total = table["unique_surprisal"] + table["unique_content"] + table["shared"]
    np.testing.assert_allclose(total, table["variance_both"])


def test_planted_shares_and_signs_are_recovered_region_by_region(X):
    """Frontal voxels get four times as much surprisal as temporal ones; everywhere it raises the response."""
    planted, tables, weights = {}, [], []
    for seed, (region, effect) in enumerate((("frontal", 2.0), ("temporal", 0.5))):
        data = make_voxel_responses(
            X,
            n_voxels=20,
            n_informative=3,
            forced_features=[-1],
            forced_effect=effect,
            noise_ceiling=0.95,
            n_repeats=3,
            random_state=seed,
        )
        surprisal = (X[:, [-1]] @ data.weights[:, [-1]].T).toarray()
        planted[region] = surprisal.var(axis=0).mean()  # of a signal of variance 1
        results = cross_val_voxel_scores(
            surprisal_content_models(_encoder()), X, data.betas, cv=FOLDS, return_predictions=True
        )
        tables.append(partition_surprisal(results, data.betas, noise_ceiling=data.noise_ceiling))
        weights.append(restrict_encoder(encoder=_encoder()).fit(X, data.betas)["encoder"].coef_[:, [-1]])
    regions, participants = np.repeat(["frontal", "temporal"], 20), np.tile(np.repeat(["p1", "p2"], 10), 2)
    table = surprisal_by_region(pd.concat(tables), participants, regions, weights=sparse.vstack(weights))
    print(table[["unique_surprisal", "unique_content", "shared", "ratio"]].assign(planted=pd.Series(planted)).round(3))
    for region, share in planted.items():
        assert table.loc[region, "unique_surprisal"] == pytest.approx(share, abs=0.06)
        assert table.loc[region, "unique_content"] == pytest.approx(1 - share, abs=0.1)
        # A little negative: to the content alone, what surprisal does is noise, which makes its fit worse.
        assert -0.1 < table.loc[region, "shared"] < 0.02
        assert table.loc[region, "ratio"] == pytest.approx(np.sqrt(share), abs=0.1)
        assert table.loc[region, "positive_weight"] == 1


def test_a_large_part_of_surprisal_takes_from_content_alone_with_few_texts_and_nothing_with_many():
    """To the model of content alone, and to no other, what surprisal does is noise."""
    rng = np.random.default_rng(0)
    tables = {}
    for n_texts in (200, 1000):
        content = rng.exponential(size=(n_texts, 60)) * (rng.random((n_texts, 60)) < 0.2)
        X = np.hstack([content, rng.normal(size=(n_texts, 1))])
        options = {"forced_features": [-1], "forced_effect": 2.0, "noise_ceiling": 0.95, "random_state": 1}
        data = make_voxel_responses(X, n_voxels=30, n_informative=3, **options)
        models = surprisal_content_models(_encoder())
        results = cross_val_voxel_scores(models, X, data.betas, cv=FOLDS, return_predictions=True)
        parts = partition_surprisal(results, data.betas, noise_ceiling=data.noise_ceiling).mean()
        share = (X[:, [-1]] @ data.weights[:, [-1]].toarray().T).var(axis=0).mean()
        print(n_texts, round(share, 3), parts.round(3).to_dict())
        assert share > 0.5
        assert parts["variance_both"] == pytest.approx(1, abs=0.04)
        assert parts["variance_surprisal"] == pytest.approx(share, abs=0.04)
        tables[n_texts] = {**parts, "planted": share}
    few, many = tables[200], tables[1000]
    assert few["variance_content"] < 1 - few["planted"] - 0.05
    assert many["unique_surprisal"] == pytest.approx(many["planted"], abs=0.04)
    assert many["unique_content"] == pytest.approx(1 - many["planted"], abs=0.04)
    assert many["shared"] == pytest.approx(0, abs=0.04)


def test_what_content_knows_of_surprisal_is_shared():
    """A feature that is a noisy copy of surprisal explains the same variance."""
    rng = np.random.default_rng(0)
    surprisal = rng.normal(size=(400, 1))
    X = np.hstack([surprisal + 0.3 * rng.normal(size=(400, 1)), rng.normal(size=(400, 5)), surprisal])
    Y = surprisal + X[:, [3]]
    results = cross_val_voxel_scores(surprisal_content_models(Ridge()), X, Y, cv=FOLDS, return_predictions=True)
    row = partition_surprisal(results, Y).iloc[0]
    copied = 1 / (1 + 0.3**2)  # the share of surprisal's variance that the copy knows
    assert row["shared"] == pytest.approx(0.5 * copied, abs=0.05)
    assert row["unique_surprisal"] == pytest.approx(0.5 * (1 - copied), abs=0.03)
    assert row["unique_content"] == pytest.approx(0.5, abs=0.05)


def test_nothing_planted_is_nothing_found():
    """1,000 voxels unrelated to any feature: no part of the variance is positive on average, signs are even."""
    rng = np.random.default_rng(4)
    X = np.hstack([rng.random((200, 30)) * (rng.random((200, 30)) < 0.2), rng.normal(size=(200, 1))])
    Y = rng.normal(size=(200, 1000))
    results = cross_val_voxel_scores(surprisal_content_models(_encoder()), X, Y, cv=FOLDS, return_predictions=True)
    table = partition_surprisal(results, Y)
    weights = restrict_encoder(encoder=_encoder()).fit(X, Y)["encoder"].coef_[:, [-1]]
    summary = surprisal_by_region(table, np.repeat(["p1", "p2"], 500), ["all"] * 1000, weights=weights).iloc[0]
    means = table.mean()
    print(means.round(4).to_dict(), summary["positive_weight"])
    assert means[["unique_surprisal", "unique_content", "shared"]].abs().max() < 0.005
    assert means[["r_surprisal", "r_content", "r_both"]].abs().max() < 0.02
    assert summary["positive_weight"] == pytest.approx(0.5, abs=0.06)


def test_regions_average_participants_not_voxels():
    partition = pd.DataFrame({"r_surprisal": [0.2, 0.4, 0.9, 0.5], "r_both": [0.4, 0.4, 1.0, 1.0]})
    table = surprisal_by_region(
        partition, ["p1", "p1", "p2", "p2"], ["MFG", "MFG", "MFG", "IFG"], weights=[1.0, -1.0, 1.0, -2]
    )
    assert table.loc["MFG", "r_surprisal"] == pytest.approx((0.3 + 0.9) / 2)
    assert table.loc["MFG", "r_surprisal_sem"] == pytest.approx(0.3)
    assert table.loc["MFG", "ratio"] == pytest.approx(0.6 / 0.7)
    assert table["n_participants"].to_dict() == {"MFG": 2, "IFG": 1}
    assert table["n_voxels"].to_dict() == {"MFG": 3, "IFG": 1}
    assert table["positive_weight"].to_dict() == {"MFG": pytest.approx((0.5 + 1) / 2), "IFG": 0.0}
    assert table.loc["MFG", "positive_weight_sem"] == pytest.approx(0.25)


def test_other_folds_missing_models_and_missing_predictions_are_errors(X):
    Y = np.random.default_rng(0).normal(size=(300, 2))
    models = surprisal_content_models(Ridge())
    results = cross_val_voxel_scores(models, X.toarray(), Y, cv=FOLDS, return_predictions=True)
    with pytest.raises(ValueError, match=r"none named \['both'\]"):
        partition_surprisal({name: results[name] for name in ("surprisal", "content")}, Y)
    with pytest.raises(ValueError, match="'surprisal' needs predictions of the 300 x 2 responses"):
        partition_surprisal(cross_val_voxel_scores(models, X.toarray(), Y, cv=FOLDS), Y)
    other = cross_val_voxel_scores(models["both"], X.toarray(), Y, cv=5, return_predictions=True)
    with pytest.raises(ValueError, match="'both' and 'surprisal' were scored on other folds"):
        partition_surprisal(results | {"both": other}, Y)
    with pytest.raises(ValueError, match="'squared_r' or 'r2', got 'r'"):
        partition_surprisal(results, Y, measure="r")
    with pytest.raises(ValueError, match=r"one label or weight a voxel, \(2,\)"):
        surprisal_by_region(partition_surprisal(results, Y), ["p1"], ["MFG"])
