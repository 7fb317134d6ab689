"""Alice ships: 27 people, six regions, and the time of each word."""

import numpy as np
import pytest

from sklearn_sae_encoding.datasets import load_alice
from sklearn_sae_encoding.metrics import listener_noise_ceilings
from sklearn_sae_encoding.timing import clean_runs, words_to_scans


@pytest.fixture(scope="module")
def story():
    return load_alice()


def test_the_constant_listener_is_left_out_and_the_others_vary(story):
    assert len(story.listeners) == 27
    assert "s33" not in story.listeners
    assert story.responses.shape == (27, 362, 6)
    assert story.movement.shape == (27, 372, 6)
    assert np.all(story.responses.std(axis=1) > 0)
    assert story.regions == ["LATL", "RATL", "LPTL", "LIPL", "LPreM", "LIFG"]
    assert load_alice("10mm").responses.shape == (27, 362, 6)


def test_words_times_and_text_are_those_of_the_source(story):
    assert len(story.words) == 2103
    assert story.words.iloc[0].tolist() == ["Alice", 20.059, 20.622]
    assert story.text.startswith("Alice was beginning to get very tired of sitting by her sister on the bank, and")
    assert story.run.marks == {"sp": 286}
    assert (~story.run.placed).sum() == 7
    placed = story.words["word"][story.run.placed]
    spans = story.run.spans[story.run.placed]
    same = [
        "".join(filter(str.isalnum, word)).lower() == "".join(filter(str.isalnum, story.text[start:end])).lower()
        for word, (start, end) in zip(placed, spans, strict=True)
    ]
    assert len(same) - sum(same) < 30  # spelling and contractions


def test_the_word_rate_made_of_the_times_is_the_sources_own_so_that_the_clock_is_right(story):
    assert story.run.scan_time == 0.0

    def correlation(shift):
        made = words_to_scans(
            np.ones(2103), story.run.word_times("offset") + shift, 372, t_r=2.0, method="hrf", scan_time="start"
        )
        return np.corrcoef(made[10:], story.run.tables["rate"][1][:, 0])[0, 1]

    assert correlation(0.0) > 0.95
    assert correlation(0.0) > max(correlation(1.0), correlation(-1.0)) + 0.03


def test_ceilings_come_from_halves_of_the_listeners(story):
    used = [moved[10:] for moved in story.movement]
    cleaned = clean_runs(list(story.responses), confounds=used, t_r=2.0, high_pass=1 / 128)
    rng = np.random.default_rng(0)
    halves = []
    for _ in range(50):
        order = rng.permutation(27)
        one, other = (np.mean([cleaned[i] for i in part], axis=0) for part in (order[:13], order[13:]))
        halves.append([np.corrcoef(one[:, region], other[:, region])[0, 1] for region in range(6)])
    c = np.mean(halves, axis=0)
    np.testing.assert_allclose(story.noise_ceiling["mean"], np.sqrt(2 * c / (1 + c)), atol=0.02)
    assert set(story.noise_ceiling) == {"mean", *story.listeners}
    _, each = listener_noise_ceilings(cleaned)
    np.testing.assert_allclose(story.noise_ceiling["s18"], each[0])


def test_parts_share_the_stimulus_and_nothing_of_the_responses(story):
    runs, responses = story.cut(6, gap=10)
    assert [run.n_rows for run in runs] == [len(run) for run in responses] == [61, 61, 60, 60, 60, 60]
    assert np.concatenate([run.rows for run in runs]).tolist() == list(range(10, 372))
    for response in responses:
        np.testing.assert_allclose(response.mean(axis=0), 0, atol=1e-8)
        np.testing.assert_allclose(response.std(axis=0, ddof=1), 1)
    _, before = story.cut(6, gap=10, listener="s22")
    spoilt = story.responses.copy()
    spoilt[1, 61:122] = 1e6 * np.random.default_rng(0).normal(size=(61, 6))
    other = load_alice()
    other.responses = spoilt
    _, after = other.cut(6, gap=10, listener="s22")
    for part in (0, 2, 3, 4, 5):
        np.testing.assert_array_equal(before[part], after[part])


def test_long_parts_are_filtered_and_short_ones_detrended(story):
    _, long = story.cut(2, listener="s22")
    slow = np.cos(np.pi / 181 * np.outer(np.arange(181) + 0.5, np.arange(1, 5)))
    np.testing.assert_allclose(slow.T @ long[0], 0, atol=1e-6)
    _, short = story.cut(6, listener="s22")
    assert np.abs(slow[:61, 1] @ short[0]).max() > 1e-3


def test_unknown_sizes_and_listeners_are_named(story):
    with pytest.raises(ValueError, match="size must be one of"):
        load_alice("8mm")
    with pytest.raises(ValueError, match="listener must be 'mean' or one of s18, s22"):
        story.cut(6, listener="s33")
