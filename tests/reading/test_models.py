"""Language models compared over one base, on the same words, rows and folds."""

import numpy as np
import pytest
from tiny_models import save_tiny_model

from sklearn_sae_encoding.reading import (
    ReadingTimeModel,
    add_word_features,
    compare_language_models,
    delta_log_likelihood,
    join_words,
    word_table,
)

TEXTS = [
    f"The cat sat on {n} mats and nobody knows why dogs bark." for n in ("two", "old", "the", "very", "quiet", "ten")
]


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    models = {name: save_tiny_model(folder / name, seed=seed) for seed, name in enumerate(("first", "second"))}
    words = word_table(TEXTS)
    said = add_word_features(words, model=models["first"], previous=1)
    rng = np.random.default_rng(0)
    times = words.loc[np.tile(np.arange(len(words)), 6), ["item", "text"]].reset_index(drop=True)
    times["participant"] = np.repeat(list("abcdef"), len(words))
    times["rt"] = np.exp(5 + 0.1 * np.tile(said["surprisal"], 6) + rng.normal(0, 0.2, len(times)))
    return models, words, times


@pytest.mark.filterwarnings("ignore:boundary")
def test_the_model_whose_surprisal_made_the_times_wins_and_each_gain_is_that_of_delta_log_likelihood(data):
    models, words, times = data
    base = ReadingTimeModel("log(rt) ~ 1")
    found = compare_language_models(words, times, models, base=base, n_folds=3)
    assert found.table.index.tolist() == ["first", "second"]
    said = add_word_features(words, model=models["second"], previous=1)
    assert found.table.loc["second", "perplexity"] == pytest.approx(np.exp(said["surprisal"].mean()))
    full = ReadingTimeModel("log(rt) ~ 1 + surprisal + surprisal_previous_1")
    columns = said[["item", "surprisal", "surprisal_previous_1"]]
    alone = delta_log_likelihood(base, full, join_words(times, columns), n_folds=3, random_state=0)
    assert found.table.loc["second", "held_out"] == pytest.approx(alone.table.loc["full", "held_out"])
    first = found.differences.iloc[0]
    assert first[["model", "reference"]].tolist() == ["first", "second"]
    assert first["difference"] == pytest.approx(found.table["held_out"].diff().iloc[1] * -1)
    assert first["low"] > 0


def test_no_model_and_a_changing_seed_are_refused(data):
    models, words, times = data
    with pytest.raises(ValueError, match="holds no language model"):
        compare_language_models(words, times, {}, base=ReadingTimeModel("log(rt) ~ 1"))
    with pytest.raises(ValueError, match="random_state must be an integer"):
        compare_language_models(words, times, models, base=ReadingTimeModel("log(rt) ~ 1"), random_state=None)
