"""Activations are what their hook's name says, in every family, or they are refused."""

import numpy as np
import pytest
import torch
from tiny_models import D_MODEL, FAMILIES, N_LAYERS, OTHER_FAMILIES, REFUSED_FAMILIES, tiny_model, tiny_tokenizer

from sklearn_sae_encoding._lm import additions
from sklearn_sae_encoding._lm.sites import SITES, find_blocks, hook_name, parse_hook, resolve_hooks
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel

PARTS = ["resid_pre", "attn_out", "mlp_out", "resid_post"]


def run(model, hooks, texts, **params):
    language_model = LanguageModel(model, tokenizer=tiny_tokenizer(), keep=(), **params)
    return LMActivationTransformer(language_model, hooks).fit_transform(texts)


def hooks_of(*sites):
    return [hook_name(layer, site) for layer in range(N_LAYERS) for site in sites]


@pytest.mark.parametrize("name", OTHER_FAMILIES)
def test_attention_and_mlp_outputs_add_up_to_what_a_block_changes_in_other_families_too(name, texts):
    model = tiny_model(name)
    parts = run(model, hooks_of(*PARTS), texts).concatenated().reshape(-1, N_LAYERS, 4, D_MODEL)
    difference = np.abs(parts[:, :, :3].sum(axis=2) - parts[:, :, 3]).max()
    assert difference < 1e-4 * np.abs(parts[:, :, 3]).max()
    assert (np.abs(parts[:, :, 1:3]).max(axis=(0, 3)) > 1e-3).all()


@pytest.mark.parametrize("name", REFUSED_FAMILIES)
@pytest.mark.parametrize("site", ["attn_out", "mlp_out"])
def test_a_family_whose_modules_give_something_else_is_refused_with_the_size_of_the_error(name, site, texts):
    model = tiny_model(name)
    with pytest.raises(ValueError, match=r"In block 0 of .*BloomForCausalLM.*differs from resid_post by up to [\d.]+"):
        run(model, hook_name(1, site), texts)
    assert run(model, 1, texts).width == D_MODEL


def test_a_model_is_checked_on_its_first_batch_and_then_believed(texts, monkeypatch):
    seen = []
    check = additions.check_additions
    monkeypatch.setattr("sklearn_sae_encoding._lm.extract.check_additions", lambda *a: (seen.append(a[1]), check(*a)))
    model = tiny_model()
    first = run(model, hook_name(1, "mlp_out"), texts, keep_layers="asked", batch_tokens=40)
    assert seen == [tuple(hook_name(1, site) for site in PARTS)]
    run(model, hook_name(1, "attn_out"), texts[::-1], context="Before.", keep_layers="asked")
    assert len(seen) == 1
    run(model, hook_name(2, "attn_out"), texts, keep_layers="asked")
    assert [parse_hook(hooks[0])[0] for hooks in seen] == [1, 2]
    assert run(tiny_model(), hook_name(1, "mlp_out"), texts) == first


@pytest.mark.parametrize("name", [*FAMILIES, *OTHER_FAMILIES])
def test_z_is_what_the_output_projection_of_attention_reads(name, texts):
    model = tiny_model(name)
    found = run(model, [hook_name(1, "z")], texts[:3])
    attention = next(m for n, m in find_blocks(model, N_LAYERS)[1].named_modules() if n.endswith(("attn", "attention")))
    projection = next(getattr(attention, n) for n in ("o_proj", "out_proj", "c_proj", "dense") if hasattr(attention, n))
    seen = []
    handle = projection.register_forward_pre_hook(lambda _m, args: seen.append(args[0]))
    ids = torch.tensor([[0, *tiny_tokenizer()(texts[1], add_special_tokens=False)["input_ids"]]])
    with torch.no_grad():
        model(ids)
    handle.remove()
    expected = seen[0].reshape(ids.shape[1], -1)[1:].numpy()
    np.testing.assert_allclose(found[1], expected, rtol=1e-4, atol=1e-5 * np.abs(expected).max())
    assert found.width == expected.shape[1]


def test_heads_that_are_wider_than_the_model_stand_side_by_side(texts):
    from transformers import AutoModelForCausalLM, Qwen3Config

    sizes = {"hidden_size": 32, "num_attention_heads": 4, "num_key_value_heads": 2, "head_dim": 16}
    config = Qwen3Config(**sizes, vocab_size=400, intermediate_size=48, num_hidden_layers=2)
    transformer = LMActivationTransformer(
        LanguageModel(AutoModelForCausalLM.from_config(config).eval(), tokenizer=tiny_tokenizer()),
        [0, hook_name(1, "z")],
    )
    acts = transformer.fit_transform(texts)
    assert transformer.d_model_ == acts.width == 32 + 64
    names = transformer.get_feature_names_out()
    assert (names[31], names[32], names[-1]) == (
        "blocks.0.hook_resid_post_31",
        "blocks.1.attn.hook_z_0",
        "blocks.1.attn.hook_z_63",
    )


@pytest.mark.parametrize("name", ["llama", "gemma2", "gpt2", "opt"])
def test_from_what_the_mlp_reads_it_makes_what_it_gives(name, texts):
    model = tiny_model(name)
    read, added = np.split(run(model, hooks_of("mlp_in", "mlp_out")[2:4], texts[:2])[0], 2, axis=1)
    block = find_blocks(model, N_LAYERS)[1]
    with torch.no_grad():
        states = torch.from_numpy(np.ascontiguousarray(read))[None]
        made = block.fc2(block.activation_fn(block.fc1(states))) if name == "opt" else block.mlp(states)
        if name == "gemma2":
            made = block.post_feedforward_layernorm(made)
    np.testing.assert_allclose(made[0].numpy(), added, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("site", SITES)
def test_a_hook_name_is_read_as_it_is_written(site):
    assert parse_hook(hook_name(12, site)) == (12, site)
    assert resolve_hooks(hook_name(3, site), "resid_post", 4, "m") == (hook_name(3, site),)
    assert resolve_hooks(3, site, 4, "m") == (hook_name(3, site),)


@pytest.mark.parametrize("n_layers", range(1, 100))
def test_a_fraction_of_depth_that_names_a_layer_gives_that_layer(n_layers):
    for layer in range(n_layers):
        assert resolve_hooks(layer / n_layers, "resid_post", n_layers, "m") == (hook_name(layer, "resid_post"),)
    assert resolve_hooks(1.0, "resid_post", n_layers, "m") == (hook_name(n_layers - 1, "resid_post"),)
