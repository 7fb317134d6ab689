"""Counts of feature use and the texts that drive a feature."""

import numpy as np
import pytest
from scipy import sparse

from sklearn_sae_encoding.analysis import count_feature_use, top_texts


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
    with pytest.raises(ValueError, match="0 to 1, got 2"):
        top_texts(np.eye(2), ["a", "b"], 2)
