"""Where activations are read: hook names, and the modules of a model that they stand for."""

from __future__ import annotations

import re
from numbers import Integral, Real

SITES = ("resid_pre", "z", "attn_out", "mlp_in", "mlp_out", "resid_post")  # in the order in which a block passes them
ADDED = ("attn_out", "mlp_out")  # what a block adds to the stream
# The names of the SAE world; of the MLP's input, that of TransformerLens 3.
_NAMES = {**{site: f"hook_{site}" for site in SITES}, "z": "attn.hook_z", "mlp_in": "mlp.hook_in"}
_SITES = {name: site for site, name in _NAMES.items()}
_HOOK = re.compile(rf"blocks\.(\d+)\.({'|'.join(map(re.escape, _SITES))})")

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
_PROJECTION_NAMES = ("o_proj", "out_proj", "c_proj", "dense")
_MLP_NAMES = ("mlp", "feed_forward", "fc2")
_MLP_IN_NAMES = ("mlp", "feed_forward", "fc1")
_POST_NORMS = (
    ("post_attention_layernorm", "post_feedforward_layernorm"),  # Gemma 2 and 3, OLMo 2
    ("post_self_attn_layernorm", "post_mlp_layernorm"),  # GLM-4
)


def hook_name(layer: int, site: str) -> str:
    return f"blocks.{layer}.{_NAMES[site]}"


def parse_hook(name: str) -> tuple[int, str]:
    """Layer and site of a hook name such as ``blocks.12.hook_resid_post``."""
    match = _HOOK.fullmatch(name)
    if match is None:
        raise ValueError(
            f"{name!r} is no hook name. Expected blocks.LAYER.SITE with SITE one of {', '.join(_SITES)}, "
            "for example blocks.12.hook_resid_post."
        )
    return int(match[1]), _SITES[match[2]]


def order_of(hook: str) -> tuple[int, int]:
    """Where in a pass a hook is reached."""
    layer, site = parse_hook(hook)
    return layer, SITES.index(site)


def width_of(hook: str, config) -> int:
    """Width of what a hook gives: the model's, or of the heads of attention side by side."""
    _, site = parse_hook(hook)
    if site != "z":
        return config.hidden_size
    heads = config.num_attention_heads
    return heads * (getattr(config, "head_dim", None) or config.hidden_size // heads)


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
        index = min(int(layer * n_layers + 1e-6), n_layers - 1)  # 15/26 of 26 is 14.999999999999998
    else:
        index = -1
    if not 0 <= index < n_layers:
        raise ValueError(
            f"{model_name} has {n_layers} layers (0..{n_layers - 1}), got layer={layer!r}. Give an index, a fraction "
            "of depth between 0.0 and 1.0, a hook name such as blocks.0.hook_resid_post, or a list of these."
        )
    return hook_name(index, site)


# Kinds of models whose blocks are known to be something else than rows of tokens, and why.
_REFUSED = {
    "xlnet": "its blocks take the tokens first and the texts second",
    "transfo-xl": "its blocks take the tokens first and the texts second",
}


def find_blocks(model, n_layers: int, path: str | None = None):
    """The decoder blocks of `model`: at `path`, where the known families keep them, or an error that lists what is."""
    if (why := _REFUSED.get(getattr(model.config, "model_type", None))) is not None:
        raise ValueError(f"{type(model).__name__} is not read: {why}. Give its activations as arrays.")
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

    Attention and MLP outputs are what the block adds to the residual stream: after the norm that Gemma, OLMo 2 and
    GLM-4 put there. Whether it is so is checked when a model first runs (additions.py).
    """
    if site in ("resid_pre", "resid_post"):
        return block, "input" if site == "resid_pre" else "output"
    if site == "z":
        attention = _named(block, _ATTENTION_NAMES, site)
        # GPT-2, Llama and most others; GPT-NeoX and Falcon; OPT
        return _named(attention, _PROJECTION_NAMES, site), "input"
    if site == "mlp_in":
        return _named(block, _MLP_IN_NAMES, site), "input"
    # Llama's post_attention_layernorm stands before the MLP: only where there is a norm after it, both are after.
    for after_attention, after_mlp in _POST_NORMS:
        if hasattr(block, after_attention) and hasattr(block, after_mlp):
            return getattr(block, after_attention if site == "attn_out" else after_mlp), "output"
    return _named(block, _ATTENTION_NAMES if site == "attn_out" else _MLP_NAMES, site), "output"


def factor_of_block(block, site: str) -> float:
    """What a block multiplies the output of its attention or MLP by before it adds it (Granite)."""
    return float(getattr(block, "residual_multiplier", 1.0)) if site in ADDED else 1.0


def _named(module, names: tuple[str, ...], site: str):
    for name in names:
        if (found := getattr(module, name, None)) is not None:
            return found
    raise ValueError(
        f"Found no module for {site} in {type(module).__name__}. Its modules are: "
        f"{', '.join(name for name, _ in module.named_children())}. Use site='resid_post' for this model."
    )


def _module_at(model, path: str):
    for name in path.split("."):
        model = getattr(model, name, None)
    return model


def _is_list_of(module, n: int | None = None) -> bool:
    from torch import nn

    return isinstance(module, nn.ModuleList) and len(module) > 0 and n in (None, len(module))
