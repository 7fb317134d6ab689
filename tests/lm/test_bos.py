"""Before every text stands the token that the model was pretrained with, and everything that depends on it knows it."""

import warnings

import numpy as np
import pytest
from tiny_models import tiny_model, tiny_tokenizer

from sklearn_sae_encoding._lm.bos import find_bos
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.surprisal import SurprisalTransformer

TEMPLATE = "{% for message in messages %}{{ '<|im_start|>' + message['role'] }}{% endfor %}"


def chat_tokenizer():
    """Declares a token of its chat template, as that of SmolLM2-Instruct does."""
    tokenizer = tiny_tokenizer()
    tokenizer.add_special_tokens({"additional_special_tokens": ["<|endoftext|>", "<|im_start|>"]})
    tokenizer.bos_token = "<|im_start|>"
    tokenizer.chat_template = TEMPLATE
    return tokenizer


@pytest.mark.parametrize(
    "name",
    [
        "HuggingFaceTB/SmolLM2-135M-Instruct",
        "HuggingFaceTB/SmolLM2-1.7B-Instruct",
        "/models/smollm2-360m-instruct",
        "SmolLM-135M-Instruct",
        "SmolLM2-135M-Instruct (random weights, seed 3)",
    ],
)
def test_smollm_instruct_has_the_token_of_its_pretraining_by_its_name(name):
    tokenizer = chat_tokenizer()
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        bos = find_bos(tokenizer, "auto", name)
    assert bos == (tokenizer.get_vocab()["<|endoftext|>"], "<|endoftext|>")


@pytest.mark.parametrize("template", [TEMPLATE, {"default": TEMPLATE, "tools": ""}])
def test_a_declared_token_of_the_chat_template_is_taken_with_a_warning(template):
    tokenizer = chat_tokenizer()
    tokenizer.chat_template = template
    with pytest.warns(UserWarning, match=r"tokenizer of other declares '<\|im_start\|>' .* part of its chat template"):
        assert find_bos(tokenizer, "auto", "other").token == "<|im_start|>"
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert find_bos(tokenizer, "<|im_start|>", "other").token == "<|im_start|>"
        assert find_bos(tiny_tokenizer(), "auto", "other") == (0, "<s>")
        assert find_bos(tokenizer, None, "other") is None


def test_results_under_one_token_are_never_given_for_another(tiny_lm_dir, texts, tmp_path):
    def run(bos_token, memory):
        model = LanguageModel(tiny_lm_dir, bos_token=bos_token, memory=memory)
        acts = LMActivationTransformer(model, 1).fit_transform(texts)
        return acts, SurprisalTransformer(model).fit_transform(texts)

    for memory in (None, tmp_path):
        auto, named, other = (run(token, memory) for token in ("auto", "<s>", "</s>"))
        assert auto[0] == named[0]
        assert np.abs(auto[0][0] - other[0][0]).max() > 1e-3
        assert np.abs(auto[1] - other[1]).max() > 1e-3
        assert (named[0].bos_token, other[0].bos_token) == ("<s>", "</s>")


def test_a_token_declared_anew_is_another_one_though_the_model_is_the_same(texts):
    model, tokenizer = tiny_model(), tiny_tokenizer()
    transformer = LMActivationTransformer(LanguageModel(model, tokenizer=tokenizer), 1).fit(texts)
    before = transformer.transform(texts)
    tokenizer.bos_token = "</s>"
    after = transformer.transform(texts)
    assert (before.bos_token, after.bos_token) == ("<s>", "</s>")
    assert np.abs(before[0] - after[0]).max() > 1e-3


@pytest.mark.real_model
def test_the_real_model_is_read_after_the_token_of_its_pretraining(smollm2):
    assert LMActivationTransformer(smollm2, 0).fit_transform(["A dog!"]).bos_token == "<|endoftext|>"
