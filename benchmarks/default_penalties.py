"""Does the default grid of penalties serve features of another scale? Gemma-3-270m's are a hundred times SmolLM2's.

    SKLEARN_SAE_ENCODING_DATA=FOLDER python benchmarks/default_penalties.py [--participants p1 p2] [--tokens 100000]

Needs the published betas (``lepori2026``) and English text (``text``) in the folder, and the packages of
``load_gemma3_270m``. Learns an SAE of 2,048 features on layer 12, then scores ``make_augmented_encoder`` as it ships,
with the whole of the relative grid, and with the published penalties, on the published folds: noise-ceiling-normalised
r, mean over voxels and participants of each set. Nothing that is derived from Gemma is written.
"""

from __future__ import annotations

import argparse
import os
import time
from pathlib import Path

import numpy as np
import pandas as pd
from sklearn.base import clone
from sklearn.model_selection import KFold

from sklearn_sae_encoding import (
    LanguageModel,
    LMActivationTransformer,
    SAEProjector,
    cross_val_voxel_scores,
    make_augmented_encoder,
)
from sklearn_sae_encoding.datasets import fetch_lepori2026, load_gemma3_270m
from sklearn_sae_encoding.pipeline import PUBLISHED_ALPHAS

LAYER = 12
OUTER = KFold(5, shuffle=True, random_state=19)
CHARACTERS = 1500  # of a passage


def passages(folder, n_tokens):
    """Cut running text of three sources into passages, as many as hold about `n_tokens`, evenly spaced."""
    texts = []
    for path in sorted(Path(folder, "text").glob("*.txt")):
        whole = path.read_text(encoding="utf-8")
        texts += [whole[start : start + CHARACTERS] for start in range(0, len(whole) - CHARACTERS, CHARACTERS)]
    n_passages = min(len(texts), int(n_tokens * 4.2 / CHARACTERS))
    return [texts[i] for i in np.linspace(0, len(texts) - 1, n_passages).astype(int)]


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--participants", nargs="+", default=["p1", "p2"])
    parser.add_argument("--tokens", type=int, default=100_000)
    options = parser.parse_args()
    started = time.perf_counter()
    model = LanguageModel(load_gemma3_270m())
    texts = passages(os.environ["SKLEARN_SAE_ENCODING_DATA"], options.tokens)
    tokens = LMActivationTransformer(model, LAYER).fit_transform(texts)
    sae = SAEProjector(n_features=2048, random_state=0, verbose=1).fit(tokens).learnt_.build()
    print(f"SAE learnt on {tokens.n_tokens.sum():,} tokens, {time.perf_counter() - started:.0f} s", flush=True)

    data = fetch_lepori2026(options.participants, download_if_missing=False)
    made = make_augmented_encoder(model, layer=LAYER, sae=sae)
    X = made[:-1].fit_transform(data.texts)
    ceiling = data.voxels["noise_ceiling"].to_numpy()
    table = {}
    rows = {
        "as it ships": {},
        "30 penalties, to the end": {"alphas": 30, "early_stopping": False},
        "published penalties": {"alphas": PUBLISHED_ALPHAS},
    }
    for name, penalties in rows.items():
        encoder = clone(made[-1]).set_params(**penalties)
        result = cross_val_voxel_scores(encoder, X, data.betas, cv=OUTER, noise_ceiling=ceiling)
        scored = data.voxels.assign(score=result.normalized_scores)
        table[name] = scored.groupby(["set", "participant"])["score"].mean()
    table = pd.DataFrame(table).groupby("set").mean()
    print(table.round(3).to_string())
    print(f"{time.perf_counter() - started:.0f} s in all")


if __name__ == "__main__":
    main()
