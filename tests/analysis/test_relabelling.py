"""Labels of people, and results under labels that are wrong at a measured rate."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse, stats
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.analysis import (
    FeatureTaxonomy,
    category_topography,
    compare_raters,
    compare_with_matched,
    draw_matched_features,
    encode_by_category,
    label_sensitivity,
    relabel_by_majority,
    spin_places,
    spin_test,
    summarize_categories,
    topography_convergence,
)

KINDS = ("semantic", "lexical")


@pytest.fixture
def taxonomy():
    return FeatureTaxonomy(
        [{"index": i, "category": KINDS[i % 2], "label": f"label {i}"} for i in range(40)], name="an SAE"
    )


def rates(wrong):
    return pd.DataFrame([[1 - wrong, wrong], [wrong, 1 - wrong]], KINDS, KINDS)


def test_the_majority_of_raters_decides_and_ties_change_nothing(taxonomy):
    votes = {0: "llo", 1: "ls", 2: "sss", 3: "ooo"}
    names = {"l": "lexical", "s": "semantic", "o": "other"}
    rows = [
        {"rater": f"r{i}", "index": index, "category": names[vote], "duplicate": False}
        for index, all_votes in votes.items()
        for i, vote in enumerate(all_votes)
    ]
    rows += [{"rater": "r0", "index": 2, "category": "other", "duplicate": True}] * 5
    found, table = relabel_by_majority(taxonomy, pd.DataFrame(rows))
    assert found.categories_of([0, 1, 2, 3, 4]).tolist() == ["lexical", "lexical", "semantic", "other", "semantic"]
    assert table["changed"].tolist() == [True, False, False, True]
    assert table["n_votes"].tolist() == [2, 1, 3, 3]
    assert len(found) == len(taxonomy)
    assert found.table.set_index("index")["label"][3] == "label 3"
    assert found.name == "an SAE"


def test_a_number_moves_as_much_as_its_labels_are_wrong(taxonomy):
    found = label_sensitivity(
        lambda groups: np.mean(groups["semantic"] % 2 == 0),
        taxonomy,
        range(40),
        confusion=rates(0.25),
        n_draws=400,
        random_state=0,
    )
    assert found.table.loc["value", "given"] == 1
    assert found.table.loc["value", "mean"] == pytest.approx(0.75, abs=0.01)
    spread = found.n_changed
    assert spread.mean() == pytest.approx(10, abs=0.5)  # binomial: 40 labels at .25
    assert spread.std() == pytest.approx(stats.binom.std(40, 0.25), rel=0.1)


def test_labels_without_errors_move_nothing(taxonomy):
    found = label_sensitivity(
        lambda groups: pd.Series({name: columns.sum() for name, columns in groups.items()}),
        taxonomy,
        range(40),
        confusion=rates(0.0),
        n_draws=3,
    )
    assert (found.table["sd"] == 0).all()
    assert (found.table["given"] == found.table["mean"]).all()
    assert (found.n_changed == 0).all()


def test_the_confusion_of_raters_serves_with_its_margins(taxonomy):
    people = dict(enumerate(taxonomy.categories_of(range(40))))
    people[0], people[2] = "lexical", "other"
    labels = dict(enumerate(taxonomy.categories_of(range(40))))
    confusion = compare_raters(labels, people, n_bootstraps=10).confusion
    found = label_sensitivity(len, taxonomy, range(40), confusion=confusion, n_draws=200, random_state=0)
    assert found.n_changed.mean() == pytest.approx(2, abs=0.3)  # 2 of 20 semantic ones


def test_every_test_of_kinds_runs_over_perturbed_labels(taxonomy):
    rng = np.random.default_rng(0)
    X = rng.normal(size=(150, 40))
    Y = X[:, ::2] @ rng.normal(size=(20, 3)) + rng.normal(size=(150, 3))

    def encoding(groups):
        found = encode_by_category(Ridge(), X, Y, groups=groups, cv=3)
        return summarize_categories(found).set_index("category")[["fraction_r", "unique"]]

    def matched(groups):
        draws = draw_matched_features(X, groups["semantic"][:8], n_draws=9, tolerance=0.2, random_state=0)
        return compare_with_matched(Ridge(), X, Y, columns=groups["semantic"][:8], draws=draws, cv=3)

    regions = np.repeat(["a", "b", "c"], 20)
    used = np.zeros((60, 40))
    used[:20, ::2] = rng.random((20, 20)) < 0.5
    used[20:, 1::2] = rng.random((40, 20)) < 0.5

    def topography(groups):
        mean = category_topography(sparse.csr_array(used), regions, groups).mean
        predicted = pd.DataFrame([[1, 0, 0], [0, 1, 1]], KINDS, ["a", "b", "c"])
        return topography_convergence(mean.loc[list(KINDS)], predicted, n_permutations=99, random_state=0)

    points = rng.normal(size=(60, 3))
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    places = spin_places({"left": points}, n_spins=19, random_state=0)

    def spins(groups):
        return spin_test(used[:, groups["semantic"]].mean(axis=1), (regions == "a").astype(float), places)

    for test, name, falls in (
        (encoding, "semantic, unique", True),
        (matched, "p_value", False),
        (topography, "spearman", None),
        (spins, "statistic", True),
    ):
        found = label_sensitivity(test, taxonomy, range(40), confusion=rates(0.3), n_draws=5, random_state=0)
        given, mean = found.table.loc[name, ["given", "mean"]]
        assert len(found.draws) == 5
        if falls is not None:
            assert (mean < given) == falls


def test_what_cannot_be_relabelled_is_refused(taxonomy):
    with pytest.raises(ValueError, match="category is missing"):
        relabel_by_majority(taxonomy, pd.DataFrame({"index": [1]}))
    loose = FeatureTaxonomy(taxonomy.table, exclusive=False)
    with pytest.raises(ValueError, match="not exclusive"):
        relabel_by_majority(loose, pd.DataFrame({"index": [1], "category": ["other"]}))
    with pytest.raises(ValueError, match="gives no number"):
        label_sensitivity(lambda groups: {}, taxonomy, range(40), confusion=rates(0.1))
    with pytest.raises(ValueError, match="asks for 'positional', but features are labelled"):
        label_sensitivity(lambda groups: len(groups["positional"]), taxonomy, range(40), confusion=rates(0.1))
    with pytest.raises(ValueError, match=r"no label for any of the 2 features.* another SAE"):
        label_sensitivity(len, taxonomy, [900, 901], confusion=rates(0.1))
