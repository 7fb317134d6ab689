"""Searches over whole story models: layer, delays and cutoff, as a loop written by hand finds them."""

from itertools import product

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, LeaveOneOut, cross_val_score
from sklearn.pipeline import Pipeline
from story_cases import SENTENCE, make_run
from tiny_saes import make_sae_of_tiny_lm

from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.pipeline import make_story_features
from sklearn_sae_encoding.timing import RunwiseRegressor

LATE = [{"activations": (1,), "rate": (0,)}, {"activations": (2, 3), "rate": (0,)}]
TEXT = " ".join([SENTENCE] * 4)


@pytest.fixture
def sae():
    return make_sae_of_tiny_lm()


@pytest.fixture
def story():
    """Four runs, and responses that follow activations of the last layer two and three scans later."""
    runs = [make_run(n_scans=40, n_words=70, onset=shift, text=TEXT, story=f"s{shift:g}") for shift in (0, 5.0, 9, 14)]
    return runs, np.random.default_rng(0)


def planted(runs, rng, features, layer):
    """Responses to a few activations of a layer, two and three scans later, with noise."""
    made = clone(features).set_params(activations__features__layer=layer).fit_transform(runs)
    weights = rng.normal(size=(made[0].shape[1], 3))
    late = [np.roll(run @ weights, 2, axis=0) + np.roll(run @ weights, 3, axis=0) for run in made]
    sd = np.concatenate(late).std(axis=0)
    return [run / sd + 0.3 * rng.normal(size=run.shape) for run in late]


def test_a_search_over_layer_delays_and_cutoff_is_what_a_loop_by_hand_finds(story, tiny_lm_dir, count_passes):
    runs, rng = story
    features = make_story_features(
        LanguageModel(tiny_lm_dir, keep=()), 0, content="activations", surprisal=False, rate=True
    )
    responses = planted(runs, rng, features, layer=2)
    model = RunwiseRegressor(features, Ridge(10.0), delays=LATE[0])
    grid = {
        "features__activations__features__layer": [0, 2],
        "features__activations__cutoff": [None, 0.1],
        "delays": LATE,
    }
    counter = count_passes(tiny_lm_dir)
    search = GridSearchCV(model, grid, cv=LeaveOneOut(), error_score="raise").fit(runs, responses)
    assert set(counter.values()) <= {1, 2}  # the lower layer is asked for first, so that the higher one reads again
    by_hand = {}
    for values in product(*grid.values()):
        scores = []
        for i in range(len(runs)):
            one = clone(model).set_params(**dict(zip(grid, values, strict=True)))
            others = [k for k in range(len(runs)) if k != i]
            one.fit([runs[k] for k in others], [responses[k] for k in others])
            scores.append(one.score([runs[i]], [responses[i]]))
        by_hand[repr(values)] = np.mean(scores)
    results = search.cv_results_
    found = {
        repr(tuple(params[name] for name in grid)): score
        for params, score in zip(results["params"], results["mean_test_score"], strict=True)
    }
    assert found.keys() == by_hand.keys()
    np.testing.assert_allclose([found[key] for key in by_hand], list(by_hand.values()), rtol=1e-6)
    assert search.best_params_["features__activations__features__layer"] == 2
    assert search.best_params_["delays"] == LATE[1]
    assert [run.shape for run in search.predict(runs[:1])] == [(40, 3)]


def test_a_search_inside_folds_chooses_on_the_training_runs_alone(story, tiny_lm_dir):
    runs, rng = story
    features = make_story_features(tiny_lm_dir, 0, content="activations", surprisal=False)
    responses = planted(runs, rng, features, layer=2)
    model = Pipeline([("story", RunwiseRegressor(features, BandedRidgeEncoder(candidates=2, cv=2), delays=LATE[0]))])
    search = GridSearchCV(model, {"story__delays": LATE}, cv=LeaveOneOut(), error_score="raise")
    nested = cross_val_score(search, runs, responses, cv=2)
    by_voxel = cross_val_voxel_scores(search, runs, responses, cv=2, return_estimators=True)
    for fold, (learn, rest) in enumerate([([2, 3], [0, 1]), ([0, 1], [2, 3])]):
        alone = clone(search).fit([runs[i] for i in learn], [responses[i] for i in learn])
        assert by_voxel.estimators[fold].best_params_ == alone.best_params_
        assert nested[fold] == pytest.approx(alone.score([runs[i] for i in rest], [responses[i] for i in rest]))


def test_an_sae_searched_over_layers_that_are_not_its_own_is_refused_by_name(story, tiny_lm_dir, sae):
    runs, rng = story
    responses = [rng.normal(size=(40, 2)) for _ in runs]
    model = RunwiseRegressor(make_story_features(tiny_lm_dir, 2, sae), Ridge(), delays=(1, 2))
    grid = {"features__sae__features__activations__layer": [2], "features__sae__cutoff": [0.1, 0.25]}
    search = GridSearchCV(model, grid, cv=2, error_score="raise").fit(runs, responses)
    assert len(search.cv_results_["params"]) == 2
    with pytest.raises(ValueError, match=r"The SAE was trained on .*blocks.2.hook_resid_post"):
        GridSearchCV(model, {"features__sae__features__activations__layer": [0]}, cv=2, error_score="raise").fit(
            runs, responses
        )
