"""What one pass of a language model over texts costs, with and without us.

Every competitor puts the same 200 sentences through SmolLM2-135M-Instruct in the same process. The null competitor is
the bare forward pass: our batches, given to transformers' model as they are. Time is the processor time of one thread,
which other programs on the machine disturb less than wall time; the ratio is to the bare pass.

With --memory it tells instead by how much the process grows (Linux) while a corpus on disk goes through an SAE, and
while a long text gets its surprisal under a large vocabulary.

    python benchmarks/bench_extraction.py [n_sentences]
    python benchmarks/bench_extraction.py --memory [n_tokens]
"""

from __future__ import annotations

import argparse
import contextlib
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np
import torch

from sklearn_sae_encoding._lm import forward
from sklearn_sae_encoding._lm.loading import load_model
from sklearn_sae_encoding._lm.objects import object_key
from sklearn_sae_encoding._lm.rows import make_batches, make_rows
from sklearn_sae_encoding._lm.source import ModelSource
from sklearn_sae_encoding._lm.tokenize import tokenize
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.datasets import load_demo_sae, load_sentences, load_smollm2
from sklearn_sae_encoding.language_model import LanguageModel, forget_texts
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.tokens import TokenTable

LAYERS = [5, 15, 25]
REPEATS = 3


def bare_pass(folder, texts):
    """Null: nothing but the forward passes, logits included, that our batches make."""
    loaded = load_model(ModelSource(folder))
    rows = [
        row
        for i, text in enumerate(tokenize(loaded.tokenizer, texts))
        for row in make_rows(i, text.ids, loaded.tokenizer.bos_token_id, 8192, 4096)
    ]
    limit = forward.batch_limit(1024, loaded.model.config.vocab_size, True)
    batches = [forward._padded(batch, "cpu") for batch in make_batches(rows, limit)]

    def run():
        with torch.inference_mode():
            for ids, mask in batches:
                loaded.model(input_ids=ids, attention_mask=mask, use_cache=False)

    return run


def ours_three_layers_and_surprisal(folder, texts):
    activations = LMActivationTransformer(folder, LAYERS).fit(texts)
    surprisal = SurprisalTransformer(folder).fit(texts)

    def run():
        forget_texts()
        return activations.transform(texts), surprisal.transform(texts)

    return run


def ours_half_the_layers(folder, texts):
    activations = LMActivationTransformer(folder, 14).fit(texts)

    def run():
        forget_texts()
        return activations.transform(texts)

    return run


def ours_known_texts(folder, texts):
    both = [LMActivationTransformer(folder, LAYERS).fit(texts), SurprisalTransformer(folder).fit(texts)]
    for transformer in both:
        transformer.transform(texts)
    return lambda: [transformer.transform(texts) for transformer in both]


def ours_check_of_a_loaded_model(folder, texts):
    """What a model given as an object costs more, at every call: all its numbers are read."""
    model = load_model(ModelSource(folder)).model
    object_key(model)  # the first call hashes it, too
    return lambda: object_key(model)


def one_text_at_a_time(folder, texts):
    """The usual loop: a text, all hidden states, log-softmax of the logits."""
    loaded = load_model(ModelSource(folder))

    def run():
        for text in texts:
            ids = loaded.tokenizer(loaded.tokenizer.bos_token + text, return_tensors="pt")["input_ids"]
            with torch.inference_mode():
                out = loaded.model(ids, output_hidden_states=True)
                out.logits[0].log_softmax(-1)[:-1].gather(1, ids[0, 1:, None])
                np.stack([out.hidden_states[layer + 1][0].numpy() for layer in LAYERS])

    return run


def minicons_surprisal(folder, texts):
    from minicons.scorer import IncrementalLMScorer

    loaded = load_model(ModelSource(folder))
    scorer = IncrementalLMScorer(loaded.model, "cpu", tokenizer=loaded.tokenizer)

    def run():
        for start in range(0, len(texts), 64):
            scorer.token_score(texts[start : start + 64], bos_token=True, surprisal=True)

    return run


def sae_lens_cache(folder, texts):
    """sae-lens' own way: transformer-lens runs the texts and caches three hooks."""
    from transformer_lens.model_bridge import TransformerBridge

    loaded = load_model(ModelSource(folder))
    with contextlib.redirect_stdout(sys.stderr):
        bridge = TransformerBridge.boot_transformers(folder, hf_model=loaded.model, tokenizer=loaded.tokenizer)
    names = [f"blocks.{layer}.hook_out" for layer in LAYERS]

    def run():
        for start in range(0, len(texts), 64):
            tokens = bridge.to_tokens(texts[start : start + 64])
            with torch.inference_mode():
                bridge.run_with_cache(tokens, names_filter=lambda name: name in names)

    return run


COMPETITORS = {
    "bare forward pass": bare_pass,
    "ours: 3 layers + surprisal": ours_three_layers_and_surprisal,
    "ours: layer 14 of 30 alone": ours_half_the_layers,
    "ours: texts that are known": ours_known_texts,
    "ours: check of a loaded model": ours_check_of_a_loaded_model,
    "one text at a time, all states": one_text_at_a_time,
    "minicons: surprisal": minicons_surprisal,
    "sae-lens: 3 layers": sae_lens_cache,
}


def seconds(run) -> tuple[float, float]:
    """Smallest processor time and wall time of a few calls."""
    times = []
    for _ in range(REPEATS):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        times.append((time.process_time() - cpu, time.perf_counter() - wall))
    return min(cpu for cpu, _ in times), min(wall for _, wall in times)


def time_all(n_texts: int) -> None:
    torch.set_num_threads(1)
    folder, texts = load_smollm2(), load_sentences()[:n_texts]
    null = None
    print(f"{'':32}{'cpu s':>8}{'wall s':>8}{'ratio':>8}")
    for name, make in COMPETITORS.items():
        forget_texts()
        try:
            cpu, wall = seconds(make(folder, texts))
        except (ImportError, TypeError, ValueError, OSError, RuntimeError) as error:
            print(f"{name:32}  did not run: {str(error).splitlines()[0][:80]}")
            continue
        null = null or cpu
        print(f"{name:32}{cpu:8.2f}{wall:8.2f}{cpu / null:8.2f}", flush=True)


def features_of_a_corpus(folder, level):
    """Texts on disk in half precision, to features of texts or of every token."""
    return SAEProjector(load_demo_sae(), level=level).fit_transform(TokenTable.load(folder))


def surprisal_under_a_large_vocabulary(n_tokens):
    """One text through a small random model that has Gemma's vocabulary and softcapping."""
    import transformers

    sizes = {"hidden_size": 64, "intermediate_size": 64, "num_hidden_layers": 2, "head_dim": 32}
    heads = {"num_attention_heads": 2, "num_key_value_heads": 1}
    config = transformers.Gemma2Config(vocab_size=256_000, max_position_embeddings=1 << 20, **sizes, **heads)
    model = transformers.AutoModelForCausalLM.from_config(config).eval()
    tokenizer = load_model(ModelSource(load_smollm2())).tokenizer
    text = " the" * n_tokens
    transformer = SurprisalTransformer(LanguageModel(model, tokenizer=tokenizer, window=n_tokens + 1)).fit([text])
    object_key(model)
    return lambda: transformer.transform([text])


def write_corpus(folder, n_tokens):
    """The activations of 200 sentences over and over."""
    acts = LMActivationTransformer(load_smollm2(), 15).fit_transform(load_sentences())
    n_copies = -(-n_tokens // int(acts.n_tokens.sum()))
    TokenTable.save_parts((acts for _ in range(n_copies)), folder)
    return n_copies * int(acts.n_tokens.sum())


def growth(run) -> str:
    """Largest resident memory during a call above that before it, and how much of it are pages of mapped files."""
    start = largest = _resident()
    done = threading.Event()

    def watch():
        nonlocal largest
        while not done.wait(0.01):
            largest = max(largest, _resident())

    watching = threading.Thread(target=watch)
    watching.start()
    try:
        run()
    finally:
        done.set()
        watching.join()
    total, of_files = ((now - before) / 1e9 for now, before in zip(largest, start, strict=True))
    return f"{total:.2f} GB, {of_files:.2f} of it pages of files"


def _resident() -> tuple[int, int]:
    """Bytes in memory: all, and those that the system reads from a file again when it needs the room."""
    lines = (line.split() for line in Path("/proc/self/status").read_text().splitlines())
    sizes = {words[0]: int(words[1]) * 1024 for words in lines if words[0] in ("VmRSS:", "RssFile:")}
    return sizes["VmRSS:"], sizes["RssFile:"]


def weigh_all(n_tokens: int) -> None:
    torch.set_num_threads(1)
    with tempfile.TemporaryDirectory() as parent:
        n_written = write_corpus(Path(parent) / "corpus", n_tokens)
        write_corpus(Path(parent) / "little", 1)
        for level in ("text", "token"):
            features_of_a_corpus(Path(parent) / "little", level)  # loads what every call needs
            weight = growth(lambda level=level: features_of_a_corpus(Path(parent) / "corpus", level))
            what = "of every token" if level == "token" else "pooled by text"
            print(f"{n_written:,} tokens to SAE features {what}: {weight}", flush=True)
    n_long = min(max(n_tokens // 250, 16), 4000)
    weight = growth(surprisal_under_a_large_vocabulary(n_long))
    print(f"surprisal of a text of {n_long:,} tokens, vocabulary of 256,000: {weight}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("n_sentences", nargs="?", type=int, default=200)
    parser.add_argument("--memory", nargs="?", type=int, const=1_000_000, metavar="N_TOKENS")
    options = parser.parse_args()
    if options.memory is None:
        time_all(options.n_sentences)
    else:
        weigh_all(options.memory)


if __name__ == "__main__":
    main()
