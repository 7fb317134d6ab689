"""Counts of feature use, effects, and the texts and voxels of a feature."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.analysis import (
    count_feature_use,
    feature_use_by_group,
    top_texts,
    typical_effects,
    voxels_of_feature,
)
from sklearn_sae_encoding.fitted import fitted_view


@pytest.fixture
def coef():
    rng = np.random.default_rng(0)
    dense = rng.normal(size=(50, 12)) * (rng.random((50, 12)) < 0.3)
    dense[:, 5] = 0
    return dense


def test_counts_equal_a_loop_over_voxels_and_signs(coef):
    table = count_feature_use(sparse.csr_array(coef), [f"f{j}" for j in range(12)])
    for row in table.itertuples():
        assert row.n_voxels == sum(np.sign(coef[v, row.index]) == row.sign for v in range(50))
        assert row.feature == f"f{row.index}"
    assert table["n_voxels"].sum() == np.count_nonzero(coef)
    assert table["n_voxels"].is_monotonic_decreasing


def test_feature_zero_keeps_its_sign_and_unused_features_are_left_out(coef):
    coef[:, 0] = -1.0
    table = count_feature_use(coef, [f"f{j}" for j in range(12)])
    assert table.loc[table["index"] == 0, ["sign", "n_voxels"]].to_numpy().tolist() == [[-1, 50]]
    assert 5 not in set(table["index"])


def test_dense_and_sparse_weights_give_the_same_table(coef):
    names = [f"f{j}" for j in range(12)]
    assert count_feature_use(coef, names).equals(count_feature_use(sparse.csc_array(coef), names))


def test_group_shares_equal_counts_over_each_groups_voxels(coef):
    groups = np.repeat(["MFG", "IFG"], [20, 30])
    table = feature_use_by_group(sparse.csr_array(coef), groups, [f"f{j}" for j in range(12)])
    assert list(table.columns) == ["MFG", "IFG"]
    for name in table.index:
        used = np.sign(coef[:, int(name[2:])]) == (1 if name[0] == "+" else -1)
        assert table.loc[name].tolist() == [used[groups == "MFG"].mean(), used[groups == "IFG"].mean()]
    total = table @ [20, 30]
    assert total.is_monotonic_decreasing


def test_voxels_of_a_feature_are_all_that_use_it_the_strongest_first(coef):
    voxels = pd.DataFrame({"participant": np.repeat(["p1", "p2"], 25)})
    table = voxels_of_feature(sparse.csr_array(coef), 3, voxels)
    assert set(table["voxel"]) == set(np.flatnonzero(coef[:, 3]))
    np.testing.assert_array_equal(table["weight"], coef[table["voxel"], 3])
    assert table["weight"].abs().is_monotonic_decreasing
    assert table["participant"].tolist() == voxels["participant"].iloc[table["voxel"]].tolist()


def test_typical_effects_are_changes_of_the_prediction(coef):
    rng = np.random.default_rng(1)
    X = rng.random((40, 12)) * (rng.random((40, 12)) < 0.4)
    active = typical_effects(sparse.csr_array(coef), sparse.csr_array(X)).toarray()
    spread = typical_effects(coef, X, typical="sd", target_scale=np.full(50, 2.0)).toarray()
    for j in range(12):
        typical = X[X[:, j] > 0, j].mean()
        np.testing.assert_allclose(active[:, j], coef[:, j] * typical)
        np.testing.assert_allclose(spread[:, j], coef[:, j] * X[:, j].std() / 2)


def test_typical_effects_do_not_depend_on_the_units_of_a_feature(coef):
    X = np.random.default_rng(1).random((40, 12))
    units = np.geomspace(0.01, 100, 12)
    for typical in ("active", "sd"):
        scaled = typical_effects(coef / units, X * units, typical=typical).toarray()
        np.testing.assert_allclose(scaled, typical_effects(coef, X, typical=typical).toarray())


def test_lookups_refuse_wrong_columns_labels_and_tables(coef):
    with pytest.raises(ValueError, match="a column from -12 to 11, got 12"):
        voxels_of_feature(coef, 12)
    with pytest.raises(ValueError, match="weights have 50, but the table 2"):
        voxels_of_feature(coef, 0, pd.DataFrame({"participant": ["p1", "p2"]}))
    with pytest.raises(ValueError, match=r"one label a voxel, \(50,\)"):
        feature_use_by_group(coef, ["IFG"], [f"f{j}" for j in range(12)])
    with pytest.raises(ValueError, match="same columns, but have 12 and 3"):
        typical_effects(coef, np.eye(3))
    with pytest.raises(ValueError, match="'active' or 'sd', got 'max'"):
        typical_effects(coef, np.eye(12), typical="max")


def test_a_wrong_number_of_names_is_an_error_that_gives_both(coef):
    with pytest.raises(ValueError, match="12 columns, but 2 names"):
        count_feature_use(coef, ["a", "b"])


def test_top_texts_are_sorted_and_never_silent_ones():
    X = sparse.csr_array(np.array([[0.0, 1.0], [3.0, 0.0], [0.0, 0.0], [5.0, 2.0]]))
    texts = ["a", "b", "c", "d"]
    assert top_texts(X, texts, 0)["text"].tolist() == ["d", "b"]
    assert top_texts(X, texts, 0, n_texts=1)["text"].tolist() == ["d"]


def test_top_texts_refuses_another_number_of_texts_and_unknown_columns():
    with pytest.raises(ValueError, match="2 rows, but 1 texts"):
        top_texts(np.eye(2), ["a"], 0)
    with pytest.raises(ValueError, match="a column from -2 to 1, got 2"):
        top_texts(np.eye(2), ["a", "b"], 2)


def test_a_feature_is_found_by_name_column_or_column_from_the_end_and_tables_have_both(coef):
    names = [f"f{j}" for j in range(12)]
    X = pd.DataFrame(np.abs(coef), columns=names)
    texts = [f"text {i}" for i in range(50)]
    expected, drivers = voxels_of_feature(coef, 9, features=names), top_texts(X, texts, 9)
    for table in (expected, drivers):
        assert set(table["feature"]) == {"f9"}
        assert set(table["index"]) == {9}
    for feature in ("f9", -3, np.int32(9)):
        assert voxels_of_feature(coef, feature, features=names).equals(expected)
        assert top_texts(X, texts, feature).equals(drivers)
        assert top_texts(sparse.csr_array(X), texts, feature, features=names).equals(drivers)


def test_a_fitted_model_or_its_view_gives_the_tables_of_its_weights(coef):
    X = pd.DataFrame(np.abs(coef), columns=[f"f{j}" for j in range(12)])
    model = make_pipeline(StandardScaler().set_output(transform="pandas"), Ridge()).fit(X, coef[:, :3])
    weights, names = model[-1].coef_, list(X)
    for fitted in (model, fitted_view(model)):
        assert count_feature_use(fitted).equals(count_feature_use(weights, names))
        assert feature_use_by_group(fitted, ["a", "b", "b"]).equals(
            feature_use_by_group(weights, ["a", "b", "b"], names)
        )
        assert voxels_of_feature(fitted, "f3").equals(voxels_of_feature(weights, 3, features=names))


@pytest.mark.parametrize("dtype", [np.int8, np.uint8, np.uint16, np.int16, np.float16, np.float32])
def test_small_and_unsigned_types_give_what_float64_gives(dtype):
    rng = np.random.default_rng(0)
    X = rng.integers(0, 127, (40, 5)).astype(dtype)
    X[:, 0] = 100
    coef = rng.integers(0, 100, (7, 5)).astype(dtype)
    texts = [str(i) for i in range(40)]
    for as_type in (np.asarray, lambda a: sparse.csr_array(a) if dtype is not np.float16 else a):
        for typical in ("active", "sd"):
            np.testing.assert_allclose(
                typical_effects(as_type(coef), as_type(X), typical=typical).toarray(),
                typical_effects(coef.astype(float), X.astype(float), typical=typical).toarray(),
                rtol=1e-6,
            )
        assert top_texts(as_type(X), texts, 1)["text"].equals(top_texts(X.astype(float), texts, 1)["text"])
        assert len(top_texts(as_type(X), texts, 1)) == 5
        assert count_feature_use(as_type(coef)).equals(count_feature_use(coef.astype(float)))
        found, expected = voxels_of_feature(as_type(coef), 2), voxels_of_feature(coef.astype(float), 2)
        pd.testing.assert_frame_equal(found, expected, check_dtype=False)


@pytest.mark.parametrize("mean", [0.0, 5e3, 1e7])
@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_a_large_mean_leaves_the_spread_of_a_feature_as_it_is(mean, dtype):
    X = (mean + np.random.default_rng(0).normal(size=(200, 3))).astype(dtype)
    for stored in (X, sparse.csr_array(X)):
        effects = typical_effects(np.ones((1, 3)), stored, typical="sd").toarray()[0]
        np.testing.assert_allclose(effects, X.astype(np.float64).std(axis=0), rtol=1e-9)
