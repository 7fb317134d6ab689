"""Features that follow categories of words, in one language and in several."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.metrics import roc_auc_score

from sklearn_sae_encoding.analysis import category_agreement, category_selectivity


def words_and_features(seed, driven=True):
    rng = np.random.default_rng(seed)
    categories = rng.permutation(np.repeat(["animal", "food", "place"], 40))
    values = rng.exponential(size=(120, 60)) * (rng.random((120, 60)) < 0.3)
    if driven:  # features 0 to 4 follow animals, 5 to 9 food, in every language
        for at, name in enumerate(["animal", "food"]):
            values[categories == name, 5 * at : 5 * at + 5] += 1
    return sparse.csr_array(values), categories


def test_selectivity_is_scikit_learns_area_under_the_curve():
    features, categories = words_and_features(0)
    table = category_selectivity(features, categories)
    assert table.shape == (60, 3)
    for feature, name in [(0, "animal"), (7, "food"), (33, "place")]:
        expected = roc_auc_score(categories == name, features[:, [feature]].toarray().ravel())
        assert table.loc[feature, name] == pytest.approx(expected)


def test_features_that_follow_a_category_in_both_languages_agree_and_unrelated_ones_do_not():
    for driven in (True, False):
        tables = {
            name: category_selectivity(*words_and_features(s, driven)) for s, name in enumerate(("en", "fr", "zh"))
        }
        agreement = category_agreement(tables, top=5).set_index("category")
        assert len(agreement) == 9
        if driven:
            assert (agreement.loc["animal", "overlap"] == 5).all()
            assert (agreement.loc["animal", "p_adjusted"] < 1e-4).all()
        else:
            assert (agreement["p_adjusted"] > 0.05).all()
            assert abs(agreement["spearman"]).max() < 0.45


def test_features_that_fire_often_agree_by_chance_and_only_the_permutation_test_knows_it():
    rates = np.repeat([0.5, 0.02], [8, 112])
    permuted, hypergeometric, expected = [], [], []
    for seed in range(8):
        rng = np.random.default_rng(seed)
        X, own = {}, {}
        for name in ("en", "fr"):  # no feature follows a category, in any language
            X[name] = rng.exponential(size=(60, 120)) * (rng.random((60, 120)) < rates)
            own[name] = rng.permutation(np.repeat(["animal", "food"], 30))
        tables = {name: category_selectivity(X[name], own[name]) for name in X}
        shuffled = [{name: category_selectivity(X[name], rng.permutation(own[name])) for name in X} for _ in range(19)]
        hypergeometric.append(category_agreement(tables, top=6)["p"])
        found = category_agreement(tables, top=6, shuffled=shuffled)
        permuted.append(found["p"])
        expected.append(found["expected"])
    assert np.mean(expected) > 3 * 36 / 120  # as if all features were alike
    assert np.mean(np.array(hypergeometric) < 0.05) > 0.15
    assert np.mean(np.array(permuted) <= 0.05) < 0.15


def test_features_that_never_fire_make_no_agreement_less_likely_by_chance():
    tables = {name: category_selectivity(*words_and_features(s)) for s, name in enumerate(("en", "fr"))}
    silent = pd.DataFrame(0.5, index=range(60, 600), columns=tables["en"].columns)
    more = {name: pd.concat([table, silent]) for name, table in tables.items()}
    columns = ["overlap", "expected", "p"]
    pd.testing.assert_frame_equal(
        category_agreement(tables, top=5)[columns], category_agreement(more, top=5)[columns], check_exact=False
    )


@pytest.mark.parametrize(
    ("categories", "match"),
    [
        (["a"] * 119, "there are 119 categories"),
        (["a"] * 120, "two or more categories"),
        ([None, *"ab" * 59, "a"], "Word 0 has no"),
    ],
)
def test_bad_categories_are_named(categories, match):
    with pytest.raises(ValueError, match=match):
        category_selectivity(words_and_features(0)[0], categories)


def test_tables_of_other_categories_are_refused():
    table = pd.DataFrame({"a": [0.5, 0.6]})
    with pytest.raises(ValueError, match="same features and categories"):
        category_agreement({"en": table, "fr": table.rename(columns={"a": "b"})})
    with pytest.raises(ValueError, match="top must be from 1 to 2"):
        category_agreement({"en": table, "fr": table}, top=3)
    with pytest.raises(ValueError, match="shuffled must hold tables like those of selectivity"):
        category_agreement({"en": table, "fr": table}, top=1, shuffled=[{"en": table}])


def test_no_permutations_are_refused():
    selectivity = {name: pd.DataFrame({"animal": [0.9, 0.2]}) for name in ("en", "fr")}
    with pytest.raises(ValueError, match="shuffled is empty: give tables"):
        category_agreement(selectivity, top=1, shuffled=[])
