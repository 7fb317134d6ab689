"""Texts to bands of features by name, against the parts that they are made of."""

import numpy as np
import pytest
from nilearn.maskers import NiftiMasker
from sklearn.base import clone
from sklearn.model_selection import GridSearchCV, GroupKFold
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import FunctionTransformer, StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from tiny_models import SENTENCES

from sklearn_sae_encoding.analysis import band_models, partition_variance, rank_band_features
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.fitted import fitted_view
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.persistence import load_encoder, save_encoder
from sklearn_sae_encoding.pipeline import BandedFeatureRegressor, make_banded_encoder

ENCODER = BandedRidgeEncoder(candidates=3, cv=2)


def n_words(texts):
    return np.array([[len(text.split()), len(text)] for text in texts], dtype=float)


@pytest.fixture(scope="module")
def Y():
    return np.random.default_rng(0).normal(3.0, 2.0, (len(SENTENCES), 4))


@pytest.fixture(scope="module")
def model(tiny_lm_dir):
    return make_banded_encoder(
        tiny_lm_dir,
        1,
        content=("sae", "activations"),
        more={"length": FunctionTransformer(n_words, feature_names_out=lambda _, names: ["words", "letters"])},
        encoder=ENCODER,
        sae_params={"n_features": 12, "widths": [4, 12], "n_steps": 2},
    )


@pytest.fixture(scope="module")
def fitted(model, Y):
    return clone(model).fit(SENTENCES, Y)


@parametrize_with_checks([BandedFeatureRegressor(StandardScaler(), BandedRidgeEncoder())])
def test_on_arrays_it_keeps_scikit_learns_conventions(estimator, check):
    check(estimator)


def test_each_branch_is_a_band_and_the_fit_is_that_of_its_columns(fitted, Y):
    widths = {name: len(columns) for name, columns in fitted.bands_.items()}
    assert widths == {"sae": 12, "activations": 32, "surprisal": 1, "length": 2}
    values = fitted.features_.transform(SENTENCES)
    labels = np.repeat(list(widths), list(widths.values()))
    alone = clone(ENCODER).set_params(bands=labels).fit(values, Y)
    assert list(alone.bands_) == list(fitted.bands_)
    np.testing.assert_allclose(fitted.predict(SENTENCES), alone.predict(values), rtol=1e-8)
    np.testing.assert_allclose(
        fitted.predict(SENTENCES, bands="surprisal"), alone.predict(values, bands="surprisal"), rtol=1e-8
    )
    np.testing.assert_allclose(fitted.band_scores(SENTENCES, Y), alone.band_scores(values, Y), rtol=1e-6, atol=1e-9)
    np.testing.assert_allclose(fitted.voxel_scores(SENTENCES, Y), alone.voxel_scores(values, Y), rtol=1e-8)
    assert fitted.predict_by_band(SENTENCES).shape == (4, len(SENTENCES), 4)
    assert fitted.score(SENTENCES, Y) == pytest.approx(alone.score(values, Y))


def test_bands_are_named_by_kinds_branches_and_features(model, Y):
    bands = {"content": ["sae", "activations"], "form": ["surprisal", "words", "letters"]}
    named = clone(model).set_params(bands=bands).fit(SENTENCES, Y)
    assert {name: len(columns) for name, columns in named.bands_.items()} == {"content": 44, "form": 3}
    by_kind = {"all": ["sae", "activation"], "rest": ["surprisal", "control"]}
    same = clone(model).set_params(bands=by_kind).fit(SENTENCES, Y)
    np.testing.assert_allclose(same.predict(SENTENCES), named.predict(SENTENCES))
    by_column = clone(model).set_params(bands={"content": slice(0, 44), "form": [44, 45, 46]}).fit(SENTENCES, Y)
    np.testing.assert_allclose(by_column.predict(SENTENCES), named.predict(SENTENCES))


def test_without_a_union_each_kind_is_a_band():
    X = np.random.default_rng(0).normal(size=(30, 3))
    model = BandedFeatureRegressor(StandardScaler(), BandedRidgeEncoder(alphas=1.0)).fit(X, X[:, 0])
    assert {name: columns.tolist() for name, columns in model.bands_.items()} == {"unknown": [0, 1, 2]}


@pytest.mark.parametrize(
    ("bands", "message"),
    [
        ({"a": "words", "b": "loudness"}, r"band 'b' is made of 'loudness', but the features have no such branch"),
        ({"a": ["sae", "surprisal"]}, r"34 of 47 are in no band, such as .*'. The bands are \['a'\]"),
        ({"a": ["sae", "activations", "length"], "b": ["surprisal", "words"]}, "1 of 47 are in several bands"),
        (["sae"], "bands must be a dictionary"),
    ],
)
def test_bands_that_make_no_sense_are_named(model, Y, bands, message):
    with pytest.raises(ValueError, match=message):
        clone(model).set_params(bands=bands).fit(SENTENCES, Y)


def test_a_branch_named_like_another_kind_is_an_error():
    union = FeatureUnion([("unknown", StandardScaler()), ("square", FunctionTransformer(np.square))])
    X = np.random.default_rng(0).normal(size=(30, 3))
    with pytest.raises(ValueError, match="'unknown', which is both a branch and another kind or name: 3 and 6 columns"):
        BandedFeatureRegressor(union, ENCODER, bands={"a": "unknown", "b": "square"}).fit(X, X)


def test_choices_that_make_no_model_are_refused_at_once(tiny_lm_dir):
    for params, message in (
        ({"layer": 1, "content": "words"}, "content must be of"),
        ({}, "needs a layer"),
        ({"content": None, "surprisal": False}, "leave no features"),
        ({"content": None, "more": {"surprisal": StandardScaler()}}, "the band 'surprisal', which the model has"),
    ):
        with pytest.raises(ValueError, match=message):
            make_banded_encoder(tiny_lm_dir, **params)


def test_it_composes_in_searches_nested_models_and_scores(model, Y):
    search = GridSearchCV(clone(model), {"regressor__scale": [None, "columns"]}, cv=2).fit(SENTENCES, Y)
    assert set(search.best_params_) == {"regressor__scale"}
    small = make_banded_encoder(model.features.transformer_list[2][1].model, content=None, encoder=ENCODER)
    small.features.transformer_list.append(("length", FunctionTransformer(n_words)))
    models = band_models(small, ["surprisal", "length"])
    results = cross_val_voxel_scores(models, SENTENCES, Y, cv=2, return_predictions=True)
    assert list(partition_variance(results, Y)["unique_length"].index) == [0, 1, 2, 3]


def test_groups_reach_the_regressors_splitter():
    X = np.random.default_rng(0).normal(size=(40, 3))
    model = BandedFeatureRegressor(StandardScaler(), BandedRidgeEncoder(cv=GroupKFold(4)))
    fit = model.fit(X, X, groups=np.repeat(range(4), 10))
    alone = BandedRidgeEncoder(cv=GroupKFold(4)).fit(
        StandardScaler().fit_transform(X), X, groups=np.repeat(range(4), 10)
    )
    np.testing.assert_allclose(fit.predict(X), alone.predict(fit.features_.transform(X)))


def test_images_are_predicted_through_a_mask(fitted, model, Y):
    import nibabel

    mask = nibabel.Nifti1Image(np.ones((2, 2, 1), dtype=np.int8), np.eye(4))
    images = nibabel.Nifti1Image(Y.astype(np.float32).T.reshape(2, 2, 1, -1), np.eye(4))
    masked = MaskedTargetRegressor(clone(model), NiftiMasker(mask, standardize=False)).fit(SENTENCES, images)
    np.testing.assert_allclose(masked.predict(SENTENCES), fitted.predict(SENTENCES), rtol=1e-3, atol=1e-3)
    one = masked.coef_img("surprisal_mean").get_fdata().ravel()
    np.testing.assert_allclose(one, masked.regressor_.regressor_.primal_weights(features=[44])[:, 0], rtol=1e-5)
    assert set(fitted_view(masked).features["band"]) == set(fitted.bands_)


def test_what_is_saved_predicts_the_same(tiny_lm_dir, Y, tmp_path):
    model = make_banded_encoder(tiny_lm_dir, 1, content="activations", encoder=ENCODER).fit(SENTENCES, Y)
    save_encoder(model, tmp_path / "encoder")
    loaded = load_encoder(tmp_path / "encoder")
    np.testing.assert_array_equal(loaded.predict(SENTENCES), model.predict(SENTENCES))


def test_the_view_tells_the_band_and_kind_of_each_feature(fitted):
    view = fitted_view(fitted)
    assert view.features["kind"].tolist() == ["sae"] * 12 + ["activation"] * 32 + ["surprisal"] + ["control"] * 2
    bands = np.repeat(["sae", "activations", "surprisal", "length"], [12, 32, 1, 2])
    assert view.features["band"].tolist() == bands.tolist()
    np.testing.assert_allclose(view.weights.toarray(), fitted.regressor_.primal_weights())
    ranked = rank_band_features(fitted, "sae", labels={3: "people"})
    assert ranked["kind"].eq("sae").all()
    assert ranked.loc[ranked["sae_index"] == 3, "label"].tolist() == ["people"]


def test_a_pipeline_may_stand_before_the_union():
    X = np.random.default_rng(0).normal(size=(40, 2))
    union = FeatureUnion([("plain", StandardScaler()), ("scaled", StandardScaler())])
    model = BandedFeatureRegressor(make_pipeline(StandardScaler(), union), ENCODER).fit(X, X)
    assert {name: len(columns) for name, columns in model.bands_.items()} == {"plain": 2, "scaled": 2}
