"""Categories of features."""

import json

import numpy as np
import pandas as pd
import pytest

from sklearn_sae_encoding.analysis import DEFAULT_CATEGORIES, FeatureTaxonomy

ROWS = [
    {"index": 3, "category": "semantic", "subcategory": "place", "source": "model", "confidence": 0.9},
    {"index": 5, "category": "lexical", "source": "model", "confidence": 0.4},
    {"index": 8, "category": "semantic", "source": "model", "confidence": 0.6},
]


def test_indices_names_and_tables_of_features_find_the_same_labels():
    taxonomy = FeatureTaxonomy(ROWS)
    expected = ["lexical", "unlabelled", "semantic"]
    assert taxonomy.categories_of([5, 4, 3]).tolist() == expected
    assert taxonomy.categories_of(["sae_00005", "content__sae_00004", "sae_00003"]).tolist() == expected
    assert taxonomy.categories_of(pd.DataFrame({"sae_index": [5, 4, 3]})).tolist() == expected
    assert taxonomy.categories_of([8, 3], level="subcategory").tolist() == ["semantic", "semantic/place"]


def test_every_feature_is_in_exactly_one_group_and_what_is_no_feature_in_none():
    features = pd.DataFrame(
        {"feature": ["sae_00003", "sae_00005", "sae_00006", "sae_00008", "surprisal"], "sae_index": [3, 5, 6, 8, pd.NA]}
    )
    groups = FeatureTaxonomy(ROWS).groups(features)
    assert list(groups) == ["semantic", "lexical", "unlabelled"]
    assert sorted(np.concatenate(list(groups.values()))) == [0, 1, 2, 3]
    assert groups["semantic"].tolist() == [0, 3]
    assert FeatureTaxonomy(ROWS).counts(features).to_dict() == {"semantic": 2, "lexical": 1, "unlabelled": 1}
    with_missing = features.drop(columns="feature").astype({"sae_index": "Float64"})
    assert FeatureTaxonomy(ROWS).counts(with_missing).sum() == 4


def test_labels_by_name_serve_columns_that_are_no_feature_of_an_sae():
    taxonomy = FeatureTaxonomy([{"feature": "word rate", "category": "positional"}, *ROWS])
    assert taxonomy.categories_of(["word rate", "sae_00008"]).tolist() == ["positional", "semantic"]


def test_several_labels_need_a_taxonomy_that_is_not_exclusive():
    both = [{"index": 1, "category": "semantic"}, {"index": 1, "category": "lexical"}]
    with pytest.raises(ValueError, match=r"feature 1 has labels \(rows \[0, 1\]\)"):
        FeatureTaxonomy(both)
    taxonomy = FeatureTaxonomy(both, exclusive=False)
    assert taxonomy.categories_of([1, 2])[0] == ("semantic", "lexical")
    assert {key: columns.tolist() for key, columns in taxonomy.groups([2, 1]).items()} == {
        "semantic": [1],
        "lexical": [1],
        "unlabelled": [0],
    }


@pytest.mark.parametrize("suffix", [".csv", ".tsv", ".jsonl"])
def test_files_hold_what_was_written(tmp_path, suffix):
    path = tmp_path / f"labels{suffix}"
    if suffix == ".jsonl":
        path.write_text("\n".join(json.dumps(row) for row in ROWS), encoding="utf-8")
    else:
        pd.DataFrame(ROWS).to_csv(path, sep="\t" if suffix == ".tsv" else ",", index=False)
    read = FeatureTaxonomy(path)
    assert read.table.equals(FeatureTaxonomy(ROWS).table)
    read.to_csv(tmp_path / "again.csv")
    assert FeatureTaxonomy(tmp_path / "again.csv").table.equals(read.table)


@pytest.mark.parametrize(
    ("rule", "expected"), [("first", "semantic"), ("confident", "lexical"), ("majority", "lexical")]
)
def test_sources_merge_by_the_stated_rule(rule, expected):
    one = FeatureTaxonomy([{"index": 1, "category": "semantic", "confidence": 0.2}])
    two = FeatureTaxonomy([{"index": 1, "category": "lexical", "confidence": 0.8}, {"index": 2, "category": "other"}])
    if rule == "majority":  # of three opinions
        two.table = pd.concat([two.table, two.table.iloc[[0]]])
    merged = one.merged(two, rule=rule)
    assert merged.categories_of([1, 2]).tolist() == [expected, "other"]


def test_perturbed_labels_err_at_the_measured_rate():
    labels = FeatureTaxonomy([{"index": i, "category": "semantic", "subcategory": "place"} for i in range(4000)])
    confusion = pd.DataFrame([[82, 18]], ["semantic"], ["semantic", "lexical"])
    drawn = labels.perturbed(confusion, random_state=0)
    assert (drawn.table["category"] == "lexical").mean() == pytest.approx(0.18, abs=0.02)
    assert (drawn.table.loc[drawn.table["category"] == "lexical", "subcategory"] == "").all()
    assert (drawn.table.loc[drawn.table["category"] == "semantic", "subcategory"] == "place").all()
    assert labels.table["category"].unique().tolist() == ["semantic"]


def test_what_the_default_scheme_infers_is_marked_so():
    assert len(DEFAULT_CATEGORIES) == 5
    assert len(DEFAULT_CATEGORIES["semantic"].subcategories) == 5
    inferred = [name for name, one in DEFAULT_CATEGORIES.items() if one.evidence.startswith("Inferred")]
    assert inferred == ["syntactic", "lexical", "positional", "other"]
    semantic = DEFAULT_CATEGORIES["semantic"]
    known, others = semantic.evidence.split("the paper names ")[1].split("; ")
    assert known == "emotion"
    assert "inferred" in others
    assert all(name in others for name in semantic.subcategories if name != "emotion")
    assert not any("paper" in text for text in semantic.subcategories.values())  # raters and annotators read these


@pytest.mark.parametrize(
    ("rows", "message"),
    [
        ([{"index": 1, "category": "magic"}], "Row 0 is of category 'magic', which is not defined"),
        ([{"index": 1, "category": "lexical", "subcategory": "verb"}], "subcategory 'verb', which 'lexical' does not"),
        ([{"index": 1.5, "category": "lexical"}], "Row 0 names no feature: its index is 1.5"),
        ([{"index": -1, "category": "lexical"}], "Row 0 names no feature"),
        ([{"index": "", "category": "lexical"}], "Row 0 names no feature"),
        ([{"index": 1, "kind": "lexical"}], "need a column 'category'"),
    ],
)
def test_labels_of_nothing_are_named(rows, message):
    with pytest.raises(ValueError, match=message):
        FeatureTaxonomy(rows)


def test_another_saes_labels_are_refused():
    taxonomy = FeatureTaxonomy(ROWS, name="res-15")
    with pytest.raises(ValueError, match="belong to the SAE 'res-15', but the features to 'res-3'"):
        taxonomy.groups([3], name="res-3")
    with pytest.raises(ValueError, match="no label for any of the 2 features"):
        taxonomy.groups([100, 101])
    with pytest.raises(ValueError, match="same categories"):
        taxonomy.merged(FeatureTaxonomy([{"index": 1, "category": "a"}], categories={"a": "an a"}))
    with pytest.raises(ValueError, match="kept for features without a label"):
        FeatureTaxonomy(ROWS, categories={"unlabelled": "none"})
    with pytest.raises(ValueError, match="confusion names 'magic'"):
        taxonomy.perturbed(pd.DataFrame([[1.0]], ["magic"], ["lexical"]))
