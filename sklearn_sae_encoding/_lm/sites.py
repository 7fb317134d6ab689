"""Where activations are read: hook names, and the modules of a model that they stand for."""

from __future__ import annotations

import re
from numbers import Integral, Real

SITES = ("resid_pre", "attn_out", "mlp_out", "resid_post")
_HOOK = re.compile(r"blocks\.(\d+)\.hook_(resid_pre|attn_out|mlp_out|resid_post)")

# Where families keep their decoder blocks, seen from the causal model.
_BLOCK_PATHS = (
    "model.layers",  # Llama, Mistral, Gemma, Qwen, SmolLM, OLMo, Phi
    "transformer.h",  # GPT-2, GPT-J, BLOOM, Falcon
    "gpt_neox.layers",  # GPT-NeoX, Pythia
    "model.decoder.layers",  # OPT
    "model.language_model.layers",  # Gemma 3 with vision
    "language_model.model.layers",
)
_ATTENTION_NAMES = ("self_attn", "attn", "attention", "self_attention")
_MLP_NAMES = ("mlp", "feed_forward", "fc2")


def hook_name(layer: int, site: str) -> str:
    return f"blocks.{layer}.hook_{site}"


def parse_hook(name: str) -> tuple[int, str]:
    """Layer and site of a hook name such as ``blocks.12.hook_resid_post``."""
    match = _HOOK.fullmatch(name)
    if match is None:
        raise ValueError(
            f"{name!r} is no hook name. Expected blocks.LAYER.hook_SITE with SITE one of {', '.join(SITES)}, "
            "for example blocks.12.hook_resid_post."
        )
    return int(match[1]), match[2]


def resolve_hooks(layer, site: str, n_layers: int, model_name: str) -> tuple[str, ...]:
    """Hook names that a `layer` parameter asks for: an index, a fraction of depth, a hook name or a list of these."""
    layers = layer if isinstance(layer, (list, tuple)) else [layer]
    if not layers:
        raise ValueError("layer is an empty list. Name at least one layer.")
    return tuple(dict.fromkeys(_resolve_one(one, site, n_layers, model_name) for one in layers))


def _resolve_one(layer, site: str, n_layers: int, model_name: str) -> str:
    if isinstance(layer, str):
        index, site = parse_hook(layer)
    elif isinstance(layer, Integral) and not isinstance(layer, bool):
        index = int(layer) + (n_layers if layer < 0 else 0)
    elif isinstance(layer, Real) and not isinstance(layer, bool) and 0 <= layer <= 1:
        index = min(int(layer * n_layers), n_layers - 1)
    else:
        index = -1
    if not 0 <= index < n_layers:
        raise ValueError(
            f"{model_name} has {n_layers} layers (0..{n_layers - 1}), got layer={layer!r}. Give an index, a fraction "
            "of depth between 0.0 and 1.0, a hook name such as blocks.0.hook_resid_post, or a list of these."
        )
    return hook_name(index, site)


def find_blocks(model, n_layers: int, path: str | None = None):
    """The decoder blocks of `model`: at `path`, where the known families keep them, or an error that lists what is."""
    paths = (path,) if path is not None else _BLOCK_PATHS
    for candidate in paths:
        blocks = _module_at(model, candidate)
        if blocks is not None and _is_list_of(blocks, n_layers):
            return blocks
    found = [f"{name} ({len(m)} x {type(m[0]).__name__})" for name, m in model.named_modules() if _is_list_of(m)]
    looked = f"at {path!r}" if path is not None else f"in {', '.join(_BLOCK_PATHS)}"
    raise ValueError(
        f"Found no list of {n_layers} decoder blocks in {type(model).__name__} {looked}. Its lists of modules are: "
        f"{', '.join(found) or 'none'}. Name the right one with blocks_path."
    )


def site_of_block(block, site: str):
    """Module to hook for `site`, and whether its ``"input"`` or ``"output"`` is meant.

    Attention and MLP outputs are what the block adds to the residual stream: after the norm that Gemma puts there.
    """
    if site in ("resid_pre", "resid_post"):
        return block, "input" if site == "resid_pre" else "output"
    has_post_norms = hasattr(block, "pre_feedforward_layernorm") and hasattr(block, "post_feedforward_layernorm")
    if has_post_norms:
        return getattr(
            block, "post_attention_layernorm" if site == "attn_out" else "post_feedforward_layernorm"
        ), "output"
    for name in _ATTENTION_NAMES if site == "attn_out" else _MLP_NAMES:
        module = getattr(block, name, None)
        if module is not None:
            return module, "output"
    raise ValueError(
        f"Found no module for {site} in {type(block).__name__}. Its modules are: "
        f"{', '.join(name for name, _ in block.named_children())}. Use site='resid_post' for this model."
    )


def _module_at(model, path: str):
    for name in path.split("."):
        model = getattr(model, name, None)
    return model


def _is_list_of(module, n: int | None = None) -> bool:
    from torch import nn

    return isinstance(module, nn.ModuleList) and len(module) > 0 and n in (None, len(module))
