"""Lists of published stories have the numbers that their papers give."""

import pytest

from sklearn_sae_encoding.datasets import load_story_list


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


def test_unknown_data_sets_and_participants_are_named():
    with pytest.raises(ValueError, match="not of 'moth'"):
        load_story_list("moth")
    with pytest.raises(ValueError, match="got 'UTS09'"):
        load_story_list("lebel2023", "UTS09")
    with pytest.raises(ValueError, match=r"its participants.tsv says so"):
        load_story_list("narratives", "sub-001")
