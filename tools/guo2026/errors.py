"""How well do errors predict responses: what the SAE leaves out, and what was not expected?"""

import numpy as np
import pandas as pd
from scipy import sparse, stats
from sklearn.model_selection import KFold

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.datasets import load_demo_sae
from sklearn_sae_encoding.expectations import NextTokenPredictionError
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, fisher_mean, normalize_scores
from sklearn_sae_encoding.residuals import FeaturePredictionError, SAEResidual
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.surprisal import SurprisalTransformer
from sklearn_sae_encoding.timing import RunwiseDelayer, RunwiseRegressor, words_to_scans
from sklearn_sae_encoding.tokens import Spans, TokenTable

K = 10  # likeliest next tokens that are read
ERRORS = ("reconstruction", "unexpected (next tokens)", "unexpected (linear)")
CANDIDATES = 10


def story_errors(model, layer, story, delays):
    """Encode Alice from each error: a table of scores, a row a model, a column a response; and what k covers."""
    run = story.run
    spans = Spans.of_texts([run.text], [run.spans[run.placed]])
    made, table, covered = bands_of(model, layer, spans, over="word", pooling="sum")
    words = sparse.csr_array(table.pool("text", pooling="mean"))
    times = run.word_times("middle")[run.placed]
    blocks, _ = story.cut(6, gap=10)
    rows = [block.rows[5:-5] for block in blocks]

    def cut(values):
        scans = words_to_scans(values, times, run.n_scans, t_r=run.t_r, scan_time=run.scan_time)
        (delayed,) = RunwiseDelayer(delays).fit_transform([scans])
        return [sparse.csr_array(delayed)[one] for one in rows]

    def linear(k):
        """Learn what words foretell of the next from those outside of the block that is held out."""
        first, last = blocks[k].rows[[0, -1]]
        held = np.flatnonzero((times >= first * run.t_r) & (times < (last + 1) * run.t_r))
        chains = [part for part in (words[: held[0]], words[held[-1] + 1 :]) if part.shape[0] > 1]
        fitted = FeaturePredictionError(level="token").fit(TokenTable(chains))
        return cut(fitted.transform(TokenTable([words]))[0])

    bands = {name: cut(values) for name, values in made.items()} | {ERRORS[2]: linear}
    by_listener = [story.cut(6, gap=10, listener=who)[1] for who in story.listeners]
    Y = [np.hstack(part)[5:-5] for part in zip(*by_listener, strict=True)]
    splits = [(np.delete(np.arange(6), k), np.array([k])) for k in range(6)]
    return scored(bands, Y, splits, lambda parts: RunwiseRegressor(None, encoder(None), bands=parts)), covered


def sentence_errors(model, layer, data):
    """Encode the published voxel sets from each error."""
    made, _, covered = bands_of(model, layer, data.texts)
    activations = LMActivationTransformer(model, layer).fit_transform(data.texts)
    words = SAEProjector(load_demo_sae(), level="word").fit_transform(activations)
    splits = list(KFold(5, shuffle=True, random_state=19).split(data.betas))

    def linear(k):
        fitted = FeaturePredictionError().fit(TokenTable([words[i] for i in splits[k][0]]))
        return fitted.transform(words)

    scores = scored(made | {ERRORS[2]: linear}, data.betas, splits, encoder)
    normalized = normalize_scores(scores.to_numpy(), data.voxels["noise_ceiling"].to_numpy())
    return pd.DataFrame(normalized, index=scores.index), covered


def bands_of(model, layer, texts, **surprisal):
    """Features, surprisal and two errors of texts or words, a row each; the features of tokens; what k covers."""
    activations = LMActivationTransformer(model, layer).fit_transform(texts)
    sae, unexpected = load_demo_sae(), NextTokenPredictionError(model, layer, SAEProjector(load_demo_sae()), k=K)
    bands = {
        "features": SAEProjector(sae).fit_transform(activations),
        "surprisal": SurprisalTransformer(model, **surprisal).fit_transform(texts),
        ERRORS[0]: SAEResidual(SAEProjector(sae)).fit_transform(activations),
        ERRORS[1]: unexpected.fit_transform(texts),
    }
    covered = float(np.concatenate(list(unexpected.covered(texts))).mean())
    return bands, SAEProjector(sae, level="token").fit_transform(activations), covered


def encoder(parts):
    """Build a banded ridge regression."""
    return BandedRidgeEncoder(parts, candidates=CANDIDATES)


def scored(bands, Y, splits, build):
    """Score each error alone, with surprisal, and with features and surprisal; each beside the same without it."""
    with_surprisal, with_both = ("surprisal",), ("features", "surprisal")
    models = [("features",), with_surprisal, with_both]
    models += [(*before, error) for error in ERRORS for before in ((), with_surprisal, with_both)]
    scores = {}
    for model in models:
        by_fold = []
        for k in range(len(splits)) if ERRORS[2] in model else [None]:
            chosen = [bands[name](k) if callable(bands[name]) else bands[name] for name in model]
            X, parts = joined(chosen, model)
            cv = splits if k is None else [splits[k]]
            by_fold.append(cross_val_voxel_scores(build(parts), X, Y, cv=cv).fold_scores)
        scores[" + ".join(model)] = fisher_mean(np.vstack(by_fold), axis=0)
    return pd.DataFrame(scores).T


def joined(chosen, names):
    """Put bands side by side, in arrays or in those of each run, and say which columns are which."""
    runs = chosen if isinstance(chosen[0], list) else [[one] for one in chosen]
    stacked = [
        sparse.hstack([sparse.csr_array(one) for one in parts], format="csr") for parts in zip(*runs, strict=True)
    ]
    ends = np.cumsum([one[0].shape[1] for one in runs])
    parts = {name: slice(end - one[0].shape[1], end) for name, one, end in zip(names, runs, ends, strict=True)}
    return (stacked if isinstance(chosen[0], list) else stacked[0]), parts


def table_of_errors(scores, participants, where):
    """Average over participants: r alone, and what each error adds to surprisal, and to features and surprisal."""
    rows = []
    for name in dict.fromkeys(where):
        here = scores.T[np.asarray(where) == name].groupby(np.asarray(participants)[np.asarray(where) == name]).mean()
        for band in ("features", "surprisal", *ERRORS):
            row = {"where": name, "band": band, **interval("r", here[band])}
            if band in ERRORS:
                row |= interval("beyond surprisal", here[f"surprisal + {band}"] - here["surprisal"])
                both = here[f"features + surprisal + {band}"] - here["features + surprisal"]
                row |= interval("beyond features too", both)
            elif band == "features":
                row |= interval("beyond surprisal", here["features + surprisal"] - here["surprisal"])
            rows.append(row)
    return pd.DataFrame(rows).set_index(["where", "band"])


def interval(name, values):
    """Mean, and half the width of its 95 % interval over participants."""
    half = stats.t.ppf(0.975, len(values) - 1) * stats.sem(values)
    return {name: values.mean(), f"{name} ±": half}
