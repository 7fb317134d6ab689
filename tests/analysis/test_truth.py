"""The whole chain on simulated participants: what was planted comes out of supports, transfer, bins and shares."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from scipy.stats import binom
from sklearn.metrics import adjusted_rand_score
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import (
    bin_occupancy,
    cluster_voxels,
    compare_models,
    count_feature_use,
    matryoshka_models,
    partition_surprisal,
    prevalence_entropy,
    restrict_encoder,
    surprisal_by_region,
    surprisal_content_models,
    transfer_scores,
)
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.fitted import feature_table
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import (
    cross_val_voxel_scores,
    permutation_test_voxel_scores,
    support_recovery,
    voxel_score_table,
)
from sklearn_sae_encoding.pipeline import make_augmented_encoder

CV = KFold(5, shuffle=True, random_state=19)
WIDTHS = (12, 60)
NAMES = [*(f"sae_{j:05d}" for j in range(60)), "surprisal_mean"]
FEATURES = feature_table(NAMES, kinds=["sae"] * 60 + ["surprisal"], widths=WIDTHS)
PARTICIPANTS = ["p1", "p2", "p3", "p4"]
SHARED = {2: 1.0, 5: -1.0, 9: 1.0}  # feature to effect, in everyone, in the first bin
CEILING = 0.95


def _private(p):
    """Features of one participant, in the second bin."""
    return {20 + 4 * p: 1.0, 21 + 4 * p: -1.0, 22 + 4 * p: 1.0}


@pytest.fixture(scope="module", params=[0.0, 0.4], ids=["without surprisal", "with surprisal"])
def brains(request):
    """Four participants, each with five voxels of shared and five of private features; a share of surprisal in all."""
    rng = np.random.default_rng(0)
    content = rng.exponential(size=(300, 60)) * (rng.random((300, 60)) < 0.3)
    X = np.hstack([content, rng.normal(size=(300, 1))])
    scale = X.std(axis=0)
    rows, weights = [], []
    for p, participant in enumerate(PARTICIPANTS):
        for region, features in (("shared", SHARED), ("private", _private(p))):
            row = np.zeros(61)
            row[list(features)] = list(features.values())
            row[:60] *= np.sqrt((1 - request.param) / len(features))  # effects in units of the signal's variance
            row[60] = np.sqrt(request.param)
            rows += [(participant, region)] * 5
            weights += [row / scale] * 5
    weights = np.array(weights)
    signal = X @ weights.T
    signal /= signal.std(axis=0)
    noise = rng.normal(size=signal.shape) * np.sqrt(1 / CEILING**2 - 1)
    return (
        request.param,
        sparse.csr_array(X),
        signal + noise,
        weights,
        pd.DataFrame(rows, columns=["participant", "region"]),
    )


@pytest.fixture(scope="module")
def fitted(brains):
    _, X, Y, _, _ = brains
    return restrict_encoder().fit(X, Y)["encoder"]


@pytest.fixture(scope="module")
def scored(brains):
    """All models of the tests below on the same folds, each once."""
    _, X, Y, _, _ = brains
    bins = matryoshka_models(WIDTHS)
    models = surprisal_content_models() | {name: bins[name] for name in ("0-12", "12-60")}
    return cross_val_voxel_scores(models, X, Y, cv=CV, noise_ceiling=np.full(40, CEILING), return_predictions=True)


def _strong(coef):
    """Weights without those that are falsely selected, which are small: a tenth of the planted ones."""
    coef = coef.toarray()
    return coef * (np.abs(coef) > 0.3 * np.abs(coef[:, :60]).max())


def test_planted_supports_and_signs_are_found_and_what_else_is_selected_has_small_weights(brains, fitted):
    _, _, _, weights, voxels = brains
    recovery = support_recovery(weights, fitted.coef_, exclude=[-1])
    assert np.all(recovery.recall == 1)
    use = count_feature_use(fitted.coef_[:, :60], NAMES[:60])
    planted = {(feature, np.sign(effect)) for feature, effect in SHARED.items()}
    top = use.head(3)
    assert set(zip(top["index"], top["sign"], strict=True)) == planted
    private = {(j, np.sign(effect)) for p in range(4) for j, effect in _private(p).items()}
    of_private = count_feature_use(_strong(fitted.coef_)[(voxels["region"] == "private").to_numpy(), :60], NAMES[:60])
    assert set(zip(of_private["index"], of_private["sign"], strict=True)) == private


def test_shared_features_are_everyones_and_private_ones_of_one_participant(brains, fitted):
    _, _, _, _, voxels = brains
    table = prevalence_entropy(_strong(fitted.coef_), voxels["participant"], NAMES).set_index("index")
    assert np.all(table.loc[list(SHARED), "entropy"] > 1.95)  # of at most 2 bits
    private = [j for p in range(4) for j in _private(p)]
    assert np.all(table.loc[private, "entropy"] == 0)


def test_transfer_clusters_are_the_shared_population_and_each_participants_own(brains, fitted):
    _, X, Y, _, voxels = brains
    transfer = transfer_scores(
        X, Y, fitted, selection="published", cv=CV, scaled_features=[-1], noise_ceiling=np.full(40, CEILING)
    )
    # With 40% of surprisal in all voxels, features of any voxel predict any other with r = 0.63 of the ceiling.
    clusters = cluster_voxels(transfer.normalized_scores, cut=0.2)
    planted = np.where(voxels["region"] == "shared", "everyone", voxels["participant"])
    assert adjusted_rand_score(planted, clusters.labels) == 1
    assert voxels["participant"][clusters.labels == 0].nunique() == 4


def test_each_population_needs_the_bin_that_it_was_planted_in(brains, fitted, scored):
    _, X, _, _, voxels = brains
    table = voxel_score_table(scored, voxels)
    tests = compare_models(table, "12-60", models=["0-12"], random_state=0).set_index("region")
    assert tests.loc["shared", "difference"] > 0.2
    assert tests.loc["private", "difference"] < -0.2
    assert np.all(tests["p_value"] < 0.01)
    shared = (voxels["region"] == "shared").to_numpy()
    occupancy = {
        mask: bin_occupancy(fitted.coef_[shared == mask], FEATURES, X=X, n_permutations=99, random_state=0)
        for mask in (True, False)
    }
    assert occupancy[True].loc[0, "ratio"] > 1.3
    assert occupancy[False].loc[0, "ratio"] < 0.9


def test_shares_of_surprisal_and_content_are_as_planted(brains, fitted, scored):
    share, _, Y, _, voxels = brains
    parts = partition_surprisal(scored, Y, noise_ceiling=CEILING)
    table = surprisal_by_region(parts, voxels["participant"], voxels["region"], weights=fitted.coef_[:, [-1]])
    for region in ("shared", "private"):
        assert table.loc[region, "unique_surprisal"] == pytest.approx(share, abs=0.08)
        assert table.loc[region, "unique_content"] == pytest.approx(1 - share, abs=0.08)
        assert table.loc[region, "shared"] == pytest.approx(0, abs=0.08)
        assert table.loc[region, "ratio"] == pytest.approx(np.sqrt(share), abs=0.15)
    if share:
        assert np.all(table["positive_weight"] == 1)


def _words(n_texts):
    rng = np.random.default_rng(3)
    words = ["the", "a", "dog", "cat", "sees", "hears", "old", "new", "house", "river", "runs", "sleeps", "over", "red"]
    return [" ".join(rng.choice(words, size=6)) for _ in range(n_texts)]


def test_an_untrained_model_explains_no_more_voxels_than_the_nominal_rate(tiny_lm_dir):
    """1,000 voxels that have nothing to do with the texts, and with them permuted sentences of voxels that do."""
    untrained = LanguageModel(tiny_lm_dir, weights="random")
    features = make_augmented_encoder(untrained, 2, content="activations")["features"]
    X = features.fit_transform(_words(60))
    rng = np.random.default_rng(4)
    related = X @ rng.normal(size=(X.shape[1], 500))
    permuted = np.column_stack([rng.permutation(y) for y in related.T])
    Y = np.hstack([rng.normal(size=(60, 500)), permuted])
    encoder = restrict_encoder(encoder=SparseVoxelEncoder([0.1, 0.3], cv=3, refit="ridge"))
    test = permutation_test_voxel_scores(encoder, X, Y, n_permutations=5, cv=3, pool=True, random_state=0)
    for voxels in (slice(500), slice(500, 1000)):
        for level in (0.05, 0.01):
            n_false = np.sum(test.p_values[voxels] <= level)
            assert binom.isf(0.999, 500, level) <= n_false <= binom.isf(0.001, 500, level)
    assert np.sum(test.adjusted_p_values <= 0.05) <= 2  # with nothing to find, there is any discovery in 5% of studies
    found = permutation_test_voxel_scores(encoder, X, related, n_permutations=2, cv=3, pool=True, random_state=0)
    assert np.mean(found.adjusted_p_values <= 0.05) > 0.9  # though an untrained model can be related to responses
