"""What a model could have read instead: its likeliest next tokens at each place of a text, and their activations."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._lm.extract import Pass, rows_of
from sklearn_sae_encoding._lm.forward import run_batch, run_branches, top_tokens
from sklearn_sae_encoding._lm.loading import LoadedModel, load_model
from sklearn_sae_encoding._lm.rows import Row, make_batches
from sklearn_sae_encoding._lm.texts import Sample
from sklearn_sae_encoding._lm.tokenize import tokenize

_TOLERANCE = {"float32": 1e-3, "float64": 1e-3}  # of a branch, relative; and of half precision
_HALF = 5e-2


class Candidates(NamedTuple):
    """The likeliest tokens at some places of a text."""

    tokens: slice  # places, among the tokens of the text
    probabilities: np.ndarray  # (n_places, k), float32, as the model gives them: they sum to less than 1
    activations: np.ndarray | None  # (n_places * k, d_model), float32, place by place


def probabilities_of(how: Pass, sample: Sample, k: int) -> np.ndarray:
    """Probabilities of the `k` likeliest tokens at each token of a text, ``(n_tokens, k)``."""
    return np.concatenate([top for _, _, _, top in _places(*_read(how, sample), k)])


def candidates_of(
    how: Pass, sample: Sample, hook: str, k: int, own: np.ndarray, max_tokens: int
) -> Iterator[Candidates]:
    """Yield the `k` likeliest tokens at each token of a text, with the activations that each would have there.

    `own` are the activations that the text's tokens have, ``(n_tokens, d_model)``: each pass also runs one of these
    tokens, and where a model makes something else of it, as those with positions of their own do, tokens are
    run behind the text before them, one row a token.
    """
    loaded, rows, kept = _read(how, sample)
    branches, start = "position_ids" in inspect.signature(loaded.model.forward).parameters, 0
    for row, places, ids, probabilities in _places(loaded, rows, kept, k):
        n_tokens = ids.shape[1]  # fewer than k in a small vocabulary
        size = max(max_tokens - len(row.ids), len(row.ids)) // n_tokens + 1
        for at in range(0, len(places), size):
            some, tokens = places[at : at + size], ids[at : at + size].ravel()
            of_some = slice(start, start + len(some))
            found = _branches(loaded, row, some, tokens, hook, own[of_some.stop - 1]) if branches else None
            branches = found is not None
            if found is None:
                found = _one_by_one(loaded, row, np.repeat(some, n_tokens), tokens, hook, max_tokens)
            yield Candidates(of_some, probabilities[at : at + size], found)
            start = of_some.stop


def _read(how: Pass, sample: Sample):
    """The model, the windows of a text, and which of its tokens count."""
    loaded, bos = load_model(how.source), how.find_bos()
    context = (sample.context if sample.context is not None else how.context) or ""
    (text,) = tokenize(loaded.tokenizer, [sample.text], [context], bos and bos.id)
    return loaded, rows_of(how, loaded, bos, [text.ids]), text.kept


def _places(loaded: LoadedModel, rows: list[Row], kept: np.ndarray, k: int):
    """Yield each window, the positions in it of tokens that count, and the likeliest tokens there."""
    for row in rows:
        new = np.arange(row.first, len(row.ids))
        places = new[kept[row.at : row.at + len(new)]]
        if len(places) and places[0] == 0:
            raise ValueError(
                "Nothing stands before the first token of a text, so that a model expects nothing there. Set bos_token "
                "in the LanguageModel, or give a context."
            )
        with loaded.lock:
            ids, log_probabilities = top_tokens(loaded, row, k)
        yield row, places, ids[places - 1], np.exp(log_probabilities[places - 1])


def _branches(loaded: LoadedModel, row: Row, places, tokens, hook: str, own):
    """Activations of tokens in one pass, or None if this model doesn't read them so."""
    repeated = np.repeat(places, len(tokens) // len(places))
    trunk = row.ids[: places[-1]]
    try:
        with loaded.lock:
            found = run_branches(
                loaded, trunk, np.append(repeated, places[-1]), np.append(tokens, row.ids[places[-1]]), hook
            )
    except (TypeError, ValueError, RuntimeError, IndexError):  # masks of this form are none of the family's
        return None
    tolerance = _TOLERANCE.get(str(loaded.model.dtype).removeprefix("torch."), _HALF)
    return found[:-1] if np.linalg.norm(found[-1] - own) <= tolerance * np.linalg.norm(own) else None


def _one_by_one(loaded: LoadedModel, row: Row, places, tokens, hook: str, max_tokens: int) -> np.ndarray:
    rows = [
        Row(i, np.append(row.ids[:place], token), int(place), 0)
        for i, (place, token) in enumerate(zip(places, tokens, strict=True))
    ]
    found = [None] * len(rows)
    for batch in make_batches(rows, max_tokens):
        with loaded.lock:
            results = run_batch(loaded, batch, (hook,), None)
        for result in results:
            found[result.row.text] = result.activations[hook][0]
    return np.stack(found)
