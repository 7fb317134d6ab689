"""Print what surprisal and SAE features add to models of reading times, in-sample and held out.

    python tools/reading_times.py [--folds 5] [--memory FOLDER] [--only provo|jaeger|models] [--jaeger-model NAME]

Provo (English, eye tracking): SmolLM2 and the SAE that ships for it, over a base of length, frequency and spillover.
Jäger 2015 (Chinese, self-paced): Gemma 3 270M where it is installed, else SmolLM2, whose surprisal of Chinese is poor;
its dense states stand in for features, since no SAE of Gemma ships. The models: SmolLM2, the same with random weights,
and Gemma where it is installed, by what the surprisal of each adds to the base on Provo. Needs the extras `demo` and
`frequency`.
"""

import argparse
import time

import pandas as pd
from sklearn.pipeline import make_pipeline

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.datasets import (
    load_demo_sae,
    load_gemma3_270m,
    load_jaeger2015,
    load_provo,
    load_smollm2,
)
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.reading import (
    ReadingTimeModel,
    add_word_features,
    compare_language_models,
    delta_log_likelihood,
    exclude_times,
    join_words,
    word_features,
)
from sklearn_sae_encoding.sae import SAEProjector

BASE = "length + log_frequency + length_previous_1 + log_frequency_previous_1"
BASES = {
    "no frequency": "length",
    "no spillover": "length + log_frequency",
    "with spillover": BASE,
    "curves": "poly(length, 2) * poly(log_frequency, 2) + position + length_previous_1 * log_frequency_previous_1",
}
SURPRISAL = "surprisal + surprisal_previous_1"
N_COMPONENTS = 20


def print_table(title, result, started):
    print(f"\n{title}  ({result.table['n_observations'].iloc[0]} times, {time.process_time() - started:.0f} s of CPU)")
    columns = ["df", "in_sample", "p", "held_out", "low", "high", "fits_warned"]
    print(result.table[columns].round({"in_sample": 1, "held_out": 1, "low": 1, "high": 1}).to_string(), flush=True)


def provo(args):
    data, lm = load_provo(), LanguageModel(load_smollm2(), memory=args.memory)
    started = time.process_time()
    words = add_word_features(data.words, model=lm, frequency="wordfreq", previous=1)
    activations = LMActivationTransformer(lm, layer=15, level="token")
    dense = word_features(data.words, activations)
    features = word_features(data.words, make_pipeline(activations, SAEProjector(load_demo_sae(), level="token")))
    seconds = time.process_time() - started
    print(f"Provo: {len(words)} words placed, features {features.values.shape}, {seconds:.0f} s of CPU")
    for measure in args.measures:
        kept = exclude_times(data.times, "gaze", minimum=80, maximum=1500, first_words=1)
        times = join_words(kept.table, words)
        started = time.process_time()
        base = ReadingTimeModel(f"log({measure}) ~ {BASE}")
        with_surprisal = ReadingTimeModel(f"log({measure}) ~ {BASE} + {SURPRISAL}")
        options = {"n_folds": args.folds, "random_state": 0}
        result = delta_log_likelihood(base, {"surprisal": with_surprisal}, times, **options)
        print_table(f"log {measure}: surprisal", result, started)
        started = time.process_time()
        full = {f"{N_COMPONENTS} components": ReadingTimeModel(with_surprisal.formula, reduce=N_COMPONENTS)}
        result = delta_log_likelihood(
            with_surprisal, full, times, features=features, dense=dense,
            comparisons=("shuffled", "random", "dense"), **options,
        )  # fmt: skip
        print_table(f"log {measure}: features beyond surprisal", result, started)
    times = join_words(exclude_times(data.times, "gaze", minimum=80, maximum=1500, first_words=1).table, words)
    print("\nHow much the base matters: log gaze, in-sample")
    print(f"  {'base':16s} {'surprisal':>10s} {'components':>11s}, beyond surprisal")
    for name, terms in BASES.items():
        base = ReadingTimeModel(f"log(gaze) ~ {terms}").fit(times)
        full = ReadingTimeModel(f"log(gaze) ~ {terms} + {SURPRISAL}").fit(times)
        meaning = ReadingTimeModel(full.formula, reduce=N_COMPONENTS).fit(times, features=features)
        gain = meaning.log_likelihood_ - full.log_likelihood_
        print(f"  {name:16s} {full.log_likelihood_ - base.log_likelihood_:10.1f} {gain:11.1f}", flush=True)


def jaeger(args):
    data = load_jaeger2015()
    name = args.jaeger_model or _gemma_or_smollm2()
    lm, started = LanguageModel(name, memory=args.memory), time.process_time()
    words = add_word_features(
        data.words.drop(columns=["set", "condition", "region"]), model=lm, texts=data.texts, separator="",
        frequency="wordfreq", language="zh", previous=1,
    )  # fmt: skip
    words["surprisal_previous_1"] = words["surprisal_previous_1"].fillna(0.0)
    dense = word_features(data.words, LMActivationTransformer(lm, layer=args.layer, level="token"), texts=data.texts)
    print(f"\nJäger 2015 with {lm.name}: {len(words)} regions, {words['shared_token'].sum()} of them inside the token "
          f"of the one before, {time.process_time() - started:.0f} s of CPU")  # fmt: skip
    kept = exclude_times(data.times, "rt", minimum=100, maximum=3000, first_words=1, last_words=1)
    times = join_words(kept.table, words)
    print(kept.excluded.to_string(index=False))
    base = ReadingTimeModel(f"log(rt) ~ {BASE} + position")
    with_surprisal = ReadingTimeModel(f"{base.formula} + {SURPRISAL}")
    options = {"n_folds": min(args.folds, 8), "random_state": 0, "by": "set"}
    started = time.process_time()
    result = delta_log_likelihood(base, {"surprisal": with_surprisal}, times, **options)
    print_table("log rt: surprisal", result, started)
    full = {"10 components": ReadingTimeModel(with_surprisal.formula, reduce=10)}
    started = time.process_time()
    result = delta_log_likelihood(
        with_surprisal, full, times, features=dense, comparisons=("shuffled", "random"), **options
    )
    print_table("log rt: dense states beyond surprisal", result, started)


def models(args):
    """Provo: perplexity of the words, and what the surprisal of each model adds, in-sample and held out."""
    data = load_provo()
    named = {"SmolLM2 135M": load_smollm2()}
    try:
        named["Gemma 3 270M"] = load_gemma3_270m()
    except ImportError as error:
        print(f"Gemma is not installed. {error}")
    compared = {name: LanguageModel(path, memory=args.memory) for name, path in named.items()}
    compared["SmolLM2, random weights"] = LanguageModel(load_smollm2(), weights="random", memory=args.memory)
    words = add_word_features(data.words, model=compared["SmolLM2 135M"], frequency="wordfreq", previous=1)
    words = words.drop(columns=["surprisal", "surprisal_previous_1"])
    for measure in args.measures:
        started = time.process_time()
        kept = exclude_times(data.times, "gaze", minimum=80, maximum=1500, first_words=1)
        base = ReadingTimeModel(f"log({measure}) ~ {BASE}")
        times, options = join_words(kept.table, words), {"n_folds": args.folds, "random_state": 0}
        found = compare_language_models(data.words, times, compared, base=base, **options)
        table = found.table[["perplexity", "in_sample", "p", "held_out", "low", "high"]]
        n, seconds = found.table["n_observations"].iloc[0], time.process_time() - started
        print(f"\nlog {measure}: {n} times, {seconds:.0f} s of CPU")
        print(table.round({name: 1 for name in table if name != "p"}).to_string())
        print(found.differences.round(1).to_string(index=False), flush=True)


def _gemma_or_smollm2():
    try:
        return load_gemma3_270m()
    except ImportError as error:
        print(f"Gemma is not installed, SmolLM2 stands in. {error}")
        return load_smollm2()


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--folds", type=int, default=5)
    parser.add_argument("--memory", default=None, help="folder that keeps what the model says of each text")
    parser.add_argument("--only", choices=["provo", "jaeger", "models"])
    parser.add_argument("--measures", nargs="*", default=["first", "gaze", "total"])
    parser.add_argument("--jaeger-model", default=None)
    parser.add_argument("--layer", type=int, default=9)
    args = parser.parse_args()
    pd.set_option("display.width", 200)
    for name, function in {"provo": provo, "jaeger": jaeger, "models": models}.items():
        if args.only in (None, name):
            function(args)


if __name__ == "__main__":
    main()
