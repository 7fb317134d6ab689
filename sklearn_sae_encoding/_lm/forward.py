"""The one forward pass: batches of rows to activations and log-probabilities."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._lm.head import SplitHead, can_split, positions_at_once, score
from sklearn_sae_encoding._lm.loading import LoadedModel
from sklearn_sae_encoding._lm.rows import Row
from sklearn_sae_encoding._lm.running import evaluating, without_cache
from sklearn_sae_encoding._lm.sites import parse_hook, site_of_block


class RowResult(NamedTuple):
    row: Row
    activations: dict[str, np.ndarray]  # hook name -> (n_new, d_model), float32
    scores: np.ndarray | None  # (n_new, 4), float32, columns as in head.py


def batch_limit(max_tokens: int, vocab_size: int, surprisal: bool) -> int:
    """Tokens of a batch, fewer where logits over a large vocabulary would fill the memory."""
    return min(max_tokens, positions_at_once(vocab_size)) if surprisal else max_tokens


def run_batch(loaded: LoadedModel, batch: list[Row], hooks, surprisal: bool, word_starts) -> list[RowResult]:
    """One forward pass. Without `surprisal` it ends at the last hook: no higher layer is computed."""
    import torch

    ids, mask = _padded(batch, loaded.model.device)
    head = _split_head(loaded.model, batch) if surprisal else None
    with torch.inference_mode(), evaluating(loaded.model):
        with _capture(loaded, hooks, stop=not surprisal) as captured, head.first_part() if head else nullcontext():
            logits = None
            with suppress(_AllCaptured):
                logits = loaded.model(input_ids=ids, attention_mask=mask, **without_cache(loaded.model)).logits
        # OPT's blocks flatten rows and tokens on the way to their MLP.
        captured = {hook: values.reshape(*ids.shape, -1).float().cpu() for hook, values in captured.items()}
        scores = None
        if surprisal:
            parts = (
                [head.all_parts(logits, ids)] if head else [[logits[i, : len(row.ids)]] for i, row in enumerate(batch)]
            )
            del logits
            scores = [score(row, some, word_starts) for row, some in zip(batch, parts, strict=True)]
        return [
            RowResult(
                row,
                {hook: _row_of(values, i, row) for hook, values in captured.items()},
                None if scores is None else scores[i],
            )
            for i, row in enumerate(batch)
        ]


def _split_head(model, batch: list[Row]) -> SplitHead | None:
    """Where logits of a single row over the whole vocabulary would fill the memory."""
    size = positions_at_once(model.config.get_text_config().vocab_size)
    return SplitHead(model, size) if len(batch[0].ids) > size and can_split(model) else None


class _AllCaptured(Exception):
    """Ends a forward pass from inside, once every hook has been reached."""


@contextmanager
def _capture(loaded: LoadedModel, hooks, stop: bool):
    """Collect what the hooked modules take or give, for one forward pass."""
    captured: dict = {}

    def keep(name, value):
        captured[name] = value[0] if isinstance(value, tuple) else value
        if stop and len(captured) == len(hooks):
            raise _AllCaptured

    handles = []
    try:
        for name in hooks:
            layer, site = parse_hook(name)
            module, side = site_of_block(loaded.blocks[layer], site)
            if side == "output":
                handles.append(module.register_forward_hook(lambda _m, _in, out, name=name: keep(name, out)))
            else:
                handles.append(
                    module.register_forward_pre_hook(
                        lambda _m, args, kwargs, name=name: keep(name, args or kwargs["hidden_states"]),
                        with_kwargs=True,
                    )
                )
        yield captured
    finally:
        for handle in handles:
            handle.remove()


def _padded(batch: list[Row], device):
    """Right padding: positions count from the left, and no real token attends to what follows it."""
    import torch

    width = max(len(row.ids) for row in batch)
    ids = torch.zeros((len(batch), width), dtype=torch.long)
    mask = torch.zeros((len(batch), width), dtype=torch.long)
    for i, row in enumerate(batch):
        ids[i, : len(row.ids)] = torch.from_numpy(row.ids)
        mask[i, : len(row.ids)] = 1
    return ids.to(device), mask.to(device)


def _row_of(captured, i: int, row: Row) -> np.ndarray:
    return captured[i, row.first : len(row.ids)].numpy().copy()
