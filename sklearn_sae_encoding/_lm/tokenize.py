"""Texts to token ids, with where each token stands in its text."""

from __future__ import annotations

import weakref
from typing import NamedTuple

import numpy as np

_word_starts: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # looking through a vocabulary takes a while


class TokenizedText(NamedTuple):
    """The tokens of one text, and of the context before it, without a beginning-of-sequence token."""

    ids: np.ndarray  # (n_all,), int64: context, text, and special tokens spelled out in it
    kept: np.ndarray  # (n_all,), bool: tokens of the text itself
    tokens: list[str]  # (n_kept,)
    offsets: np.ndarray  # (n_kept, 2), int64: first and last + 1 character in the text, without white space


def tokenize(tokenizer, texts: list[str], contexts: list[str] | None = None) -> list[TokenizedText]:
    """Tokenize texts as they stand, each after its context: no special token is added, nothing is cut."""
    if not getattr(tokenizer, "is_fast", False):
        raise ValueError(
            f"{type(tokenizer).__name__} cannot tell where its tokens stand in the text. Use the fast version of the "
            "tokenizer (transformers loads it by default where there is one)."
        )
    before = [_with_space(context) for context in contexts or [""] * len(texts)]
    encoded = tokenizer(
        [start + text for start, text in zip(before, texts, strict=True)],
        add_special_tokens=False,
        return_attention_mask=False,
        return_offsets_mapping=True,
        verbose=False,  # texts longer than the model's context are expected: they run in windows
    )
    special = _special_ids(tokenizer)
    return [
        _one(tokenizer, special, start + text, len(start), ids, offsets)
        for start, text, ids, offsets in zip(
            before, texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
        )
    ]


def _with_space(context: str) -> str:
    return context if not context or context[-1].isspace() else context + " "


def word_start_ids(tokenizer) -> np.ndarray:
    """Ids of the tokens that begin a word with white space, empty if the tokenizer does not mark white space so."""
    known = _word_starts.get(tokenizer)
    if known is None:
        known = _word_starts[tokenizer] = _find_word_starts(tokenizer)
    return known


def _find_word_starts(tokenizer) -> np.ndarray:
    space = tokenizer.convert_ids_to_tokens(tokenizer(" ", add_special_tokens=False)["input_ids"])
    mark = space[0][0] if space and space[0] else None
    if mark is None or space[0] in tokenizer.all_special_tokens:
        return np.empty(0, dtype=np.int64)
    return np.array(sorted(i for token, i in tokenizer.get_vocab().items() if token.startswith(mark)), dtype=np.int64)


def _one(tokenizer, special: list[int], text: str, start: int, ids, offsets) -> TokenizedText:
    ids = np.asarray(ids, dtype=np.int64).reshape(-1)
    offsets = _trimmed(text, np.asarray(offsets, dtype=np.int64).reshape(-1, 2))
    kept = (offsets[:, 1] > start) & ~np.isin(ids, special)
    tokens = tokenizer.convert_ids_to_tokens(ids[kept].tolist())
    return TokenizedText(ids, kept, tokens, np.maximum(offsets[kept] - start, 0))


def _special_ids(tokenizer) -> list[int]:
    """Special tokens are not words. The unknown token is: it stands for one."""
    return [i for i in tokenizer.all_special_ids if i != tokenizer.unk_token_id]


def _trimmed(text: str, offsets: np.ndarray) -> np.ndarray:
    """Offsets without the white space that some tokenizers count to the token and others don't."""
    trimmed = offsets.copy()
    for i, (start, end) in enumerate(offsets.tolist()):
        token = text[start:end]
        if token.strip():
            trimmed[i] = start + len(token) - len(token.lstrip()), end - len(token) + len(token.rstrip())
    return trimmed
