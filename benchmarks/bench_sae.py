"""Time and memory of encoding tokens by an SAE of 32,768 features: ours, pooled by text, beside sae-lens' `encode`.

    python benchmarks/bench_sae.py [n_tokens]

Both take the same chunks of tokens. sae-lens' dense features are let go chunk by chunk, so that its row is what no one
who encodes can save; ours pools them and keeps what is not zero. Processor time, one thread of torch, in one process
by turns; the peaks are of a process each, less what it held before (Linux). The SAE is random, of JumpReLU, with about
one feature in a hundred above its threshold.
"""

from __future__ import annotations

import argparse
import subprocess
import sys
import time
from pathlib import Path

import numpy as np
import torch

D_MODEL, N_FEATURES, TOKENS_A_TEXT, CHUNK = 576, 32_768, 20, 256
REPEATS = 3


def make_sae():
    from sae_lens.registry import get_sae_class

    torch.manual_seed(0)
    sae_class, config_class = get_sae_class("jumprelu")
    sae = sae_class(config_class(d_in=D_MODEL, d_sae=N_FEATURES))
    with torch.no_grad():
        sae.W_enc.normal_(std=D_MODEL**-0.5)
        sae.threshold.fill_(2.3)
    return sae.eval().requires_grad_(False)


def make_texts(n_tokens):
    rng = np.random.default_rng(0)
    return [rng.normal(size=(TOKENS_A_TEXT, D_MODEL)).astype(np.float32) for _ in range(n_tokens // TOKENS_A_TEXT)]


def by_sae_lens(sae, texts):
    per_chunk = CHUNK // TOKENS_A_TEXT

    def run():
        with torch.inference_mode():
            for start in range(0, len(texts), per_chunk):
                sae.encode(torch.from_numpy(np.concatenate(texts[start : start + per_chunk])))

    return run


def by_ours(sae, texts):
    from sklearn_sae_encoding.sae import SAEProjector

    projector = SAEProjector(sae, pooling="mean", chunk_size=CHUNK, check_match=False).fit(texts)
    return lambda: projector.transform(texts)


WAYS = {"sae-lens encode": by_sae_lens, "SAEProjector": by_ours}


def peak(name, n_tokens):
    """Megabytes at the peak of a process that does nothing else."""
    code = f"import bench_sae; bench_sae.print_peak({name!r}, {n_tokens})"
    reply = subprocess.run([sys.executable, "-c", code], check=True, stdout=subprocess.PIPE, text=True, cwd=sys.path[0])
    return float(reply.stdout.split()[-1])


def print_peak(name, n_tokens):
    torch.set_num_threads(1)
    run = WAYS[name](make_sae(), make_texts(n_tokens))
    Path("/proc/self/clear_refs").write_text("5")  # Linux: the peak is that from here on
    before = megabytes("VmRSS")
    run()
    print(megabytes("VmHWM") - before)


def megabytes(name):
    lines = Path("/proc/self/status").read_text(encoding="utf-8").splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(name))


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("n_tokens", nargs="?", type=int, default=100_000)
    n_tokens = parser.parse_args().n_tokens
    torch.set_num_threads(1)
    sae, texts = make_sae(), make_texts(n_tokens)
    seconds = {name: [] for name in WAYS}
    runs = {name: way(sae, texts) for name, way in WAYS.items()}
    for _ in range(REPEATS):
        for name, run in runs.items():
            start = time.process_time()
            run()
            seconds[name].append(time.process_time() - start)
    base = np.median(seconds["sae-lens encode"])
    print(f"{n_tokens} tokens, {N_FEATURES} features  {'CPU s':>10s}{'ratio':>8s}{'peak MB':>10s}", flush=True)
    for name, measured in seconds.items():
        middle = np.median(measured)
        print(f"{name:34s}{middle:10.2f}{middle / base:8.2f}{peak(name, n_tokens):10.0f}", flush=True)


if __name__ == "__main__":
    main()
