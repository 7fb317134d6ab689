"""Texts to token ids, with where each token stands in its text."""

from __future__ import annotations

import weakref
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._tokens.alignment import trimmed

_word_starts: weakref.WeakKeyDictionary = weakref.WeakKeyDictionary()  # looking through a vocabulary takes a while


class TokenizedText(NamedTuple):
    """The tokens of one text, and of the context before it, without a beginning-of-sequence token."""

    ids: np.ndarray  # (n_all,), int64: context, text, and special tokens spelled out in it
    kept: np.ndarray  # (n_all,), bool: tokens of the text itself
    tokens: list[str]  # (n_kept,)
    offsets: np.ndarray  # (n_kept, 2), int64: first and last + 1 character in the text, without white space


def tokenize(
    tokenizer, texts: list[str], contexts: list[str] | None = None, bos_id: int | None = None
) -> list[TokenizedText]:
    """Tokenize texts as they stand, each after its context: no special token is added, nothing is cut.

    A beginning-of-sequence token with which a text already begins is left out, as it is put there anyway.
    """
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
    special = special_ids(tokenizer)
    return [
        _without_bos(_one(tokenizer, special, start + text, len(start), ids, offsets), bos_id)
        for start, text, ids, offsets in zip(
            before, texts, encoded["input_ids"], encoded["offset_mapping"], strict=True
        )
    ]


def _with_space(context: str) -> str:
    return context if not context or context[-1].isspace() else context + " "


def word_start_ids(tokenizer) -> np.ndarray:
    """Ids of the tokens that begin a word with white space, empty if the tokenizer does not mark white space so."""
    size = len(tokenizer)  # tokens may have been added since
    known = _word_starts.get(tokenizer)
    if known is None or known[0] != size:
        known = _word_starts[tokenizer] = (size, _find_word_starts(tokenizer))
    return known[1]


def _find_word_starts(tokenizer) -> np.ndarray:
    space = tokenizer.convert_ids_to_tokens(tokenizer(" ", add_special_tokens=False)["input_ids"])
    mark = space[0][0] if space and space[0] else None
    if mark is None or space[0] in tokenizer.all_special_tokens:
        return np.empty(0, dtype=np.int64)
    return np.array(sorted(i for token, i in tokenizer.get_vocab().items() if token.startswith(mark)), dtype=np.int64)


def _one(tokenizer, special: list[int], text: str, start: int, ids, offsets) -> TokenizedText:
    ids = np.asarray(ids, dtype=np.int64).reshape(-1)
    offsets = trimmed(text, np.asarray(offsets, dtype=np.int64).reshape(-1, 2))
    kept = (offsets[:, 1] > start) & ~_are_special(tokenizer, special, text, ids, offsets)
    tokens = tokenizer.convert_ids_to_tokens(ids[kept].tolist())
    return TokenizedText(ids, kept, tokens, np.maximum(offsets[kept] - start, 0))


def special_ids(tokenizer) -> set[int]:
    """Ids of all special tokens, however the tokenizer declares them.

    By a role such as ``bos_token``, in ``additional_special_tokens``, or by a flag of an added token alone.
    """
    ids = {int(i) for i in tokenizer.all_special_ids if i is not None}
    backend = getattr(tokenizer, "backend_tokenizer", None)
    for added in (
        getattr(tokenizer, "added_tokens_decoder", None) or {},
        {} if backend is None else backend.get_added_tokens_decoder(),
    ):
        ids.update(int(i) for i, token in added.items() if token.special)
    return ids


def _are_special(tokenizer, special: set[int], text: str, ids: np.ndarray, offsets: np.ndarray) -> np.ndarray:
    """Which tokens are special. The unknown token is only where the text spells it out: else it stands for a word."""
    found = np.isin(ids, list(special))
    unknown = tokenizer.unk_token
    for i in np.flatnonzero(found & (ids == tokenizer.unk_token_id)) if unknown is not None else ():
        found[i] = text[slice(*offsets[i])].strip() == unknown
    return found


def _without_bos(tokenized: TokenizedText, bos_id: int | None) -> TokenizedText:
    if bos_id is None or not len(tokenized.ids) or tokenized.ids[0] != bos_id or tokenized.kept[0]:
        return tokenized
    return tokenized._replace(ids=tokenized.ids[1:], kept=tokenized.kept[1:])
