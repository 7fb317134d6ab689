"""The one forward pass: batches of rows to activations and log-probabilities."""

from __future__ import annotations

from contextlib import contextmanager, nullcontext, suppress
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._lm.head import Scoring, SplitHead, can_split, positions_at_once, score
from sklearn_sae_encoding._lm.loading import LoadedModel
from sklearn_sae_encoding._lm.rows import Row
from sklearn_sae_encoding._lm.running import evaluating, without_cache
from sklearn_sae_encoding._lm.sites import ADDED, factor_of_block, parse_hook, site_of_block

_TOP_ROWS = 256  # positions whose probabilities over the vocabulary are held at once


class RowResult(NamedTuple):
    row: Row
    activations: dict[str, np.ndarray]  # hook name -> (n_new, d_model), float32
    scores: np.ndarray | None  # (n_new, 4 or 6), float32, columns as in head.py


def batch_limit(max_tokens: int, vocab_size: int, surprisal: bool) -> int:
    """Tokens of a batch, fewer where logits over a large vocabulary would fill the memory."""
    return min(max_tokens, positions_at_once(vocab_size)) if surprisal else max_tokens


def run_batch(loaded: LoadedModel, batch: list[Row], hooks, scoring: Scoring | None) -> list[RowResult]:
    """One forward pass. Without `scoring` it ends at the last hook: no higher layer is computed."""
    import torch

    ids, mask = _padded(batch, loaded.model.device)
    head = None if scoring is None else _split_head(loaded.model, batch)
    with torch.inference_mode(), evaluating(loaded.model):
        with _capture(loaded, hooks, stop=scoring is None) as captured, head.first_part() if head else nullcontext():
            logits = None
            with suppress(_AllCaptured):
                logits = loaded.model(input_ids=ids, attention_mask=mask, **without_cache(loaded.model)).logits
        # OPT's blocks flatten rows and tokens on the way to their MLP.
        captured = {hook: _as_added(loaded, hook, _by_row(values, ids, hook)) for hook, values in captured.items()}
        scores = None
        if scoring is not None:
            parts = (
                [head.all_parts(logits, ids)] if head else [[logits[i, : len(row.ids)]] for i, row in enumerate(batch)]
            )
            del logits
            scores = [score(row, some, scoring) for row, some in zip(batch, parts, strict=True)]
        return [
            RowResult(
                row,
                {hook: _row_of(values, i, row) for hook, values in captured.items()},
                None if scores is None else scores[i],
            )
            for i, row in enumerate(batch)
        ]


def top_tokens(loaded: LoadedModel, row: Row, k: int):
    """The `k` likeliest tokens after each position of a row, likeliest first, and their log-probabilities."""
    import torch

    ids, mask = _padded([row], loaded.model.device)
    head, found = _split_head(loaded.model, [row]), []
    with torch.inference_mode(), evaluating(loaded.model):
        with head.first_part() if head else nullcontext():
            logits = loaded.model(input_ids=ids, attention_mask=mask, **without_cache(loaded.model)).logits
        for part in head.all_parts(logits, ids) if head else [logits[0]]:
            for few in part.split(_TOP_ROWS):
                found.append(few.float().log_softmax(-1).topk(min(k, few.shape[-1])))
    return tuple(torch.cat([one[i] for one in found]).cpu().numpy() for i in (1, 0))


def run_branches(loaded: LoadedModel, trunk: np.ndarray, places: np.ndarray, ids: np.ndarray, hook: str) -> np.ndarray:
    """Activations ``(n, d_model)`` of single tokens `ids`, each read after the first `places` tokens of `trunk`.

    One pass: the tokens stand behind the trunk, have the position that they would have, and see what stood before it
    and themselves. Families that make positions or masks of their own don't keep to that: compare what comes out.
    """
    import torch

    n, device = len(trunk), loaded.model.device
    every = torch.from_numpy(np.concatenate([trunk, ids]))[None].to(device)
    positions = torch.from_numpy(np.concatenate([np.arange(n), places]))[None].to(device)
    sees = np.zeros((n + len(ids), n + len(ids)), dtype=bool)
    sees[:n, :n] = np.tri(n, dtype=bool)
    sees[n:, :n] = np.arange(n) < places[:, None]
    sees[np.diag_indices_from(sees)] = True
    mask = torch.zeros(sees.shape, dtype=loaded.model.dtype)
    mask[torch.from_numpy(~sees)] = torch.finfo(loaded.model.dtype).min
    with torch.inference_mode(), evaluating(loaded.model):
        with _capture(loaded, (hook,), stop=True) as captured, suppress(_AllCaptured):
            given = {"attention_mask": mask[None, None].to(device), "position_ids": positions}
            loaded.model(input_ids=every, **given, **without_cache(loaded.model))
        return _as_added(loaded, hook, _by_row(captured[hook], every, hook))[0, n:].numpy().copy()


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
        value = value[0] if isinstance(value, (tuple, list)) else value
        # Some blocks add in place: what they add has to be kept as it is now.
        captured[name] = value.clone() if parse_hook(name)[1] in ADDED else value
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


def _by_row(values, ids, hook: str):
    if (values.ndim == 2 and len(values) == ids.numel()) or values.shape[:2] == ids.shape:
        return values.reshape(*ids.shape, -1)
    raise ValueError(
        f"{hook} gives an array of shape {tuple(values.shape)} for {ids.shape[0]} texts of {ids.shape[1]} tokens: it "
        "holds no row a token. Name another list of blocks with blocks_path."
    )


def _as_added(loaded: LoadedModel, hook: str, values):
    """In single precision, and times what the block multiplies it by before it adds it."""
    layer, site = parse_hook(hook)
    factor = factor_of_block(loaded.blocks[layer], site)
    values = values.float().cpu()
    return values if factor == 1 else values * factor


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
