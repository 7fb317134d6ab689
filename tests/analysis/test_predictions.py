"""Tables of what the literature expects where, filled in by their readers."""

import numpy as np
import pandas as pd
import pytest

from sklearn_sae_encoding.analysis import (
    load_predicted_topography,
    make_prediction_table,
    topography_convergence,
)


def test_only_what_is_known_is_filled_in_and_has_a_source():
    table = make_prediction_table(["IFG", "TGd", "TGv", "9m"], same_as={"anterior temporal": ["TGd", "TGv"]})
    known = table[table["expected"].notna()]
    assert known[["subcategory", "region"]].values.tolist() == [["emotion", "TGd"], ["emotion", "TGv"]]
    assert known["source"].str.contains("2605.23035").all()
    assert (table.loc[table["expected"].isna(), "source"] == "").all()
    assert len(table) == 5 * 4
    assert load_predicted_topography().notna().sum().sum() == 2


def test_a_table_that_was_filled_in_as_a_file_serves_the_test_of_convergence(tmp_path):
    table = make_prediction_table(["ATL", "IFG", "PPA"], ["emotion", "place"], same_as={"anterior temporal": "ATL"})
    table.loc[5, ["expected", "source"]] = 1, "a reader, p. 3"
    table.loc[1, ["expected", "source"]] = 0, "a reader, p. 4"
    table.to_csv(tmp_path / "predicted.csv", index=False)
    predicted = load_predicted_topography(tmp_path / "predicted.csv", regions=["IFG", "ATL", "PPA"])
    expected = pd.DataFrame(
        [[0, 1, np.nan], [np.nan, np.nan, 1]], ["emotion", "place"], ["IFG", "ATL", "PPA"], dtype=float
    )
    pd.testing.assert_frame_equal(predicted, expected)
    assert predicted.attrs["sources"][1:] == ["a reader, p. 4", "a reader, p. 3"]
    observed = pd.DataFrame([[0.1, 0.9, 0.3], [0.2, 0.1, 0.8]], expected.index, expected.columns)
    assert topography_convergence(observed, predicted, n_permutations=9).n_cells == 3


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"expected": "maybe"}, "expected must be a number, or empty .* 'emotion', 'ATL' .row 0."),
        ({"source": ""}, "Name the source of 'emotion', 'ATL' .row 0."),
        ({"region": "IFG"}, "twice: 'emotion', 'IFG' .row 1."),
        ({"region": "ATl"}, "lacks ATL of those observed, and ATl of its own were not observed"),
    ],
)
def test_slips_are_named(tmp_path, change, message):
    table = make_prediction_table(["ATL", "IFG"], ["emotion"], same_as={"anterior temporal": "ATL"}).astype(object)
    for column, value in change.items():
        table.loc[0, column] = value
    table.to_csv(tmp_path / "predicted.csv", index=False)
    with pytest.raises(ValueError, match=message):
        load_predicted_topography(tmp_path / "predicted.csv", regions=["ATL", "IFG"])


def test_columns_and_regions_that_are_not_there_are_named():
    with pytest.raises(ValueError, match="source missing"):
        load_predicted_topography(make_prediction_table().drop(columns="source"))
    with pytest.raises(ValueError, match=r"known regions \(anterior temporal, dorsomedial prefrontal\)"):
        make_prediction_table(["a"], same_as={"IFG": "a"})
    with pytest.raises(ValueError, match="names b, which is none of the regions a"):
        make_prediction_table(["a"], same_as={"anterior temporal": "b"})
