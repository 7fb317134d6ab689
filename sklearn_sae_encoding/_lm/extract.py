"""Every text through the model once: what is known is looked up, the rest is run, and kept as each batch ends."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding._lm.additions import check_additions, hooks_to_check
from sklearn_sae_encoding._lm.bos import AUTO, Bos, find_bos
from sklearn_sae_encoding._lm.causal import why_no_surprisal
from sklearn_sae_encoding._lm.fingerprint import pass_key, text_key
from sklearn_sae_encoding._lm.forward import RowResult, batch_limit, run_batch
from sklearn_sae_encoding._lm.head import ENTROPY, Scoring, output_head
from sklearn_sae_encoding._lm.lengths import longest_context, rope_switch
from sklearn_sae_encoding._lm.loading import LoadedModel, load_model, load_tokenizer
from sklearn_sae_encoding._lm.objects import runs_other_code
from sklearn_sae_encoding._lm.rows import Row, make_batches, make_rows
from sklearn_sae_encoding._lm.sites import hook_name, order_of, parse_hook
from sklearn_sae_encoding._lm.source import ModelSource
from sklearn_sae_encoding._lm.store import MemoryStore
from sklearn_sae_encoding._lm.texts import Sample
from sklearn_sae_encoding._lm.tokenize import TokenizedText, tokenize, word_start_ids
from sklearn_sae_encoding._lm.vocabulary import check_ids

_KEEP_BYTES = 512 << 20  # activations of layers that nobody asked for yet, kept in memory from one call at most

TOKENS, OFFSETS, SCORES, DISTRIBUTION = "tokens", "offsets", "scores", "distribution"


@dataclass(frozen=True)
class Pass:
    """How texts are put to a model. Results of equal passes are interchangeable."""

    source: ModelSource
    bos_token: str | None = AUTO
    context: str | int | None = None  # before all texts; or the column of X that holds each text's own
    window: int | None = None
    stride: int | None = None

    @property
    def settings(self) -> dict:
        return {name: getattr(self, name) for name in ("bos_token", "context", "window", "stride")}

    def same_as(self, other: Pass) -> bool:
        return self.settings == other.settings and self.source.same_as(other.source)

    def find_bos(self) -> Bos | None:
        """The token that stands before every text; of a named model, its tokenizer is read for that."""
        return find_bos(load_tokenizer(self.source), self.bos_token, self.source.name)


class Keep(NamedTuple):
    """What a pass keeps beside what is asked of it, because it costs little and others may ask."""

    surprisal: bool = False
    distribution: bool = False
    passed_layers: bool = True


@dataclass(frozen=True)
class Wanted:
    """What is asked of a pass: hooks, whether probabilities, and whether entropy and rank with them."""

    hooks: tuple[str, ...] = ()
    surprisal: bool = False
    distribution: bool = False

    def __or__(self, other: Wanted) -> Wanted:
        hooks = tuple(dict.fromkeys(self.hooks + other.hooks))
        return Wanted(hooks, self.surprisal or other.surprisal, self.distribution or other.distribution)

    @property
    def names(self) -> tuple[str, ...]:
        scores = [SCORES] * self.surprisal + [DISTRIBUTION] * self.distribution
        return (TOKENS, OFFSETS, *self.hooks, *scores)


def extract(how: Pass, samples: list[Sample], wanted: Wanted, keep: Keep, store, *, max_tokens: int, verbose: int = 0):
    """Records of `samples`, one a text, with the quantities `wanted.names`.

    Texts not in `store` run through the model, which then also answers what `keep` says, and are stored as soon as
    their batch is done. Of a loaded model with hooks of its own nothing is stored or looked up.
    """
    bos = how.find_bos()
    if how.source.is_object and runs_other_code(how.source.model):
        key, store, keep = "", MemoryStore(), Keep(passed_layers=False)  # for this call alone
    else:
        key = pass_key(how.source, {**how.settings, "bos_token": bos})
    keys = [text_key(sample) for sample in samples]
    found = {k: store.get(key, k, wanted.names) for k in set(keys)}
    if any(record is None for record in found.values()):
        loaded = load_model(how.source)
        with loaded.lock:  # another thread may have run them while this one waited
            found = {k: record or store.get(key, k, wanted.names) for k, record in found.items()}
            missing = {k: (i, samples[i]) for i, k in reversed(list(enumerate(keys))) if found[k] is None}
            asked = _answerable(wanted, keep, loaded) if missing else wanted
            run = _Run(how, loaded, bos, asked, keep.passed_layers, max_tokens, verbose)
            for k, record in run(dict(reversed(missing.items()))):
                store.put(key, k, record, asked.names)
                found[k] = {name: record[name] for name in wanted.names}
    return [found[k] for k in keys]


def _answerable(wanted: Wanted, keep: Keep, loaded: LoadedModel) -> Wanted:
    """All that is asked and kept, less the surprisal that is only kept, where the model has none to give."""
    kept = keep.surprisal or keep.distribution
    asked = wanted | Wanted(surprisal=kept or wanted.distribution, distribution=keep.distribution)
    reason = why_no_surprisal(loaded.model, loaded.source.name) if asked.surprisal else None
    if reason is None:
        return asked
    if wanted.surprisal or wanted.distribution:
        raise ValueError(reason)
    return replace(asked, surprisal=False, distribution=False)


@dataclass
class _Run:
    how: Pass
    loaded: LoadedModel
    bos: Bos | None
    wanted: Wanted
    keep_passed: bool
    max_tokens: int
    verbose: int

    def __call__(self, missing: dict[str, tuple[int, Sample]]):
        """Yield the key and the record of every missing text, a batch after the other."""
        if not missing:
            return
        texts = [sample.text for _, sample in missing.values()]
        contexts, bos = [self._context(sample) for _, sample in missing.values()], self.bos and self.bos.id
        tokenized = tokenize(self.loaded.tokenizer, texts, contexts, bos)
        positions = [sample for sample, _ in missing.values()]
        _check_not_empty(tokenized, positions, texts)
        check_ids(self.loaded, [one.ids for one in tokenized], positions)
        rows = self._rows(tokenized)
        wanted = self._with_passed_layers(sum(len(row.ids) for row in rows))
        limit = batch_limit(self.max_tokens, self.loaded.model.config.get_text_config().vocab_size, wanted.surprisal)
        scoring = Scoring(self._word_starts(), wanted.distribution) if wanted.surprisal else None
        keys = list(missing)
        left, done = np.bincount([row.text for row in rows]), {}
        with _progress(len(rows), self.verbose) as progress:
            check = hooks_to_check(self.loaded.model, wanted.hooks)
            for batch in make_batches(rows, limit, rope_switch(self.loaded.model)):
                results = run_batch(self.loaded, batch, wanted.hooks + check, scoring)
                results, check = self._checked(results, wanted, check), ()
                for result in results:
                    text = result.row.text
                    done.setdefault(text, []).append(result)
                    left[text] -= 1
                    if not left[text]:
                        yield keys[text], _record(tokenized[text], done.pop(text))
                progress(len(batch))

    def _checked(self, results: list[RowResult], wanted: Wanted, check: tuple[str, ...]) -> list[RowResult]:
        """Rows of the first batch, once the parts of its blocks add up, without what was read to see that."""
        if not check:
            return results
        check_additions(self.loaded.model, check, [one.activations for one in results], self.how.source.name)
        return [one._replace(activations={hook: one.activations[hook] for hook in wanted.hooks}) for one in results]

    def _context(self, sample: Sample) -> str:
        return (sample.context if sample.context is not None else self.how.context) or ""

    def _rows(self, tokenized: list[TokenizedText]) -> list[Row]:
        return rows_of(self.how, self.loaded, self.bos, [text.ids for text in tokenized])

    def _with_passed_layers(self, n_tokens: int) -> Wanted:
        """Keep all layers that the pass goes through where they take little room: a search over layers is likely."""
        if not self.keep_passed or not self.wanted.hooks:
            return self.wanted
        config = self.loaded.model.config.get_text_config()
        asked = [parse_hook(hook) for hook in self.wanted.hooks]
        top = config.num_hidden_layers if self.wanted.surprisal else max(layer for layer, _ in asked) + 1
        sites = dict.fromkeys(site for _, site in asked)
        passed = tuple(hook_name(layer, site) for site in sites for layer in range(top))
        if len(passed) * n_tokens * config.hidden_size * 4 > _KEEP_BYTES:
            return self.wanted
        if not self.wanted.surprisal:  # not past the highest one asked for
            highest = max(order_of(hook) for hook in self.wanted.hooks)
            passed = tuple(hook for hook in passed if order_of(hook) <= highest)
        return self.wanted | Wanted(passed)

    def _word_starts(self):
        import torch

        members = word_start_ids(self.loaded.tokenizer)
        if not len(members):
            return None
        model = self.loaded.model
        head = output_head(model)
        size = model.config.get_text_config().vocab_size if head is None else head.weight.shape[0]
        indicator = torch.zeros(size, device=model.device)
        indicator[torch.from_numpy(members).to(model.device)] = 1
        return indicator


def rows_of(how: Pass, loaded: LoadedModel, bos: Bos | None, texts: list[np.ndarray]) -> list[Row]:
    """Windows over the token ids of each text, as the model sees them."""
    window, stride = _window(how, longest_context(loaded.model), bos is not None, how.source.name)
    return [row for i, ids in enumerate(texts) for row in make_rows(i, ids, bos and bos.id, window, stride)]


def _window(how: Pass, longest: int | None, has_bos: bool, name: str) -> tuple[int, int]:
    window = how.window or longest or 2048
    if longest is not None and window > longest:
        raise ValueError(f"window={window} is longer than the context of {name}, which is {longest} tokens.")
    width = window - has_bos
    stride = how.stride or max(1, width // 2)
    if not 1 <= stride <= width:
        raise ValueError(
            f"stride={stride} must be between 1 and {width}, the tokens that a window of {window} has room for: with a "
            "larger one tokens between windows would be left out."
        )
    return window, stride


def _check_not_empty(tokenized: list[TokenizedText], samples: list[int], texts: list[str]) -> None:
    for one, sample, text in zip(tokenized, samples, texts, strict=True):
        if not one.kept.any():
            raise ValueError(f"The text of sample {sample} has no token besides special ones: {text[:60]!r}.")


def _record(text: TokenizedText, results) -> dict[str, np.ndarray]:
    results = sorted(results, key=lambda result: result.row.at)
    record = {TOKENS: np.array(text.tokens, dtype=str), OFFSETS: text.offsets}
    for hook in results[0].activations:
        record[hook] = np.concatenate([result.activations[hook] for result in results])[text.kept]
    if results[0].scores is not None:
        scores = np.concatenate([result.scores for result in results])[text.kept]
        record[SCORES] = scores[:, :ENTROPY]
        if scores.shape[1] > ENTROPY:
            record[DISTRIBUTION] = scores[:, ENTROPY:]
    return record


@contextlib.contextmanager
def _progress(n_rows: int, verbose: int):
    if not verbose:
        yield lambda n: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=n_rows, desc="Language model", unit="text") as bar:
        yield bar.update
