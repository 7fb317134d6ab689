"""What a fitted model says, against the parts that it is made of."""

import numpy as np
import pandas as pd
import pytest
from numpy.testing import assert_allclose, assert_array_equal
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin
from sklearn.compose import ColumnTransformer, TransformedTargetRegressor
from sklearn.decomposition import PCA
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectKBest, VarianceThreshold, f_regression
from sklearn.linear_model import Lasso, Ridge
from sklearn.model_selection import GridSearchCV
from sklearn.pipeline import FeatureUnion, make_pipeline, make_union
from sklearn.preprocessing import FunctionTransformer, MaxAbsScaler, MinMaxScaler, RobustScaler, StandardScaler
from story_cases import make_run
from tiny_models import SENTENCES

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.fitted import feature_table, fitted_view, parts_of, weights_and_features
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.pipeline import make_story_features
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.timing import RunwiseRegressor


def n_words(texts):
    return np.array([[len(text.split())] for text in texts], dtype=float)


@pytest.fixture(scope="module")
def Y():
    return np.random.default_rng(0).normal(3.0, 2.0, (len(SENTENCES), 3))


@pytest.fixture(scope="module")
def makers(tiny_lm_dir):
    """Of content, of surprisal (two columns), of activations and of a control: whatever their order or names."""
    learnt = SAEProjector(n_features=12, widths=[4, 12], n_steps=2, random_state=0, features=[1, 5, 6, 11])
    return {
        "a": make_pipeline(LMActivationTransformer(tiny_lm_dir, 1), learnt),
        "b": make_pipeline(SurprisalTransformer(tiny_lm_dir, pooling=["mean", "max"]), StandardScaler()),
        "c": LMActivationTransformer(tiny_lm_dir, 2, level="text"),
        "d": FunctionTransformer(n_words),
    }


def union_of(makers, order, prefixed=True):
    return FeatureUnion([(name, makers[name]) for name in order], verbose_feature_names_out=prefixed)


@pytest.mark.parametrize("order", ["abcd", "dcba", "bdac"])
@pytest.mark.parametrize("prefixed", [True, False])
def test_kinds_are_those_of_the_makers_in_any_order_and_under_any_prefix(order, prefixed, makers, Y):
    model = make_pipeline(union_of(makers, order, prefixed), Ridge()).fit(SENTENCES, Y)
    view = fitted_view(model)
    expected = {"a": ["sae"] * 4, "b": ["surprisal"] * 2, "c": ["activation"] * 32, "d": ["control"]}
    assert view.features["kind"].tolist() == [kind for name in order for kind in expected[name]]
    assert view.features["sae_index"].dropna().tolist() == [1, 5, 6, 11]
    assert view.features.loc[view.of_kind("sae"), "bin"].tolist() == ["0-4", "4-12", "4-12", "4-12"]
    assert_array_equal(view.weights.toarray(), model[-1].coef_)
    assert_allclose(view.transform(SENTENCES).toarray(), model[:-1].transform(SENTENCES).toarray())


def test_names_are_those_of_scikit_learn(makers, Y):
    model = make_pipeline(union_of(makers, "bac"), Ridge()).fit(SENTENCES, Y)
    view = fitted_view(model)
    assert view.features["feature"].tolist() == model[:-1].get_feature_names_out().tolist()
    assert view.column("a__sae_00005") == view.column("sae_00005") == 3
    maker, output = view.made_by("b__surprisal_max")
    assert (type(maker), output) == (SurprisalTransformer, 1)


def test_a_name_that_says_another_kind_changes_nothing(makers, tiny_lm_dir, Y):
    union = FeatureUnion([("surprisal", makers["a"]), ("sae_00000", SurprisalTransformer(tiny_lm_dir))])
    view = fitted_view(make_pipeline(union, Ridge()).fit(SENTENCES, Y))
    assert view.features["kind"].tolist() == ["sae"] * 4 + ["surprisal"]


def test_word_surprisal_is_surprisal(tiny_lm_dir, Y):
    model = make_pipeline(SurprisalTransformer(tiny_lm_dir, over="word"), Ridge()).fit(SENTENCES, Y)
    assert fitted_view(model).features[["feature", "kind"]].values.tolist() == [["word_surprisal_mean", "surprisal"]]


@pytest.mark.parametrize("inner", [False, True], ids=["features before the masker", "features inside"])
def test_wrapped_searched_and_nested_models_are_the_same_model(inner, makers, Y):
    from nibabel import Nifti1Image
    from nilearn.maskers import NiftiMasker

    mask = Nifti1Image(np.ones((3, 1, 1), dtype="int8"), np.eye(4))
    maker = union_of(makers, "ab")
    plain = make_pipeline(maker, Ridge(0.1)).fit(SENTENCES, Y)
    if inner:
        masked = MaskedTargetRegressor(make_pipeline(maker, Ridge(0.1)), NiftiMasker(mask))
        grid = {"regressor__ridge__alpha": [0.1]}
    else:
        masked = make_pipeline(maker, MaskedTargetRegressor(Ridge(0.1), NiftiMasker(mask)))
        grid = {"maskedtargetregressor__regressor__alpha": [0.1]}
    view = fitted_view(GridSearchCV(masked, grid, cv=2).fit(SENTENCES, Y))
    assert view.features.equals(fitted_view(plain).features)
    assert_allclose(view.weights.toarray(), plain[-1].coef_, rtol=1e-4)
    assert isinstance(view.wrapper(MaskedTargetRegressor), MaskedTargetRegressor)
    assert [type(maker).__name__ for maker in view.makers] == [
        "LMActivationTransformer",
        "SAEProjector",
        "SurprisalTransformer",
        "StandardScaler",
    ]


@pytest.mark.parametrize(
    "scalers",
    [
        [StandardScaler()],
        [StandardScaler(with_mean=False)],
        [StandardScaler(with_std=False)],
        [MaxAbsScaler(), StandardScaler()],
        [MinMaxScaler((1, 3))],
        [RobustScaler(), MinMaxScaler(), MaxAbsScaler()],
        [VarianceThreshold(), StandardScaler(), SelectKBest(f_regression, k=2)],
    ],
    ids=lambda scalers: " ".join(type(scaler).__name__ for scaler in scalers),
)
def test_centre_and_scale_are_what_stands_between_maker_and_model(scalers):
    rng = np.random.default_rng(1)
    X, y = pd.DataFrame(rng.normal(5.0, 3.0, (40, 4)), columns=list("pqrs")), rng.normal(size=40)
    model = make_pipeline(*scalers, Ridge()).fit(X, y)
    view = fitted_view(model)
    taken = X[view.features["feature"]].to_numpy()
    assert_allclose((taken - view.centre) / view.scale, view.transform(X), atol=1e-12)
    assert model[:-1].get_feature_names_out().tolist() == view.features["feature"].tolist()


def test_a_function_that_is_no_scaling_has_an_unknown_scale_and_keeps_the_kind():
    X = np.random.default_rng(0).random((20, 2))
    logarithm = FunctionTransformer(np.log, feature_names_out="one-to-one")
    table = feature_table(["a", "s"], kinds=["sae", "surprisal"])
    view = fitted_view(make_pipeline(logarithm, Ridge()).fit(X, X), features=table)
    assert np.isnan(view.scale).all()
    assert view.features["kind"].tolist() == ["sae", "surprisal"]


def test_mixed_columns_are_of_the_kind_of_all_that_they_are_mixed_of_and_no_latents(makers, Y):
    activations = make_pipeline(makers["c"], PCA(3))
    latents = make_pipeline(makers["a"], FunctionTransformer(lambda X: X.toarray()), PCA(2))
    view = fitted_view(make_pipeline(make_union(activations, latents), Ridge()).fit(SENTENCES, Y))
    assert view.features["kind"].tolist() == ["activation"] * 3 + ["sae"] * 2
    assert view.features["sae_index"].isna().all()


def test_columns_are_followed_through_a_column_transformer(tiny_lm_dir, Y):
    X = pd.DataFrame({"rate": np.arange(len(SENTENCES), dtype=float), "text": SENTENCES, "sae_00001": 1.0})
    X["drop"] = 3.0
    by_column = ColumnTransformer(
        [
            ("s", SurprisalTransformer(tiny_lm_dir), ["text"]),
            ("w", CountVectorizer(max_features=2), "text"),
            ("z", StandardScaler(), ["sae_00001"]),
            ("no", "drop", ["drop"]),
        ],
        remainder="passthrough",
        sparse_threshold=0,
    )
    model = make_pipeline(by_column, Ridge()).fit(X, Y)
    view = fitted_view(model)
    assert view.features["feature"].tolist() == model[:-1].get_feature_names_out().tolist()
    assert view.features["kind"].tolist() == ["surprisal", "control", "control", "control", "control"]


def test_transformed_targets_keep_their_scale(Y):
    X = np.random.default_rng(0).normal(size=(len(Y), 2))
    scaled = TransformedTargetRegressor(Ridge(1e-9), transformer=StandardScaler()).fit(X, Y)
    view, plain = fitted_view(scaled), fitted_view(Ridge(1e-9).fit(X, Y))
    assert_allclose(view.target_scale, Y.std(axis=0))
    assert_allclose(view.weights.toarray() * view.target_scale[:, None], plain.weights.toarray(), rtol=1e-6)
    assert_allclose(view.contributions(X, 0), plain.contributions(X, 0), rtol=1e-6)
    logs = TransformedTargetRegressor(Ridge(), func=np.log, inverse_func=np.exp).fit(X, np.exp(X))
    assert np.isnan(fitted_view(logs).target_scale).all()


@pytest.mark.parametrize("as_type", [np.asarray, sparse.csr_array])
def test_parts_of_predictions_add_up(as_type):
    rng = np.random.default_rng(0)
    X, Y = 100 + rng.normal(size=(60, 5)), rng.normal(size=(60, 4))
    model = Lasso(0.01).fit(X, Y)
    part, others = fitted_view(model).contributions(as_type(X), [1, -1])
    assert_allclose(part, (X[:, [1, 4]] @ model.coef_[:, [1, 4]].T).std(axis=0))
    assert_allclose(others, (X[:, [0, 2, 3]] @ model.coef_[:, [0, 2, 3]].T).std(axis=0))


def test_arrays_are_unknown_until_somebody_says_what_they_are(makers):
    texts, X = SENTENCES, union_of(makers, "ba").fit_transform(SENTENCES)
    encoder = SparseVoxelEncoder(alphas=[0.1]).fit(X, np.arange(len(texts), dtype=float))
    assert set(fitted_view(encoder).features["kind"]) == {"unknown"}
    assert fitted_view(encoder).features["feature"].tolist() == [f"x{i}" for i in range(6)]
    maker = union_of(makers, "ba").fit(texts)
    told = fitted_view(encoder, features=maker)
    assert told.features["kind"].tolist() == ["surprisal"] * 2 + ["sae"] * 4
    for same in (told, told.features, told.features[["feature", "kind", "sae_index", "bin"]]):
        assert fitted_view(encoder, features=same).features.equals(told.features)
    assert fitted_view(encoder, features=list("abcdef")).column("c") == 2
    with pytest.raises(ValueError, match="6 columns, but 2 names"):
        fitted_view(encoder, features=["a", "b"])
    with pytest.raises(ValueError, match="makes its features itself"):
        fitted_view(make_pipeline(makers["d"], Ridge()).fit(texts, np.arange(len(texts))), features=["a"])


def test_names_of_a_data_frame_are_known_and_their_kinds_are_not():
    X = pd.DataFrame(np.eye(4), columns=["surprisal", "sae_00001", "b", "c"])
    view = fitted_view(Ridge().fit(X, np.arange(4.0)))
    assert view.features["feature"].tolist() == list(X)
    assert set(view.features["kind"]) == {"unknown"}
    with pytest.raises(ValueError, match="Nobody says which features are of the kind 'surprisal'"):
        view.columns()


def test_features_are_found_by_column_and_by_name():
    table = feature_table(["a", "b", "b", "7"], kinds={"a": "sae"})
    view = fitted_view(Ridge().fit(np.eye(4), np.arange(4.0)), features=table)
    assert [view.column(one) for one in ("a", 0, -1, np.int64(2), "7")] == [0, 0, 3, 2, 3]
    assert_array_equal(view.columns(["a", 3]), [0, 3])
    for wrong, message in [
        ("c", "no feature named 'c' among 4, such as 'a'"),
        ("b", "2 of the features are named 'b'"),
        (4, "a column from -4 to 3, got 4"),
        (1.0, r"by its column \(int\) or name \(str\), got 1.0"),
        (True, "got True"),
    ]:
        with pytest.raises(ValueError, match=message):
            view.column(wrong)
    with pytest.raises(ValueError, match=r"no kind of features named \['saes'\]"):
        view.of_kind("saes")


def test_labels_join_by_name_with_or_without_prefix_and_by_the_index_in_the_sae(makers, Y):
    model = make_pipeline(union_of(makers, "ba"), Ridge()).fit(SENTENCES, Y)
    labels = {5: "people", "sae_00001": "places", "b__surprisal_max": "surprise", 0: "another latent"}
    features = fitted_view(model, labels=labels).features.set_index("feature")["label"]
    assert features[features != ""].to_dict() == {
        "b__surprisal_max": "surprise",
        "a__sae_00001": "places",
        "a__sae_00005": "people",
    }


class Doubled(TransformerMixin, BaseEstimator):
    """Makes two delays of each feature, and says so."""

    def fit(self, X, y=None):
        self.n_features_in_ = X.shape[1]
        return self

    def transform(self, X):
        return np.hstack([X, X])

    def get_feature_table_out(self, given):
        return pd.concat([given.assign(delay=delay) for delay in (1, 2)])


class Wrapped(BaseEstimator):
    """Makes features before its regressor, as what regresses runs does."""

    def fit(self, X, y):
        self.feature_transformers_ = [StandardScaler().fit(X), Doubled().fit(X)]
        for transformer in self.feature_transformers_:
            X = transformer.transform(X)
        self.regressor_ = Ridge().fit(X, y)
        return self


def test_transformers_and_wrappers_of_others_may_say_what_they_make():
    X = np.random.default_rng(0).normal(size=(20, 2))
    table = feature_table(["a", "s"], kinds=["sae", "surprisal"])
    view = fitted_view(Wrapped().fit(X, X), features=table)
    assert view.features["delay"].tolist() == [1, 1, 2, 2]
    assert view.features["kind"].tolist() == ["sae", "surprisal"] * 2
    assert view.features["index"].tolist() == [0, 1, 2, 3]
    assert view.transform(X).shape == (20, 4)


def test_models_without_weights_or_with_transformers_that_tell_nothing_are_refused():
    with pytest.raises(AttributeError, match="The PCA has no coef_"):
        fitted_view(PCA().fit(np.eye(3)))
    silent = make_union(FunctionTransformer(n_words), FunctionTransformer(n_words))
    model = make_pipeline(silent, Ridge()).fit(["a b", "c", "d e f"], [1.0, 2.0, 3.0])
    with pytest.raises(ValueError, match="weighs 2 features, but its transformers make nobody tells what"):
        fitted_view(model)


def test_parts_are_all_estimators_inside(makers, Y):
    model = make_pipeline(union_of(makers, "ab"), TransformedTargetRegressor(Ridge()))
    names = {"LMActivationTransformer", "SAEProjector", "SurprisalTransformer"}
    assert names <= {type(part).__name__ for part in parts_of(model)}
    fitted = {type(part).__name__ for part in parts_of(model.fit(SENTENCES, Y))}
    assert names | {"Ridge"} <= fitted


def test_weights_of_any_form_come_with_their_table():
    table = feature_table(["a", "b"])
    for coef in ([[1, 2]], np.array([[1, 2]], dtype=np.uint8), sparse.csc_array([[1.0, 2.0]])):
        weights, features = weights_and_features(coef, table)
        assert weights.toarray().tolist() == [[1.0, 2.0]]
        assert features.equals(table)
    with pytest.raises(ValueError, match=r"is one of \(.*\), got 'content'"):
        feature_table(["a"], kinds="content")
    with pytest.raises(ValueError, match="'c', which is not among the 1 features"):
        feature_table(["a"], kinds={"c": "sae"})
    with pytest.raises(ValueError, match="an index for each of 1 SAE columns"):
        feature_table(["a"], kinds="sae", sae_index=[1, 2])


def test_the_features_of_a_story_model_know_their_band_delay_and_maker(tiny_lm_dir):
    model = RunwiseRegressor(
        make_story_features(tiny_lm_dir, layer=1, sae=None, sae_params={"n_features": 16, "k": 3, "n_steps": 5}),
        Ridge(),
        delays={"sae": (1, 3), "surprisal": (2,), "rate": (0,)},
    )
    runs = [make_run(n_scans=20, scans=slice(2, None)), make_run(n_scans=24)]
    rng = np.random.default_rng(0)
    responses = [rng.normal(size=(run.n_rows, 2)) for run in runs]
    view = fitted_view(model.fit(runs, responses))
    n = len(model.features_.transformer_list[0][1].get_feature_names_out())
    table = view.features
    assert table["band"].tolist() == ["sae"] * 2 * n + ["surprisal", "rate"]
    assert table["delay"].tolist() == [1] * n + [3] * n + [2, 0]
    assert table["kind"].tolist() == ["sae"] * 2 * n + ["surprisal", "control"]
    assert table["sae_index"].dropna().tolist() == [*range(n), *range(n)]
    assert table["feature"].tolist() == model.design_["name"].tolist()
    assert view.column("sae_00003_delay3") == n + 3
    assert isinstance(view.made_by("sae_00003_delay3")[0], SAEProjector)
    assert isinstance(view.maker(LMActivationTransformer), LMActivationTransformer)
    predicted = view.transform(runs) @ view.weights.T + view.linear.intercept_
    assert_allclose(predicted, np.concatenate(model.predict(runs)), rtol=1e-5)
