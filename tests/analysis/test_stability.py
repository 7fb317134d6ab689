"""Features that another sample of texts would give, too."""

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.linear_model import Lasso, LassoCV
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import (
    count_feature_use,
    describe_population,
    feature_use_by_group,
    prevalence_entropy,
    stability_selection,
    voxels_of_feature,
)
from sklearn_sae_encoding.analysis.stability import FeatureStability
from sklearn_sae_encoding.encoder import SparseVoxelEncoder


def correlated(rng, n_samples, n_features):
    """Features in blocks of five that correlate by .5."""
    shared = np.repeat(rng.normal(size=(n_samples, n_features // 5)), 5, axis=1)
    return np.sqrt(0.5) * shared + np.sqrt(0.5) * rng.normal(size=(n_samples, n_features))


def test_frequencies_are_those_of_scikit_learns_lasso_on_the_same_halves():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 8)), rng.normal(size=(60, 2))
    Y[:, 0] += X[:, 1]
    found = stability_selection(Lasso(0.2), X, Y, n_pairs=5, random_state=3)
    order, counts = np.random.RandomState(3), np.zeros((2, 8))
    for _ in range(5):
        drawn = order.permutation(60)
        for half in (drawn[:30], drawn[30:]):
            half = np.sort(half)
            counts += Lasso(0.2).fit(X[half], Y[half]).coef_ != 0
    np.testing.assert_allclose(found.frequency.toarray(), counts / 10)
    np.testing.assert_allclose(found.n_selected, counts.sum(axis=1) / 10)
    assert (found.together.toarray() <= found.frequency.toarray() + 1e-12).all()


def test_bootstrap_frequencies_are_those_of_scikit_learns_lasso_weighted_by_how_often_a_text_was_drawn():
    rng = np.random.default_rng(0)
    X, Y = rng.normal(size=(60, 8)), rng.normal(size=(60, 2))
    Y[:, 0] += X[:, 1]
    found = stability_selection(Lasso(0.2), X, Y, n_pairs=3, resampling="bootstrap", random_state=3)
    drawing, counts, positive = np.random.RandomState(3), np.zeros((2, 8)), np.zeros((2, 8))
    for _ in range(6):
        times = np.bincount(drawing.randint(60, size=60), minlength=60)
        coef = np.array([Lasso(0.2).fit(X, y, sample_weight=times).coef_ for y in Y.T])
        counts, positive = counts + (coef != 0), positive + (coef > 0)
    np.testing.assert_allclose(found.frequency.toarray(), counts / 6)
    np.testing.assert_allclose(found.positive.toarray(), positive / 6)
    assert (found.n_resamples, found.together, found.resampling) == (6, None, "bootstrap")
    assert found.of_voxels([1]).frequency.shape == (1, 8)
    assert found.of_voxels([1]).resampling == "bootstrap"


@pytest.mark.filterwarnings("error")
def test_folds_that_choose_the_penalty_of_a_bootstrap_sample_keep_repeats_of_a_text_together():
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(80, 30)), rng.normal(size=(80, 1))
    Y += 2 * X[:, [3]]
    encoder = SparseVoxelEncoder(alphas=np.geomspace(1, 0.05, 8), cv=KFold(4))
    found = stability_selection(encoder, X, Y, n_pairs=2, resampling="bootstrap", random_state=0)
    drawing, counts = np.random.RandomState(0), np.zeros(30)
    for _ in range(4):
        rows = np.repeat(np.arange(80), np.bincount(drawing.randint(80, size=80), minlength=80))
        part = np.searchsorted(np.cumsum([len(one) for one in np.array_split(np.unique(rows), 4)]) - 1,
                               np.searchsorted(np.unique(rows), rows))  # fmt: skip
        folds = [(np.flatnonzero(part != fold), np.flatnonzero(part == fold)) for fold in range(4)]
        y = Y[rows, 0]
        witness = LassoCV(alphas=np.geomspace(1, 0.05, 8) * y.std(), cv=folds, tol=1e-10, max_iter=100_000)
        counts += witness.fit(X[rows], y).coef_ != 0
    np.testing.assert_allclose(found.frequency.toarray()[0], counts / 4)
    assert found.n_selected[0] > 1


def test_a_bootstrap_draws_all_samples_of_a_group_or_none():
    seen = []

    class Recorder(Lasso):
        def fit(self, X, y):
            seen.append(X[:, 0])
            return super().fit(X, y)

    groups = np.repeat(np.arange(10), 4)
    X = np.column_stack([groups, np.random.default_rng(4).normal(size=(40, 2))]).astype(float)
    stability_selection(Recorder(0.5), X, X[:, 1:], n_pairs=2, resampling="bootstrap", groups=groups, random_state=0)
    assert len(seen) == 4
    assert all((np.bincount(one.astype(int)) % 4 == 0).all() and len(one) == 40 for one in seen)
    assert any(len(np.unique(one)) < 10 for one in seen)


def test_planted_features_are_selected_and_errors_stay_within_their_bound_with_correlated_features():
    rng = np.random.default_rng(1)
    X = correlated(rng, 200, 100)
    truth = np.zeros((100, 20))
    for voxel in range(20):
        truth[rng.choice(20, 3, replace=False) * 5, voxel] = 1.0
    Y = X @ truth + rng.normal(size=(200, 20)) * 1.5
    stability = stability_selection(SparseVoxelEncoder(alphas=0.3), X, Y, n_pairs=15, random_state=0)
    selected = stability.selected(0.75).toarray()
    planted = truth.T != 0
    assert (selected & planted).sum() > 0.8 * planted.sum()
    assert (selected & ~planted).sum(axis=1).mean() <= stability.error_bound(0.75).mean()


def test_voxels_of_noise_select_no_more_than_the_bound_allows():
    rng = np.random.default_rng(2)
    X, Y = correlated(rng, 100, 60), rng.normal(size=(100, 40))
    stability = stability_selection(SparseVoxelEncoder(alphas=0.25), X, Y, n_pairs=10, random_state=0)
    assert stability.selected(0.7).sum(axis=1).mean() <= stability.error_bound(0.7).mean()


def test_sparse_features_give_the_same_and_what_is_selected_is_counted_like_weights():
    rng = np.random.default_rng(3)
    X = rng.normal(size=(80, 12)) * (rng.random((80, 12)) < 0.4)
    Y = 2 * X[:, [0, 5]] + 0.3 * rng.normal(size=(80, 2))
    dense, packed = (
        stability_selection(SparseVoxelEncoder(alphas=0.4), one, Y, n_pairs=4, random_state=0)
        for one in (X, sparse.csr_array(X))
    )
    np.testing.assert_array_equal(dense.frequency.toarray(), packed.frequency.toarray())
    counted = count_feature_use(dense.selected(0.9).astype(float), [f"f{i}" for i in range(12)])
    assert set(counted["feature"]) == {"f0", "f5"}


def test_where_voxels_are_counted_frequencies_add_up_to_the_mean_over_the_halves_counts():
    rng = np.random.default_rng(5)
    X, groups = rng.normal(size=(60, 6)), ["IFG", "IFG", "MFG"]
    Y = np.column_stack([X[:, 0], X[:, 0] - X[:, 3], -X[:, 0]]) + rng.normal(size=(60, 3))
    stability = stability_selection(Lasso(0.25), X, Y, n_pairs=4, random_state=7)
    order, coefs = np.random.RandomState(7), []
    for _ in range(4):
        drawn = order.permutation(60)
        coefs += [Lasso(0.25).fit(X[half], Y[half]).coef_ for half in map(np.sort, (drawn[:30], drawn[30:]))]

    def mean_over_halves(count, columns, value, rows):
        tables = [count(coef).set_index(columns)[value].reindex(rows, fill_value=0.0) for coef in coefs]
        return sum(tables) / len(tables)

    found = count_feature_use(stability).set_index(["index", "sign"])["share"]
    assert {(0, 1), (0, -1), (3, -1)} <= set(found.index)
    np.testing.assert_allclose(found, mean_over_halves(count_feature_use, ["index", "sign"], "share", found.index))

    heat = feature_use_by_group(stability, groups)
    tables = [feature_use_by_group(coef, groups).reindex(heat.index, fill_value=0.0) for coef in coefs]
    np.testing.assert_allclose(heat, sum(tables) / len(tables))

    prevalence = prevalence_entropy(stability, groups).set_index("index")["prevalence"]
    expected = mean_over_halves(lambda coef: prevalence_entropy(coef, groups), "index", "prevalence", prevalence.index)
    np.testing.assert_allclose(prevalence, expected)


def test_populations_and_voxels_of_a_feature_are_told_by_how_often_halves_agree():
    rng = np.random.default_rng(6)
    X, mask = rng.normal(size=(60, 6)), np.array([True, True, False])
    Y = np.column_stack([X[:, 0], X[:, 0] - X[:, 3], -X[:, 0]]) + rng.normal(size=(60, 3))
    stability = stability_selection(Lasso(0.25), X, Y, n_pairs=4, random_state=7)
    frequency, positive = stability.frequency.toarray(), stability.positive.toarray()
    signed = {1: positive, -1: frequency - positive}

    table = describe_population(stability, mask, participants=["p1", "p2", "p2"])
    for row in table.itertuples():
        use = signed[row.sign][:, table["index"][row.Index]]
        assert row.share == pytest.approx(use[:2].mean())
        assert row.share_elsewhere == pytest.approx(use[2])
        assert row.n_participants == (use[:2] >= 0.5).sum()
    assert len(table) == sum((use[:2] > 1e-12).any(axis=0).sum() for use in signed.values())

    voxels = voxels_of_feature(stability, 3, pd.DataFrame({"region": ["a", "b", "c"]}))
    expected = np.argsort(-frequency[:, 3], kind="stable")[: np.count_nonzero(frequency[:, 3])]
    assert voxels["voxel"].tolist() == expected.tolist()
    assert voxels["voxel"][0] == 1
    assert voxels["region"][0] == "b"
    np.testing.assert_allclose(voxels["frequency"], frequency[expected, 3])
    np.testing.assert_allclose(voxels["positive"], positive[expected, 3])


def test_a_feature_of_just_the_threshold_is_selected():
    frequency = sparse.csr_array([[0.7, 0.6, 1.0]])
    stability = FeatureStability(frequency, frequency, np.array([2.3]), 10, frequency)
    np.testing.assert_array_equal(stability.selected(0.7).toarray(), [[True, False, True]])
    np.testing.assert_array_equal(stability.selected(0.6).toarray(), [[True, True, True]])


def test_samples_of_one_group_go_to_one_half():
    seen = []

    class Recorder(SparseVoxelEncoder):
        def fit(self, X, y):
            seen.append(set(np.asarray(X)[:, 0]))
            return super().fit(X, y)

    groups = np.repeat(np.arange(10), 4)
    X = np.column_stack([groups, np.random.default_rng(4).normal(size=(40, 2))]).astype(float)
    stability_selection(Recorder(alphas=0.5), X, X[:, 1:], n_pairs=3, groups=groups, random_state=0)
    assert all(one.isdisjoint(other) for one, other in zip(seen[::2], seen[1::2], strict=True))


def test_what_cannot_be_halved_is_refused():
    with pytest.raises(ValueError, match="as many samples, got 5, 4 and 5"):
        stability_selection(Lasso(), np.ones((5, 2)), np.ones((4, 1)))
    with pytest.raises(ValueError, match="at least four samples"):
        stability_selection(Lasso(), np.ones((6, 2)), np.ones((6, 1)), groups=[0, 0, 1, 1, 2, 2])
    with pytest.raises(ValueError, match=r"threshold must be above 0.5"):
        stability_selection(Lasso(), np.eye(8), np.ones((8, 1)), n_pairs=1).error_bound(0.5)
    with pytest.raises(ValueError, match=r"resampling must be one of \['halves', 'bootstrap'\], got 'jackknife'"):
        stability_selection(Lasso(), np.eye(8), np.ones((8, 1)), resampling="jackknife")
    with pytest.raises(ValueError, match="complementary halves alone"):
        stability_selection(Lasso(), np.eye(8), np.ones((8, 1)), n_pairs=1, resampling="bootstrap").error_bound()
    ready = SparseVoxelEncoder(cv=[(np.arange(4), np.arange(4, 8))])
    with pytest.raises(ValueError, match="a number of folds or a splitter, not rows"):
        stability_selection(ready, np.eye(8), np.ones((8, 1)), resampling="bootstrap")
