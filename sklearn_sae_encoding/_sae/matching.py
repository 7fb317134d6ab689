"""Does an SAE belong to these activations?"""

from __future__ import annotations

import re
from typing import NamedTuple

_SITES = ("hook_resid_pre", "attn.hook_z", "hook_attn_out", "mlp.hook_in", "hook_mlp_out", "hook_resid_post")
_HOOK = re.compile(rf"blocks\.\d+\.({'|'.join(map(re.escape, _SITES))})")
_MLP_INPUT = re.compile(r"model\.layers\.(\d+)\.pre_feedforward_layernorm\.output")  # as Gemma Scope 2 names it
_BRIDGE_HOOK = re.compile(r"blocks\.(\d+)\.hook_(in|out)")  # TransformerLens 3
_BLOCK = re.compile(r"(?:model|transformer|gpt_neox|model\.decoder)\.(?:layers|h)\.(\d+)")  # transformers' own names


class Origin(NamedTuple):
    """What an SAE was trained on, or where activations come from; None where unknown."""

    model: str | None
    hook: str | tuple[str, ...] | None
    bos: str | bool | None  # the token, "" for none; or, as most SAEs say, whether there was one


def origin_of_sae(config: dict) -> Origin:
    """Read an SAE's origin from its configuration."""
    metadata = config.get("metadata") or {}
    bos = metadata.get("bos_token")
    bos = metadata.get("prepend_bos") if bos is None else bos
    hook = metadata.get("hook_name")
    if match := _MLP_INPUT.fullmatch(metadata.get("hf_hook_name") or ""):  # where TransformerLens' names fall short
        hook = f"blocks.{match[1]}.mlp.hook_in"
    return Origin(metadata.get("model_name"), hook, bos)


def metadata_of(origin: Origin) -> dict:
    """Entries of an SAE's configuration that say so, of what is known."""
    known = {"model_name": origin.model, "hook_name": origin.hook}
    if origin.bos is not None:
        known |= {"prepend_bos": bool(origin.bos), "bos_token": origin.bos}
    return {name: value for name, value in known.items() if value is not None}


def find_mismatch(sae: Origin, activations: Origin) -> str | None:
    """Say how the two differ and what to do about it, or None. What is unknown on either side cannot differ."""
    if _both_known(sae.model, activations.model) and not _same_model(sae.model, activations.model):
        return (
            f"The SAE was trained on {sae.model}, but the activations come from {activations.model}. "
            f"Set model={sae.model!r} in LMActivationTransformer"
        )
    if _both_known(sae.hook, activations.hook) and _place(sae.hook) != _place(activations.hook):
        return (
            f"The SAE was trained on {sae.hook} of {sae.model}, but the activations come from {activations.hook} of "
            f"{activations.model}. {_advice_on_hook(sae.hook)}"
        )
    if _both_known(sae.bos, activations.bos) and _bos_differs(sae.bos, activations.bos):
        named = sae.bos if isinstance(sae.bos, str) and sae.bos else ("auto" if sae.bos else None)
        return (
            f"The SAE was trained on texts {_with_bos(sae.bos)}, but the activations come from texts "
            f"{_with_bos(activations.bos)}. Set bos_token={named!r} in the LanguageModel of LMActivationTransformer"
        )
    return None


def _bos_differs(first: str | bool, second: str | bool) -> bool:
    """Compare the tokens where both sides name one, and else whether there was one."""
    if isinstance(first, str) and isinstance(second, str):
        return first != second
    return bool(first) != bool(second)


def _place(hook: str | tuple[str, ...]) -> str | tuple[str, ...]:
    """Where in the model a hook stands, whatever it is called: what enters a block is what leaves the one before."""
    if not isinstance(hook, str):
        return hook
    name = readable(hook)
    match = re.fullmatch(r"blocks\.(\d+)\.hook_resid_pre", name or "")
    if match is not None and int(match[1]) > 0:
        return f"blocks.{int(match[1]) - 1}.hook_resid_post"
    return name or hook


def readable(hook: str) -> str | None:
    """Name by which LMActivationTransformer reads a hook, or None if it cannot."""
    if _HOOK.fullmatch(hook):
        return hook
    if match := _BRIDGE_HOOK.fullmatch(hook):
        return f"blocks.{match[1]}.hook_resid_{'pre' if match[2] == 'in' else 'post'}"
    if match := _BLOCK.fullmatch(hook):
        return f"blocks.{match[1]}.hook_resid_post"
    return None


def _advice_on_hook(hook: str) -> str:
    if (name := readable(hook)) is not None:
        return f"Set layer={name!r} in LMActivationTransformer"
    return (
        f"LMActivationTransformer cannot read {hook}: it reads {', '.join(_SITES)} of a block. Choose an SAE for one "
        "of these, give the activations at this hook as arrays"
    )


def canonical(model: str) -> str:
    """
    Reduce a model's name to what hub names, TransformerLens' names and folders have in common.

    >>> canonical("google/gemma-2-2b"), canonical("/models/Gemma-2-2B/")
    ('gemma-2-2b', 'gemma-2-2b')
    """
    name = _last_part(model)
    # Meta renamed its repositories; both names are in use.
    return _official_name(name).removeprefix("meta-")


def _same_model(first: str, second: str) -> bool:
    """Compare the names, and the organisations where both name one: google/gemma-2-2b is not somebody/gemma-2-2b."""
    owners = {owner for owner in map(_organisation, (first, second)) if owner is not None}
    return canonical(first) == canonical(second) and len(owners) < 2


def _organisation(model: str) -> str | None:
    parts = str(model).split("/")
    return parts[0].lower() if len(parts) == 2 and all(parts) and parts[0] not in (".", "..", "~") else None


def _last_part(model: str) -> str:
    return str(model).replace("\\", "/").rstrip("/").rpartition("/")[2].lower()


def _official_name(name: str) -> str:
    """Resolve an alias of TransformerLens, such as gpt2-small for gpt2; many SAEs name their model by one."""
    import sys

    # Whoever has loaded an SAE has loaded TransformerLens. Importing it for a name alone would take seconds.
    loading = sys.modules.get("transformer_lens.loading_from_pretrained")
    aliases = getattr(loading, "MODEL_ALIASES", {"gpt2": ["gpt2-small"]})
    return next((_last_part(official) for official, names in aliases.items() if name in map(str.lower, names)), name)


def _both_known(first, second) -> bool:
    return first is not None and second is not None


def _with_bos(bos: str | bool) -> str:
    if not bos:
        return "without a beginning-of-sequence token"
    return f"with {bos!r} before them" if isinstance(bos, str) else "with a beginning-of-sequence token"
