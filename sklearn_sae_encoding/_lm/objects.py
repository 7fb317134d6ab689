"""What a loaded model is at this moment: a key of its content, since nobody tells when a user's own object changes."""

from __future__ import annotations

import functools
import hashlib
import json
import weakref
from collections.abc import Iterator

_WORDS = 1 << 16  # of 8 bytes, that are summed at once: they stay in the processor's cache
_MASK = (1 << 64) - 1
_FACTOR = 0x9E3779B97F4A7C15  # odd, so that multiplying by it loses nothing
_hashes: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()


def object_key(model) -> str:
    """Hash of a loaded model's configuration, settings, weights and buffers, as they are now.

    All numbers are read at every call. torch counts the changes of a tensor, but not those made through ``.data`` or
    shared memory. A checksum is several times as fast as the hash, which is taken again only when that differs.
    """
    state = (_settings(model), _checksum(model))
    known = _hashes.get(model)
    if known is None or known[0] != state:
        known = _hashes[model] = (state, _hash(model, state[0]))
    return known[1]


def runs_other_code(model) -> bool:
    """Whether hooks or a replaced ``forward`` take part in the model: no key tells what these do.

    Weights that are not in memory (on torch's "meta" device) count as such, too.
    """
    hooks = (
        hook
        for module in model.modules()
        for hook in (*module._forward_hooks.values(), *module._forward_pre_hooks.values())
    )
    return (
        any(map(_has_other_forward, model.modules()))
        or any(map(_may_change_results, hooks))
        or any(tensor.is_meta for _, tensor in _tensors(model))
    )


def _has_other_forward(module) -> bool:
    # transformers 4 puts the method of the class there again, after it has collected hidden states.
    forward = vars(module).get("forward")
    own = forward is None or getattr(forward, "__func__", None) is type(module).forward
    return not own and not hasattr(module, "_hf_hook")


def _may_change_results(hook) -> bool:
    # Those of transformers, which collect hidden states and stay after that, do not. accelerate has no torch hooks but
    # replaces forward, to move weights between devices; _hf_hook tells so.
    return not getattr(hook, "__module__", "").startswith("transformers.")


def _tensors(model) -> Iterator:
    yield from model.named_parameters()
    yield from model.named_buffers()


def _settings(model) -> str:
    """The configuration, and what every module has for plain attributes, such as whether an adapter is on."""
    modules = {
        name: {key: value for key, value in vars(module).items() if key != "training" and _is_plain(value)}
        for name, module in model.named_modules()
    }
    return model.config.to_json_string() + json.dumps(modules, sort_keys=True)


def _is_plain(value) -> bool:
    if isinstance(value, dict):
        return all(isinstance(key, str) and _is_plain(one) for key, one in value.items())
    if isinstance(value, (list, tuple)):
        return all(_is_plain(one) for one in value)
    return value is None or isinstance(value, (bool, int, float, str))


def _checksum(model) -> int:
    total = 0
    for _, tensor in _tensors(model):
        total = (total * _FACTOR + _checksum_of(tensor)) & _MASK
    return total


def _checksum_of(tensor) -> int:
    """Sum of the tensor's 8-byte words, each times a random number, modulo 2**64."""
    import torch

    words = _bytes(tensor)
    if len(words) % 8:
        words = torch.nn.functional.pad(words, (0, -len(words) % 8))
    total, weights = 0, _weights(words.device)
    for part in words.view(torch.int64).split(_WORDS):
        # Modulo 2**64 the weights hardly reach the highest bits, signs among them: they are folded down first.
        folded = part ^ (part >> 32)
        total = (total * _FACTOR + (folded * weights[: len(part)]).sum().item()) & _MASK
    return total


def _bytes(tensor):
    import torch

    return tensor.detach().contiguous().reshape(-1).view(torch.uint8)


@functools.cache
def _weights(device):
    import torch

    generator = torch.Generator().manual_seed(0)
    return (torch.randint(-(1 << 62), 1 << 62, (_WORDS,), generator=generator) * 2 + 1).to(device)


def _hash(model, settings: str) -> str:
    digest = hashlib.sha256(settings.encode())
    for name, tensor in sorted(_tensors(model), key=lambda pair: pair[0]):
        digest.update(f"{name} {tensor.dtype} {tuple(tensor.shape)}".encode())
        digest.update(_bytes(tensor).cpu().numpy())
    return digest.hexdigest()[:40]
