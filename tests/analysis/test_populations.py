"""Features of a population against loops, and the rule that finds the next one."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import LinearRegression

from sklearn_sae_encoding.analysis import (
    correlate_predictors,
    describe_population,
    find_unexplained_voxels,
    top_texts,
    top_tokens,
)
from sklearn_sae_encoding.datasets import fetch_lepori2026
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.tokens import TokenTable

SCALES = ("hard_to_process", "easy_to_process", "abstract", "concrete")


@pytest.fixture
def population():
    rng = np.random.default_rng(0)
    coef = rng.normal(size=(40, 9)) * (rng.random((40, 9)) < 0.4)
    return coef, rng.random(40) < 0.4, rng.choice(["p1", "p2", "p3"], 40), [f"f{j}" for j in range(9)]


def test_shares_in_the_population_and_elsewhere_equal_a_loop(population):
    coef, mask, participants, names = population
    table = describe_population(sparse.csr_array(coef), mask, names, participants=participants)
    assert not table.duplicated(["index", "sign"]).any()
    for row in table.to_dict("records"):
        uses = np.sign(coef[:, row["index"]]) == row["sign"]
        assert row["n_voxels"] == np.sum(uses & mask) > 0
        assert row["share"] == pytest.approx(np.mean(uses[mask]))
        assert row["share_elsewhere"] == pytest.approx(np.mean(uses[~mask]))
        assert row["difference"] == pytest.approx(row["share"] - row["share_elsewhere"])
        assert row["n_participants"] == len(set(participants[uses & mask]))
    assert table["n_voxels"].is_monotonic_decreasing


def test_labels_and_top_texts_follow_their_features(population):
    coef, mask, _, names = population
    X, texts = np.random.default_rng(1).random((12, 9)), [f"text {i}" for i in range(12)]
    table = describe_population(coef, mask, names, X=X, texts=texts, labels={"f3": "people"}, n_texts=2)
    for row in table.to_dict("records"):
        assert row["label"] == ("people" if row["feature"] == "f3" else "")
        assert row["top_texts"] == top_texts(X, texts, row["index"], n_texts=2)["text"].tolist()


def test_a_population_of_all_voxels_has_no_elsewhere(population):
    coef, mask, _, names = population
    assert describe_population(coef, np.ones_like(mask), names)["share_elsewhere"].isna().all()


def test_a_wrong_mask_is_refused(population):
    coef, mask, participants, names = population
    with pytest.raises(ValueError, match=r"one bool a voxel, \(40,\), got int64"):
        describe_population(coef, np.flatnonzero(mask), names)
    with pytest.raises(ValueError, match="no voxel"):
        describe_population(coef, np.zeros(40, dtype=bool), names)
    with pytest.raises(ValueError, match=r"one label a voxel, \(40,\), got shape \(39,\)"):
        describe_population(coef, mask, names, participants=participants[1:])


def test_top_tokens_are_the_largest_of_all_texts_with_the_text_before_them():
    rng = np.random.default_rng(2)
    features = [rng.random((n, 4)) * (rng.random((n, 4)) < 0.6) for n in (6, 3, 8)]
    texts = [" ".join(f"t{i}.{t}" for t in range(len(values))) for i, values in enumerate(features)]
    offsets = [[(5 * t, 5 * t + 4) for t in range(len(values))] for values in features]
    names = [f"sae_{j:05d}" for j in range(4)]
    for values in (features, [sparse.csr_array(one) for one in features]):
        table = TokenTable.from_arrays(values, texts, offsets, names=names)
        found = top_tokens(table, 2, n_tokens=7, context=2)
        everything = np.sort(np.concatenate([values[:, 2] for values in features]))[::-1]
        np.testing.assert_allclose(found["activation"], everything[:7], rtol=1e-6)
        for row in found.itertuples():
            assert features[row.text][row.position, 2] == pytest.approx(row.activation)
            assert row.token == f"t{row.text}.{row.position}"
            assert row.before == "".join(f"t{row.text}.{t} " for t in range(max(row.position - 2, 0), row.position))
        pd.testing.assert_frame_equal(top_tokens(table, "sae_00002", n_tokens=7, context=2), found)


def test_silent_tokens_are_never_given_and_what_is_no_table_of_features_is_refused():
    table = TokenTable.from_arrays([[[0.0], [1.0]]], ["a b"], [[(0, 1), (2, 3)]], names=["sae_00007"])
    assert len(top_tokens(table, 0)) == 1
    for wrong in ([np.eye(1)], TokenTable([np.eye(1)])):
        with pytest.raises(ValueError, match="Expected a TokenTable with texts"):
            top_tokens(wrong, 0)
    with pytest.raises(ValueError, match="no column 'sae_00001': it has sae_00007"):
        top_tokens(table, "sae_00001")
    with pytest.raises(ValueError, match="no column 'a': it has no names"):
        top_tokens(TokenTable.from_arrays([[[1.0]]], ["a"], [[(0, 1)]]), "a")
    for wrong in (1, -1, 0.0):
        with pytest.raises(ValueError, match="position from 0 to 0"):
            top_tokens(table, wrong)


def test_the_ghost_rule_finds_planted_voxels_from_data():
    rng = np.random.default_rng(3)
    components, other = rng.normal(size=(2000, 2)), rng.normal(size=(2000, 1))
    driven = components[:, [0]] + rng.normal(size=(2000, 20))
    opposed = -components[:, [1]] + rng.normal(size=(2000, 20))
    ghosts, noise = other + rng.normal(size=(2000, 20)), rng.normal(size=(2000, 20))
    Y, ncsnr = np.hstack([driven, opposed, ghosts, noise]), np.repeat([0.8, 0.8, 0.8, 0.1], 20)
    r2 = cross_val_voxel_scores(LinearRegression(), components, Y, metric="r2").scores
    for strict in (None, r2):
        mask = find_unexplained_voxels(correlate_predictors(components, Y), ncsnr, component_r2=strict, max_r2=0.01)
        np.testing.assert_array_equal(mask, np.repeat([False, False, True, False], 20))


def test_bounds_are_exclusive_and_unknown_voxels_are_left_out():
    r = np.array([[0.1, 0.0, 0.0, np.nan, 0.0], [0.0, -0.2, 0.0, 0.0, 0.0]])
    mask = find_unexplained_voxels(r, [0.5, 0.5, 0.4, 0.5, 0.41])
    np.testing.assert_array_equal(mask, [False, False, False, False, True])
    r2 = [0.0, 0.0, 0.0, 0.0, np.nan]
    assert not find_unexplained_voxels(r, [0.5, 0.5, 0.4, 0.5, 0.41], component_r2=r2).any()


def test_components_together_can_explain_what_each_alone_does_not():
    rng = np.random.default_rng(4)
    first = rng.normal(size=500)
    components = np.c_[first, first + 0.05 * rng.normal(size=500)]
    Y = (components[:, [1]] - components[:, [0]]) + 0.01 * rng.normal(size=(500, 1))
    r2 = cross_val_voxel_scores(LinearRegression(), components, Y, metric="r2").scores
    r = correlate_predictors(components, Y)
    assert find_unexplained_voxels(r, [0.8]).all()
    assert not find_unexplained_voxels(r, [0.8], component_r2=r2).any()


def test_mismatched_numbers_of_voxels_are_refused():
    with pytest.raises(ValueError, match=r"got shapes \(2, 3\) and \(2,\)"):
        find_unexplained_voxels(np.zeros((2, 3)), [0.5, 0.5])
    with pytest.raises(ValueError, match=r"one number a voxel, \(3,\), got shape \(1,\)"):
        find_unexplained_voxels(np.zeros((2, 3)), [0.5] * 3, component_r2=[0.0])


@pytest.mark.published_data
def test_the_published_ghosts_satisfy_the_rule_and_no_voxel_of_the_other_sets_does():
    try:
        data = fetch_lepori2026("p1", [*SCALES, "ghost"], download_if_missing=False)
    except OSError as error:
        pytest.skip(f"the published betas are not there: {error}")
    r = correlate_predictors(data.stimuli[["PC1", "PC2"]], data.betas)
    np.testing.assert_allclose(r, data.voxels[["corr_SentPC1", "corr_SentPC2"]].to_numpy().T, atol=1e-10)
    found = find_unexplained_voxels(r, data.voxels["ncsnr"])
    np.testing.assert_array_equal(found, data.voxels["set"] == "ghost")
