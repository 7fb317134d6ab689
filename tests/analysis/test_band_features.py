"""Ranks of features in bands, against weights that are computed all at once."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge
from story_cases import make_run

from sklearn_sae_encoding._fitted import weights
from sklearn_sae_encoding.analysis import band_features, rank_band_features
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.fitted import fitted_view
from sklearn_sae_encoding.timing import BandUnion, RunwiseRegressor, WordsToScans

BANDS = {"words": slice(0, 30), "sound": slice(30, 36)}


def problem(form):
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, 1.0, (60, 36)) * (rng.random((60, 36)) < 0.4)
    Y = 3.0 * X[:, [7]] - X[:, [33]] + rng.normal(size=(60, 5))
    return BandedRidgeEncoder(BANDS, candidates=3, form=form).fit(sparse.csr_array(X), Y), X


@pytest.mark.parametrize("form", ["kernel", "primal"])
def test_effects_are_weights_times_deviations_in_any_block(form, monkeypatch):
    encoder, X = problem(form)
    table = rank_band_features(encoder)
    effects = encoder.primal_weights() * X.std(axis=0)
    np.testing.assert_allclose(table["effect"], np.sort(np.sqrt(np.mean(effects**2, axis=0)))[::-1], rtol=1e-6)
    np.testing.assert_allclose(table["positive"], np.mean(effects > 0, axis=0)[table["index"]])
    assert table["feature"].iloc[0] == "x7"
    assert table["positive"].iloc[0] == 1.0
    monkeypatch.setattr(band_features, "_BLOCK", 40)
    np.testing.assert_allclose(rank_band_features(encoder)["effect"], table["effect"], rtol=1e-6)


def test_bands_features_and_voxels_are_chosen():
    encoder, _ = problem("kernel")
    assert rank_band_features(encoder, "sound")["feature"].iloc[0] == "x33"
    assert rank_band_features(encoder, "sound")["band"].tolist() == ["sound"] * 6
    chosen = rank_band_features(encoder, chosen=[33, "x7"], voxels=[2])
    expected = np.abs(encoder.primal_weights(features=[7, 33], targets=[2])[0])
    assert chosen["feature"].tolist() == ["x7", "x33"]
    np.testing.assert_allclose(chosen["effect"], expected * encoder.feature_deviations_[[7, 33]])
    for call, message in (
        (lambda: rank_band_features(encoder, "sight"), "There is no band 'sight'"),
        (lambda: rank_band_features(encoder, "sound", chosen=[3]), "Give bands or chosen features"),
        (lambda: rank_band_features(encoder, voxels=np.zeros(5, dtype=bool)), "There are no voxels"),
        (lambda: rank_band_features(Ridge().fit(np.eye(3), np.eye(3))), "got one with Ridge"),
    ):
        with pytest.raises(ValueError, match=message):
            call()


def test_weights_that_are_too_many_are_not_computed_unasked(monkeypatch):
    encoder, _ = problem("kernel")
    np.testing.assert_allclose(fitted_view(encoder).weights.toarray(), encoder.primal_weights())
    monkeypatch.setattr(weights, "MOST", 100)
    view = fitted_view(encoder)
    assert view.features["band"].tolist() == ["words"] * 30 + ["sound"] * 6
    assert len(rank_band_features(view, "sound")) == 6
    np.testing.assert_allclose(
        view.weights_for(["x3", -1]).toarray(), encoder.primal_weights(features=[3, 35]), rtol=1e-8
    )
    with pytest.raises(ValueError, match=r"The 5 x 36 weights of a BandedRidgeEncoder .* too many .* primal_weights"):
        _ = view.weights
    with pytest.raises(AttributeError, match="The BandedRidgeEncoder has no coef_"):
        fitted_view(BandedRidgeEncoder(alphas=1.0, keep="penalties").fit(np.eye(5), np.eye(5)))


def test_delayed_copies_are_one_feature_and_the_view_tells_band_and_delay():
    union = BandUnion([("rate", WordsToScans("rate", method="hrf")), ("form", WordsToScans(["letters", "duration"]))])
    run = make_run(n_scans=60)
    rng = np.random.default_rng(0)
    (values,) = union.fit_transform([run])
    y = 0.1 * rng.normal(size=(60, 3))
    y[3:] += values[:-3, [1]]
    model = RunwiseRegressor(union, BandedRidgeEncoder(candidates=3, cv=3), delays={"rate": (0,), "form": (2, 3)})
    model.fit([run], [y])
    view = fitted_view(model)
    assert view.features["feature"].tolist() == model.design_["name"].tolist()
    assert view.features["band"].tolist() == ["rate"] + ["form"] * 4
    assert view.features["delay"].tolist() == [0, 2, 2, 3, 3]
    assert view.features["kind"].eq("control").all()
    assert view.transform([run]).shape == (60, 5)
    ranked = rank_band_features(model)
    assert len(ranked) == 3
    first = ranked.iloc[0]
    assert (first["feature"], first["band"], first["delay"]) == ("letters", "form", 3)
    effects = model.regressor_.primal_weights(features=[1, 3]) * model.regressor_.feature_deviations_[[1, 3]]
    assert first["effect"] == pytest.approx(np.sqrt(np.mean(np.sum(effects**2, axis=1))))
