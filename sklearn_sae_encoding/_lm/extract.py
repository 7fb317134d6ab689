"""Every text through the model once: what is known is looked up, the rest is run, and kept as each batch ends."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass, replace

import numpy as np

from sklearn_sae_encoding._lm.causal import why_no_surprisal
from sklearn_sae_encoding._lm.fingerprint import pass_key, text_key
from sklearn_sae_encoding._lm.forward import Row, batch_limit, make_batches, make_rows, run_batch
from sklearn_sae_encoding._lm.loading import LoadedModel, load_model
from sklearn_sae_encoding._lm.objects import runs_other_code
from sklearn_sae_encoding._lm.sites import hook_name, parse_hook
from sklearn_sae_encoding._lm.source import ModelSource
from sklearn_sae_encoding._lm.store import MemoryStore
from sklearn_sae_encoding._lm.texts import Sample
from sklearn_sae_encoding._lm.tokenize import TokenizedText, bos_id, tokenize, word_start_ids

_KEEP_BYTES = 512 << 20  # activations of layers that nobody asked for yet, kept in memory from one call at most

TOKENS, OFFSETS, SCORES = "tokens", "offsets", "scores"


@dataclass(frozen=True)
class Pass:
    """How texts are put to a model. Results of equal passes are interchangeable."""

    source: ModelSource
    prepend_bos: bool = True
    bos_token: str | None = None
    context: str | int | None = None  # before all texts; or the column of X that holds each text's own
    window: int | None = None
    stride: int | None = None

    @property
    def settings(self) -> dict:
        return {name: getattr(self, name) for name in ("prepend_bos", "bos_token", "context", "window", "stride")}

    def same_as(self, other: Pass) -> bool:
        return self.settings == other.settings and self.source.same_as(other.source)


@dataclass(frozen=True)
class Wanted:
    """What is asked of a pass: hooks, and whether probabilities."""

    hooks: tuple[str, ...] = ()
    surprisal: bool = False

    def __or__(self, other: Wanted) -> Wanted:
        return Wanted(tuple(dict.fromkeys(self.hooks + other.hooks)), self.surprisal or other.surprisal)

    @property
    def names(self) -> tuple[str, ...]:
        return (TOKENS, OFFSETS, *self.hooks, *([SCORES] if self.surprisal else []))


def extract(
    how: Pass, samples: list[Sample], wanted: Wanted, also: Wanted, store, *, max_tokens: int, verbose: int = 0
):
    """Records of `samples`, one a text, with the quantities `wanted.names`.

    Texts not in `store` run through the model, which then also answers what `also` asks (other transformers want it
    of the same texts), and are stored as soon as their batch is done. Of a loaded model with hooks of its own nothing
    is stored or looked up.
    """
    if how.source.is_object and runs_other_code(how.source.model):
        key, store, also = "", MemoryStore(), Wanted()  # for this call alone
    else:
        key = pass_key(how.source, how.settings)
    keys = [text_key(sample) for sample in samples]
    found = {k: store.get(key, k, wanted.names) for k in set(keys)}
    if any(record is None for record in found.values()):
        loaded = load_model(how.source)
        with loaded.lock:  # another thread may have run them while this one waited
            found = {k: record or store.get(key, k, wanted.names) for k, record in found.items()}
            missing = {k: (i, samples[i]) for i, k in reversed(list(enumerate(keys))) if found[k] is None}
            asked = _answerable(wanted, also, loaded) if missing else wanted
            run = _Run(how, loaded, asked, {}, max_tokens, verbose)
            for k, record in run(dict(reversed(missing.items()))):
                store.put(key, k, record, asked.names)
                found[k] = {name: record[name] for name in wanted.names}
    return [found[k] for k in keys]


def _answerable(wanted: Wanted, also: Wanted, loaded: LoadedModel) -> Wanted:
    """All that is asked, less the surprisal that only others want, where the model has none to give."""
    asked = wanted | also
    reason = why_no_surprisal(loaded.model, loaded.source.name) if asked.surprisal else None
    if reason is None:
        return asked
    if wanted.surprisal:
        raise ValueError(reason)
    return replace(asked, surprisal=False)


@dataclass
class _Run:
    how: Pass
    loaded: LoadedModel
    wanted: Wanted
    _open: dict
    max_tokens: int
    verbose: int

    def __call__(self, missing: dict[str, tuple[int, Sample]]):
        """Yield the key and the record of every missing text, a batch after the other."""
        if not missing:
            return
        texts = [sample.text for _, sample in missing.values()]
        tokenized = tokenize(self.loaded.tokenizer, texts, [self._context(sample) for _, sample in missing.values()])
        _check_not_empty(tokenized, [sample for sample, _ in missing.values()], texts)
        rows = self._rows(tokenized)
        wanted = self._with_passed_layers(sum(len(row.ids) for row in rows))
        limit = batch_limit(self.max_tokens, self.loaded.model.config.get_text_config().vocab_size, wanted.surprisal)
        word_starts = self._word_starts() if wanted.surprisal else None
        keys = list(missing)
        left = np.bincount([row.text for row in rows])
        with _progress(len(rows), self.verbose) as progress:
            for batch in make_batches(rows, limit):
                for result in run_batch(self.loaded, batch, wanted.hooks, wanted.surprisal, word_starts):
                    text = result.row.text
                    self._open.setdefault(text, []).append(result)
                    left[text] -= 1
                    if not left[text]:
                        yield keys[text], _record(tokenized[text], self._open.pop(text))
                progress(len(batch))

    def _context(self, sample: Sample) -> str:
        return (sample.context if sample.context is not None else self.how.context) or ""

    def _rows(self, tokenized: list[TokenizedText]) -> list[Row]:
        name = self.how.source.name
        bos = bos_id(self.loaded.tokenizer, self.how.prepend_bos, self.how.bos_token, name)
        window, stride = _window(self.how, self.loaded, bos is not None, name)
        return [row for i, text in enumerate(tokenized) for row in make_rows(i, text.ids, bos, window, stride)]

    def _with_passed_layers(self, n_tokens: int) -> Wanted:
        """Keep all layers that the pass goes through where they take little room: a search over layers is likely."""
        config = self.loaded.model.config.get_text_config()
        asked = [parse_hook(hook) for hook in self.wanted.hooks]
        top = config.num_hidden_layers if self.wanted.surprisal else max(layer for layer, _ in asked) + 1
        sites = dict.fromkeys(site for _, site in asked)
        passed = tuple(hook_name(layer, site) for site in sites for layer in range(top))
        if len(passed) * n_tokens * config.hidden_size * 4 > _KEEP_BYTES:
            return self.wanted
        if not self.wanted.surprisal:  # not past the highest one asked for
            highest = max(asked, key=_order)
            passed = tuple(hook for hook in passed if _order(parse_hook(hook)) <= _order(highest))
        return self.wanted | Wanted(passed)

    def _word_starts(self):
        import torch

        members = word_start_ids(self.loaded.tokenizer)
        if not len(members):
            return None
        weights = self.loaded.model.get_output_embeddings().weight
        indicator = torch.zeros(weights.shape[0], device=weights.device)
        indicator[torch.from_numpy(members).to(weights.device)] = 1
        return indicator


def _order(hook: tuple[int, str]) -> tuple[int, int]:
    layer, site = hook
    return layer, ("resid_pre", "attn_out", "mlp_out", "resid_post").index(site)


def _window(how: Pass, loaded: LoadedModel, has_bos: bool, name: str) -> tuple[int, int]:
    longest = getattr(loaded.model.config.get_text_config(), "max_position_embeddings", None)
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
        record[SCORES] = np.concatenate([result.scores for result in results])[text.kept]
    return record


@contextlib.contextmanager
def _progress(n_rows: int, verbose: int):
    if not verbose:
        yield lambda n: None
        return
    from tqdm.auto import tqdm

    with tqdm(total=n_rows, desc="Language model", unit="text") as bar:
        yield bar.update
