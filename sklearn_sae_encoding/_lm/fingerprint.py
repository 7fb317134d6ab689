"""Keys of cached results: which weights, read how, on which text."""

from __future__ import annotations

import functools
import hashlib
import json
import weakref
from pathlib import Path

from sklearn_sae_encoding._lm.source import ModelSource, resolve_folder, where

_FORMAT = 1  # raise when what is stored, or how it is computed, changes
_CHUNK = 1 << 20
_object_hashes: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def pass_key(source: ModelSource, settings: dict) -> str:
    """Key of everything but the text: the model's weights, precision, and how texts are put to it."""
    parts = {
        "format": _FORMAT,
        "model": _object_key(source.model) if source.is_object else files_key(source),
        "tokenizer": tokenizer_key(source.tokenizer),
        "dtype": source.dtype,
        "weights": source.weights,
        "seed": source.seed if source.weights == "random" else None,
        "blocks_path": source.blocks_path,
        **settings,
    }
    return _digest(json.dumps(parts, sort_keys=True))


def text_key(text: str) -> str:
    return _digest(text)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]


def files_key(source: ModelSource) -> str:
    """The commit of a model on the hub; else names, sizes, times and both ends of the model's files.

    Other files under the same name are another model.
    """
    folder, only = resolve_folder(source)
    if "revision" in where(source) and folder.parent.name == "snapshots":
        # Before the weights are loaded the folder may hold config.json alone, which several commits share.
        return _digest(f"{source.model}@{folder.name}")
    patterns = [only] if only else ["config.json", "*.safetensors*", "token*", "vocab*", "merges*"]
    paths = sorted({path for pattern in patterns for path in folder.glob(pattern)})
    return _digest(repr([_file_key(path, path.stat().st_size, path.stat().st_mtime_ns) for path in paths]))


@functools.lru_cache(maxsize=256)
def _file_key(path: Path, size: int, time: int) -> tuple:
    with open(path, "rb") as file:
        ends = hashlib.sha256(file.read(_CHUNK))
        file.seek(max(0, size - _CHUNK))
        ends.update(file.read(_CHUNK))
    return path.name, size, time, ends.hexdigest()


def tokenizer_key(tokenizer) -> str | None:
    if tokenizer is None:
        return None
    if isinstance(tokenizer, str):
        return files_key(ModelSource(tokenizer)) if Path(tokenizer).expanduser().is_dir() else tokenizer
    backend = getattr(tokenizer, "backend_tokenizer", None)
    content = backend.to_str() if backend is not None else json.dumps(tokenizer.get_vocab(), sort_keys=True)
    return _digest(content + repr(sorted(tokenizer.special_tokens_map.items(), key=str)))


def _object_key(model) -> str:
    """Hash of a loaded model's configuration and weights, taken again when a weight was changed in place."""
    # torch counts the in-place changes of every tensor.
    version = [(tensor.data_ptr(), tensor._version) for tensor in _tensors(model)]
    known = _object_hashes.get(model)
    if known is None or known[0] != version:
        known = (version, _hash_of_weights(model))
        _object_hashes[model] = known
    return known[1]


def _tensors(model):
    yield from model.parameters()
    yield from model.buffers()


def _hash_of_weights(model) -> str:
    import torch

    digest = hashlib.sha256(model.config.to_json_string().encode())
    for name, tensor in sorted(model.state_dict().items()):
        digest.update(name.encode())
        digest.update(tensor.detach().contiguous().cpu().view(-1).view(torch.uint8).numpy())
    return digest.hexdigest()[:40]
