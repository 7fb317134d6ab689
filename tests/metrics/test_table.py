"""Scores of several models in one tidy table."""

import numpy as np
import pandas as pd
import pytest
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.metrics import cross_val_voxel_scores, voxel_score_table


@pytest.fixture
def scored():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(30, 2)), rng.normal(size=(30, 4))
    models = {"ridge": Ridge(), "mean": DummyRegressor()}
    voxels = pd.DataFrame({"participant": ["p1", "p1", "p2", "p2"], "region": ["IFG", "MFG"] * 2, "set": "a"})
    return cross_val_voxel_scores(models, X, Y, noise_ceiling=[0.5, 0.6, 0.7, 0.0]), voxels.set_index([[9, 3, 4, 4]])


def test_each_voxel_and_model_has_a_row(scored):
    results, voxels = scored
    table = voxel_score_table(results, voxels)
    assert list(table) == ["participant", "region", "voxel", "model", "score", "normalized_score"]
    assert table.index.tolist() == list(range(8))
    assert table["voxel"].tolist() == [0, 1, 2, 3] * 2
    wide = table.pivot_table(index=["participant", "region", "voxel"], columns="model", values="score")
    np.testing.assert_array_equal(wide["ridge"], results["ridge"].scores)
    np.testing.assert_array_equal(wide["mean"], results["mean"].scores)
    of_ridge = table[table["model"] == "ridge"]
    np.testing.assert_array_equal(of_ridge["normalized_score"], results["ridge"].normalized_scores)
    assert of_ridge["participant"].tolist() == ["p1", "p1", "p2", "p2"]
    assert of_ridge["region"].tolist() == ["IFG", "MFG", "IFG", "MFG"]


def test_other_columns_can_be_taken_over_or_none(scored):
    results, voxels = scored
    assert "set" in voxel_score_table(results, voxels, columns=["participant", "set"])
    assert list(voxel_score_table(results)) == ["voxel", "model", "score", "normalized_score"]


def test_without_ceilings_normalized_scores_are_nan(scored):
    results, voxels = scored
    results = {name: result._replace(normalized_scores=None) for name, result in results.items()}
    assert voxel_score_table(results, voxels)["normalized_score"].isna().all()


def test_what_does_not_fit_is_refused(scored):
    results, voxels = scored
    with pytest.raises(ValueError, match=r"same voxels.*'ridge': 4.* and a table of 3 voxels"):
        voxel_score_table(results, voxels.iloc[:3])
    with pytest.raises(ValueError, match="same voxels, got numbers of voxels"):
        voxel_score_table(results | {"short": results["mean"]._replace(scores=np.zeros(3))})
    with pytest.raises(ValueError, match=r"no column \['lobe'\]; it has \['participant', 'region', 'set'\]"):
        voxel_score_table(results, voxels, columns=["lobe"])
    with pytest.raises(ValueError, match="must be a dictionary of the models' voxel scores"):
        voxel_score_table(results["ridge"])
    with pytest.raises(ValueError, match="must be a dictionary of the models' voxel scores"):
        voxel_score_table({})
