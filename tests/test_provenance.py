"""A saved encoder knows its language models: every file that bears on its features, and the token before texts."""

import shutil

import pytest
from tiny_models import tiny_tokenizer

from sklearn_sae_encoding._provenance import check_models_again, describe_models
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel


@pytest.fixture
def folder(tiny_lm_dir, tmp_path):
    return shutil.copytree(tiny_lm_dir, tmp_path / "model")


def described(*args, **kwargs):
    return describe_models(LMActivationTransformer(LanguageModel(*args, **kwargs), 1))


@pytest.mark.parametrize(
    "file",
    ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json", "spiece.model"],
)
@pytest.mark.parametrize("apart", [False, True])
def test_a_changed_or_new_file_of_the_tokenizer_is_noticed(folder, tiny_lm_dir, file, apart):
    recorded = described(tiny_lm_dir, tokenizer=str(folder)) if apart else described(str(folder))
    check_models_again(recorded)
    with open(folder / file, "a") as content:
        content.write(" ")
    with pytest.raises(ValueError, match=rf"not the one that the encoder was fitted with: .*{file} differ"):
        check_models_again(recorded)


def test_the_token_before_texts_is_recorded_and_compared(folder, monkeypatch):
    assert [described(str(folder), bos_token=token)[0]["bos_token"] for token in ("auto", "</s>", None)] == [
        "<s>",
        "</s>",
        "",
    ]
    recorded = described(str(folder))
    check_models_again(recorded)
    for one in recorded:  # as if another version had found another token
        one["bos_token"] = "<|im_start|>"
    with pytest.raises(ValueError, match=r"stood '<\|im_start\|>', and now .*model' would be given '<s>'"):
        check_models_again(recorded)


def test_two_ways_of_reading_one_model_are_both_recorded(folder):
    tiny_tokenizer().save_pretrained(folder / "other")
    ways = [
        described(str(folder), **params)[0]
        for params in ({}, {"bos_token": None}, {"tokenizer": str(folder / "other")})
    ]
    assert ways[0] != ways[1] != ways[2]
