"""Keys of cached results: which weights, read how, on which text."""

from __future__ import annotations

import functools
import hashlib
import json
from importlib import metadata
from pathlib import Path

from sklearn_sae_encoding._lm.objects import object_key
from sklearn_sae_encoding._lm.source import ModelSource, where, where_tokenizer
from sklearn_sae_encoding._lm.texts import Sample

_CHUNK = 1 << 20
_MODEL_FILES = ("config.json", "*.safetensors*")
_TOKENIZER_FILES = (
    "config.json",  # which may name the kind of tokenizer
    "token*",
    "special_tokens_map.json",
    "added_tokens.json",
    "vocab*",
    "merges*",
    "*.model",
    "*.tiktoken",
    "tekken.json",
)


def pass_key(source: ModelSource, settings: dict) -> str:
    """Key of everything but the text: the model's weights, precision, and how texts are put to it."""
    parts = {
        "model": object_key(source.model) if source.is_object else files_key(source),
        "tokenizer": tokenizer_key(source),
        "transformers": _major_version("transformers"),  # another one may make other tokens of the same files
        "dtype": source.dtype,
        "weights": source.weights,
        "seed": source.seed if source.weights == "random" else None,
        "blocks_path": source.blocks_path,
        **settings,
    }
    return _digest(json.dumps(parts, sort_keys=True, default=lambda number: number.item()))  # NumPy's numbers


def text_key(sample: Sample) -> str:
    return _digest(sample.text if sample.context is None else json.dumps([sample.context, sample.text]))


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def files_key(source: ModelSource) -> str:
    """The commit of a model on the hub; else names, sizes, times and both ends of the model's files.

    Other files under the same name are another model.
    """
    return _place_key(where(source), (*_MODEL_FILES, *_TOKENIZER_FILES))


def tokenizer_key(source: ModelSource) -> str | None:
    """Key of a tokenizer that is given apart from the model, by name or as an object."""
    tokenizer = source.tokenizer
    if tokenizer is None:
        return None
    if isinstance(tokenizer, str):
        return _place_key(where_tokenizer(source), _TOKENIZER_FILES)
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content = {"vocabulary": tokenizer.get_vocab()} if backend is None else json.loads(backend.to_str())
    # Every call sets these two anew.
    content = {name: part for name, part in content.items() if name not in ("padding", "truncation")}
    return _digest(json.dumps(content, sort_keys=True) + repr(sorted(tokenizer.special_tokens_map.items(), key=str)))


def tokenizer_files_key(source: ModelSource) -> str:
    """Key of the files that a named tokenizer is read from, be it the model's own or another one."""
    return _place_key(where_tokenizer(source), _TOKENIZER_FILES)


def _place_key(place: dict, patterns: tuple[str, ...]) -> str:
    name = place["pretrained_model_name_or_path"]
    if "revision" in place:  # a commit: it tells of all files, whether they are in the hub's cache yet or not
        return _digest(f"{name}@{place['revision']}")
    folder = Path(name).resolve()
    patterns = [place["gguf_file"]] if "gguf_file" in place else patterns
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return _digest(repr([_file_key(path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]))


@functools.lru_cache(maxsize=256)
def _file_key(path: Path, size: int, time: int) -> tuple:
    with open(path, "rb") as file:
        ends = hashlib.sha256(file.read(_CHUNK))
        file.seek(max(0, size - _CHUNK))
        ends.update(file.read(_CHUNK))
    return path.name, size, time, ends.hexdigest()


@functools.cache
def _major_version(package: str) -> str:
    return metadata.version(package).partition(".")[0]
