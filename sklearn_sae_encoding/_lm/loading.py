"""Finding and loading language models: by name, folder, file or object, one copy of the weights a process."""

from __future__ import annotations

import contextlib
import os
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field, fields
from pathlib import Path
from typing import Any

from sklearn_sae_encoding._lm.sites import find_blocks

_MAX_LOADED = 2  # models that one process holds; the one used longest ago goes first


@dataclass(frozen=True)
class ModelSource:
    """Everything that says which language model is meant; equal sources share one copy of the weights."""

    model: Any  # str, or a loaded causal model
    revision: str | None = None
    tokenizer: Any = None  # str, a loaded tokenizer, or None
    dtype: str = "float32"
    device: str = "cpu"
    weights: str = "pretrained"  # or "random"
    seed: int = 0
    blocks_path: str | None = None

    @property
    def is_object(self) -> bool:
        return not isinstance(self.model, str)

    @property
    def name(self) -> str:
        """The name people know the model by: the hub's name, the folder's, the file's, or the object's."""
        given = self.model
        if self.is_object:
            given = getattr(self.model, "name_or_path", "") or type(self.model).__name__
        path = Path(given).expanduser()
        name = path.resolve().name if path.exists() else given
        return name if self.weights == "pretrained" else f"{name} (random weights, seed {self.seed})"

    def same_as(self, other: ModelSource) -> bool:
        """Equality that never compares two loaded objects by value."""
        pairs = [(getattr(self, field.name), getattr(other, field.name)) for field in fields(self)]
        return all(a is b or (isinstance(a, (str, int)) and a == b) for a, b in pairs)


@dataclass
class LoadedModel:
    """A model ready to run, its tokenizer, and the lock that lets one thread at a time run it."""

    model: Any
    tokenizer: Any
    blocks: Any
    source: ModelSource
    lock: threading.RLock = field(default_factory=threading.RLock)


_loaded: OrderedDict[ModelSource, LoadedModel] = OrderedDict()
_loading: dict[ModelSource, threading.Lock] = {}
_registry_lock = threading.Lock()
_object_locks: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def load_config(source: ModelSource):
    """Configuration of the (text) model, without its weights."""
    if source.is_object:
        return source.model.config.get_text_config()
    from transformers import AutoConfig

    with _clear_errors(source), _quiet():
        return AutoConfig.from_pretrained(**_where(source), trust_remote_code=False).get_text_config()


def load_model(source: ModelSource) -> LoadedModel:
    """The one copy of this model in this process, loaded at the first call."""
    if source.is_object:
        return _wrap(source, source.model)
    with _registry_lock:
        lock = _loading.setdefault(source, threading.Lock())
    with lock:  # threads that want the same weights wait for the first; other models load meanwhile
        with _registry_lock:
            if source in _loaded:
                _loaded.move_to_end(source)
                return _loaded[source]
        loaded = _wrap(source, _load_weights(source))
        with _registry_lock:
            _loaded[source] = loaded
            while len(_loaded) > _MAX_LOADED:
                _loaded.popitem(last=False)
        return loaded


def release_models() -> None:
    """Forget the language models that this process holds, so that their memory can be used again.

    They are loaded again when needed.
    """
    with _registry_lock:
        _loaded.clear()


def _wrap(source: ModelSource, model) -> LoadedModel:
    n_layers = model.config.get_text_config().num_hidden_layers
    loaded = LoadedModel(model, _load_tokenizer(source), find_blocks(model, n_layers, source.blocks_path), source)
    if source.is_object:
        loaded.lock = _lock_of(model)
    return loaded


def _lock_of(model) -> threading.RLock:
    with _registry_lock:
        return _object_locks.setdefault(model, threading.RLock())


def _load_weights(source: ModelSource):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    dtype = source.dtype if source.dtype == "auto" else getattr(torch, source.dtype)
    with _clear_errors(source), _quiet():
        if source.weights == "random":
            config = AutoConfig.from_pretrained(**_where(source), trust_remote_code=False)
            with torch.random.fork_rng(devices=[]):
                torch.manual_seed(source.seed)
                model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
            model = model if dtype == "auto" else model.to(dtype)
        else:
            model, info = AutoModelForCausalLM.from_pretrained(
                **_where(source), dtype=dtype, trust_remote_code=False, use_safetensors=True, output_loading_info=True
            )
            _check_complete(source, info)
    return model.eval().requires_grad_(False).to(source.device)


def _load_tokenizer(source: ModelSource):
    from transformers import AutoTokenizer

    if source.tokenizer is not None and not isinstance(source.tokenizer, (str, os.PathLike)):
        return source.tokenizer
    where = {"pretrained_model_name_or_path": os.fspath(source.tokenizer)} if source.tokenizer else None
    if where is None and source.is_object:
        raise ValueError(
            f"The model is an object ({type(source.model).__name__}), so its tokenizer must be given: set tokenizer to "
            "a loaded tokenizer or to the name or folder of one."
        )
    with _clear_errors(source, part="tokenizer"), _quiet():
        return AutoTokenizer.from_pretrained(**(where or _where(source)), trust_remote_code=False)


def _where(source: ModelSource) -> dict:
    path = Path(source.model).expanduser()
    if path.suffix == ".gguf" and path.is_file():
        return {"pretrained_model_name_or_path": str(path.parent), "gguf_file": path.name}
    if path.is_dir():
        return {"pretrained_model_name_or_path": str(path)}
    return {"pretrained_model_name_or_path": source.model, "revision": source.revision or "main"}


def resolve_folder(source: ModelSource) -> tuple[Path, str | None]:
    """Folder that holds the model's files, in the hub's cache for a name; and the file's name for a GGUF file."""
    where = _where(source)
    if "revision" not in where:
        return Path(where["pretrained_model_name_or_path"]).resolve(), where.get("gguf_file")
    from transformers.utils import cached_file

    with _clear_errors(source):
        config = cached_file(source.model, "config.json", revision=where["revision"])
    return Path(config).parent, None


def _check_complete(source: ModelSource, info: dict) -> None:
    """transformers fills weights that a file lacks with random numbers and only logs it; here that is an error."""
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        raise ValueError(
            f"The weights of {source.model} are incomplete: {len(missing)} tensors are missing "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}). Get them again."
        )


@contextlib.contextmanager
def _clear_errors(source: ModelSource, part: str = "language model"):
    from safetensors import SafetensorError

    try:
        yield
    except SafetensorError as error:
        raise ValueError(
            f"The weights of {source.model} are damaged or cut short ({error}). Delete the file and get it again."
        ) from error
    except OSError as error:
        raise ValueError(_not_found(source, part, error)) from error


def _not_found(source: ModelSource, part: str, error: Exception) -> str:
    from huggingface_hub import constants

    wanted = source.tokenizer if part == "tokenizer" and isinstance(source.tokenizer, str) else source.model
    path = Path(str(wanted)).expanduser()
    if path.exists():
        return f"Could not read the {part} at {path.resolve()}: {error}"
    hub = "switched off" if constants.HF_HUB_OFFLINE else "asked"
    return (
        f"Could not find the {part} {str(wanted)!r} (revision {source.revision or 'main'}). There is no folder or GGUF "
        f"file {path.absolute()}, it is not in the hub's cache {constants.HF_HUB_CACHE}, and the hub was {hub}: {error}"
    )


@contextlib.contextmanager
def _quiet():
    """Hide the progress bars of transformers while loading, and leave its setting as it was."""
    from transformers.utils import logging

    was_on = logging.is_progress_bar_enabled()
    logging.disable_progress_bar()
    try:
        yield
    finally:
        if was_on:
            logging.enable_progress_bar()
