"""Are attention's and the MLP's outputs what a block adds to the residual stream? Checked on the first batch."""

from __future__ import annotations

import weakref

import numpy as np

from sklearn_sae_encoding._lm.sites import ADDED, hook_name, parse_hook

_PARTS = ("resid_pre", "attn_out", "mlp_out", "resid_post")
_TOLERANCE = 1e-3  # of the largest change that the block makes
_checked: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # model -> layers that were found right


def hooks_to_check(model, hooks) -> tuple[str, ...]:
    """Hooks by which to tell, for those of `hooks` that have to be and were not checked yet."""
    done = _checked.get(model, set())
    layers = sorted({layer for layer, site in map(parse_hook, hooks) if site in ADDED} - done)
    return tuple(hook_name(layer, site) for layer in layers for site in _PARTS)


def check_additions(model, hooks: tuple[str, ...], activations: list[dict[str, np.ndarray]], name: str) -> None:
    """Raise where the parts of a block do not add up to what it gives.

    `hooks` are those of :func:`hooks_to_check`, `activations` those of some rows.
    """
    for layer in sorted({layer for layer, _ in map(parse_hook, hooks)}):
        before, attention, mlp, after = (
            np.concatenate([one[hook_name(layer, site)] for one in activations]) for site in _PARTS
        )
        error = np.abs(before + attention + mlp - after).max()
        change = np.abs(after - before).max()
        # Sums are rounded to the model's own precision, in a stream that may be much larger than what is added.
        rounding = 16 * _precision(model) * np.abs(after).max()
        if error > _TOLERANCE * change + rounding:
            raise ValueError(
                f"In block {layer} of {name} ({type(model).__name__}), resid_pre + attn_out + mlp_out differs from "
                f"resid_post by up to {error:.3g}, where the block changes the stream by {change:.3g}: what its "
                "modules give is not what it adds. Use site='resid_post' or 'resid_pre' for this model."
            )
        _checked.setdefault(model, set()).add(layer)


def _precision(model) -> float:
    import torch

    return torch.finfo(model.dtype if model.dtype.is_floating_point else torch.float32).eps
