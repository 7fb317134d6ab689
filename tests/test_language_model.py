"""A language model has a name, is cloned and set as scikit-learn does it, and is compared by what it says."""

import pickle
from pathlib import Path

import pytest
from sklearn.base import clone
from sklearn.pipeline import FeatureUnion, Pipeline
from tiny_models import tiny_model, tiny_tokenizer

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel, as_language_model
from sklearn_sae_encoding.surprisal import SurprisalTransformer

CHANGES = [
    {"revision": "v2"},
    {"tokenizer": "other"},
    {"weights": "random"},
    {"dtype": "bfloat16"},
    {"device": "cuda"},
    {"bos_token": None},
    {"bos_token": "<s>"},
    {"context": "Before."},
    {"context": 1},
    {"window": 9},
    {"stride": 2},
    {"keep": ()},
    {"keep_layers": "asked"},
    {"blocks_path": "layers"},
]


def test_equality_is_of_everything_but_what_changes_no_result():
    models = [LanguageModel("org/name"), LanguageModel("org/other"), *(LanguageModel("org/name", **c) for c in CHANGES)]
    for i, one in enumerate(models):
        assert [one == other for other in models] == [i == j for j in range(len(models))]
    assert models[0] == LanguageModel("org/name", verbose=1, batch_tokens=7, memory="cache")
    assert models[0] == LanguageModel("org/name", keep=["surprisal"], revision="main", random_state=3)
    assert models[0] != "org/name"
    with pytest.raises(TypeError, match="unhashable"):
        hash(models[0])


def test_the_same_folder_named_twice_is_one_model(tiny_lm_dir):
    assert LanguageModel(tiny_lm_dir) == LanguageModel(Path(tiny_lm_dir)) == LanguageModel(f"{tiny_lm_dir}/")
    assert LanguageModel(tiny_lm_dir).name == "tiny-llama"


def test_a_clone_has_equal_parameters_and_shares_a_loaded_model():
    loaded, tokenizer = tiny_model(), tiny_tokenizer()
    model = LanguageModel(loaded, tokenizer=tokenizer, context="Before.", keep=["surprisal"])
    twin = clone(model)
    assert twin is not model
    assert twin == model
    assert (twin.model, twin.tokenizer) == (loaded, tokenizer)
    assert twin.keep is not model.keep
    inside = clone(Pipeline([("lm", LMActivationTransformer(model, 1))])).get_params()["lm__model__model"]
    assert inside is loaded


def test_a_named_one_is_pickled_by_name(tiny_lm_dir):
    model = LanguageModel(tiny_lm_dir, dtype="bfloat16")
    stored = pickle.dumps(model)
    assert len(stored) < 1000
    assert pickle.loads(stored) == model


def test_an_estimator_stores_what_it_is_given(tiny_lm_dir):
    for given in (tiny_lm_dir, Path(tiny_lm_dir), LanguageModel(tiny_lm_dir)):
        assert SurprisalTransformer(given).model is given
        assert as_language_model(given) == LanguageModel(tiny_lm_dir)
    model = LanguageModel(tiny_lm_dir)
    assert as_language_model(model) is model


def test_its_parameters_are_reached_through_an_estimator(tiny_lm_dir):
    union = FeatureUnion(
        [
            ("activations", LMActivationTransformer(LanguageModel(tiny_lm_dir), 1, level="text")),
            ("surprisal", SurprisalTransformer(LanguageModel(tiny_lm_dir))),
        ]
    )
    union.set_params(surprisal__model__bos_token=None, activations__model__model="org/other")
    assert union.get_params()["surprisal__model__bos_token"] is None
    assert union.get_params()["activations__model__model"] == "org/other"


@pytest.mark.parametrize("named", [str, Path])
def test_a_name_has_no_parameters_and_the_error_says_what_has(tiny_lm_dir, named):
    estimator = LMActivationTransformer(named(tiny_lm_dir), 1)
    with pytest.raises(ValueError, match=rf"model=LanguageModel\('{tiny_lm_dir}', bos_token=None\)"):
        estimator.set_params(model__bos_token=None)
    with pytest.raises(ValueError, match=r"has no parameters of its own.*LanguageModel\('gpt2', window=5\)"):
        estimator.set_params(model="gpt2", model__window=5)
    estimator.set_params(model=LanguageModel("gpt2"), model__window=5)
    assert estimator.model == LanguageModel("gpt2", window=5)
    with pytest.raises(ValueError, match="Invalid parameter 'windw' for estimator LanguageModel"):
        estimator.set_params(model__windw=5)


@pytest.mark.parametrize(
    "params",
    [
        {"dtype": "int8"},
        {"weights": "new"},
        {"window": 1},
        {"batch_tokens": 0},
        {"keep": "surprisal"},
        {"keep": ("entropy?",)},
        {"keep_layers": "all"},
        {"bos_token": True},
        {"random_state": -1},
        {"verbose": None},
    ],
)
def test_parameters_of_the_wrong_kind_are_refused_by_name_in_fit(tiny_lm_dir, texts, params):
    model = LanguageModel(tiny_lm_dir, **params)
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter of LanguageModel must be"):
        SurprisalTransformer(model).fit(texts)


def test_a_loaded_model_comes_with_its_tokenizer_in_a_language_model(texts):
    with pytest.raises(TypeError, match=r"got a LlamaForCausalLM\. .*LanguageModel\(model, tokenizer=tokenizer\)"):
        LMActivationTransformer(tiny_model(), 1).fit_transform(texts)
    with pytest.raises(ValueError, match=r"LlamaForCausalLM\), so its tokenizer must be given"):
        LMActivationTransformer(LanguageModel(tiny_model()), 1).fit_transform(texts)


def test_changing_one_that_two_estimators_hold_changes_both_and_clones_are_on_their_own(tiny_lm_dir):
    model = LanguageModel(tiny_lm_dir)
    union = FeatureUnion([("a", LMActivationTransformer(model, 1)), ("s", SurprisalTransformer(model))])
    twin = clone(union).set_params(s__model__context="Before.")
    assert twin.get_params()["a__model__context"] is None
    union.set_params(s__model__context="Before.")
    assert union.get_params()["a__model__context"] == "Before."
