"""Compare dictionaries of features, and controls that mean nothing, on the published voxels.

    python tools/compare_dictionaries.py [--output FOLDER] [--thin N] [--columns N] [--configuration gemma] [--only ...]

One table: the same tokens of the same 200 sentences, encoded by each dictionary, pooled, cut to as many columns (norms
have six), scored with surprisal in the published folds by sparse encoders with penalties relative to each voxel's
largest one. What has to learn (PCA, NMF, semi-NMF, thresholds of random directions, SAEs without levels) learns from
the 600 English sentences of ``load_three_languages``. Controls go through the same chain: tokens dealt out to other
sentences, a random dictionary, and an untrained model.

What the chain believes: `readings`, the share of the five voxel sets whose reading predicts at p < .05
(``check_interpretation``), `matched`, those where it beats random features of the same dictionary, `enriched`, the
share of the columns that follow a WordNet supersense over the words of Provo (``feature_enrichment``), and `semantic`,
those that ``classify_features`` calls so. Controls are means over random draws. Rows are kept in the folder as they
are finished; a second run reads them.

``--configuration gemma`` does the same with Gemma-2-2b, Gemma Scope and the public Matryoshka SAE, where the hub can be
reached and Gemma's licence was accepted.
"""

import argparse
import os
from functools import cached_property
from pathlib import Path

import joblib
import numpy as np
import pandas as pd
from lepori2026.store import Store
from lepori2026.study import FOLDS, SEED, load_voxels
from lepori2026.training import SAELearner
from reproduce_lepori2026 import CONFIGURATIONS, SETS
from sklearn.base import clone
from sklearn.decomposition import NMF, PCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import FunctionTransformer

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import (
    RandomDictionary,
    SemiNMF,
    check_interpretation,
    classify_features,
    compare_dictionaries,
    feature_enrichment,
)
from sklearn_sae_encoding.datasets import load_lancaster_norms, load_provo, load_three_languages
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import voxel_score_table
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.tokens import TokenTable

NORMS, DEALT_OUT, UNTRAINED = "Lancaster norms", "control: tokens dealt out", "control: untrained model"
PUNCTUATION = ".,!?;:'\"()“”‘’"


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--configuration", choices=CONFIGURATIONS, default="smollm2")
    parser.add_argument("--output", type=Path, default=Path("reproduction_output"))
    parser.add_argument("--thin", type=int, default=4, metavar="N", help="take every N-th voxel of each set")
    parser.add_argument("--columns", type=int, default=128, help="columns of each dictionary")
    parser.add_argument("--draws", type=int, default=5, help="random draws of each control, of which means are printed")
    parser.add_argument("--only", nargs="*", metavar="NAME", help="these rows alone; none of them prints all names")
    parser.add_argument("--jobs", type=int, default=joblib.cpu_count(), help="threads")
    options = parser.parse_args()
    os.environ["OMP_NUM_THREADS"] = str(options.jobs)
    configuration, store = CONFIGURATIONS[options.configuration], Store(options.output / "scores")
    data, Y, voxels = load_voxels(SETS, options.thin)
    print(f"{configuration['title']}; {Y.shape[1]} voxels, {len(data.texts)} sentences.", flush=True)
    read, rows = Reading(configuration, data.texts, options.output / "cache"), {}
    for name, dictionary in dictionaries_of(configuration, options.columns).items():
        if options.only is not None and name not in options.only:
            print(f"  ({name})")
            continue
        draws = []
        for draw in range(options.draws if name.startswith("control") else 1):
            inputs = {"row": name, "draw": draw, "dictionary": dictionary, "columns": options.columns}
            draws.append(
                store(
                    f"dictionary-{'-'.join(name.replace(':', '').split())}",
                    lambda draw=draw, given=(name, dictionary): row_of(*given, read, draw, options.columns, Y, voxels),
                    configuration=configuration["title"],
                    texts=data.texts,
                    Y=Y,
                    **inputs,
                )
            )
        rows[name] = pd.DataFrame(draws).astype(float).mean()
        print(pd.DataFrame(rows).T.tail(1).round(3).to_string(header=len(rows) == 1), flush=True)
    if rows:
        table = pd.DataFrame(rows).T
        table.to_csv(options.output / "dictionaries.csv")
        print(f"\n{table.round(3).to_string()}")


class Reading:
    """What a language model makes of the sentences, of others to learn from, and of Provo's words."""

    def __init__(self, configuration, texts, memory, **options):
        path = configuration["model"]
        self.configuration, self.texts, self.memory = configuration, texts, memory
        self.model = LanguageModel(path() if callable(path) else path, memory=memory, **options)

    def untrained(self, seed):
        """The same of random weights."""
        return Reading(self.configuration, self.texts, self.memory, weights="random", random_state=seed)

    @cached_property
    def tokens(self):
        return self._read(self.texts)

    @cached_property
    def others(self):
        return self._read(load_three_languages().texts["en"])

    @cached_property
    def provo(self):
        return self._read(load_provo().texts)

    @cached_property
    def surprisal(self):
        return SurprisalTransformer(self.model).fit_transform(self.texts).ravel()

    @cached_property
    def sae(self):
        source, sae_id = self.configuration["sae"]
        return SAEProjector(source() if callable(source) else source, sae_id, level="token").fit(self.tokens)

    def rates(self, n):
        """Shares of the tokens on which the SAE's most frequent features fire."""
        firing = np.asarray((self.sae.transform(self.tokens).concatenated() != 0).mean(axis=0)).ravel()
        return np.maximum(np.sort(firing)[::-1][:n], 1e-3)

    def _read(self, texts):
        return LMActivationTransformer(self.model, self.configuration["layer"]).fit_transform(list(texts))


def dictionaries_of(configuration, n):
    """Dictionaries by name: a transformer to be fitted, None for the activations, or a word for what is special."""
    split = FunctionTransformer(signed_parts)
    plain = {"n_features": 8 * n, "widths": [8 * n], "k": 32, "level": "token", "random_state": SEED}
    found = {
        "Matryoshka SAE": "sae",
        "BatchTopK SAE, 600 sentences": SAEProjector(**plain),
        "TopK SAE, 600 sentences": SAELearner("topk", 8 * n, 32, n_steps=100, random_state=SEED),
        # Thresholds take more steps than weights.
        "JumpReLU SAE, 600 sentences": SAELearner("jumprelu", 8 * n, 32, n_steps=400, random_state=SEED),
        "dense activations": None,
        "PCA": PCA(n, random_state=SEED),
        "NMF (of both signs)": make_pipeline(split, NMF(n, init="nndsvda", max_iter=100, random_state=SEED)),
        "semi-NMF": SemiNMF(n, max_iter=100, random_state=SEED),
        NORMS: "norms",
        DEALT_OUT: "dealt out",
        "control: random dictionary": "random",
        UNTRAINED: "random",
    }
    if configuration["jumprelu"]:
        release, sae_id = configuration["jumprelu"]
        found["JumpReLU SAE"] = SAEProjector(release, sae_id, level="token")
    return found


def row_of(name, dictionary, reading, draw, n_columns, Y, voxels):
    """Scores by set, supports, and how much meaning the chain finds."""
    if dictionary == "random":
        rates = reading.rates(4 * n_columns)
        dictionary = RandomDictionary(len(rates), density=rates, random_state=SEED + draw)
    if name == UNTRAINED:
        reading = reading.untrained(draw)
    of_texts, of_words, words = encoded(dictionary, reading, draw)
    comparison = compare_dictionaries(
        {name: of_texts},
        reading.tokens,
        Y,
        surprisal=reading.surprisal,
        n_columns=None if name == NORMS else n_columns,
        cv=FOLDS,
        noise_ceiling=voxels["noise_ceiling"].to_numpy(),
    )
    result = comparison.results[name]
    table = voxel_score_table({name: result}, voxels)
    means = table.groupby(["region", "participant"])["normalized_score"].mean().groupby(level="region").mean()
    summary = comparison.summary.loc[name, ["n_columns", "support", "jaccard", "stability"]]
    meaning = meaning_of(of_words[:, comparison.columns[name]], words)
    return pd.concat([means.loc[SETS], summary, believed(comparison, name, Y, voxels), meaning])


def encoded(dictionary, reading, draw):
    """Features of the sentences' tokens, features of Provo's words, and these words."""
    words = words_of(load_provo().texts)
    if dictionary == "norms":
        return norms(reading.texts), norms([words["word"]]).concatenated(), words
    if dictionary in ("sae", "dealt out"):
        one = reading.sae
    elif dictionary is None:
        one = FunctionTransformer()
    elif isinstance(dictionary, SAEProjector):
        one = clone(dictionary).fit(reading.others)
    else:
        one = clone(dictionary).fit(reading.others.concatenated())
    of_texts, of_provo = (encode(one, table) for table in (reading.tokens, reading.provo))
    if dictionary == "dealt out":
        of_texts, of_provo = dealt_out(of_texts, SEED + draw), dealt_out(of_provo, SEED + draw)
    return of_texts, of_provo.pool("word").concatenated(), words


def encode(fitted, table):
    """Features of the tokens, as a table that knows its words."""
    if isinstance(fitted, SAEProjector):
        return fitted.transform(table)
    return like(table, fitted.transform(table.concatenated()))


def like(table, rows):
    """The rows of all tokens as a table of the same texts."""
    ends = np.cumsum(table.n_tokens)
    values = [rows[end - n : end] for n, end in zip(table.n_tokens, ends, strict=True)]
    return TokenTable.from_arrays(values, table.texts, table.offsets)


def dealt_out(encoded, seed):
    """The tokens' features, dealt out anew to the places of all texts."""
    rows = encoded.concatenated()
    return like(encoded, rows[np.random.default_rng(seed).permutation(rows.shape[0])])


def signed_parts(rows):
    """Positive and negative parts side by side, since NMF takes no negative numbers."""
    return np.hstack([np.maximum(rows, 0), np.maximum(-rows, 0)])


def norms(texts):
    """Lancaster's sensorimotor norms of each text's words; unknown words are 0, the mean of the norms."""
    table = load_lancaster_norms().set_index("word")
    table = (table - table.mean()) / table.std()
    words = [text.split() if isinstance(text, str) else text for text in texts]
    return TokenTable([table.reindex([plain(word) for word in some]).fillna(0).to_numpy() for some in words])


def plain(word):
    return word.strip(PUNCTUATION).lower()


def words_of(texts):
    """A row a word: its text, form and place."""
    rows = [(text, plain(word), place) for text, one in enumerate(texts) for place, word in enumerate(one.split())]
    return pd.DataFrame(rows, columns=["text", "word", "position"])


def believed(comparison, name, Y, voxels):
    """The share of the sets whose reading is believed, and of those where it beats random features."""
    result, X = comparison.results[name], comparison.features[name]
    coefs, p = [fitted["encoder"].coef_ for fitted in result.estimators], []
    for one in SETS if X.shape[1] > 100 else []:  # of six norms nothing is left to draw from
        mask = (voxels["set"] == one).to_numpy()
        check = check_interpretation(X, Y, coefs, splits=result.splits, mask=mask, exclude=-1, random_state=SEED)
        p.append((check.p_value, check.p_matched))
    readings, matched = np.mean(np.array(p) < 0.05, axis=0) if p else (np.nan, np.nan)
    return pd.Series({"readings": readings, "matched": matched})


def meaning_of(features, words):
    """The share of features that follow a supersense, and of those that are called semantic."""
    enriched = feature_enrichment(features, words).n_enriched / features.shape[1]
    semantic = (classify_features(features, words)["category"] == "semantic").mean()
    return pd.Series({"enriched": enriched, "semantic": semantic})


if __name__ == "__main__":
    main()
