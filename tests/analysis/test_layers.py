"""A layer chosen on training samples scores what it scores; the best of many is too good."""

import re
from typing import ClassVar

import numpy as np
import pytest
from sklearn.compose import make_column_transformer
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, LeaveOneOut
from sklearn.pipeline import make_pipeline
from story_cases import make_run

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import layer_profile
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.timing import RunwiseRegressor, WordsToScans


def layers_of_columns(n_layers, width=3):
    """A model of each layer, whose features are a few of the columns."""
    return {
        layer: make_pipeline(
            make_column_transformer(("passthrough", slice(width * layer, width * (layer + 1)))), Ridge(10.0)
        )
        for layer in range(n_layers)
    }


def test_the_layer_that_was_planted_in_a_voxel_is_chosen_and_scored_as_it_scores_alone():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(200, 12))
    Y = np.column_stack([X[:, 3 * layer : 3 * layer + 3].sum(axis=1) for layer in (2, 0)]) + rng.normal(size=(200, 2))
    models = layers_of_columns(4)
    profile = layer_profile(models, X, Y, cv=4)
    assert np.all(profile.chosen == [2, 0])
    alone = cross_val_voxel_scores(models, X, Y, cv=4)
    expected = [alone[2].scores[0], alone[0].scores[1]]
    np.testing.assert_allclose(profile.chosen_scores, expected)
    np.testing.assert_allclose(profile.best_scores, expected)
    np.testing.assert_allclose(profile.scores, [alone[layer].scores for layer in range(4)])
    table = profile.table()
    assert table["chosen"].tolist() == [0.5, 0, 0.5, 0]
    np.testing.assert_allclose(table["score"], profile.scores.mean(axis=1))


def test_of_noise_the_chosen_layer_scores_zero_and_the_best_one_more():
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(80, 24)), rng.normal(size=(80, 150))
    profile = layer_profile(layers_of_columns(8), X, Y, cv=4, inner_cv=3)
    assert abs(profile.chosen_scores.mean()) < 0.03
    assert profile.best_scores.mean() > 0.08


def test_layers_of_stories_are_chosen_on_the_other_runs():
    rng = np.random.default_rng(2)
    X = [rng.normal(size=(60, 4)) for _ in range(4)]
    y = [np.roll(run[:, [2]] + run[:, [3]], 1, axis=0) + rng.normal(size=(60, 1)) for run in X]
    y = [np.column_stack([run, np.full(60, np.nan)]) for run in y]
    models = {
        layer: RunwiseRegressor(None, part, delays=(1,))
        for layer, part in {
            "low": make_pipeline(make_column_transformer(("passthrough", [0, 1])), Ridge()),
            "high": make_pipeline(make_column_transformer(("passthrough", [2, 3])), Ridge()),
        }.items()
    }
    profile = layer_profile(models, X, y, cv=LeaveOneOut(), inner_cv=LeaveOneOut(), noise_ceiling=[0.8, 0.8])
    assert profile.layers == ["low", "high"]
    assert np.all(profile.chosen == [1, -1])
    assert np.isnan(profile.chosen_scores[1])
    np.testing.assert_allclose(profile.chosen_scores[0], profile.results["high"].scores[0] / 0.8)


def test_groups_hold_inside_and_outside_and_few_samples_are_named():
    rng = np.random.default_rng(3)
    X, Y, groups = rng.normal(size=(60, 6)), rng.normal(size=(60, 2)), np.repeat(range(6), 10)
    options = {"cv": GroupKFold(3), "inner_cv": GroupKFold(2)}
    assert layer_profile(layers_of_columns(2), X, Y, groups=groups, **options).chosen.shape == (3, 2)
    with pytest.raises(ValueError, match="at least two layers"):
        layer_profile({0: Ridge()}, X, Y)
    runs = [rng.normal(size=(30, 6)) for _ in range(2)]
    models = {layer: RunwiseRegressor(None, Ridge(alpha)) for layer, alpha in enumerate((1, 2))}
    with pytest.raises(ValueError, match=r"Fold 0 trains on 1 sample\(s\), which can't be split again"):
        layer_profile(models, runs, [run[:, :2] for run in runs], cv=2)


def test_a_text_goes_through_the_model_once_for_all_layers_and_folds(tiny_lm_dir, count_passes):
    texts = [f"The {word} sat on the mat." for word in ("cat", "dog", "fox", "owl", "hen", "cow", "pig", "rat", "ant")]
    language_model = LanguageModel(tiny_lm_dir, keep=())
    makers = {layer: LMActivationTransformer(language_model, layer, level="text") for layer in (0, 2)}
    models = {layer: make_pipeline(maker, Ridge()) for layer, maker in makers.items()}
    counter = count_passes(tiny_lm_dir)
    layer_profile(models, texts, np.random.default_rng(0).normal(size=(9, 2)), cv=3, inner_cv=2)
    assert set(counter.values()) == {1}
    assert len(counter) == 9


class CountedRidge(Ridge):
    """Ridge that counts its fits, and is interrupted after some of them."""

    fits: ClassVar = {"n": 0, "left": None}

    def fit(self, X, y):
        self.fits["n"] += 1
        if self.fits["left"] is not None and self.fits["n"] > self.fits["left"]:
            raise KeyboardInterrupt
        return super().fit(X, y)


def test_an_interrupted_profile_goes_on_where_it_was_and_says_how_far_it_is(tmp_path, capsys):
    rng = np.random.default_rng(4)
    runs = [make_run(n_scans=40, n_words=60, onset=float(shift)) for shift in range(4)]
    responses = [rng.normal(size=(40, 2)) for _ in runs]
    models = {
        layer: RunwiseRegressor(WordsToScans(feature), CountedRidge(), delays=(1, 2))
        for layer, feature in enumerate(("rate", "letters", "duration"))
    }
    options = {"cv": LeaveOneOut(), "inner_cv": 3}
    n_fits = 4 * 3 * (1 + 3)  # folds, layers, the fold itself and three inside
    CountedRidge.fits.update(n=0, left=None)
    expected = layer_profile(models, runs, responses, **options)
    assert CountedRidge.fits["n"] == n_fits
    CountedRidge.fits.update(n=0, left=20)
    with pytest.raises(KeyboardInterrupt):
        layer_profile(models, runs, responses, memory=tmp_path, **options)
    CountedRidge.fits.update(n=0, left=None)
    capsys.readouterr()
    found = layer_profile(models, runs, responses, memory=tmp_path, verbose=1, **options)
    assert CountedRidge.fits["n"] == n_fits - 20
    for name in ("scores", "chosen", "chosen_scores", "best_scores"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name))
    said = capsys.readouterr().err
    assert re.search(r"layer 0, fold 4 of 4, choosing in fold 3 of 3, 48 fits in \d+\.\d s", said)
    CountedRidge.fits.update(n=0)
    layer_profile(models, runs, [2 * run + rng.normal() for run in responses], memory=tmp_path, **options)
    assert CountedRidge.fits["n"] == n_fits  # other responses are fitted anew


def test_several_fits_at_once_give_the_same_profile():
    rng = np.random.default_rng(5)
    X, Y = rng.normal(size=(60, 6)), rng.normal(size=(60, 2))
    one, two = (layer_profile(layers_of_columns(2), X, Y, cv=3, inner_cv=2, n_jobs=n_jobs) for n_jobs in (None, 2))
    np.testing.assert_array_equal(one.chosen_scores, two.chosen_scores)
    assert one.results[0].splits.made_by == "KFold(n_splits=3, random_state=None, shuffle=False)"
