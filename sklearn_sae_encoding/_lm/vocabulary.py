"""Does a tokenizer belong to a model? Each has a vocabulary, and numbers of another one's tokens mean nothing."""

from __future__ import annotations

import numpy as np

# Models pad their embeddings by some percent at most, for the hardware's sake or for tokens to come.
_LEAST_SHARE = 0.8
_LEAST_SHARED = 0.9  # of the tokens of a tokenizer, those that have the same number in the model's own


def check_vocabulary(model, tokenizer, name: str) -> None:
    """Refuse a tokenizer with far fewer tokens than the model has embeddings."""
    rows, size = n_embeddings(model), len(tokenizer)
    if rows is not None and size < _LEAST_SHARE * rows:
        raise ValueError(
            f"{name} has embeddings of {rows} tokens, but its tokenizer ({tokenizer_name(tokenizer)}) has {size}: it "
            "is another model's. Give the model's own as tokenizer=."
        )


def check_same_tokens(own, given, name: str) -> None:
    """Refuse a tokenizer that numbers its tokens otherwise than the model's own."""
    numbers, others = own.get_vocab(), given.get_vocab()
    same = sum(numbers.get(token) == number for token, number in others.items())
    if same < _LEAST_SHARED * len(others):
        raise ValueError(
            f"Of the {len(others)} tokens of the tokenizer that was given ({tokenizer_name(given)}), {same} have the "
            f"number that they have in the tokenizer of {name}: it is another model's. Leave tokenizer=None for the "
            "model's own."
        )


def check_ids(loaded, ids: list[np.ndarray], samples: list[int]) -> None:
    """Refuse token numbers that the model has no embedding for."""
    rows = n_embeddings(loaded.model)
    for one, sample in zip(ids, samples, strict=True) if rows is not None else ():
        if len(one) and one.max() >= rows:
            tokenizer = loaded.tokenizer
            token = tokenizer.convert_ids_to_tokens(int(one.max()))
            raise ValueError(
                f"Sample {sample} holds the token {token!r}, number {one.max()}, but {loaded.source.name} has "
                f"embeddings of {rows} tokens alone. Its tokenizer ({tokenizer_name(tokenizer)}) is another model's, "
                "or got tokens that the model never learnt."
            )


def n_embeddings(model) -> int | None:
    """Number of tokens that a model has embeddings for; None where it does not tell."""
    find = getattr(model, "get_input_embeddings", None)
    weight = getattr(None if find is None else find(), "weight", None)
    return None if weight is None else int(weight.shape[0])


def tokenizer_name(tokenizer) -> str:
    return getattr(tokenizer, "name_or_path", "") or type(tokenizer).__name__
