"""Lists of published stories have the numbers that their papers give."""

from itertools import pairwise

import pytest

from sklearn_sae_encoding.datasets import get_data_home, load_story_list
from sklearn_sae_encoding.timing import read_words


@pytest.mark.parametrize(("participant", "n_stories"), [("UTS01", 84), ("UTS02", 81), ("UTS03", 84), ("UTS04", 26)])
def test_participants_heard_as_many_moth_stories_as_the_paper_says(participant, n_stories):
    table = load_story_list("lebel2023", participant)
    assert len(table) == n_stories  # 27 heard by all, 57 more by three participants; two lack some
    assert table["story"].is_unique
    assert table.loc[table["split"] == "test", "story"].tolist() == ["wheretheressmoke"]


def test_five_sessions_are_those_of_all_participants():
    everyone, fifth = load_story_list("lebel2023"), load_story_list("lebel2023", "UTS05")
    assert len(everyone) == 84
    assert (
        fifth["story"].tolist()
        == everyone[everyone["session"].notna() | (everyone["split"] == "test")]["story"].tolist()
    )
    assert everyone["session"].value_counts().sort_index().tolist() == [5, 5, 5, 6, 5]


def test_sounds_of_narratives_begin_in_seconds_and_last_as_long_as_the_recordings():
    table = load_story_list("narratives").set_index("story")
    assert table.loc["pieman", "onset"] == 15.0  # thirteen seconds of music and two of silence
    assert table.loc["21styear", "duration"] / 60 == pytest.approx(55.6, abs=0.1)  # minutes of the recording
    assert table.loc["reach", "task"] == "slumlordreach"
    assert table.loc["reach", "onset"] > table.loc["slumlord", ["onset", "duration"]].sum()


def test_the_little_prince_has_nine_runs_of_ten_minutes_in_three_languages():
    table = load_story_list("lepetitprince")
    assert len(table) == 27
    runs = table.groupby("language")
    assert runs["n_words"].sum().to_dict() == {
        "CN": 16_009,
        "EN": 15_345,
        "FR": 15_256,
    }  # of 16,009, 15,376, 15,391 rows
    assert (runs["last_word"].sum() / 60).between(90, 100).all()  # the paper: about 100 minutes
    english = load_story_list("lepetitprince", "sub-EN057")
    assert english["run"].tolist() == list(range(1, 10))
    chapters = [tuple(map(int, span.split("-"))) for span in english["chapters"]]
    assert chapters[0][0] == 1
    assert chapters[-1][1] == 27
    assert all(after[0] == before[1] + 1 for before, after in pairwise(chapters))
    with pytest.raises(ValueError, match="begin with one of EN, FR, CN, got 'DE001'"):
        load_story_list("lepetitprince", "DE001")


@pytest.mark.parametrize(("language", "name"), [("EN", ""), ("FR", ""), ("CN", "_sent_info")])
def test_words_of_the_little_prince_are_those_of_its_word_tables(language, name):
    path = get_data_home() / "lepetitprince_words" / f"lpp{language}_word_information{name}.csv"
    if not path.exists():
        pytest.skip("needs the word tables of ds003643 in the data home")
    words = read_words(path).groupby("section")
    table = load_story_list("lepetitprince", language)
    assert words.size().tolist() == table["n_words"].tolist()
    assert words["offset"].max().round(3).tolist() == table["last_word"].tolist()


def test_unknown_data_sets_and_participants_are_named():
    with pytest.raises(ValueError, match="not of 'moth'"):
        load_story_list("moth")
    with pytest.raises(ValueError, match="got 'UTS09'"):
        load_story_list("lebel2023", "UTS09")
    with pytest.raises(ValueError, match=r"its participants.tsv says so"):
        load_story_list("narratives", "sub-001")
