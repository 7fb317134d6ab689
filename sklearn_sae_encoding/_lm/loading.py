"""Loading language models: one copy of the weights a process, from safetensors and GGUF files only."""

from __future__ import annotations

import functools
import os
import threading
import weakref
from collections import OrderedDict
from dataclasses import dataclass, field, replace
from typing import Any

from sklearn_sae_encoding._forks import mind_forks
from sklearn_sae_encoding._lm.fingerprint import files_key, tokenizer_files_key, tokenizer_key
from sklearn_sae_encoding._lm.sites import find_blocks
from sklearn_sae_encoding._lm.source import ModelSource, clear_errors, forget_commits, quiet, where, where_tokenizer
from sklearn_sae_encoding._lm.vocabulary import check_same_tokens, check_vocabulary
from sklearn_sae_encoding._validation import check_torch_device

_MAX_LOADED = 2  # models that one process holds; the one used longest ago goes first
_MAX_TOKENIZERS = 8


@dataclass
class LoadedModel:
    """A model ready to run, its tokenizer, and the lock that lets one thread at a time run it."""

    model: Any
    tokenizer: Any
    source: ModelSource
    lock: threading.RLock = field(default_factory=threading.RLock)

    @functools.cached_property
    def blocks(self):
        """The decoder blocks. Surprisal alone needs none, and is told of no model where they stand."""
        n_layers = self.model.config.get_text_config().num_hidden_layers
        return find_blocks(self.model, n_layers, self.source.blocks_path)


# Sources with the state of their files: where a folder's weights were replaced, the old ones are not given out.
_loaded: OrderedDict[tuple, LoadedModel] = OrderedDict()
_loading: dict[ModelSource, threading.Lock] = {}
_tokenizers: OrderedDict[tuple, Any] = OrderedDict()
_registry_lock = threading.Lock()
_tokenizer_lock = threading.Lock()
_object_locks: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def load_model(source: ModelSource) -> LoadedModel:
    """The one copy of this model in this process, loaded at the first call."""
    mind_forks()
    if source.is_object:
        return _wrap(source, source.model, lock=_lock_of(source.model))
    source = source.plain()
    key = (source, files_key(source), tokenizer_key(source))
    with _registry_lock:
        lock = _loading.setdefault(source, threading.Lock())
    with lock:  # threads that want the same weights wait for the first; other models load meanwhile
        with _registry_lock:
            if key in _loaded:
                _loaded.move_to_end(key)
                return _loaded[key]
        _check_given_tokenizer(source)
        loaded = _wrap(source, _load_weights(source), lock=threading.RLock())
        with _registry_lock:
            _loaded[key] = loaded
            while len(_loaded) > _MAX_LOADED:
                _loaded.popitem(last=False)
        return loaded


def release_models() -> None:
    """Forget the language models that this process holds, so that their memory can be used again.

    They are loaded again when needed; of a model on the hub, then, what its branch stands for at that time.
    """
    forget_commits()
    with _registry_lock:
        _loaded.clear()
    with _tokenizer_lock:
        _tokenizers.clear()


def load_tokenizer(source: ModelSource):
    """The one copy of this model's tokenizer in this process, read at the first call. No weights are loaded for it."""
    if source.tokenizer is not None and not isinstance(source.tokenizer, (str, os.PathLike)):
        return source.tokenizer
    if source.tokenizer is None and source.is_object:
        raise ValueError(
            f"The model is an object ({type(source.model).__name__}), so its tokenizer must be given: set tokenizer to "
            "a loaded tokenizer or to the name or folder of one."
        )
    place = where_tokenizer(source)
    key = (tuple(sorted(place.items())), tokenizer_files_key(source))
    with _tokenizer_lock:
        if key not in _tokenizers:
            _tokenizers[key] = _read_tokenizer(source, place)
            while len(_tokenizers) > _MAX_TOKENIZERS:
                _tokenizers.popitem(last=False)
        _tokenizers.move_to_end(key)
        return _tokenizers[key]


def _wrap(source: ModelSource, model, lock) -> LoadedModel:
    tokenizer = load_tokenizer(source)
    check_vocabulary(model, tokenizer, source.name)
    return LoadedModel(model, tokenizer, source, lock)


def _check_given_tokenizer(source: ModelSource) -> None:
    """Compare a tokenizer that was given apart from a named model with the model's own, where it has one."""
    if source.tokenizer is None:
        return
    try:
        own = load_tokenizer(replace(source, tokenizer=None))
    except ValueError:
        return  # there is none: that may be why another one is given
    check_same_tokens(own, load_tokenizer(source), source.name)


def _lock_of(model) -> threading.RLock:
    with _registry_lock:
        return _object_locks.setdefault(model, threading.RLock())


def _load_weights(source: ModelSource):
    import torch

    check_torch_device(source.device)
    dtype = source.dtype if source.dtype == "auto" else getattr(torch, source.dtype)
    with clear_errors(source), quiet():
        model = _draw(source, dtype) if source.weights == "random" else _read(source, dtype)
    return model.eval().requires_grad_(False).to(source.device)


def _draw(source: ModelSource, dtype):
    import torch
    from transformers import AutoConfig, AutoModelForCausalLM

    config = AutoConfig.from_pretrained(**where(source), trust_remote_code=False)
    with torch.random.fork_rng(devices=[]):
        torch.default_generator.manual_seed(source.seed)  # of the CPU alone: manual_seed reaches those of all GPUs
        model = AutoModelForCausalLM.from_config(config, trust_remote_code=False)
    return model if dtype == "auto" else model.to(dtype)


def _read(source: ModelSource, dtype):
    from transformers import AutoModelForCausalLM

    model, info = AutoModelForCausalLM.from_pretrained(
        **where(source), dtype=dtype, trust_remote_code=False, use_safetensors=True, output_loading_info=True
    )
    # transformers fills weights that a file lacks with random numbers and only logs it.
    missing = sorted(info.get("missing_keys", ()))
    if missing:
        raise ValueError(
            f"The weights of {source.model} are incomplete: {len(missing)} tensors are missing "
            f"({', '.join(missing[:3])}{', ...' if len(missing) > 3 else ''}). Get them again. If the model was "
            "stored without its head, load it yourself with AutoModel, and pass it and its tokenizer: activations need "
            "no head."
        )
    return model


def _read_tokenizer(source: ModelSource, place: dict):
    from transformers import AutoTokenizer

    with clear_errors(source, part="tokenizer"), quiet():
        return AutoTokenizer.from_pretrained(**place, trust_remote_code=False)
