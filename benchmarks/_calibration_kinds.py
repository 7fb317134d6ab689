"""Tests of kinds of features where no kind is anything: categories at random, labels that say nothing, smooth noise."""

import json

import numpy as np
import pandas as pd
from scipy import sparse, stats
from scipy.ndimage import gaussian_filter
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import (
    classify_features,
    compare_raters,
    compare_volume_maps,
    compare_with_matched,
    draw_matched_features,
    encode_by_category,
    feature_enrichment,
    score_explanations,
    summarize_categories,
    topography_convergence,
)
from sklearn_sae_encoding.analysis.baselines import effect_size
from sklearn_sae_encoding.datasets import load_supersenses


def matched(rng, print_rates, n=200):
    """Eight participants whose voxels respond to features at random: 20 features at random stand for a category."""
    folds, p, naive = KFold(5), [], []
    for seed in range(n):
        X = rng.exponential(size=(120, 200)) * (rng.random((120, 200)) < 0.3) * np.geomspace(0.5, 2, 200)
        weights = rng.normal(size=(200, 16)) * (rng.random((200, 16)) < 0.3)
        Y = X @ weights + 5 * rng.normal(size=(120, 16))
        category = rng.choice(200, 20, replace=False)
        draws = draw_matched_features(X, category, n_draws=99, tolerance=0.1, random_state=seed)
        found = compare_with_matched(
            Ridge(100.0), X, Y, columns=category, draws=draws, participants=np.repeat(range(8), 2), cv=folds
        )
        p.append(found.p_value)
        over_draws = found.draw_scores.mean(axis=1)
        naive.append(stats.ttest_1samp(over_draws, found.scores.mean()).pvalue)
    print_rates("matched draws: rank of a category at random among 99", p)
    print_rates("  t-test over the draws (not offered: wrong)", naive)


def convergence(rng, print_rates, n=1000):
    """Five categories in twelve regions with nothing in common with ten predicted cells: independent, and smooth."""
    names, regions = [f"c{i}" for i in range(5)], [f"r{i}" for i in range(12)]
    for title, smooth in (("independent regions", 0.0), ("regions like their neighbours", 1.5)):
        kernel = np.exp(-0.5 * (np.subtract.outer(range(12), range(12)) / smooth) ** 2) if smooth else np.eye(12)
        p, overlap = [], []
        for seed in range(n):
            observed = pd.DataFrame(rng.normal(size=(5, 12)) @ kernel, names, regions)
            order = np.argsort(rng.normal(size=(5, 12)) @ kernel, axis=1)
            predicted = pd.DataFrame((order.argsort(axis=1) >= 10).astype(float), names, regions)
            found = topography_convergence(observed, predicted, n_permutations=499, random_state=seed)
            p.append(found.p_spearman)
            overlap.append(found.p_overlap)
        print_rates(f"convergence, {title}: permuted regions", p)
        print_rates("  hypergeometric overlap of top cells (discrete)", overlap)


def enrichment(rng, print_rates, n=200):
    """Features that are active on words at random, put to all supersenses: any at q < .05 is wrong."""
    table = load_supersenses().drop_duplicates("word")
    words = pd.DataFrame({"word": table["word"].sample(600, random_state=0).to_numpy()})
    smallest, wrong = [], []
    for _ in range(n):
        features = sparse.csr_array(rng.exponential(size=(600, 50)) * (rng.random((600, 50)) < 0.1))
        found = feature_enrichment(features, words)
        wrong.append(found.table["q_value"].min())
        smallest.append(found.table["p_value"].sample(1, random_state=int(rng.integers(1 << 30))).iloc[0])
    print_rates("enrichment for a supersense: a p at random", smallest)
    print_rates("  any false discovery among 50 features (q)", wrong)
    ratings = pd.DataFrame(rng.normal(size=(600, 5)), columns=list("abcde")).assign(word=words["word"])
    single, wrong = [], []
    for _ in range(5 * n):
        features = sparse.csr_array(rng.exponential(size=(600, 50)) * (rng.random((600, 50)) < 0.1))
        found = feature_enrichment(features, words, properties=ratings)
        wrong.append(found.table["q_value"].min())
        single.append(found.table["p_value"].sample(1, random_state=int(rng.integers(1 << 30))).iloc[0])
    print_rates("enrichment for five ratings at random: a p at random", single)
    print_rates("  any false discovery among 50 features (q)", wrong)


def kinds(rng, print_rates, n=20):
    """Features that are active at random: all are "other", by any set of indicators."""
    table, wrong = load_supersenses().drop_duplicates("word"), []
    for _ in range(n):
        words = pd.DataFrame({"text": np.repeat(range(100), 20), "position": np.tile(range(20), 100)})
        words["word"] = rng.choice(table["word"].head(2000), size=2000)
        words["pos"] = rng.choice(["NN", "VB", "JJ", "IN"], size=2000)
        features = sparse.csr_array(rng.exponential(size=(2000, 50)) * (rng.random((2000, 50)) < 0.1))
        wrong.append((classify_features(features, words)["category"] != "other").mean())
    print(f"features at random that are not called other: {np.mean(wrong):.1%} of {50 * n}")


def agreement(rng, print_rates, n=400):
    """Two raters who are right in 85 %, and else choose at random: intervals of kappa and alpha."""
    share = 0.85**2  # that both are right; else they agree by chance, so that this is kappa, and alpha too
    for n_features in (60, 200):
        held = []
        for seed in range(n):
            truth = rng.integers(0, 5, size=n_features)
            given = [
                dict(enumerate(np.where(rng.random(n_features) < 0.85, truth, rng.integers(0, 5, size=n_features))))
                for _ in range(2)
            ]
            found = compare_raters(*given, n_bootstraps=400, random_state=seed)
            held.append([low <= share <= high for low, high in (found.kappa_interval, found.alpha_interval)])
        kappa, alpha = np.mean(held, axis=0)
        print(f"95% intervals over {n_features} features hold kappa in {kappa:.1%}, alpha in {alpha:.1%} of {n}")


def parts(rng, print_rates, n=200):
    """Eight participants, whose voxels follow one category of two: what the other is said to add, and an effect."""
    folds, above = KFold(5), []
    for _ in range(n):
        X = rng.normal(size=(150, 20))
        Y = X[:, :10] @ rng.normal(size=(10, 16)) + 5 * rng.normal(size=(150, 16))
        groups = {"all": np.arange(10), "none": np.arange(10, 20)}
        table = summarize_categories(
            encode_by_category(Ridge(30.0), X, Y, groups=groups, cv=folds), participants=np.repeat(range(8), 2)
        ).set_index("category")
        above.append(table.loc["none", ["unique_low", "unique_low_folds"]].to_numpy(dtype=float) > 0)
    over_participants, over_folds = np.mean(above, axis=0)
    print(
        f"a category that adds nothing: 95% intervals of its unique part above 0 over participants in "
        f"{over_participants:.1%}, over folds in {over_folds:.1%} of {n} (2.5% should, at most)"
    )
    for size in (0.0, 0.8):
        drawn = size + rng.normal(size=(2000, 8))
        low, high = np.array([effect_size(one, 0.95)[2] for one in drawn]).T
        held = np.mean((low <= size) & (size <= high))
        print(f"95% intervals of Hedges' g over 8 participants hold d = {size} in {held:.1%}")


def detection(rng, print_rates, n=100):
    """Judges that guess: scores of explanations that say nothing, and how often their interval leaves .5 out."""
    scores, shuffled, outside, better = [], [], [], []

    def judge(prompt):
        return json.dumps(rng.integers(0, 2, size=sum(line[:1].isdigit() for line in prompt.splitlines())).tolist())

    for seed in range(n):
        rows = [
            {
                "feature": str(i),
                "index": i,
                "kind": kind,
                "activation": a,
                "text": f"t{i}{k}",
                "marks": [],
                "corpus": "c",
            }
            for i in range(10)
            for kind, a in (("random", 1.0), ("silent", 0.0))
            for k in range(20)
        ]
        explanations = dict.fromkeys(range(10), "something")
        options = {"n_contexts": 40, "n_bootstraps": 400, "random_state": seed}
        found = score_explanations(explanations, pd.DataFrame(rows), judge, **options)
        scores.append(found.score)
        shuffled.append(found.shuffled)
        outside += ((found.table["low"] > 0.5) | (found.table["high"] < 0.5)).tolist()
        better.append(stats.ttest_1samp(found.table["score"] - found.table["shuffled"], 0).pvalue)
    print(
        f"detection by guesses: mean score {np.mean(scores):.3f} ± {2 * np.std(scores) / np.sqrt(n):.3f}, shuffled "
        f"{np.mean(shuffled):.3f}; 95% intervals of one feature without .5 in them: {np.mean(outside):.1%} of {10 * n}"
    )
    print_rates("detection by guesses: own against shuffled explanations, t", better)


def volumes(rng, print_rates, n=100):
    """Pairs of independent smooth maps in a ball of 14 voxels across."""
    grid = np.indices((16, 16, 16)) - 7.5
    outside = (grid**2).sum(axis=0) > 7**2
    for width in (1.0, 2.0):
        p, naive = [], []
        for seed in range(n):
            maps = {name: gaussian_filter(rng.normal(size=(16,) * 3), width) for name in "ab"}
            for volume in maps.values():
                volume[outside] = np.nan
            p.append(compare_volume_maps(maps, n_draws=199, random_state=seed).table["p"][0])
            naive.append(stats.spearmanr(maps["a"][~outside], maps["b"][~outside]).pvalue)
        print_rates(f"volumes, smoothed by {width} voxels: naive test (not offered: wrong)", naive)
        print_rates("  smooth random maps (variogram surrogates)", p)
