"""A run knows its words, its clock, and which scans its responses hold."""

import numpy as np
import pandas as pd
import pytest
from sklearn.linear_model import Ridge
from story_cases import SENTENCE, make_run, word_table

from sklearn_sae_encoding.timing import StoryRun, WordsToScans
from sklearn_sae_encoding.timing._folds import stack_rows

CLOCK = {"n_scans": 20, "t_r": 2.0, "onset": 0.0}


def test_the_rows_are_the_used_scans_without_the_censored_ones():
    kept = np.ones(20, dtype=bool)
    kept[[3, 6]] = False
    run = make_run(scans=slice(2, -1), kept=kept)
    assert run.rows.tolist() == [2, 4, 5, *range(7, 19)]
    assert run.n_rows == 15


def test_word_times_are_on_the_clock_of_the_scans():
    run = make_run(onset=6.0)
    np.testing.assert_allclose(run.word_times("onset"), 7.0 + 0.5 * np.arange(40))
    np.testing.assert_allclose(run.word_times("middle"), 7.15 + 0.5 * np.arange(40))
    np.testing.assert_allclose(run.word_times("offset"), 7.3 + 0.5 * np.arange(40))


def test_marks_leave_by_the_list_and_are_counted():
    words = word_table(8)
    words.loc[[1, 3, 5, 6], "word"] = ["sp", "SP", "[noise]", "{LG}"]
    run = StoryRun(None, words, **CLOCK)
    assert run.marks == {"sp": 1, "SP": 1, "[noise]": 1, "{LG}": 1}
    assert len(run.words) == 4
    assert len(StoryRun(None, words, marks=(), **CLOCK).words) == 6  # what stands in brackets is no word anywhere


@pytest.mark.parametrize(
    ("words", "text"),
    [
        (["what", "'s", "this"], "what's this"),
        (["do", "n't", "go"], "don't go"),
        (["j'", "avais", "l'", "heure"], "j'avais l'heure"),
        (["当", "我", "还", "只有"], "当我还只有"),
        (["dogs'", "tails"], "dogs' tails"),
    ],
)
def test_words_without_a_text_are_joined_as_they_are_written(words, text):
    table = pd.DataFrame({"word": words, "onset": np.arange(len(words)), "offset": np.arange(len(words)) + 0.5})
    run = StoryRun(None, table, **CLOCK)
    assert run.text == text
    assert [text[start:end] for start, end in run.spans] == words


def test_words_find_their_place_in_a_text_with_case_and_punctuation():
    table = pd.DataFrame({"word": ["what", "'s", "this"], "onset": [0, 1, 2], "offset": [1, 2, 3]})
    run = StoryRun("`What's this?'", table, **CLOCK)
    assert ["".join(c for c in run.text[start:end] if c.isalpha()) for start, end in run.spans] == ["What", "s", "this"]


def test_a_list_of_words_is_no_text():
    with pytest.raises(ValueError, match=r"text must be the running text of the run \(str\), got list: \['Alice', "):
        StoryRun(word_table(60)["word"].tolist(), word_table(60), **CLOCK)


def test_a_function_restores_the_text():
    run = StoryRun(lambda joined: joined.capitalize() + ".", word_table(3), **CLOCK)
    assert run.text == "Alice was beginning."


def test_a_text_without_case_or_punctuation_is_warned_of():
    words = word_table(100)
    words["word"] = words["word"].str.upper()
    with pytest.warns(UserWarning, match=r"all letters have one case and there is no punctuation.*give that as text="):
        StoryRun(None, words, n_scans=40, t_r=2.0, onset=0.0)


def test_words_that_are_not_in_the_text_are_named_with_their_time():
    words = word_table(6)
    words.loc[2, "word"] = "hedgehog"
    with pytest.warns(UserWarning, match=r"1 of 6 words don't stand in the text.*'hedgehog' at 2.000 s"):
        run = StoryRun("Alice was to get very.", words, **CLOCK)
    assert run.placed.tolist() == [True, True, False, True, True, True]
    with pytest.raises(ValueError, match=r"'hedgehog' at 2.000 s"):
        StoryRun("Alice was to get very.", words, unplaced="raise", **CLOCK)


def test_text_and_words_of_another_story_are_refused():
    with pytest.raises(ValueError, match="Are text and words of the same story"):
        StoryRun("Once when I was six years old I saw a magnificent picture in a book.", word_table(12), **CLOCK)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda w: w.drop(columns="offset"), "no column 'offset'.*words without times can't be put to scans"),
        (lambda w: w.assign(onset=w.onset * 1000, offset=w.offset * 1000), "look like milliseconds"),
        (lambda w: word_table(30, every=0.5 / 60, lasting=0.3 / 60), "30 words begin within .* 124 a second.*minutes"),
        (lambda w: w.assign(onset=w.onset + 500, offset=w.offset + 500), "All 12 words lie outside the scans"),
        (lambda w: w.assign(offset=w.onset - 1), "end before they begin: 'Alice' at 1.000 s"),
        (lambda w: w.iloc[::-1], "begin before the word in front of them.*split into runs"),
        (lambda w: w.assign(onset=np.r_[np.nan, w.onset[1:]]), "Word 0 .'Alice'. has the onset nan: no time"),
        (lambda w: w.assign(word="sp"), "holds marks alone"),
        (lambda w: w.iloc[:0], "holds no word"),
        (lambda w: w.to_numpy(), "words must be a DataFrame"),
    ],
)
def test_bad_word_tables_say_what_is_wrong(change, message):
    with pytest.raises((ValueError, TypeError), match=message):
        StoryRun(None, change(word_table(12)), **CLOCK)


@pytest.mark.parametrize(
    ("clock", "message"),
    [
        ({"t_r": None}, "repetition time is missing"),
        ({"t_r": 2000.0}, "give seconds, not milliseconds"),
        ({"onset": None}, "onset must say when the stimulus began"),
        ({"n_scans": 0}, "n_scans must be a positive integer"),
        ({"scans": slice(30, None)}, "No scan of 20 is left"),
        ({"kept": np.ones(3, dtype=bool)}, "kept must hold True or False for each of the 20 scans"),
        ({"scan_time": "centre"}, "scan_time must be one of"),
        ({"tables": {"sound": (np.arange(3), np.ones(4))}}, "The table 'sound' needs one time a row"),
        ({"tables": {"sound": (1000.0 * np.arange(40), np.ones(40))}}, "'sound' has 1 of 40 times inside the scans"),
        (
            {"tables": {"sound": (50.0 + np.arange(9), np.ones(9))}},
            "0 of 9 times.*last 40 s.*from 50 to 58",
        ),
    ],
)
def test_a_bad_clock_says_what_is_wrong(clock, message):
    with pytest.raises(ValueError, match=message):
        StoryRun(None, word_table(12), **{**CLOCK, **clock})


def test_words_outside_the_scans_and_overlapping_words_are_named():
    with pytest.warns(UserWarning, match=r"3 of 12 words lie before the first or after the last.*'by' at 5.500 s"):
        StoryRun(None, word_table(12), n_scans=3, t_r=2.0, onset=0.5)
    with pytest.warns(UserWarning, match="11 of 12 words begin before the word in front of them has ended: 'was' at"):
        StoryRun(None, word_table(12, lasting=0.7), **CLOCK)


def test_parts_of_a_recording_share_the_stimulus_and_tile_the_scans():
    run = make_run(n_scans=50, scans=slice(5, -3), story="alice")
    blocks = run.cut(4, gap=3)
    assert np.concatenate([block.rows for block in blocks]).tolist() == run.rows.tolist()
    assert all(block.words is run.words for block in blocks)
    assert {block.recording for block in blocks} == {"alice"}
    assert run.block is None


def test_scans_of_parts_are_neighbours_and_those_of_whole_runs_and_arrays_are_not():
    first, second = make_run(n_scans=20).cut(2, recording="alice")
    rows = stack_rows([10, 10, 20, 20, 5], [first, second, make_run(), make_run(), None])
    np.testing.assert_array_equal(rows.run, np.repeat(np.arange(5), [10, 10, 20, 20, 5]))
    np.testing.assert_array_equal(rows.recording, np.repeat([0, 1, 2, 3], [20, 20, 20, 5]))
    np.testing.assert_array_equal(rows.scan, np.concatenate([np.arange(n) for n in (20, 20, 20, 5)]))


def test_tables_have_a_clock_of_their_own():
    sound = np.sin(np.arange(400) / 10)
    run = make_run(onset=4.0, tables={"sound": (np.arange(400) / 10, sound)})
    (scans,) = WordsToScans(table="sound", method="mean").fit_transform([run])
    inside = (np.arange(400) / 10 + 4.0) // 2.0
    expected = [sound[inside == scan].mean() if np.any(inside == scan) else 0.0 for scan in range(20)]
    np.testing.assert_allclose(scans[:, 0], expected, atol=1e-12)


def test_content_free_regressors_are_what_they_say():
    run = make_run(n_scans=30, n_words=20)
    parts = ["rate", "duration", "letters", "position"]
    (scans,) = WordsToScans(parts, method="sum").fit_transform([run])
    inside = (run.word_times("middle") // 2.0).astype(int)
    letters = run.words["word"].str.len().to_numpy()
    np.testing.assert_allclose(scans[:, 0], np.bincount(inside, minlength=30))
    np.testing.assert_allclose(scans[:, 1], 0.3 * np.bincount(inside, minlength=30), atol=1e-9)
    np.testing.assert_allclose(scans[:, 2], np.bincount(inside, letters, minlength=30))
    np.testing.assert_allclose(scans[:, 3], np.linspace(0, 1, 30))


def test_a_column_of_the_word_table_is_a_feature_and_an_unknown_one_is_named():
    words = word_table(12).assign(logfreq=np.arange(12.0))
    run = StoryRun(None, words, **CLOCK)
    (scans,) = WordsToScans("logfreq", method="sum").fit_transform([run])
    assert scans.sum() == words["logfreq"].sum()
    with pytest.raises(ValueError, match="no column 'pitch': use one of"):
        WordsToScans("pitch").fit([run])
    with pytest.raises(ValueError, match="no table 'sound'"):
        WordsToScans(table="sound").fit([run])
    with pytest.raises(ValueError, match=r"features must be a transformer of words, or names.*got Ridge"):
        WordsToScans(Ridge()).fit([run])


@pytest.mark.parametrize("scans", [10, (10, -5), "10", [3, 2], [0, 20]])
def test_scans_that_are_no_slice_and_no_numbers_in_order_are_refused(scans):
    with pytest.raises(ValueError, match="scans must be"):
        make_run(n_scans=20, scans=scans)


def test_scans_may_be_numbers_and_a_repetition_time_may_not_be_text():
    assert make_run(n_scans=20, scans=[2, 3, 7]).rows.tolist() == [2, 3, 7]
    with pytest.raises(ValueError, match="t_r must be a positive number of seconds, got '2'"):
        make_run(t_r="2")


def test_a_scan_stands_for_a_moment_of_its_repetition_time_by_name_or_share():
    moments = {"start": 0.0, "middle": 1.0, "end": 2.0, 0.25: 0.5}
    for scan_time, first in moments.items():
        assert make_run(n_scans=3, n_words=4, scan_time=scan_time).scan_times().tolist() == [
            first,
            first + 2,
            first + 4,
        ]
    for t_r in (0.0, -2.0, np.nan):
        with pytest.raises(ValueError, match="t_r must be a positive number of seconds"):
            make_run(t_r=t_r)


def test_words_may_have_any_index_begin_together_and_touch(recwarn):
    words = word_table(4, start=0.0, every=0.5, lasting=0.5).set_index(pd.Index([7, 3, 9, 9]))
    words["onset"] = [0.0, 0.0, 0.5, 1.0]
    words["offset"] = [0.0, 0.5005, 1.0, 1.5]  # half a millisecond of rounding is no overlap
    run = StoryRun(None, words, **CLOCK)
    assert run.words.index.tolist() == [0, 1, 2, 3]
    assert run.word_times("middle").tolist() == [0.0, 0.25025, 0.75, 1.25]
    assert not recwarn.list  # an instant at the very beginning lies inside


@pytest.mark.parametrize(
    ("change", "lost"),
    [
        (lambda text: text.replace(",", "").replace(".", ""), "there is no punctuation"),
        (str.upper, "all letters have one case"),
        (str.lower, "all letters have one case"),
    ],
)
def test_what_a_text_has_lost_is_named_by_itself(change, lost):
    text = " ".join([SENTENCE] * 4)
    with pytest.warns(UserWarning, match=f"{lost}. A language model") as caught:
        make_run(n_words=40, text=change(text))
    assert len(caught) == 1


def test_a_part_knows_its_scans_and_those_of_all_parts():
    first, last = make_run(n_scans=20, scans=slice(4, -2)).cut(2, gap=3, recording="alice")
    assert tuple(first.block) == ("alice", 4, 11, 4, 18, 3)
    assert tuple(last.block) == ("alice", 11, 18, 4, 18, 3)
    with pytest.raises(ValueError, match="scans must be different numbers from 0 to 19"):
        make_run(n_scans=20, scans=[0, 5, 20])
