"""Exclusions and spillover: what leaves a table, and what never crosses a gap."""

import numpy as np
import pandas as pd
import pytest

from sklearn_sae_encoding.reading import add_spillover, exclude_times


@pytest.fixture
def times():
    rows = [(reader, text, number) for reader in "ab" for text in (1, 2) for number in range(1, 6)]
    table = pd.DataFrame(rows, columns=["participant", "text", "number"])
    table["item"] = table["text"].astype(str) + "." + table["number"].astype(str)
    return table.assign(rt=np.linspace(200, 400, len(table)), bad=False)


def test_every_excluded_row_is_counted_for_the_first_rule_that_meets_it(times):
    times.loc[[1, 2], "rt"] = 0
    times.loc[3, "rt"] = np.nan
    times.loc[[6, 11], "rt"] = 5000, 1000  # a bound itself is out
    times.loc[8, "rt"] = 205
    times.loc[7, "bad"] = True
    kept = exclude_times(times, "rt", minimum=205, maximum=1000, first_words=1, last_words=1, where={"bad": True})
    counts = dict(zip(kept.excluded["reason"], kept.excluded["rows"], strict=True))
    assert counts == {
        "rt missing": 1,
        "rt = 0: skipped, or no first pass": 2,
        "bad in [True]": 1,
        "one of the first 1 words a text": 4,
        "one of the last 1 words a text": 4,
        "rt <= 205": 1,
        "rt >= 1000": 2,
    }
    assert len(kept.table) == len(times) - kept.excluded["rows"].sum() == kept.excluded["left"].iloc[-1]


def test_outliers_are_judged_by_each_readers_own_log_times(times):
    times["rt"] = np.where(times["participant"] == "a", 100.0, 1000.0) * np.exp(np.tile(np.linspace(-0.1, 0.1, 10), 2))
    times.loc[4, "rt"] = 1000.0  # usual for b, far out for a
    kept = exclude_times(times, "rt", max_sd=2.5)
    assert set(times.index) - set(kept.table.index) == {4}
    assert kept.excluded["reason"].tolist() == ["beyond 2.5 sd of the reader's log times"]


@pytest.mark.parametrize(
    ("change", "match"),
    [
        (lambda t: pd.concat([t, t[3:4]]), r"2 rows share .* participant 'a', item '1.4' in rows 3 and 20"),
        (lambda t: t.assign(rt=-t["rt"]), "20 times in 'rt' are negative, first row 0"),
        (lambda t: t.assign(participant=1.5), "'participant' groups rows, but holds floats"),
        (lambda t: t.assign(rt=0.0), "No row is left"),
        (lambda t: t.drop(columns="rt"), "not in the table"),
    ],
)
def test_bad_times_are_named(times, change, match):
    with pytest.raises(ValueError, match=match):
        exclude_times(change(times), "rt")


def test_values_of_words_before_never_cross_a_text_line_or_missing_word():
    words = pd.DataFrame(
        {
            "text": [1, 1, 1, 1, 2, 2, 2],
            "number": [1, 2, 3, 5, 1, 2, 3],
            "line": [1, 1, 2, 2, 1, 1, 1],
            "length": [3, 5, 2, 7, 4, 6, 8],
        }
    )
    added = add_spillover(words, "length")
    nan = np.nan
    np.testing.assert_array_equal(added["length_previous_1"], [nan, 3, 5, nan, nan, 4, 6])
    # Word 5 has word 3 two before it, but word 4 between them is missing.
    np.testing.assert_array_equal(added["length_previous_2"], [nan, nan, 3, nan, nan, nan, 4])
    lines = add_spillover(words, ["length"], previous=1, line="line")
    np.testing.assert_array_equal(lines["length_previous_1"], [nan, 3, nan, nan, nan, 4, 6])
    mixed = words.sample(frac=1, random_state=0)
    pd.testing.assert_frame_equal(add_spillover(mixed, "length").sort_index(), added)


@pytest.mark.parametrize(
    ("change", "options", "match"),
    [
        (lambda w: pd.concat([w, w[:1]]), {}, "Each word must have one row, but 2 rows"),
        (lambda w: w.assign(number=[1.0, 2.5]), {}, "must number the words of a text in integers"),
        (lambda w: w, {"previous": 0}, "must be whole numbers of words from 1"),
        (lambda w: w.drop(columns="text"), {}, "not in words"),
    ],
)
def test_bad_words_are_named(change, options, match):
    words = pd.DataFrame({"text": [1, 1], "number": [1, 2], "length": [3, 4]})
    with pytest.raises(ValueError, match=match):
        add_spillover(change(words), "length", **options)
