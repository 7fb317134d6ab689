"""What counts as a list of texts; every refusal names the sample."""

import re
from collections import UserList, deque
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator

from sklearn_sae_encoding._lm.texts import check_texts

TEXTS = ["One text.", "Another one.", "A third"]


def checked(X, estimator=None, reset=True):
    return check_texts(estimator or BaseEstimator(), X, reset=reset)


@pytest.mark.parametrize(
    "X",
    [
        TEXTS,
        tuple(TEXTS),
        np.array(TEXTS),
        np.array(TEXTS, dtype=object),
        pd.Series(TEXTS, index=[7, 8, 9]),
        np.array(TEXTS)[:, None],
        np.array(TEXTS, dtype=object)[:, None],
        [[text] for text in TEXTS],
        pd.DataFrame({"sentence": TEXTS}),
        pd.DataFrame({"sentence": TEXTS}).astype(object),
    ],
    ids=[
        "list",
        "tuple",
        "str array",
        "object array",
        "Series",
        "column",
        "object column",
        "lists",
        "frame",
        "frame 2",
    ],
)
def test_lists_arrays_series_and_one_column_tables_give_the_same_texts(X):
    estimator = BaseEstimator()
    assert checked(X, estimator) == TEXTS
    assert estimator.n_features_in_ == 1


def test_the_cells_of_a_row_are_joined_by_a_space():
    frame = pd.DataFrame({"subject": ["The cat", "A dog"], "verb": ["sleeps.", "barks."]})
    estimator = BaseEstimator()
    assert checked(frame, estimator) == ["The cat sleeps.", "A dog barks."]
    assert estimator.feature_names_in_.tolist() == ["subject", "verb"]
    with pytest.raises(ValueError, match="X has 1 features, but BaseEstimator is expecting 2"):
        checked(TEXTS, estimator, reset=False)


@pytest.mark.parametrize(
    ("X", "message"),
    [
        ("One text.", r"Expected a list of texts \(.*\), got one string: 'One text.'"),
        (b"bytes", r"Expected a list of texts \(.*\), got one string"),
        (None, r"Expected a list of texts \(.*\), got None"),
        (Path("texts.txt"), r"Expected a list of texts \(.*\), got PosixPath|WindowsPath"),
        (frozenset(["a text"]), r"Expected a list of texts \(.*\), got frozenset"),
        ((text for text in ["a"]), r"Expected a list of texts \(.*\), got <generator"),
        ({"a": "text"}, r"Expected a list of texts \(.*\), got {'a': 'text'}"),
        ([["a", "b"], ["c"]], r"sample 1 is \['c'\] where other samples are like \['a', 'b'\]: .*Join the words"),
        (["a text", ["of", "words"]], "sample 0 is 'a text' where other .*Join the words"),
        (["a", "", "b"], "sample 1 is empty"),
        (["a", "b", " \n\t"], "sample 2 is empty or only whitespace"),
        (["a", None], "sample 1 is missing: got None"),
        (["a", float("nan")], "sample 1 is missing: got nan"),
        (pd.Series(["a", None, "b"]), "sample 1 is missing"),
        (pd.Series(["a", pd.NA], dtype="string"), "sample 1 is missing"),
        (pd.DataFrame({"s": ["a", "b", None]}), "sample 2 is missing"),
        (["a", b"b"], "sample 1 is of type bytes"),
        (["a", 3], "sample 1 is the number 3.*Reshape your data"),
        (["a", {"b": 1}], "sample 1 is of type dict"),
        (np.arange(3.0), "sample 0 is the number .*Reshape your data"),
        (np.array([[0.0, np.nan]]), "Input X contains NaN"),
        (np.array([[0.0, np.inf]]), "Input X contains infinity"),
        (pd.DataFrame({"a": ["x"], "b": [np.inf]}), "Input X contains infinity"),
        ([], "minimum of 1 is required"),
    ],
)
def test_what_is_no_list_of_texts_is_refused(X, message):
    with pytest.raises(ValueError, match=message):
        checked(X)


def test_sparse_input_is_refused():
    with pytest.raises(TypeError, match="Sparse data was passed"):
        checked(sparse.eye_array(3, format="csr"))


def test_numbers_in_a_table_are_read_as_words_with_a_warning_that_names_the_first():
    with pytest.warns(UserWarning, match="sample 0 holds 0.5 in column 0.*Are X and y swapped"):
        assert checked(np.array([[0.5, 2.0], [1.0, -1.0]])) == ["0.5 2.0", "1.0 -1.0"]
    with pytest.warns(UserWarning, match="sample 0 holds 7 in column 1"):
        assert checked(pd.DataFrame({"a": ["room", "page"], "b": [7, 8]})) == ["room 7", "page 8"]


def sequences():
    """Texts in what people hold them in, beside lists and arrays."""
    kinds = {
        "deque": deque(TEXTS),
        "UserList": UserList(TEXTS),
        "values of a dict": dict(enumerate(TEXTS)).values(),
    }
    if find_spec("pyarrow"):
        import pyarrow

        kinds["pyarrow"] = pyarrow.array(TEXTS)
        kinds["table of pyarrow"] = pyarrow.table({"text": TEXTS})
        kinds["pyarrow in chunks"] = pyarrow.chunked_array([TEXTS[:1], TEXTS[1:]])
    if find_spec("datasets"):
        import datasets

        kinds["table of datasets"] = datasets.Dataset.from_dict({"text": TEXTS})
        kinds["datasets"] = kinds["table of datasets"]["text"]
    return kinds


@pytest.mark.parametrize("kind", sequences())
def test_other_sequences_of_texts_are_lists_of_texts(kind):
    assert checked(sequences()[kind]) == TEXTS


def test_half_a_character_is_an_error_that_names_the_sample():
    for half in (chr(0xD83D), chr(0xDC4D)):
        for X in (["Fine 👍.", f"Thumbs {half} up"], [["a", "b"], ["c", half]]):
            with pytest.raises(ValueError, match=r"text of sample 1 holds half a character, .*surrogate.*as UTF-8"):
                checked(X)


def test_what_nobody_sees_in_a_text_is_warned_of_by_the_first_sample_that_holds_it():
    for unseen in ("\ufeff", "\u200b", "\u2060", "\u00ad"):
        for X in (
            ["Fine.", f"Li{unseen}ke this", f"{unseen}And this"],
            [["a", "b"], [f"Li{unseen}", "d"], ["e", unseen]],
        ):
            code = re.escape(ascii(unseen))
            with pytest.warns(UserWarning, match=rf"2 of 3 texts hold .*nobody sees.* first {code} at 2 of sample 1\."):
                checked(X)


def test_joiners_that_change_what_is_seen_are_no_matter(recwarn):
    checked(["می\u200cخواهم", "👩\u200d🔬"])
    assert not recwarn
