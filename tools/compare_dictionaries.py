"""Compare dictionaries of features, and controls that mean nothing, on the published voxels.

    python tools/compare_dictionaries.py [--output FOLDER] [--thin N] [--columns N] [--configuration gemma]

One table: the same tokens of the same 200 sentences, encoded by each dictionary, pooled, cut to as many columns (norms
have six), scored with surprisal in the published folds by sparse encoders with penalties relative to each voxel's
largest one. Controls go through the same chain: tokens dealt out to other sentences, a random dictionary, and an
untrained model. `readings` is the share of the five voxel sets whose reading is believed at p < .05
(`check_interpretation`).
``--configuration gemma`` does the same with Gemma-2-2b, Gemma Scope and the public Matryoshka SAE, where the hub can be
reached and Gemma's licence was accepted.
"""

import argparse
import os
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from lepori2026.study import FOLDS, SEED, load_voxels
from reproduce_lepori2026 import CONFIGURATIONS, SETS
from sklearn.decomposition import NMF, PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import RandomDictionary, SemiNMF, check_interpretation, compare_dictionaries
from sklearn_sae_encoding.datasets import load_lancaster_norms
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import voxel_score_table
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.tokens import TokenTable


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configuration", choices=CONFIGURATIONS, default="smollm2")
    parser.add_argument("--output", type=Path, default=Path("reproduction_output"))
    parser.add_argument("--thin", type=int, default=1, metavar="N", help="take every N-th voxel of each set")
    parser.add_argument("--columns", type=int, default=128, help="columns of each dictionary")
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count(), help="threads")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.jobs)
    options.output.mkdir(exist_ok=True, parents=True)
    data, Y, voxels = load_voxels(SETS, options.thin)
    configuration = CONFIGURATIONS[options.configuration]
    print(f"{configuration['title']}; {Y.shape[1]} voxels, {len(data.texts)} sentences.", flush=True)
    rows = {}
    for name, (dictionary, tokens, surprisal) in sources(configuration, data.texts, options).items():
        comparison = compare_dictionaries(
            {name: dictionary},
            tokens,
            Y,
            surprisal=surprisal,
            n_columns=options.columns if name != "Lancaster norms" else None,
            cv=FOLDS,
            noise_ceiling=voxels["noise_ceiling"].to_numpy(),
        )
        rows[name] = row_of(comparison, name, Y, voxels)
        print(pd.DataFrame(rows).T.round(3).tail(1).to_string(header=len(rows) == 1), flush=True)
    table = pd.DataFrame(rows).T
    table.to_csv(options.output / "dictionaries.csv")
    print(f"\n{table.round(3).to_string()}")


def sources(configuration, texts, options):
    """Each dictionary with the tokens that it encodes and the surprisal that stands beside it."""
    path, layer = configuration["model"], configuration["layer"]
    path = path() if callable(path) else path
    model = LanguageModel(path, memory=options.output / "cache")
    tokens = LMActivationTransformer(model, layer).fit_transform(texts)
    surprisal = SurprisalTransformer(model).fit_transform(texts).ravel()
    sae, sae_id = configuration["sae"]
    sae = SAEProjector(sae() if callable(sae) else sae, sae_id, level="token").fit(tokens)
    encoded = sae.transform(tokens)
    firing = np.asarray((encoded.concatenated() != 0).mean(axis=0)).ravel()
    rates = np.sort(firing)[::-1][: 4 * options.columns]
    random = RandomDictionary(len(rates), density=np.maximum(rates, 1e-6), random_state=SEED)
    n = options.columns
    split = FunctionTransformer(signed_parts)
    dictionaries = {
        "Matryoshka SAE": encoded,
        "dense activations": None,
        "PCA": PCA(n, random_state=SEED),
        "NMF (of both signs)": make_pipeline(split, NMF(n, init="nndsvda", max_iter=100, random_state=SEED)),
        "semi-NMF": SemiNMF(n, max_iter=100, random_state=SEED),
        "Lancaster norms": norms(texts),
        "control: tokens dealt out": dealt_out(encoded, SEED),
        "control: random dictionary": random,
    }
    if configuration["jumprelu"]:
        release, of_release = configuration["jumprelu"]
        dictionaries["JumpReLU SAE"] = SAEProjector(release, of_release, level="token").fit_transform(tokens)
    found = {name: (dictionary, tokens, surprisal) for name, dictionary in dictionaries.items()}
    untrained = LanguageModel(path, weights="random", memory=options.output / "cache")
    tokens = LMActivationTransformer(untrained, layer).fit_transform(texts)
    surprisal = SurprisalTransformer(untrained).fit_transform(texts).ravel()
    return found | {"control: untrained model": (random, tokens, surprisal)}


def signed_parts(rows):
    """Positive and negative parts side by side, since NMF takes no negative numbers."""
    return np.hstack([np.maximum(rows, 0), np.maximum(-rows, 0)])


def norms(texts):
    """Lancaster's sensorimotor norms of each text's words; unknown words are 0, the mean of the norms."""
    table = load_lancaster_norms().set_index("word")
    table = (table - table.mean()) / table.std()
    words = [[word.strip(".,!?;:'\"").lower() for word in text.split()] for text in texts]
    return TokenTable([table.reindex(of_text).fillna(0).to_numpy() for of_text in words])


def dealt_out(encoded, seed):
    """The tokens' features, dealt out anew to the places of all sentences."""
    rows = encoded.concatenated()
    rows = rows[np.random.default_rng(seed).permutation(rows.shape[0])]
    ends = np.cumsum(encoded.n_tokens)
    return TokenTable([rows[end - n : end] for n, end in zip(encoded.n_tokens, ends, strict=True)])


def row_of(comparison, name, Y, voxels):
    """Scores by set over participants, supports, and how often a reading is believed."""
    result, X = comparison.results[name], comparison.features[name]
    table = voxel_score_table({name: result}, voxels)
    means = table.groupby(["region", "participant"])["normalized_score"].mean().groupby(level="region").mean()
    coefs = [fitted["encoder"].coef_ for fitted in result.estimators]
    believed = []
    for one in SETS:
        mask = (voxels["set"] == one).to_numpy()
        check = check_interpretation(X, Y, coefs, splits=result.splits, mask=mask, exclude=-1, random_state=SEED)
        believed.append(check.p_value < 0.05)
    summary = comparison.summary.loc[name, ["n_columns", "support", "jaccard", "stability"]]
    return pd.concat([means.loc[SETS], summary, pd.Series({"readings": np.mean(believed)})])


if __name__ == "__main__":
    main()
