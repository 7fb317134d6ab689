"""Scores of explanations."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import balanced_accuracy_score

from sklearn_sae_encoding.analysis import score_explanations

ANIMALS = ["cat", "dog", "cow", "hen"]


@pytest.fixture
def contexts():
    """Feature i is active exactly where the i-th animal stands."""
    rng, rows = np.random.default_rng(0), []
    for index, animal in enumerate(ANIMALS):
        for kind, n in (("top", 2), ("random", 8), ("silent", 8)):
            for k in range(n):
                other = rng.choice([one for one in ANIMALS if one != animal])
                word = other if kind == "silent" else animal
                rows.append((f"f{index}", index, kind, float(kind != "silent"), f"{k} a {word} there", [], "toy"))
    return pd.DataFrame(rows, columns=["feature", "index", "kind", "activation", "text", "marks", "corpus"])


def reading_judge(prompt):
    """Knows an explanation's word when it sees it."""
    explanation = prompt.split("described as: ")[1].split("\n")[0]
    listed = prompt.split("token?\n")[1].split("\n\nAnswer")[0].splitlines()
    return str([int(explanation in line) for line in listed])


def test_a_judge_that_reads_finds_planted_features_and_is_misled_by_shuffled_explanations(contexts):
    scores = score_explanations(dict(enumerate(ANIMALS)), contexts, reading_judge, random_state=0)
    assert scores.score == 1.0
    assert scores.shuffled < 0.5
    assert scores.n_unparsed == 0
    assert (scores.table["n_contexts"] == 10).all()


def test_a_judge_that_guesses_is_at_chance_and_the_interval_says_so(contexts):
    rng = np.random.default_rng(1)
    scores = score_explanations(
        dict(enumerate(ANIMALS)),
        contexts,
        lambda prompt: str(rng.integers(0, 2, 16).tolist()),
        n_contexts=16,
        random_state=0,
    )
    assert scores.score == pytest.approx(0.5, abs=0.2)
    assert ((scores.table["low"] < 0.6) & (scores.table["high"] > 0.4)).all()


def test_the_score_is_balanced_accuracy_and_top_texts_are_not_shown_again(contexts):
    seen = []

    def judge(prompt):
        seen.append(
            [line.split(". ", 1)[1] for line in prompt.split("token?\n")[1].split("\n\nAnswer")[0].splitlines()]
        )
        return str([(i % 3 == 0 and 1) or 0 for i in range(len(seen[-1]))])

    table = score_explanations({0: "cat"}, contexts, judge, random_state=0).table
    truth = ["cat" in text for text in seen[0]]
    guessed = [i % 3 == 0 for i in range(len(truth))]
    assert table.loc[0, "score"] == pytest.approx(balanced_accuracy_score(truth, guessed))
    assert not set(seen[0]) & set(contexts.loc[(contexts["kind"] == "top") & (contexts["index"] == 0), "text"][2:])
    assert np.isnan(table.loc[0, "shuffled"])  # there is no other explanation


def test_answers_that_cannot_be_read_count_as_chance(contexts):
    scores = score_explanations({0: "cat", 1: "dog"}, contexts, lambda prompt: "yes", random_state=0)
    assert (scores.score, scores.n_unparsed) == (0.5, 2)


def test_stimuli_alone_are_refused(contexts):
    with pytest.raises(ValueError, match="All texts are stimuli"):
        score_explanations({0: "cat"}, contexts, reading_judge, stimuli=contexts["text"])
    with pytest.raises(ValueError, match="All texts are stimuli"):
        score_explanations({0: "cat"}, contexts.assign(corpus="stimuli"), reading_judge)
    with pytest.raises(ValueError, match="both active and silent"):
        score_explanations({0: "cat"}, contexts[contexts["kind"] != "silent"], reading_judge)
