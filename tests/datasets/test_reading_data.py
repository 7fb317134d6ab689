"""Shipped reading times: counts of the publications, and times of a trial counted by hand."""

import importlib.util
from pathlib import Path

import numpy as np
import pytest

from sklearn_sae_encoding.datasets import load_jaeger2015, load_provo

TOOL = Path(__file__).parents[2] / "tools" / "make_provo_table.py"


def test_provo_has_every_reader_text_and_word_and_every_time_has_its_word():
    data = load_provo()
    assert (data.times["participant"].nunique(), data.times["text"].nunique(), len(data.words)) == (84, 55, 2743)
    assert set(data.times["item"]) <= set(data.words["item"])
    assert not data.times.duplicated(["participant", "item"]).any()
    assert [len(text.split()) for text in data.texts] == data.words.groupby("text").size().tolist()
    assert data.times.loc[data.times["read_twice"], ["participant", "text"]].drop_duplicates().shape[0] == 84
    assert "CC BY 4.0" in data.DESCR
    assert not any(ord(character) > 127 for text in data.texts for character in text)


def test_provos_measures_are_ordered_first_gaze_go_past_total():
    times = load_provo().times
    read = times[times["gaze"] > 0]
    assert (read["first"] <= read["gaze"]).all()
    assert (read["gaze"] <= read["go_past"]).all()
    assert (times["gaze"] <= times["total"]).all()
    assert len(times[(times["gaze"] > 80) & (times["gaze"] < 1500) & (times["number"] >= 2)]) == 125_636


def test_times_of_a_trial_are_those_counted_by_hand():
    spec = importlib.util.spec_from_file_location("make_provo_table", TOOL)
    tool = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(tool)
    # Word 1 twice, 3 (2 skipped), back to 2 and 1, on to 3 and 4: rereading belongs to the go-past time of 3.
    rows = tool.times_of_trial([1, 1, 3, 2, 1, 3, 4], [100, 90, 200, 150, 80, 120, 210])
    assert rows == [(1, 100, 190, 190, 270), (2, 0, 0, 0, 150), (3, 200, 200, 550, 320), (4, 210, 210, 210, 210)]


@pytest.mark.parametrize("script", ["simplified", "traditional"])
def test_jaeger2015_has_the_published_design_and_words_that_make_up_the_sentences(script):
    data = load_jaeger2015(script=script)
    assert len(data.times) == 49 * 16 * 11
    assert data.times.groupby(["participant", "set"])["condition"].nunique().eq(1).all()
    for word in data.words.itertuples():
        assert data.texts[word.text][word.start : word.end] == word.word
    assert np.unique(data.words.groupby("text").size()).tolist() == [11]


def test_an_unknown_script_is_refused():
    with pytest.raises(ValueError, match=r"script must be one of \['simplified', 'traditional'\]"):
        load_jaeger2015(script="pinyin")
