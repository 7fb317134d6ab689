"""Logits to log-probabilities of tokens, without those of a whole long text at once."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Iterator

import numpy as np

from sklearn_sae_encoding._lm.objects import runs_other_code
from sklearn_sae_encoding._lm.rows import Row
from sklearn_sae_encoding._lm.running import without_cache

_LOGIT_BYTES = 1 << 30  # logits that a model gives at once, at most
_LOGIT_ROWS = 256  # positions whose probabilities over the vocabulary are held at once

# Columns of scores. Where nothing but a beginning-of-sequence token stands before the first token, it starts a word
# for certain: LOG_START_BEFORE is 0 there. All but LOG_P are NaN if the tokenizer does not mark where words start.
LOG_P, LOG_START_BEFORE, LOG_START_AFTER, STARTS_WORD = range(4)


def positions_at_once(vocab_size: int) -> int:
    """Positions whose logits fit in the memory set aside for them."""
    return max(1, _LOGIT_BYTES // (4 * vocab_size))


class SplitHead:
    """A model's head that gets the positions of one long text part by part, after one pass through the blocks.

    Within :meth:`first_part` the head takes the first positions, and the others wait. In :meth:`all_parts` they enter
    the head one part after the other, each in the place of a single token that runs for it. So all that a model does
    to its logits (softcapping, scaling, a bias) it does itself, at the cost of one token a part.
    """

    def __init__(self, model, size: int):
        self._model, self._size, self._waiting = model, size, None

    def first_part(self):
        """Where the model runs on the text: its logits are those of the first positions."""
        return self._entering(self._split)

    def all_parts(self, first, ids) -> Iterator:
        """Logits ``(n_positions, vocab)`` of each part, `first` having come from the pass itself."""
        yield first[0]
        del first  # or it stays while the next part is made
        one_token = {"input_ids": ids[:, :1], "attention_mask": ids.new_ones((1, 1)), **without_cache(self._model)}
        while self._waiting is not None:
            with self._entering(lambda _states: self._split(self._waiting)):
                logits = self._model(**one_token).logits
            yield logits[0]
            del logits

    def _split(self, states):
        part, rest = states[:, : self._size], states[:, self._size :]
        self._waiting = rest if rest.shape[1] else None
        return part

    @contextlib.contextmanager
    def _entering(self, replace):
        head = output_head(self._model)
        handle = head.register_forward_pre_hook(lambda _module, args: (replace(args[0]), *args[1:]))
        try:
            yield
        finally:
            handle.remove()


def can_split(model) -> bool:
    """Whether the head is a module of its own, and no hook of somebody else would meet the single tokens."""
    return output_head(model) is not None and not runs_other_code(model)


def output_head(model):
    """The module that makes logits, or None for a model of another make that tells of none."""
    find = getattr(model, "get_output_embeddings", None)
    return None if find is None else find()


def score(row: Row, logits: Iterable, word_starts) -> np.ndarray:
    """Log-probability of each token that `row` answers for, and of a word starting before it and after it.

    `logits` are ``(n_positions, vocab)`` of the row's positions, in one or several parts. A part is asked for when the
    one before it is done with.
    """
    import torch

    before = max(row.first - 1, 0)  # predicts the first token that the row answers for
    following = torch.from_numpy(np.append(row.ids[1:], 0))  # nothing follows the last: any token does
    found, done = [], 0
    for part in logits:
        for at in range(max(before - done, 0), len(part), _LOGIT_ROWS):
            few = part[at : at + _LOGIT_ROWS].float()
            found.append(_of_positions(few, following[done + at :][: len(few)].to(few.device), word_starts))
        done += len(part)
        part = few = None
    log_p, starts = (torch.cat(kind) for kind in zip(*found, strict=True))
    log_p, ids = log_p[:-1], torch.from_numpy(row.ids[before:]).to(log_p.device)
    if row.first == 0:  # nothing stands before the first token: it has no probability
        unknown = log_p.new_full((1,), torch.nan)
        log_p, starts = torch.cat([unknown, log_p]), torch.cat([unknown, starts])
    else:
        ids = ids[1:]
    start_before = starts[:-1].clone()
    if row.at == 0:
        start_before[0] = 0.0 if word_starts is not None else torch.nan
    is_start = torch.full_like(log_p, torch.nan) if word_starts is None else word_starts[ids]
    return torch.stack([log_p, start_before, starts[1:], is_start], dim=1).cpu().numpy()


def _of_positions(logits, following, word_starts):
    """Log-probability of the token that follows each position, and of any token that starts a word."""
    total, starts = _normalised(logits, word_starts)
    return logits.gather(-1, following[:, None])[:, 0] - total, starts


def _normalised(logits, members):
    """Log of the sum of ``exp(logits)`` over the vocabulary, and log of the share that its `members` have in it."""
    import torch

    top = logits.amax(-1, keepdim=True)
    mass = (logits - top).exp_()
    total = mass.sum(-1)
    log_total = top[:, 0] + total.log()
    if members is None:
        return log_total, torch.full_like(total, torch.nan)
    share = (mass @ members) / total
    if share.all():
        return log_total, share.log()
    # Rarer than float32 can say beside the likeliest token.
    return log_total, logits.masked_fill(members == 0, -torch.inf).logsumexp(-1) - log_total
