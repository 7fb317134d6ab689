"""Agreement of raters."""

import numpy as np
import pandas as pd
import pytest
from sklearn.metrics import cohen_kappa_score, confusion_matrix
from statsmodels.stats.inter_rater import cohens_kappa

from sklearn_sae_encoding.analysis import compare_raters, krippendorff_alpha, n_features_for_kappa

KINDS = ["semantic", "syntactic", "lexical", "other"]


def ratings(n, agreement, rng, n_raters=2):
    """Ratings that are the truth with a probability, and drawn at random otherwise."""
    truth = rng.choice(KINDS, size=n)
    given = [np.where(rng.random(n) < agreement, truth, rng.choice(KINDS, size=n)) for _ in range(n_raters)]
    return [pd.Series(one, index=np.arange(n), dtype=object) for one in given]


def test_kappa_and_confusion_are_scikit_learns_and_the_interval_is_near_statsmodels():
    first, second = ratings(300, 0.8, np.random.default_rng(0))
    result = compare_raters(first, second.drop([5]), categories=KINDS, random_state=0)
    kept = first.drop([5])
    assert result.n_features == 299
    assert result.kappa == pytest.approx(cohen_kappa_score(kept, second.drop([5])))
    table = confusion_matrix(kept, second.drop([5]), labels=KINDS)
    np.testing.assert_array_equal(result.confusion.loc[KINDS, KINDS], table)
    assert result.confusion.loc["all", "all"] == 299
    witness = cohens_kappa(table)
    assert result.kappa_interval == pytest.approx((witness.kappa_low, witness.kappa_upp), abs=0.02)
    one = result.by_category.set_index("category").loc["lexical"]
    assert one["kappa"] == pytest.approx(cohen_kappa_score(kept == "lexical", second.drop([5]) == "lexical"))
    assert one["low"] < one["kappa"] < one["high"]


@pytest.mark.parametrize("n_raters", [2, 4])
def test_alpha_is_nltks_also_with_ratings_missing(n_raters):
    agreement = pytest.importorskip("nltk.metrics.agreement")
    rng = np.random.default_rng(1)
    table = pd.concat(ratings(60, 0.7, rng, n_raters), axis=1)
    table = table.mask(rng.random(table.shape) < (0.2 if n_raters > 2 else 0))
    alpha, (low, high) = krippendorff_alpha(table, n_bootstraps=200, random_state=0)
    usable = table[table.notna().sum(axis=1) >= 2]
    triples = [(coder, item, label) for item, row in usable.iterrows() for coder, label in row.dropna().items()]
    assert alpha == pytest.approx(agreement.AnnotationTask(triples).alpha())
    assert low < alpha < high
    if n_raters == 2:
        assert compare_raters(table[0], table[1], n_bootstraps=10).alpha == pytest.approx(alpha)


def test_krippendorffs_own_example_with_missing_data_has_the_published_alpha():
    # Krippendorff (2011), "Computing Krippendorff's Alpha-Reliability", section C: nominal alpha .743.
    rows = {
        "A": [1, 2, 3, 3, 2, 1, 4, 1, 2, None, None, None],
        "B": [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, None, 3],
        "C": [None, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, None],
        "D": [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, None],
    }
    assert krippendorff_alpha(pd.DataFrame(rows), n_bootstraps=10)[0] == pytest.approx(0.743, abs=5e-4)


def test_raters_who_guess_agree_by_chance_only():
    first, second = ratings(2000, 0.0, np.random.default_rng(2))
    result = compare_raters(first, second, n_bootstraps=200, random_state=0)
    assert abs(result.kappa) < 0.05
    assert abs(result.alpha) < 0.05


def test_an_interval_has_the_width_that_its_number_of_features_was_computed_for():
    agreement = np.sqrt(0.75)
    n = n_features_for_kappa(0.15, kappa=0.75, shares=[0.25] * 4)
    widths = []
    for seed in range(10):
        first, second = ratings(n, agreement, np.random.default_rng(seed))
        low, high = compare_raters(first, second, n_bootstraps=300, random_state=0).kappa_interval
        widths.append(high - low)
    assert np.mean(widths) == pytest.approx(0.15, rel=0.1)


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: compare_raters({1: "a"}, {2: "a"}), "both raters rated, but there are 0"),
        (lambda: compare_raters({1: "a", 2: "b"}, {1: "a", 2: "b"}, categories=["a"]), r"hold \['b'\]"),
        (lambda: krippendorff_alpha(pd.DataFrame({"a": ["x"]})), "two or more columns, got 1"),
        (lambda: krippendorff_alpha(pd.DataFrame({"a": ["x"], "b": [None]})), "No feature was rated by two"),
        (lambda: n_features_for_kappa(0.1, shares=[0.5]), "shares that sum to 1"),
    ],
)
def test_what_leaves_nothing_to_compare_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_one_category_for_everything_leaves_kappa_undefined():
    result = compare_raters({1: "a", 2: "a"}, {1: "a", 2: "a"}, n_bootstraps=5)
    assert np.isnan(result.kappa)
    assert result.agreement == 1.0
