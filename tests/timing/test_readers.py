"""Word times are read from the files that people have."""

from pathlib import Path

import numpy as np
import pytest

from sklearn_sae_encoding.datasets import get_data_home
from sklearn_sae_encoding.timing import StoryRun, read_textgrid, read_words

TEXTGRID = """File type = "ooTextFile"
Object class = "TextGrid"

xmin = 0
xmax = 2.5
tiers? <exists>
size = 2
item []:
    item [1]:
        class = "IntervalTier"
        name = "phone"
        xmin = 0
        xmax = 2.5
        intervals: size = 1
        intervals [1]:
            xmin = 0
            xmax = 2.5
            text = "AE"
    item [2]:
        class = "IntervalTier"
        name = "word"
        xmin = 0
        xmax = 2.5
        intervals: size = 4
        intervals [1]:
            xmin = 0
            xmax = 0.5
            text = "sp"
        intervals [2]:
            xmin = 0.5
            xmax = 1.25
            text = "Alice"
        intervals [3]:
            xmin = 1.25
            xmax = 1.5
            text = ""
        intervals [4]:
            xmin = 1.5
            xmax = 2.5
            text = "été"
"""


@pytest.mark.parametrize("encoding", ["utf-8", "utf-8-sig", "utf-16"])
def test_a_textgrid_gives_its_words_in_any_encoding(tmp_path, encoding):
    path = tmp_path / "a.TextGrid"
    path.write_text(TEXTGRID, encoding=encoding)
    words = read_textgrid(path)
    assert words.to_numpy().tolist() == [["sp", 0.0, 0.5], ["Alice", 0.5, 1.25], ["été", 1.5, 2.5]]
    assert read_textgrid(path, tier="phone")["word"].tolist() == ["AE"]
    run = StoryRun(None, words, n_scans=5, t_r=1.0, onset=0.0)
    assert run.text == "Alice été"


def test_a_textgrid_without_the_tier_or_of_another_kind_is_named(tmp_path):
    path = tmp_path / "a.TextGrid"
    path.write_text(TEXTGRID.replace('"word"', '"mots"'), encoding="utf-8")
    with pytest.raises(ValueError, match="has the tiers 'phone', 'mots': say by tier="):
        read_textgrid(path)
    path.write_text("word,onset\n", encoding="utf-8")
    with pytest.raises(ValueError, match="is no TextGrid that can be read"):
        read_textgrid(path)


def test_the_only_tier_is_that_of_the_words_whatever_its_name(tmp_path):
    path = tmp_path / "one.TextGrid"
    rows = ['File type = "ooTextFile"', 'Object class = "TextGrid"', "", "0", "2", "<exists>", "1", '"IntervalTier"']
    path.write_text("\n".join([*rows, '"transcript"', "0", "2", "1", "0", "2", '"Alice"', ""]), encoding="utf-8")
    assert read_textgrid(path).to_numpy().tolist() == [["Alice", 0.0, 2.0]]


def test_quotation_marks_are_quotes_in_commas_and_words_in_tabs(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text('word,onset,offset\n"well, well",0,1\nAlice,1,2\n', encoding="utf-8")
    assert read_words(path)["word"].tolist() == ["well, well", "Alice"]
    path.write_text('word\tonset\toffset\n"\t0\t1\nAlice\t1\t2\n"Oh\t2\t3\n', encoding="utf-8")
    assert read_words(path)["word"].tolist() == ['"', "Alice", '"Oh']


def test_tables_are_read_by_their_columns_and_words_like_null_are_words(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text(
        ",word,onset,offset,logfreq\n0,null,0.1,0.5,5.5\n1,NA,0.5,0.9,2\n2,nan,1.0,1.2,\n", encoding="utf-8"
    )
    words = read_words(path)
    assert words["word"].tolist() == ["null", "NA", "nan"]
    np.testing.assert_allclose(words["offset"], [0.5, 0.9, 1.2])
    np.testing.assert_allclose(words["logfreq"], [5.5, 2, np.nan])
    path.write_text("text\tstart\tend\nAlice\t0.1\t0.5\n", encoding="utf-8")
    assert read_words(path).to_numpy().tolist() == [["Alice", 0.1, 0.5]]


def test_bids_events_are_read_with_their_durations(tmp_path):
    path = tmp_path / "sub-01_task-alice_events.tsv"
    path.write_text(
        "onset\tduration\ttrial_type\tword\n0.5\t0.25\tword\tAlice\n2\t1\tbutton\tn/a\n", encoding="utf-8-sig"
    )
    words = read_words(path)
    assert words[["word", "onset", "offset"]].to_numpy().tolist() == [["Alice", 0.5, 0.75]]
    renamed = read_words(path, columns={"word": "trial_type"})
    assert renamed["word"].tolist() == ["word", "button"]


def test_bad_tables_say_what_is_wrong(tmp_path):
    path = tmp_path / "words.csv"
    path.write_text("word,time\nAlice,0.1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"has no column for 'onset'; it has word, time. Say by columns="):
        read_words(path)
    path.write_text("word,onset,offset\nAlice,soon,0.1\n", encoding="utf-8")
    with pytest.raises(ValueError, match=r"Row 0 of .* .'Alice'. has the onset 'soon': no number"):
        read_words(path)
    with pytest.raises(ValueError, match="columns names word, onset, offset and duration, got 'when'"):
        read_words(path, columns={"when": "onset"})


def test_rows_that_spell_no_word_lengthen_the_word_that_they_go_on_with_and_are_counted(tmp_path):
    # Rows 5,300 to 5,303 and 38 to 40 of the tables of ds003643, and two that go on with nothing.
    path = tmp_path / "words.csv"
    rows = ["n/a,,0,1", "i,i,88.0,88.2", "can't,can,88.26,88.397", ",not,88.397,88.534", "du,de,89.0,89.1"]
    rows += [" ,le,89.1,89.2", "n/a,,90,91", "fort,fort,91.0,91.3"]
    path.write_text("\n".join(["word,lemma,onset,offset", *rows]), encoding="utf-8")
    message = (
        r"4 of 8 rows of words.csv spell no word and are left out: row 0 at 0.000 s, row 3 at 88.397 s after "
        r"\"can't\", row 5 at 89.100 s after 'du', \.\.\.\. 2 of them begin where the word before ends, as parts of "
    )
    with pytest.warns(UserWarning, match=message):
        words = read_words(path)
    assert words["word"].tolist() == ["i", "can't", "du", "fort"]
    assert words["offset"].tolist() == [88.2, 88.534, 89.2, 91.3]
    assert words["lemma"].tolist() == ["i", "can", "de", "fort"]


@pytest.mark.published_data
@pytest.mark.parametrize(("language", "n_left_out"), [("EN", "31 of 15,376"), ("FR", "135 of 15,391")])
def test_all_contractions_of_the_little_prince_are_counted_and_go_on_with_their_word(language, n_left_out):
    path = get_data_home() / "lepetitprince_words" / f"lpp{language}_word_information.csv"
    if not path.exists():
        pytest.skip("needs the word tables of ds003643 in the data home")
    n = n_left_out.split()[0]
    with pytest.warns(UserWarning, match=f"{n_left_out} rows of .* spell no word.* {n} of them begin where"):
        words = read_words(path)
    assert (words["offset"] >= words["onset"]).all()
    if language == "EN":  # a contraction of the fourth section lasts to the end of its "not"
        begun = words[(words["section"] == 4) & np.isclose(words["onset"], 34.386)]
        assert begun["offset"].tolist() == [pytest.approx(34.676)]


@pytest.mark.filterwarnings("ignore:In the text")
@pytest.mark.parametrize(
    ("language", "beginning"),
    [
        ("EN", "once when i was six years old i saw a magnificent picture in a book"),
        ("FR", "lorsque j'avais six ans j'ai vu une fois une magnifique image dans un livre"),
        ("CN", "当我还只有"),
    ],
)
def test_the_words_of_the_little_prince_make_runs_in_three_languages(language, beginning):
    # The first 60 rows of each table of ds003643 (CC0).
    words = read_words(Path(__file__).parent.parent / "data" / f"lepetitprince_{language}.csv")
    run = StoryRun(None, words, n_scans=30, t_r=2.0, onset=0.0)
    assert run.text.startswith(beginning)
    assert {"logfreq", "pos", "top_down"} <= set(run.words)
    assert [run.text[start:end] for start, end in run.spans] == run.words["word"].tolist()
