"""Stories are trained and tested by name; participants side by side score what each scores alone."""

import numpy as np
import pytest
from sklearn.linear_model import Ridge
from story_cases import make_run

from sklearn_sae_encoding.analysis import score_stories
from sklearn_sae_encoding.metrics import noise_ceiling_from_repeats, voxelwise_pearson
from sklearn_sae_encoding.timing import RunwiseRegressor, WordsToScans


class Counted(WordsToScans):
    """Features that count how often runs are transformed."""

    n_runs = 0

    def _of_names(self, run):
        Counted.n_runs += 1
        return super()._of_names(run)


@pytest.fixture
def stories():
    """Runs of three stories, one of them heard three times."""
    runs = [make_run(n_scans=60, n_words=90 + 5 * i, story=name) for i, name in enumerate("abc")]
    return [*runs[:2], runs[2], runs[2], runs[2]]


def respond(runs, n_voxels, seed, noise=0.5):
    rng = np.random.default_rng(seed)
    features = WordsToScans(["rate", "letters"], method="sum").fit_transform(runs)
    weights = rng.normal(size=(2, n_voxels))
    return [run @ weights + noise * rng.normal(size=(len(run), n_voxels)) for run in features]


MODEL = RunwiseRegressor(Counted(["rate", "letters"], method="sum"), Ridge())


def test_a_test_story_is_the_mean_of_its_repeats_with_their_ceiling(stories):
    responses = respond(stories, 3, seed=0)
    table = score_stories(MODEL, {"p": (stories, responses)}, test="c")
    predicted = MODEL.fit(stories[:2], responses[:2]).predict(stories[2:3])[0]
    np.testing.assert_allclose(table["score"], voxelwise_pearson(np.mean(responses[2:], axis=0), predicted))
    np.testing.assert_allclose(table["noise_ceiling"], noise_ceiling_from_repeats(np.array(responses[2:])))
    np.testing.assert_allclose(table["normalized_score"], table["score"] / table["noise_ceiling"])
    assert table["n_repeats"].tolist() == [3] * 3
    assert table["story"].tolist() == ["c"] * 3


def test_participants_of_the_same_runs_score_as_alone_and_features_are_made_once(stories):
    data = {"p": (stories, respond(stories, 3, seed=0)), "q": (stories, respond(stories, 2, seed=1))}
    alone = [score_stories(MODEL, {who: one}, test="c")["score"].to_numpy() for who, one in data.items()]
    Counted.n_runs = 0
    table = score_stories(MODEL, data, test="c")
    assert Counted.n_runs == 3
    np.testing.assert_allclose(table["score"], np.concatenate(alone))
    assert table["participant"].tolist() == ["p"] * 3 + ["q"] * 2


def test_several_test_stories_are_scored_one_by_one_pooled_and_on_average(stories):
    responses = respond(stories, 2, seed=0)
    table = score_stories(MODEL, {"p": (stories, responses)}, test=["b", "c"], train=["a"])
    assert table["story"].tolist() == ["b", "b", "c", "c", "(pooled)", "(pooled)", "(mean)", "(mean)"]
    scores = table["score"].to_numpy().reshape(4, 2)
    np.testing.assert_allclose(scores[3], np.tanh(np.arctanh(scores[:2]).mean(axis=0)))
    b, c = MODEL.fit(stories[:1], responses[:1]).predict([stories[1], stories[2]])
    measured = np.concatenate([responses[1], np.mean(responses[2:], axis=0)])
    np.testing.assert_allclose(scores[2], voxelwise_pearson(measured, np.concatenate([b, c])))
    assert table["n_scans"].tolist() == [60] * 4 + [120] * 4
    assert table["noise_ceiling"].isna().tolist() == [True] * 2 + [False] * 2 + [True] * 4


def test_what_does_not_fit_together_is_named(stories):
    responses = respond(stories, 2, seed=0)
    for runs, given, kwargs, message in (
        (stories, responses[:3], {"test": "c"}, "p has 5 runs, but responses to 3"),
        ([make_run(), *stories[1:]], responses, {"test": "c"}, "Run 0 of p has no story"),
        (stories, responses, {"test": "d"}, "p did not hear 'd'; there are a, b, c"),
        (stories, responses, {"test": "c", "train": ["a", "c"]}, "'c' is in train and in test"),
        (stories, responses, {"test": ["a", "b", "c"]}, "No story of p is left to train on"),
        (
            stories,
            [*responses[:4], responses[4][:-1]],
            {"test": "c"},
            r"'c' in the runs \[2, 3, 4\], whose scans differ",
        ),
    ):
        with pytest.raises(ValueError, match=message):
            score_stories(MODEL, {"p": (runs, given)}, **kwargs)
