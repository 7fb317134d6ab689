"""Languages compared on simulated features: shared ones transfer and find translations, others do not."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.analysis import (
    across_languages,
    feature_correspondence,
    language_shares,
    translation_retrieval,
)
from sklearn_sae_encoding.datasets import make_voxel_responses

LANGUAGES = ("en", "fr", "zh")
N, SHARED, OWN = 90, 12, 4


def features_of_three_languages(seed=0, noise=0.3):
    """Features 0 to 11 follow the meaning in all languages, and four more fire in one language each."""
    rng = np.random.default_rng(seed)
    meaning = rng.exponential(size=(N, SHARED)) * (rng.random((N, SHARED)) < 0.4)
    features = {}
    for at, name in enumerate(LANGUAGES):
        values = np.zeros((N, SHARED + OWN * len(LANGUAGES)))
        values[:, :SHARED] = meaning * np.exp(noise * rng.normal(size=meaning.shape))
        own = slice(SHARED + OWN * at, SHARED + OWN * (at + 1))
        values[:, own] = rng.exponential(size=(N, OWN)) * (rng.random((N, OWN)) < 0.5)
        features[name] = sparse.csr_array(values)
    return features


def responses(features, shared, own, seed=1):
    """Voxels driven by shared features, by features of one language, and noise."""
    rng = np.random.default_rng(seed)
    weights, Y = rng.uniform(1, 2, (2, SHARED)), {}
    for at, name in enumerate(LANGUAGES):
        values = features[name].toarray()
        first = SHARED + OWN * at
        signal = np.column_stack(
            [shared * values[:, :SHARED] @ weights[0], own * values[:, first : first + OWN].sum(axis=1)]
        )
        Y[name] = signal + rng.normal(size=signal.shape)
    return Y


def test_a_model_of_shared_features_is_recovered_in_every_language_and_one_of_own_features_in_its_own_alone():
    X = features_of_three_languages()
    Y, ids = responses(X, shared=2, own=2), dict.fromkeys(LANGUAGES, np.arange(N))
    transfer = across_languages(Ridge(3.0), X, Y, ids=ids, n_folds=3, random_state=0)
    for train in LANGUAGES:
        for test in LANGUAGES:
            by_shared, by_own = transfer.voxel_scores[train, test]
            assert by_shared > 0.8
            assert (by_own > 0.7) if train == test else (abs(by_own) < 0.35)
    assert (np.diag(transfer.table) > transfer.table.to_numpy()[~np.eye(3, dtype=bool)].max()).all()


def test_noise_is_predicted_in_no_language():
    X = features_of_three_languages()
    ids = dict.fromkeys(LANGUAGES, np.arange(N))
    table = across_languages(Ridge(100), X, responses(X, 0, 0), ids=ids, n_folds=3, random_state=0).table
    assert abs(table.to_numpy()).max() < 0.25


def test_a_sentence_and_its_translations_are_held_out_together():
    """Responses that are a code of the sentence can be learned only from the sentence itself or a translation."""
    rng = np.random.default_rng(0)
    code = rng.normal(size=(N, 1))
    X = {name: sparse.csr_array(np.eye(N)) for name in ("en", "fr")}
    mixed = rng.permutation(N)
    Y, ids = {"en": code, "fr": code[mixed]}, {"en": np.arange(N), "fr": mixed}
    X["fr"] = X["fr"][mixed]
    table = across_languages(Ridge(1e-3), X, Y, ids=ids, n_folds=3, random_state=0).table
    assert abs(table.to_numpy()).max() < 0.2


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda X, Y, ids: Y.pop("fr"), "need the same two or more languages"),
        (lambda X, Y, ids: Y.update(fr=Y["fr"][1:]), r"of 'fr' have \(90, 89, 90\) rows"),
        (lambda X, Y, ids: X.update(fr=X["fr"][:, 1:]), "columns of X must be the same"),
        (lambda X, Y, ids: ids.update(fr=np.zeros(90, dtype=int)), "A fold has 0 sentences of 'fr'"),
    ],
)
def test_languages_that_do_not_go_together_are_named(change, match):
    X = features_of_three_languages()
    Y, ids = responses(X, 1, 1), dict.fromkeys(LANGUAGES, np.arange(N))
    X, Y, ids = dict(X), dict(Y), dict(ids)
    change(X, Y, ids)
    with pytest.raises(ValueError, match=match):
        across_languages(Ridge(), X, Y, ids=ids)


def test_translations_are_found_by_shared_features_and_not_by_chance():
    found = translation_retrieval(features_of_three_languages())
    assert len(found) == 6
    assert (found["top_1"] > 0.5).all()
    assert (found["chance"] == 1 / N).all()
    rng = np.random.default_rng(0)
    lost = translation_retrieval({name: rng.normal(size=(N, 30)) for name in LANGUAGES})
    assert lost["top_1"].mean() < 0.05
    assert abs(lost["median_rank"].mean() - N / 2) < 10


def test_features_that_never_fire_find_no_translation():
    silent = translation_retrieval({"en": np.zeros((10, 3)), "fr": np.zeros((10, 3))})
    assert (silent["top_1"] == 0).all()


def test_firing_for_translations_is_that_of_numpys_correlation():
    features = features_of_three_languages()
    table = feature_correspondence(features, min_share=0.1)
    pair = table[(table["first"] == "en") & (table["second"] == "zh")].set_index("feature")
    assert pair.index.tolist() == list(range(SHARED))
    en, zh = features["en"].toarray()[:, 3], features["zh"].toarray()[:, 3]
    assert pair.loc[3, "phi"] == pytest.approx(np.corrcoef(en > 0, zh > 0)[0, 1])
    assert pair.loc[3, "r"] == pytest.approx(np.corrcoef(en, zh)[0, 1])
    assert pair.loc[3, "both"] == pytest.approx(((en > 0) & (zh > 0)).mean())


def test_features_of_one_language_are_told_from_shared_and_silent_ones():
    features = features_of_three_languages()
    widened = {name: sparse.hstack([values, np.zeros((N, 1))], format="csr") for name, values in features.items()}
    kinds = language_shares(widened)["kind"].tolist()
    assert kinds == ["shared"] * SHARED + ["en"] * OWN + ["fr"] * OWN + ["zh"] * OWN + ["silent"]
    with pytest.raises(ValueError, match="specific must be above 1 / 3"):
        language_shares(features, specific=0.3)


def test_simulated_voxels_with_known_weights_transfer_between_languages():
    X = features_of_three_languages(noise=0.0)
    shared = {name: values[:, :SHARED] for name, values in X.items()}
    data = make_voxel_responses(shared["en"], n_voxels=5, n_informative=3, noise_ceiling=0.9, random_state=0)
    ids = dict.fromkeys(LANGUAGES, np.arange(N))
    table = across_languages(Ridge(1.0), shared, dict.fromkeys(LANGUAGES, data.betas), ids=ids, random_state=0).table
    assert table.to_numpy().min() > 0.6


@pytest.mark.parametrize("function", [translation_retrieval, feature_correspondence])
def test_sentences_that_are_not_parallel_are_refused(function):
    with pytest.raises(ValueError, match=r"got the shapes \{'en': \(3, 2\), 'fr': \(4, 2\)\}"):
        function({"en": np.zeros((3, 2)), "fr": np.zeros((4, 2))})
