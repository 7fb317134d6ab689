"""Fetched reading times: made-up files in the authors' layout, their checksums expected."""

import hashlib

import pytest

from sklearn_sae_encoding.datasets import _reading_corpora, fetch_natural_stories, fetch_provo

PROVO = """Participant_ID,Word_Unique_ID,Text_ID,Word_Number,IA_ID,IA_LABEL,IA_FIRST_FIXATION_DURATION,\
IA_FIRST_RUN_DWELL_TIME,IA_REGRESSION_PATH_DURATION,IA_DWELL_TIME
Sub01,QID1,1,2,2,are,203,203,203,410
Sub01,NA,1,NA,1,There,NA,NA,NA,NA
Sub02,QID1,1,2,2,are,150,300,320,300
Sub02,NA,1,NA,1,There,.,.,.,120
Sub02,QID9,2,1,1,women\x92s,99,99,99,99
"""
STORIES = """WorkerId\tWorkTimeInSeconds\tcorrect\titem\tzone\tRT\tword\tnItem\tmeanItemRT
A1\t900\t6\t1\t1\t350\t'Oh\t2\t340
A1\t900\t6\t1\t2\t330\tNone\t2\t320
A2\t800\t5\t1\t1\t330\t'Oh\t2\t340
A2\t800\t5\t2\t1\t410\tIf\t1\t410
"""


@pytest.fixture
def place(tmp_path, monkeypatch):
    def place(name, content):
        path = tmp_path / getattr(_reading_corpora, name)[0]
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)
        given = (*getattr(_reading_corpora, name)[:2], hashlib.sha256(content).hexdigest())
        monkeypatch.setattr(_reading_corpora, name, given)
        return path

    return place


def test_provos_own_table_comes_in_the_form_of_the_shipped_one(place, tmp_path):
    place("PROVO", PROVO.encode("latin-1"))
    data = fetch_provo(data_home=tmp_path, download_if_missing=False)
    assert data.texts == ["There are", "women’s"]
    assert data.words["item"].tolist() == ["01.001", "01.002", "02.001"]
    assert data.times[["first", "gaze", "go_past", "total"]].to_numpy().tolist() == [
        [203, 203, 203, 410],
        [0, 0, 0, 0],
        [150, 300, 320, 300],
        [0, 0, 0, 120],
        [99, 99, 99, 99],
    ]


def test_words_of_natural_stories_keep_their_quotation_marks_and_none_is_a_word(place, tmp_path):
    place("NATURAL_STORIES", STORIES.encode())
    data = fetch_natural_stories(data_home=tmp_path, download_if_missing=False)
    assert data.texts == ["'Oh None", "If"]
    assert data.times["item"].tolist() == ["01.0001", "01.0002", "01.0001", "02.0001"]
    assert data.times["rt"].tolist() == [350, 330, 330, 410]


def test_a_word_in_two_spellings_is_refused(place, tmp_path):
    place("NATURAL_STORIES", STORIES.replace("5\t1\t1\t330\t'Oh", "5\t1\t1\t330\tAh").encode())
    with pytest.raises(ValueError, match="Word 1 of text 1 is spelled in two ways"):
        fetch_natural_stories(data_home=tmp_path, download_if_missing=False)


@pytest.mark.parametrize(("name", "fetch"), [("PROVO", fetch_provo), ("NATURAL_STORIES", fetch_natural_stories)])
def test_missing_and_damaged_files_are_named(place, tmp_path, name, fetch):
    with pytest.raises(OSError, match="not there, and download_if_missing=False"):
        fetch(data_home=tmp_path, download_if_missing=False)
    place(name, b"a").write_bytes(b"b")
    with pytest.raises(OSError, match="is not the expected file"):
        fetch(data_home=tmp_path)
