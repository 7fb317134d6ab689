"""How often each test finds something where nothing is: rates of small p-values over 1,000 simulated voxels.

    python benchmarks/calibration.py [test ...]

Each row counts p-values below .05, .01 and .001 where the null hypothesis holds; beside each rate stands twice its
standard error for that many independent tests, had it been nominal. Tests: permutation, paired, transfer, reading,
bins, partition, spins, matched, convergence, enrichment, detection, volumes, kinds, agreement, parts, intervals,
equivalence, left_out, shared_noise, selection, bootstrap, feature_use, group, stories, listeners; all of them by
default, a good part of an hour.
"""

import sys
import time

import numpy as np
import pandas as pd
from _calibration_intervals import equivalence, intervals, left_out, shared_noise
from _calibration_kinds import agreement, convergence, detection, enrichment, kinds, matched, parts, volumes
from _calibration_maps import spins
from _calibration_selection import bootstrap, feature_use, group, selection
from _calibration_stories import listeners, stories
from scipy import sparse, stats
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import (
    bin_occupancy,
    check_interpretation,
    paired_tests,
    partition_surprisal,
    restrict_encoder,
    surprisal_content_models,
    transfer_scores,
)
from sklearn_sae_encoding.datasets import load_sentences, load_smollm2, make_voxel_responses
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.fitted import feature_table
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import (
    cross_val_voxel_scores,
    fisher_mean,
    permutation_p_values,
    permutation_test_voxel_scores,
    shuffle_responses,
    voxelwise_pearson,
)
from sklearn_sae_encoding.pipeline import make_augmented_encoder

CV = KFold(5, shuffle=True, random_state=19)
LEVELS = (0.05, 0.01, 0.001)
KINDS = (matched, convergence, enrichment, detection, volumes, kinds, agreement, parts)
N_VOXELS, N_PERMUTATIONS = 1000, 10


def main(names):
    tests = {
        "permutation": permutation,
        "paired": paired,
        "transfer": transfer,
        "reading": reading,
        "bins": bins,
        "partition": partition,
        "spins": lambda rng: spins(rng, print_rates),
        **{test.__name__: test_of_kinds(test) for test in KINDS},
        "intervals": intervals,
        "equivalence": lambda rng: equivalence(rng, print_rates),
        "left_out": left_out,
        "shared_noise": shared_noise,
        "selection": selection,
        "bootstrap": bootstrap,
        "feature_use": feature_use,
        "group": group,
        "stories": lambda rng: stories(rng, print_rates),
        "listeners": listeners,
    }
    if unknown := set(names) - set(tests):
        sys.exit(f"There is no test {sorted(unknown)}; there are {list(tests)}.")
    print(f"{'share of p-values below':58}{'n':>8}" + "".join(f"{level:>17}" for level in LEVELS))
    for name in names or tests:
        start = time.perf_counter()
        tests[name](np.random.default_rng(0))
        print(f"  ({name}: {time.perf_counter() - start:.0f} s)", file=sys.stderr, flush=True)


def test_of_kinds(test):
    return lambda rng: test(rng, print_rates)


def print_rates(title, p):
    p = np.ravel(p)
    rates = [f"{np.mean(p <= level):8.4f} ± {2 * np.sqrt(level * (1 - level) / len(p)):.4f}" for level in LEVELS]
    print(f"{title:58}{len(p):>8}" + "".join(f"{rate:>17}" for rate in rates), flush=True)


def sparse_features(rng, n_texts=200, n_features=120):
    """Features of different firing rates, as an SAE has them, and surprisal in the last column."""
    rates = np.geomspace(0.5, 0.05, n_features)
    values = rng.exponential(size=(n_texts, n_features)) * (rng.random((n_texts, n_features)) < rates)
    return sparse.csr_array(np.hstack([values, rng.normal(size=(n_texts, 1))]))


def encoder():
    return restrict_encoder(encoder=SparseVoxelEncoder(np.logspace(-1.5, -0.5, 5), cv=3, refit="ridge"))


def untrained_features():
    """Mean activations of SmolLM2 with random weights on real sentences, and its surprisal; 100 units of each text."""
    model = make_augmented_encoder(LanguageModel(load_smollm2(), weights="random"), 15, content="activations")
    features = model["features"].fit_transform(load_sentences()[:200])
    return np.hstack([features[:, :100], features[:, -1:]])


def permutation(rng):
    """Responses that have nothing to do with the features: an untrained model's, and those of permuted sentences."""
    X, Y = untrained_features(), rng.normal(size=(200, N_VOXELS))
    options = {"n_permutations": N_PERMUTATIONS, "cv": CV, "pool": True, "random_state": 0}
    test = permutation_test_voxel_scores(encoder(), X, Y, **options)
    print_rates("permutation test, untrained model", test.p_values)
    print_discoveries(test)
    X = sparse_features(rng)
    planted = make_voxel_responses(X, n_voxels=N_VOXELS, n_informative=5, forced_features=[-1], random_state=0).betas
    # A permutation of the sentences for every ten voxels: those of one permutation share what they find by chance.
    permuted = [planted[rng.permutation(200), start : start + 10] for start in range(0, N_VOXELS, 10)]
    test = permutation_test_voxel_scores(encoder(), X, np.hstack(permuted), **options)
    print_rates("permutation test, permuted sentences", test.p_values)
    print_discoveries(test)
    print_rates("  without refitting (not offered: wrong)", without_refitting(X.toarray(), Y, rng))


def print_discoveries(test):
    print(f"  discoveries at a false discovery rate of .05: {np.sum(test.adjusted_p_values <= 0.05)} of {N_VOXELS}")


def without_refitting(X, Y, rng, n_permutations=200):
    """Permute held-out responses of each fold against predictions that stay as they are."""
    result = cross_val_voxel_scores(Ridge(100.0), X, Y, cv=CV, return_predictions=True)
    null = []
    for _ in range(n_permutations):
        orders = [rng.permutation(test) for _, test in result.splits]
        folds = zip(orders, result.splits, strict=True)
        null.append(fisher_mean([voxelwise_pearson(Y[order], result.predictions[test]) for order, (_, test) in folds]))
    return permutation_p_values(result.scores, np.array(null))


def paired(rng):
    """Families of three models against a reference, over eight and over four participants."""
    for n_participants in (8, 4):
        smallest, covered = [], []
        for seed in range(1000):
            values = pd.DataFrame(rng.normal(size=(n_participants, 4)), columns=["reference", "a", "b", "c"])
            tests = paired_tests(values, "reference", n_bootstraps=1000, random_state=seed)
            smallest.append(tests["adjusted_p_value"].min())
            covered += ((tests["low"] <= 0) & (tests["high"] >= 0)).tolist()
        print_rates(f"paired tests, any of three (x3), {n_participants} participants", smallest)
        print(f"  95% bootstrap intervals that hold the truth: {np.mean(covered):.1%}")


def transfer(rng):
    """Features of 40 sources on 1,000 voxels that respond to something else."""
    X, Y = sparse_features(rng).toarray(), rng.normal(size=(200, N_VOXELS))
    coef = rng.normal(size=(40, X.shape[1])) * (rng.random((40, X.shape[1])) < 0.1)
    options = {"cv": CV, "sources": np.full(40, -1), "scaled_features": [-1], "selection": "published"}
    scores = transfer_scores(X, Y, coef, alpha=1.0, **options).scores
    null = transfer_scores(X, shuffle_responses(Y, 0), coef, alpha=1.0, **options).scores
    pairs = zip(scores, null[:, None], strict=True)
    print_rates("transfer against shuffled targets", [permutation_p_values(*pair, pool=True) for pair in pairs])
    z = np.arctanh(scores) * np.sqrt(5 * (40 - 3))
    print_rates("  by the normal approximation (not offered: wrong)", stats.norm.sf(z))


def reading(rng):
    """Populations of three voxels with a common reliable response that the features have nothing to do with."""
    X = sparse_features(rng, n_features=300)
    common = np.repeat(rng.normal(size=(200, N_VOXELS // 2)), 3, axis=1)
    Y = common + 0.5 * rng.normal(size=common.shape)
    splits = list(CV.split(Y))
    coefs = [encoder().fit(X[train], Y[train])["encoder"].coef_ for train, _ in splits]
    p = []
    for i in range(N_VOXELS // 2):
        own = slice(3 * i, 3 * i + 3)
        check = check_interpretation(
            X, Y[:, own], [coef[own] for coef in coefs], splits=splits, exclude=-1, n_draws=400, random_state=i
        )
        averaged = np.mean(check.matched_rho.mean(axis=0) >= check.rho)
        p.append((check.p_value, check.p_matched, averaged))
    for title, values in zip(
        ("reading: does it predict?", "reading: better than matched features?", "  by the mean over folds (wrong)"),
        np.transpose(p),
        strict=True,
    ):
        print_rates(title, values)


def bins(rng):
    """Features that voxels prefer by their firing rate, whatever their Matryoshka bin."""
    features, p = feature_table(257, kinds=["sae"] * 256 + ["surprisal"], widths=(16, 64, 256)), []
    rates = np.geomspace(0.6, 0.02, 256)
    X = np.hstack([rng.random((200, 256)) < rates, np.ones((200, 1), dtype=bool)]).astype(float)
    for seed in range(1000):
        liked = rates**2 * rng.exponential(size=256)  # voxels share preferences
        selected = rng.random((30, 256)) < np.minimum(0.3 * liked, 1)
        coef = np.hstack([selected, np.ones((30, 1))]).astype(float)
        p.append(bin_occupancy(coef, features, X=X, n_permutations=999, random_state=seed)["p_value"])
    for j, values in enumerate(np.transpose(p)):
        print_rates(f"bins: share of bin {j + 1} of 3", values)


def partition(rng):
    """Parts of the variance with nothing planted, and with known shares."""
    X = sparse_features(rng, n_features=60)
    Y = rng.normal(size=(200, N_VOXELS))
    models = surprisal_content_models(encoder().steps[1][1])
    results = cross_val_voxel_scores(models, X, Y, cv=CV, return_predictions=True)
    parts = ["unique_surprisal", "unique_content", "shared"]
    print_parts(f"partition, nothing planted in {N_VOXELS} voxels", partition_surprisal(results, Y)[parts])
    for n_texts, effect in ((200, 2.0), (1000, 2.0), (200, 0.5)):
        X = sparse_features(rng, n_texts, n_features=60)
        options = {"n_voxels": 100, "n_informative": 3, "forced_features": [-1], "forced_effect": effect}
        data = make_voxel_responses(X, noise_ceiling=0.95, random_state=1, **options)
        share = (X[:, [-1]] @ data.weights[:, [-1]].T).toarray().var(axis=0).mean()
        results = cross_val_voxel_scores(models, X, data.betas, cv=CV, return_predictions=True)
        found = partition_surprisal(results, data.betas, noise_ceiling=data.noise_ceiling)[parts]
        title = f"partition, {n_texts} texts, surprisal planted as {share:.0%}, content as {1 - share:.0%}"
        print_parts(title, found)


def print_parts(title, table):
    print(f"{title}: " + ", ".join(f"{name} {value:.1%}" for name, value in table.mean().items()), flush=True)


if __name__ == "__main__":
    main(sys.argv[1:])
