"""The beginning-of-sequence token: the one that a model was pretrained with, or the one asked for."""

from __future__ import annotations

import re
import warnings
from typing import NamedTuple

AUTO = "auto"

# Models by the last part of their names, in small letters, whose tokenizer declares a token of its chat template, or
# where that check would be wrong, with the token that stood before texts in pretraining.
_PRETRAINED_WITH = (
    (re.compile(r"smollm2?-\d+(\.\d+)?[mb]-instruct.*"), "<|endoftext|>"),  # declares <|im_start|>
    (re.compile(r"granite-3.*"), "<|end_of_text|>"),  # which also ends every turn of a chat
)


class Bos(NamedTuple):
    """A beginning-of-sequence token."""

    id: int
    token: str


def find_bos(tokenizer, bos_token: str | None, model_name: str) -> Bos | None:
    """The token put before every text, or None if there shall be none."""
    if bos_token is None:
        return None
    if bos_token != AUTO:
        return _named(tokenizer, bos_token, model_name)
    known = _known(model_name)
    if known is not None and _id_of(tokenizer, known) is not None:
        return _named(tokenizer, known, model_name)
    if tokenizer.bos_token_id is None:
        raise ValueError(
            f"{model_name} has no beginning-of-sequence token. Set bos_token=None in its LanguageModel to put none "
            f"before texts, or name the token that shall stand in for it, such as bos_token={tokenizer.eos_token!r}."
        )
    declared = Bos(int(tokenizer.bos_token_id), str(tokenizer.bos_token))
    _warn_of_chat_marker(tokenizer, declared.token, model_name)
    return declared


def _named(tokenizer, bos_token: str, model_name: str) -> Bos:
    number = _id_of(tokenizer, bos_token)
    if number is None:
        raise ValueError(f"bos_token={bos_token!r} is not in the vocabulary of {model_name}.")
    return Bos(number, bos_token)


def _id_of(tokenizer, token: str) -> int | None:
    """A token's number, None if there is none; the whole vocabulary would take a tenth of a second each time."""
    number = tokenizer.convert_tokens_to_ids(token)  # of the unknown token, for one that isn't known
    return None if number is None or tokenizer.convert_ids_to_tokens(number) != token else int(number)


def _known(model_name: str) -> str | None:
    name = model_name.partition(" (random weights")[0].replace("\\", "/").rstrip("/").rpartition("/")[2].lower()
    return next((token for pattern, token in _PRETRAINED_WITH if pattern.fullmatch(name)), None)


def _warn_of_chat_marker(tokenizer, token: str, model_name: str) -> None:
    """A token that the chat template spells out marks turns; before plain text in pretraining stood another one."""
    templates = getattr(tokenizer, "chat_template", None) or ""
    if token in (" ".join(templates.values()) if isinstance(templates, dict) else templates):
        warnings.warn(
            f"The tokenizer of {model_name} declares {token!r} as its beginning-of-sequence token, which is a part of "
            "its chat template and may never have stood before plain text in pretraining. Surprisal and activations "
            "depend on it. Name the token of pretraining, often the end-of-text token, with bos_token in LanguageModel "
            f"(bos_token={token!r} keeps this one).",
            UserWarning,
            stacklevel=2,
        )
