"""How long a text a model reads at once, and where it begins to read otherwise."""

from __future__ import annotations


def longest_context(model) -> int | None:
    """Tokens that a model reads at once, a beginning-of-sequence token included; None where it sets no limit."""
    config = model.config.get_text_config()
    for name in ("max_position_embeddings", "max_seq_len"):  # the latter is MPT's
        limit = getattr(config, name, None)
        if isinstance(limit, int) and limit > 0:  # XLNet says -1
            return min(limit, _usable_positions(model) or limit)
    return None


def _usable_positions(model) -> int | None:
    """Positions that have an embedding, where some are set aside: RoBERTa counts from behind its padding token's."""
    for name, module in model.named_modules():
        padding = getattr(module, "padding_idx", None)
        if name.endswith("position_embeddings") and padding is not None:
            return module.num_embeddings - padding - 1
    return None


def rope_switch(model) -> int | None:
    """Length above which all positions of a batch are rotated otherwise, as Phi-3's are; None for most models."""
    config = model.config.get_text_config()
    rope = getattr(config, "rope_parameters", None) or getattr(config, "rope_scaling", None) or {}
    if (rope.get("rope_type") or rope.get("type")) != "longrope":
        return None
    return rope.get("original_max_position_embeddings") or getattr(config, "original_max_position_embeddings", None)
