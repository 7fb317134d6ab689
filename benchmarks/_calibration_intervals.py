"""How often intervals hold the truth, and tests of equality err: over participants, sentences and one left out."""

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import leave_one_participant_out, paired_tests, transfer_scores
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import fisher_mean as averaged
from sklearn_sae_encoding.metrics import mean_interval, voxel_score_intervals, voxelwise_pearson
from sklearn_sae_encoding.metrics._cross_val import VoxelScores

MARGIN = 0.02


def intervals(rng):
    """Means over few participants, normal and skewed, and correlations over 200 sentences."""
    for n in (4, 6, 8):
        for name, draw in (("normal", rng.standard_normal), ("skewed", lambda size: rng.exponential(size=size) - 1)):
            held = np.zeros((1000, 2))
            for i, values in enumerate(draw((1000, n))):
                one = mean_interval(values, n_bootstraps=1000, random_state=i)
                held[i] = one.t_low <= 0 <= one.t_high, one.low <= 0 <= one.high
            t, bootstrap = held.mean(axis=0)
            print(f"95% intervals of {n} {name} participants hold the mean: t {t:.1%}, bootstrap {bootstrap:.1%}")
    for r in (0.0, 0.3, 0.7):
        predicted = rng.normal(size=(200, 1000))
        measured = r * predicted + np.sqrt(1 - r**2) * rng.normal(size=(200, 1000))
        low, high = voxel_score_intervals(scored(measured, predicted), measured, random_state=0)
        print(
            f"95% intervals of 1000 voxels with r = {r} over 200 sentences hold it: "
            f"{np.mean((low <= r) & (r <= high)):.1%}"
        )


def scored(measured, predicted):
    """The result of models whose predictions are given."""
    splits = list(KFold(5).split(measured))
    folds = np.array([voxelwise_pearson(measured[test], predicted[test]) for _, test in splits])
    return VoxelScores(folds, averaged(folds), None, splits, predicted, None, "pearson")


def equivalence(rng, print_rates):
    """Differences at the margin, where a claim of equality is wrong; at zero, where it is right."""
    for n in (8, 4):
        for name, difference, sd in (
            ("at the margin", MARGIN, 0.015),
            ("none", 0.0, 0.015),
            ("none, noisy", 0.0, 0.05),
        ):
            d = difference + sd * rng.normal(size=(1000, n))
            tests = [
                paired_tests(pd.DataFrame({"dense": 0.0, "SAE": one}), "dense", margin=MARGIN, n_bootstraps=2).iloc[0]
                for one in d
            ]
            print_rates(f"equivalence, {n} participants, difference {name}", [test["p_equivalent"] for test in tests])
    d = -MARGIN + 0.015 * rng.normal(size=(1000, 8))
    tests = [
        paired_tests(pd.DataFrame({"dense": 0.0, "SAE": one}), "dense", margin=MARGIN, n_bootstraps=2).iloc[0]
        for one in d
    ]
    print_rates("not worse, 8 participants, worse by the margin", [test["p_not_worse"] for test in tests])


def left_out(rng):
    """The best of 50 features in eight participants, chosen on all or on seven: none means anything, or one does."""
    for name, effect in (("nothing planted", 0.0), ("one feature of 1 sd planted", 1.0)):
        circular, alone, halves, naive, above = [], [], [], [], []
        for _ in range(1000):
            effects = rng.normal(size=(8, 50))
            effects[:, 0] += effect
            arguments = (
                np.arange(8),
                lambda others, effects=effects: int(np.argmax(effects[others].mean(axis=0))),
                lambda feature, own, effects=effects: effects[own, feature].mean(),
            )
            one = leave_one_participant_out(*arguments, n_bootstraps=2)
            half = leave_one_participant_out(*arguments, choose_on=[0, 1, 2, 3], n_bootstraps=2)
            interval = mean_interval(one.results["value"], n_bootstraps=2)  # as if the values were independent
            circular.append(effects.mean(axis=0).max())
            alone.append(interval.mean)
            naive.append(interval.t_low <= effect <= interval.t_high)
            halves.append(half.summary.loc["value", "mean"])
            above.append(half.summary.loc["value", "t_low"] > 0)
        print(
            f"best of 50 features, {name}: chosen on all {np.mean(circular):.2f}, on seven {np.mean(alone):.2f}, on "
            f"four {np.mean(halves):.2f}\n  95% intervals: above 0 in {np.mean(above):.1%} if chosen on four; hold the "
            f"effect in {np.mean(naive):.1%} if chosen on seven (not offered: wrong)"
        )


def shared_noise(rng):
    """Transfer among voxels that share the noise of every text and have nothing to do with any feature."""
    for name, n_texts in (("160 texts", 160), ("320 texts", 320)):
        X = rng.exponential(size=(n_texts, 400)) * (rng.random((n_texts, 400)) < 0.2)
        Y = rng.normal(size=(n_texts, 1)) + 0.7 * rng.normal(size=(n_texts, 40))
        encoder = SparseVoxelEncoder(alphas=[0.15], refit="ridge")
        folds = KFold(5, shuffle=True, random_state=19)
        fair = transfer_scores(X, Y, encoder, cv=folds).scores
        published = transfer_scores(X, Y, encoder.fit(X, Y), selection="published", cv=folds).scores
        print(
            f"transfer of noise that voxels share, {name}: selected on training texts {np.nanmean(fair):.2f}, on all "
            f"(published) {np.nanmean(published):.2f}"
        )
