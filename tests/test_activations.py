"""Activations equal what plain transformers gives, whatever the batch, and cost one pass."""

import copy
import pickle

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import NotFittedError, SkipTestWarning
from sklearn.pipeline import FeatureUnion, make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import check_estimator
from tiny_models import D_MODEL, FAMILIES, N_LAYERS, SENTENCES, save_tiny_model, tiny_model, tiny_tokenizer
from transformers import AutoModelForCausalLM, AutoTokenizer

from sklearn_sae_encoding._lm import extract
from sklearn_sae_encoding.activations import LMActivationTransformer, TokenActivations
from sklearn_sae_encoding.language_model import LanguageModel

POOLINGS = ["mean", "last", "max", "sum"]


def ids_of(text, bos=0):
    return torch.tensor([[bos, *tiny_tokenizer()(text, add_special_tokens=False)["input_ids"]]])


def by_plain_hook(model, module, text, side="output"):
    """What a module gives (or takes) for one text, read by torch's own hook, without the first position."""
    seen = []

    def keep(_module, args, kwargs, output):
        seen.append(output if side == "output" else (args[0] if args else kwargs["hidden_states"]))

    handle = module.register_forward_hook(keep, with_kwargs=True)
    with torch.no_grad():
        model(ids_of(text))
    handle.remove()
    value = seen[0][0] if isinstance(seen[0], tuple) else seen[0]
    return value.reshape(-1, D_MODEL)[1:].numpy()


def close(actual, expected):
    """Equal to 1e-5 of the largest activation."""
    np.testing.assert_allclose(actual, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


@pytest.fixture(scope="module", params=FAMILIES)
def family(request):
    return tiny_model(request.param)


@pytest.mark.parametrize("pooling", POOLINGS)
def test_scikit_learns_checks_pass_where_rows_come_out(tiny_lm_dir, pooling):
    with pytest.warns(UserWarning, match="read as words"):
        results = check_estimator(LMActivationTransformer(tiny_lm_dir, layer=1, level="text", pooling=pooling))
    assert sum(result["status"] == "passed" for result in results) > 30


def test_scikit_learns_checks_pass_as_far_as_they_go_for_token_activations(tiny_lm_dir):
    with pytest.warns(SkipTestWarning, match="Can't test estimator"):
        check_estimator(LMActivationTransformer(tiny_lm_dir, layer=1))


@pytest.mark.parametrize("layer", [0, 2, N_LAYERS - 1])
def test_activations_equal_a_plain_forward_hook_in_every_family(family, texts, layer):
    acts = LMActivationTransformer(LanguageModel(family, tokenizer=tiny_tokenizer()), layer).fit_transform(texts)
    blocks = next(m for m in family.modules() if isinstance(m, torch.nn.ModuleList) and len(m) == N_LAYERS)
    for text, array in zip(texts, acts, strict=True):
        close(array, by_plain_hook(family, blocks[layer], text))


def test_activations_equal_hidden_states_below_the_last_block_in_every_family(family, texts):
    layers = list(range(N_LAYERS))
    acts = LMActivationTransformer(LanguageModel(family, tokenizer=tiny_tokenizer()), layers).fit_transform(texts)
    for text, array in zip(texts, acts, strict=True):
        with torch.no_grad():
            states = family(ids_of(text), output_hidden_states=True).hidden_states
        for layer in layers[:-1]:
            close(array[:, layer * D_MODEL : (layer + 1) * D_MODEL], states[layer + 1][0, 1:].numpy())
        # The last entry of hidden_states stands after the final norm: reading it there would be wrong.
        assert np.abs(array[:, -D_MODEL:] - states[-1][0, 1:].numpy()).max() > 0.01


def test_attention_and_mlp_outputs_are_what_a_block_adds_to_the_stream_in_every_family(family, texts):
    sites = ["resid_pre", "attn_out", "mlp_out", "resid_post"]
    hooks = [f"blocks.{layer}.hook_{site}" for layer in range(N_LAYERS) for site in sites]
    acts = LMActivationTransformer(LanguageModel(family, tokenizer=tiny_tokenizer()), hooks).fit_transform(texts)
    parts = acts.concatenated().reshape(-1, N_LAYERS, 4, D_MODEL)
    close(parts[:, :, :3].sum(axis=2), parts[:, :, 3])
    close(parts[:, 1:, 0], parts[:, :-1, 3])
    assert (np.abs(parts[:, :, 1:3]).max(axis=(0, 3)) > 0.01).all()


def test_a_text_gives_the_same_alone_and_in_any_batch_and_order(family, texts):
    def run(some, **params):
        transformer = LMActivationTransformer(
            LanguageModel(copy.deepcopy(family), tokenizer=tiny_tokenizer(), **params), 2
        )
        return transformer.fit_transform(some)

    alone = [run([text])[0] for text in texts]
    order = np.random.default_rng(0).permutation(len(texts))
    for batch_tokens in (1, 70, 10_000):
        shuffled = run([texts[i] for i in order], batch_tokens=batch_tokens)
        for i, array in zip(order, shuffled, strict=True):
            close(array, alone[i])


def test_special_tokens_and_padding_are_never_among_the_tokens(tiny_lm_dir, texts):
    acts = LMActivationTransformer(tiny_lm_dir, 1).fit_transform([*texts, "Before</s> and <s>after."])
    tokenizer = tiny_tokenizer()
    for text, tokens in zip(texts, acts.tokens, strict=False):
        assert tokens == tokenizer.tokenize(text)
    assert tokenizer.convert_tokens_to_string(acts.tokens[-1]) == "Before and after."
    with pytest.raises(ValueError, match="sample 1 has no token besides special ones"):
        LMActivationTransformer(tiny_lm_dir, 1).fit_transform(["fine", "</s>"])


def test_offsets_say_where_each_token_stands_in_its_text(tiny_lm_dir, texts):
    acts = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    for text, tokens, offsets in zip(texts, acts.tokens, acts.offsets, strict=True):
        assert [text[start:end] for start, end in offsets] == [token.lstrip("Ġ") or " " for token in tokens]


@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_reduces_the_tokens_of_a_text_to_a_row(tiny_lm_dir, texts, pooling):
    acts = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    rows = LMActivationTransformer(tiny_lm_dir, 1, level="text", pooling=pooling).fit_transform(texts)
    reduce = {"mean": np.mean, "sum": np.sum, "max": np.max, "last": lambda a, axis: a[-1]}[pooling]
    assert rows.dtype == np.float32
    np.testing.assert_allclose(rows, [reduce(array, axis=0) for array in acts], rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    ("layer", "hook"),
    [
        (2, "blocks.2.hook_resid_post"),
        (-1, "blocks.3.hook_resid_post"),
        (0.5, "blocks.2.hook_resid_post"),
        (0.0, "blocks.0.hook_resid_post"),
        (1.0, "blocks.3.hook_resid_post"),
        ("blocks.1.hook_mlp_out", "blocks.1.hook_mlp_out"),
        ([1, "blocks.1.hook_resid_post"], "blocks.1.hook_resid_post"),
        ([0, 2], ("blocks.0.hook_resid_post", "blocks.2.hook_resid_post")),
    ],
)
def test_a_layer_is_an_index_a_fraction_a_hook_name_or_a_list(tiny_lm_dir, texts, layer, hook):
    acts = LMActivationTransformer(tiny_lm_dir, layer).fit_transform(texts)
    assert acts.hook == hook
    assert acts.d_model == D_MODEL * (2 if isinstance(hook, tuple) else 1)


def test_several_layers_stand_side_by_side_in_the_order_asked_for(tiny_lm_dir, texts):
    both = LMActivationTransformer(tiny_lm_dir, [3, 0]).fit_transform(texts)
    three = LMActivationTransformer(tiny_lm_dir, 3).fit_transform(texts)
    zero = LMActivationTransformer(tiny_lm_dir, 0).fit_transform(texts)
    for i in range(len(texts)):
        np.testing.assert_array_equal(both[i], np.hstack([three[i], zero[i]]))


def test_the_activations_know_where_they_come_from(tiny_lm_dir, texts):
    acts = LMActivationTransformer(LanguageModel(tiny_lm_dir, bos_token=None), 1).fit_transform(texts)
    assert (acts.model, acts.hook, acts.bos_token) == ("tiny-llama", "blocks.1.hook_resid_post", "")
    assert LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts).bos_token == "<s>"


def test_without_bos_the_first_token_stands_first(tiny_lm_dir, texts):
    acts = LMActivationTransformer(LanguageModel(tiny_lm_dir, bos_token=None), 1).fit_transform(texts)
    model = AutoModelForCausalLM.from_pretrained(tiny_lm_dir)
    for text, array in zip(texts, acts, strict=True):
        with torch.no_grad():
            close(array, model(ids_of(text)[:, 1:], output_hidden_states=True).hidden_states[2][0].numpy())


def test_a_model_without_bos_asks_what_to_do(tmp_path, texts):
    folder = save_tiny_model(tmp_path / "no-bos", bos_token=None)
    with pytest.raises(ValueError, match=r"no-bos has no beginning.*bos_token=None.*bos_token='</s>'"):
        LMActivationTransformer(folder, 1).fit_transform(texts)
    without = LMActivationTransformer(LanguageModel(folder, bos_token=None), 1).fit_transform(texts)
    named = LMActivationTransformer(LanguageModel(folder, bos_token="</s>"), 1).fit_transform(texts)
    assert without.n_tokens.tolist() == named.n_tokens.tolist()
    assert without != named
    with pytest.raises(ValueError, match="bos_token='nonsense' is not in the vocabulary"):
        LMActivationTransformer(LanguageModel(folder, bos_token="nonsense"), 1).fit_transform(texts)


def test_context_changes_the_activations_and_stays_out_of_them(tiny_lm_dir, texts):
    plain = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    told = LMActivationTransformer(LanguageModel(tiny_lm_dir, context="Once upon a time."), 1).fit_transform(texts)
    assert ["".join(tokens).replace("Ġ", " ").lstrip() for tokens in told.tokens] == texts
    assert [o[0, 0] for o in told.offsets] == [0] * len(texts)
    np.testing.assert_array_equal(told.offsets[0][-1], plain.offsets[0][-1])
    model = AutoModelForCausalLM.from_pretrained(tiny_lm_dir)
    with torch.no_grad():
        states = model(ids_of("Once upon a time. " + texts[0]), output_hidden_states=True).hidden_states
    close(told[0], states[2][0, -len(told[0]) :].numpy())


def test_random_weights_are_another_model_that_a_seed_fixes(tiny_lm_dir, texts):
    def run(**params):
        return LMActivationTransformer(LanguageModel(tiny_lm_dir, **params), 1).fit_transform(texts)

    state = torch.random.get_rng_state()
    trained, first, again, other = (
        run(),
        run(weights="random"),
        run(weights="random"),
        run(weights="random", random_state=1),
    )
    assert torch.equal(state, torch.random.get_rng_state())
    assert first == again
    assert np.abs(first[0] - trained[0]).max() > 0.1
    assert np.abs(first[0] - other[0]).max() > 0.01
    assert first.model == "tiny-llama (random weights, seed 0)"


def test_lower_precision_is_near_and_given_out_as_float32(tiny_lm_dir, texts):
    exact = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    rough = LMActivationTransformer(LanguageModel(tiny_lm_dir, dtype="bfloat16"), 1).fit_transform(texts)
    assert rough[0].dtype == np.float32
    difference = np.abs(rough.concatenated() - exact.concatenated()).max()
    assert 1e-4 < difference < 0.5


# As a part of scikit-learn ---------------------------------------------------------------------------------------


def test_it_must_be_fitted_first(tiny_lm_dir, texts):
    with pytest.raises(NotFittedError, match="not fitted yet"):
        LMActivationTransformer(tiny_lm_dir, 1).transform(texts)
    with pytest.raises(NotFittedError, match="not fitted yet"):
        LMActivationTransformer(tiny_lm_dir, 1, level="text").get_feature_names_out()


def test_column_names_tell_the_hook_and_the_dimension(tiny_lm_dir, texts):
    expected = [f"blocks.{i}.hook_resid_post_{j}" for i in (2, 0) for j in range(D_MODEL)]
    for level in ("text", "token", "word"):
        # Of tokens they name the columns of each token's row: a pipeline asks every step for names.
        fitted = LMActivationTransformer(tiny_lm_dir, [2, 0], level=level).fit(texts)
        assert fitted.get_feature_names_out().tolist() == expected


def test_set_output_makes_frames_of_rows_and_leaves_token_activations_alone(tiny_lm_dir, texts):
    pooled = LMActivationTransformer(tiny_lm_dir, 2, level="text").set_output(transform="pandas")
    frame = pooled.fit_transform(pd.Series(texts, index=range(10, 20), name="sentence"))
    assert isinstance(frame, pd.DataFrame)
    assert frame.columns.tolist() == pooled.get_feature_names_out().tolist()
    clone_frame = clone(pooled).fit_transform(texts)
    pd.testing.assert_frame_equal(clone_frame, frame.reset_index(drop=True))
    tokens = LMActivationTransformer(tiny_lm_dir, 2).set_output(transform="pandas").fit_transform(texts)
    assert isinstance(tokens, TokenActivations)
    with config_context(transform_output="pandas"):
        assert isinstance(LMActivationTransformer(tiny_lm_dir, 2).fit_transform(texts), TokenActivations)


def test_set_output_reaches_a_whole_pipeline(tiny_lm_dir, texts):
    pipeline = make_pipeline(LMActivationTransformer(tiny_lm_dir, 2, level="text"), StandardScaler())
    frame = pipeline.set_output(transform="pandas").fit_transform(texts)
    assert frame.columns.tolist() == pipeline.get_feature_names_out().tolist()
    assert frame.columns[0] == "blocks.2.hook_resid_post_0"


def test_a_fitted_transformer_of_a_named_model_holds_and_pickles_no_weights(tiny_lm_dir, texts):
    fitted = LMActivationTransformer(tiny_lm_dir, 1).fit(texts)
    before = fitted.transform(texts)
    assert not any(isinstance(value, torch.nn.Module) for value in vars(fitted).values())
    stored = pickle.dumps(fitted)
    assert len(stored) < 5_000
    assert pickle.loads(stored).transform(texts) == before


def test_clones_of_a_loaded_model_share_its_weights(texts):
    model, tokenizer = tiny_model(), tiny_tokenizer()
    transformer = LMActivationTransformer(LanguageModel(model, tokenizer=tokenizer, memory=None), [1])
    twin = clone(clone(transformer))
    assert twin.model is not transformer.model
    assert twin.model == transformer.model
    assert twin.model.model is model
    assert twin.model.tokenizer is tokenizer
    assert twin.layer == [1]
    assert twin.layer is not transformer.layer
    assert twin.fit_transform(texts) == transformer.fit_transform(texts)


def test_the_users_own_model_is_left_as_it_was(texts):
    model = tiny_model("opt").train()  # OPT has dropout, which must not touch the activations
    first, *_ = LMActivationTransformer(LanguageModel(model, tokenizer=tiny_tokenizer()), 2).fit_transform(texts)
    assert all(module.training for module in model.modules())
    assert all(not m._forward_hooks and not m._forward_pre_hooks for m in model.modules())
    quiet = LMActivationTransformer(
        LanguageModel(copy.deepcopy(model).eval(), tokenizer=tiny_tokenizer()), 2
    ).fit_transform(texts)
    close(first, quiet[0])


def change_weight(model):
    with torch.no_grad():
        model.model.layers[0].mlp.up_proj.weight.mul_(2)


def change_data(model):
    model.model.layers[0].mlp.up_proj.weight.data[3, 4] += 1


def change_through_numpy(model):
    model.model.layers[0].mlp.up_proj.weight.detach().numpy()[:, :2] *= -1


def swap_rows(model):  # keeps every sum
    weight = model.model.layers[0].mlp.up_proj.weight.data
    weight[[0, 1]] = weight[[1, 0]]


def change_buffer(model):
    model.model.rotary_emb.inv_freq.data *= 1.5


def change_setting(model):
    model.model.layers[0].self_attn.scaling *= 2


@pytest.mark.parametrize(
    "change", [change_weight, change_data, change_through_numpy, swap_rows, change_buffer, change_setting]
)
def test_a_loaded_model_that_was_changed_in_place_is_run_anew(texts, change):
    model = tiny_model()
    transformer = LMActivationTransformer(LanguageModel(model, tokenizer=tiny_tokenizer()), 1).fit(texts)
    before = transformer.transform(texts)
    change(model)
    after = transformer.transform(texts)
    assert np.abs(before.concatenated() - after.concatenated()).max() > 1e-5
    assert after == LMActivationTransformer(
        LanguageModel(copy.deepcopy(model), tokenizer=tiny_tokenizer()), 1
    ).fit_transform(texts)


def test_an_unchanged_loaded_model_runs_once_in_every_family(family, texts, monkeypatch):
    batches = []
    run = extract.run_batch
    family(ids_of(texts[0]), output_hidden_states=True)  # for which transformers leaves hooks behind
    monkeypatch.setattr(extract, "run_batch", lambda *args: (batches.append(1), run(*args))[1])
    transformer = LMActivationTransformer(LanguageModel(family, tokenizer=tiny_tokenizer()), 1).fit(texts)
    acts = transformer.transform(texts)
    assert clone(transformer).fit_transform(texts) == transformer.transform(texts) == acts
    assert (
        LMActivationTransformer(LanguageModel(copy.deepcopy(family), tokenizer=tiny_tokenizer()), 1).fit_transform(
            texts
        )
        == acts
    )
    assert len(batches) == 1


def test_of_a_loaded_model_with_hooks_of_its_own_nothing_is_kept(texts, tmp_path):
    model = tiny_model()
    transformer = LMActivationTransformer(
        LanguageModel(model, tokenizer=tiny_tokenizer(), memory=tmp_path / "memory"), 1
    ).fit(texts)
    plain = transformer.transform(texts)
    kept = sorted(tmp_path.rglob("*.npz"))
    for factor in (0.0, 2.0):
        handle = model.model.layers[0].mlp.register_forward_hook(lambda _m, _in, out, factor=factor: out * factor)
        hooked = transformer.transform(texts)
        assert np.abs(hooked[0] - plain[0]).max() > 0.01
        states = by_plain_hook(model, model.model.layers[1], texts[0])
        close(hooked[0], states)
        handle.remove()
    assert transformer.transform(texts) == plain
    model.model.layers[0].mlp.forward = lambda hidden: torch.zeros_like(hidden)
    assert np.abs(transformer.transform(texts)[0] - plain[0]).max() > 0.01
    assert sorted(tmp_path.rglob("*.npz")) == kept


def test_weights_of_a_loaded_model_cannot_be_drawn(texts):
    with pytest.raises(ValueError, match=r"weights='random' draws .* model is an object \(LlamaForCausalLM\)"):
        LMActivationTransformer(LanguageModel(tiny_model(), tokenizer=tiny_tokenizer(), weights="random"), 1).fit(texts)


def test_what_is_given_out_cannot_be_changed_behind_the_stores_back(tiny_lm_dir, texts):
    acts = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    with pytest.raises(ValueError, match="read-only"):
        acts[0][:] = 0


def test_two_layers_in_a_union_take_one_pass(tiny_lm_dir, texts, count_passes):
    counter = count_passes(tiny_lm_dir)
    union = FeatureUnion([(str(i), LMActivationTransformer(tiny_lm_dir, i, level="text")) for i in (0, 3)])
    assert union.fit_transform(texts).shape == (len(texts), 2 * D_MODEL)
    assert set(counter.values()) == {1}
    assert len(counter) == len(texts)


# Errors ------------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("layer", [N_LAYERS, 40, -5, 1.5, "blocks.4.hook_resid_post", [0, 9], [True]])
def test_a_layer_that_is_not_there_is_refused_with_the_valid_range(tiny_lm_dir, texts, layer):
    with pytest.raises(ValueError, match=r"tiny-llama has 4 layers \(0\.\.3\), got layer="):
        LMActivationTransformer(tiny_lm_dir, layer).fit(texts)


def test_a_malformed_hook_name_is_refused_with_an_example(tiny_lm_dir, texts):
    with pytest.raises(ValueError, match=r"'layers.3' is no hook name.*blocks\.12\.hook_resid_post"):
        LMActivationTransformer(tiny_lm_dir, "layers.3").fit(texts)
    with pytest.raises(ValueError, match="empty list"):
        LMActivationTransformer(tiny_lm_dir, []).fit(texts)


@pytest.mark.parametrize(
    "params", [{"site": "resid"}, {"pooling": "median"}, {"level": "sentence"}, {"layer": True}, {"layer": None}]
)
def test_parameters_of_the_wrong_kind_are_refused_by_name(tiny_lm_dir, texts, params):
    with pytest.raises(ValueError, match=f"The '{next(iter(params))}' parameter of LMActivationTransformer must be"):
        LMActivationTransformer(tiny_lm_dir, **{"layer": 1, **params}).fit(texts)


def test_words_are_pooled_over_their_own_tokens(tiny_lm_dir, texts):
    tokens = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    words = LMActivationTransformer(tiny_lm_dir, 1, level="word", pooling="sum").fit_transform(texts)
    assert words.tokens == [text.split() for text in texts]
    for of_words, of_tokens in zip(words, tokens, strict=True):
        np.testing.assert_allclose(of_words.sum(axis=0), of_tokens.sum(axis=0), rtol=1e-5, atol=1e-4)


# The real model ----------------------------------------------------------------------------------------------------


@pytest.mark.real_model
def test_the_real_model_gives_what_transformers_gives(smollm2):
    model, tokenizer = AutoModelForCausalLM.from_pretrained(smollm2), AutoTokenizer.from_pretrained(smollm2)
    acts = LMActivationTransformer(smollm2, [15, 29]).fit_transform(SENTENCES)
    for text, array in zip(SENTENCES, acts, strict=True):
        ids = torch.tensor([[0, *tokenizer(text, add_special_tokens=False)["input_ids"]]])
        with torch.no_grad():
            states = model(ids, output_hidden_states=True).hidden_states
            last = model.model.norm(torch.from_numpy(array[:, 576:]))
        close(array[:, :576], states[16][0, 1:].numpy())
        close(last.numpy(), states[30][0, 1:].numpy())
