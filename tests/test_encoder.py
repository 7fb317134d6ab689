"""SparseVoxelEncoder against scikit-learn, its own promises and bad input."""

import warnings
from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest
import sklearn
from scipy import sparse
from sklearn import config_context
from sklearn.base import clone
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.linear_model import ElasticNetCV, LassoCV, Ridge, RidgeCV
from sklearn.metrics import r2_score
from sklearn.model_selection import GridSearchCV, GroupKFold, KFold, cross_validate
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import MaxAbsScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from sklearn.utils.fixes import parse_version
from threadpoolctl import threadpool_info

from sklearn_sae_encoding._encoder.results import warn_of_gaps
from sklearn_sae_encoding._solvers.lasso import cross_validation
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

# What scikit-learn calls the number of penalties.
NUMBER = "alphas" if parse_version(sklearn.__version__) >= parse_version("1.7") else "n_alphas"
EXACT = {"tol": 1e-10, "max_iter": 200_000}
LAYOUTS = {"dense": np.asarray, "csr": sparse.csr_array, "csc": sparse.csc_array}


def sparse_features(rng, n_samples, n_features, density=0.15):
    """Non-negative, mostly zero, far from centred, of unequal scale: like SAE features."""
    X = rng.gamma(2.0, 1.0, (n_samples, n_features)) * (rng.random((n_samples, n_features)) < density)
    X *= rng.gamma(1.0, 1.0, n_features)
    X[:, : n_features // 10] += 2.0
    return X


def problem(seed=0, n_samples=80, n_features=150, n_voxels=6, noise=1.0):
    rng = np.random.default_rng(seed)
    X = sparse_features(rng, n_samples, n_features)
    W = np.zeros((n_features, n_voxels))
    for voxel in range(n_voxels - 1):  # the last voxel is noise
        W[rng.choice(n_features, 5, replace=False), voxel] = rng.normal(size=5)
    return X, X @ W + noise * rng.normal(size=(n_samples, n_voxels)) + rng.normal(3.0, 2.0, n_voxels)


def plain_protocol(X_train, y_train, X_test, alphas, n_best, forced):
    """The published protocol of one voxel and one outer fold, written with scikit-learn alone."""
    mean, sd = y_train.mean(), y_train.std()
    z = (y_train - mean) / sd
    kept = np.arange(X_train.shape[1])
    if len(kept) > n_best:
        kept = np.flatnonzero(SelectKBest(f_regression, k=n_best).fit(X_train, z).get_support())
    lasso = LassoCV(alphas=alphas, cv=5, **EXACT).fit(X_train[:, kept], z)
    support = kept[SelectFromModel(lasso, prefit=True).get_support()]
    support = np.union1d(support, np.arange(X_train.shape[1])[forced]).astype(int)
    refit_alphas = np.logspace(-2, 5, 8)
    chosen = RidgeCV(alphas=refit_alphas).fit(X_train[:, support], z).alpha_
    ridge = Ridge(alpha=chosen).fit(X_train[:, support], z)
    return support, ridge.predict(X_test[:, support]) * sd + mean, lasso.alpha_, chosen


@parametrize_with_checks([SparseVoxelEncoder()])
def test_scikit_learn_accepts_the_estimator(estimator, check):
    check(estimator)


@pytest.mark.parametrize("layout", LAYOUTS)
def test_the_published_protocol_is_that_of_plain_scikit_learn(layout):
    X, Y = problem(n_samples=100, n_features=400)
    X = np.column_stack([X, np.random.default_rng(1).normal(size=len(X))])  # surprisal is the last column
    X[:, 7] = 0.0  # a feature that never fires has no F
    alphas = np.logspace(-2, 0, 10)
    encoder = SparseVoxelEncoder(alphas, screening=120, forced_features=[-1], refit="ridge")
    for train, test in KFold(5, shuffle=True, random_state=19).split(X):
        encoder.fit(LAYOUTS[layout](X[train]), Y[train])
        predictions = encoder.predict(LAYOUTS[layout](X[test]))
        for voxel in range(Y.shape[1]):
            support, expected, alpha, refit_alpha = plain_protocol(
                X[train], Y[train, voxel], X[test], alphas, 120, [-1]
            )
            assert encoder.coef_[[voxel]].indices.tolist() == support.tolist()
            assert encoder.alpha_[voxel] == pytest.approx(alpha)
            assert encoder.refit_alpha_[voxel] == pytest.approx(refit_alpha)
            np.testing.assert_allclose(predictions[:, voxel], expected, rtol=1e-6)


def test_surprisal_alone_is_a_ridge_on_one_column():
    rng = np.random.default_rng(0)
    surprisal = rng.normal(size=(60, 1))
    Y = surprisal * [1.0, 0.02] + rng.normal(size=(60, 2))
    encoder = SparseVoxelEncoder(np.logspace(-2, 0, 10), forced_features=[-1], refit="ridge").fit(surprisal, Y)
    for voxel in range(2):
        z = (Y[:, voxel] - Y[:, voxel].mean()) / Y[:, voxel].std()
        ridge = RidgeCV(np.logspace(-2, 5, 8)).fit(surprisal, z)
        assert encoder.refit_alpha_[voxel] == pytest.approx(ridge.alpha_)
        expected = ridge.predict(surprisal) * Y[:, voxel].std() + Y[:, voxel].mean()
        np.testing.assert_allclose(encoder.predict(surprisal)[:, voxel], expected)


def test_content_alone_predicts_the_mean_where_nothing_is_selected():
    X, Y = problem()
    encoder = SparseVoxelEncoder([100.0], refit="ridge").fit(X, Y)
    assert encoder.coef_.nnz == 0
    assert np.isnan(encoder.refit_alpha_).all()
    np.testing.assert_allclose(encoder.predict(X[:2]), [Y.mean(axis=0)] * 2)


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "options", [{}, {"l1_ratio": 0.5}, {"positive": True}, {"l1_ratio": 0.9, "positive": True}], ids=str
)
def test_every_voxel_gets_the_alphas_errors_and_weights_of_elastic_net_cv(layout, options):
    X, Y = problem()
    encoder = SparseVoxelEncoder(20, early_stopping=False, standardize_targets=False, **options)
    encoder.fit(LAYOUTS[layout](X), Y)
    for voxel, y in enumerate(Y.T):
        grid = {NUMBER: 20, "eps": 1e-2}
        if options.get("positive") and NUMBER == "n_alphas":  # 1.6 starts where negative weights would enter
            grid = {"alphas": encoder.alphas_[voxel]}
        witness = ElasticNetCV(**{"l1_ratio": 1.0, **options, **grid}, **EXACT).fit(X, y)
        np.testing.assert_allclose(encoder.alphas_[voxel], witness.alphas_)
        np.testing.assert_allclose(encoder.cv_mse_path_[voxel], witness.mse_path_, rtol=1e-5)
        assert encoder.alpha_[voxel] == pytest.approx(witness.alpha_)
        np.testing.assert_allclose(encoder.coef_[[voxel]].toarray()[0], witness.coef_, atol=1e-6)
        assert encoder.intercept_[voxel] == pytest.approx(witness.intercept_, rel=1e-6)


def test_groups_reach_the_splitter():
    X, Y = problem()
    groups = np.repeat(np.arange(8), 10)
    encoder = SparseVoxelEncoder(cv=GroupKFold(4), early_stopping=False, standardize_targets=False)
    encoder.fit(X, Y[:, 0], groups=groups)
    splits = list(GroupKFold(4).split(X, groups=groups))
    witness = LassoCV(**{NUMBER: 30}, eps=1e-2, cv=splits, **EXACT).fit(X, Y[:, 0])
    np.testing.assert_allclose(encoder.cv_mse_path_[0], witness.mse_path_, rtol=1e-5)


@pytest.fixture
def routing():
    with config_context(enable_metadata_routing=True):
        yield


@pytest.mark.usefixtures("routing")
@pytest.mark.parametrize("inside", ["fit", "pipeline", "search", "cross_validate"])
def test_groups_are_routed_to_the_splitter_as_in_lasso_cv(inside):
    X, Y = problem(n_samples=120)
    y, groups = Y[:, 0], np.random.default_rng(0).integers(0, 6, 120)
    outer, inner = GroupKFold(3), GroupKFold(4 if inside in ("fit", "pipeline") else 2)

    def paths(estimator):
        """Held-out errors of the inner folds, of every fit that can be seen."""
        if inside == "fit":
            return [estimator.fit(X, y, groups=groups)]
        pipeline = make_pipeline(MaxAbsScaler(), estimator)
        if inside == "pipeline":
            return [pipeline.fit(X, y, groups=groups)[-1]]
        if inside == "search":
            search = GridSearchCV(pipeline, {f"{type(estimator).__name__.lower()}__max_iter": [10_000]}, cv=outer)
            return [search.fit(X, y, groups=groups).best_estimator_[-1]]
        found = cross_validate(pipeline, X, y, cv=outer, params={"groups": groups}, return_estimator=True)
        return [fitted[-1] for fitted in found["estimator"]]

    ours = paths(SparseVoxelEncoder(20, cv=inner, early_stopping=False, standardize_targets=False))
    witnesses = paths(LassoCV(**{NUMBER: 20}, eps=1e-2, cv=inner, tol=1e-10, max_iter=10_000))
    for encoder, witness in zip(ours, witnesses, strict=True):
        np.testing.assert_allclose(encoder.cv_mse_path_[0], witness.mse_path_, rtol=1e-4)
        assert encoder.alpha_[0] == pytest.approx(witness.alpha_)


@pytest.mark.usefixtures("routing")
def test_groups_that_the_splitter_needs_are_missed_as_in_lasso_cv():
    X, Y = problem()
    for estimator in (SparseVoxelEncoder(cv=GroupKFold(3)), LassoCV(cv=GroupKFold(3))):
        with pytest.raises(ValueError, match="The 'groups' parameter should not be None"):
            estimator.fit(X, Y[:, 0])


@pytest.mark.parametrize("alphas", [30, 0.1], ids=["grid", "one penalty"])
def test_other_metadata_are_refused(alphas):
    X, Y = problem()
    with pytest.raises(ValueError, match="fit takes groups= for its splitter"):
        SparseVoxelEncoder(alphas).fit(X, Y, sample_weight=np.ones(len(X)))


def test_a_list_of_splits_and_a_splitter_agree():
    X, Y = problem()
    cv = KFold(3, shuffle=True, random_state=0)
    by_splitter = SparseVoxelEncoder(cv=cv).fit(X, Y)
    by_list = SparseVoxelEncoder(cv=list(cv.split(X))).fit(X, Y)
    assert (by_splitter.coef_ != by_list.coef_).nnz == 0


def test_features_that_are_nearly_orthogonal_to_a_voxel_are_still_found():
    """Their products are of the size of single-precision rounding, which finds the candidates."""
    rng = np.random.default_rng(0)
    x = rng.gamma(2.0, 1.0, (100, 1))
    noise = rng.normal(size=(100, 300))
    basis = np.linalg.qr(np.hstack([np.ones((100, 1)), x]))[0]
    Y = noise - basis @ (basis.T @ noise) + (x - x.mean()) * np.geomspace(1e-9, 1e-3, 300)
    encoder = SparseVoxelEncoder(alphas=4).fit(x, Y)  # warnings are errors: every voxel converged on every fold
    largest = np.abs((x - x.mean()).T @ (Y - Y.mean(axis=0)))[0] / (100 * Y.std(axis=0))
    np.testing.assert_allclose(encoder.alphas_[:, 0], largest, rtol=1e-6, atol=1e-14)


def test_one_alpha_needs_no_folds():
    X, Y = problem()
    encoder = SparseVoxelEncoder(0.1, cv=1000).fit(X, Y)
    assert not hasattr(encoder, "cv_mse_path_")
    np.testing.assert_array_equal(encoder.alpha_, 0.1)


def test_the_one_standard_error_rule_takes_the_largest_alpha_that_is_no_worse():
    X, Y = problem(noise=0.3)
    least = SparseVoxelEncoder(early_stopping=False).fit(X, Y)
    sparser = SparseVoxelEncoder(selection="1se").fit(X, Y)
    for voxel in range(Y.shape[1]):
        errors = least.cv_mse_path_[voxel]
        best = errors.mean(axis=1).argmin()
        bound = errors[best].mean() + errors[best].std(ddof=1) / np.sqrt(5)
        expected = least.alphas_[voxel][np.flatnonzero(errors.mean(axis=1) <= bound)[0]]
        assert sparser.alpha_[voxel] == pytest.approx(expected)


def test_forced_features_without_a_refit_are_not_penalised():
    X, Y = problem()
    forced = SparseVoxelEncoder(5.0, forced_features=[3, -1]).fit(X, Y)
    assert forced.coef_[[0]].indices.tolist() == [3, X.shape[1] - 1]
    least_squares = np.linalg.lstsq(np.column_stack([X[:, [3, -1]], np.ones(len(X))]), Y, rcond=None)[0]
    np.testing.assert_allclose(forced.coef_[:, [3, X.shape[1] - 1]].toarray(), least_squares[:2].T)
    np.testing.assert_allclose(forced.intercept_, least_squares[2])


def test_features_are_forced_by_name():
    X, Y = problem()
    frame = pd.DataFrame(X, columns=[f"sae_{j:05d}" for j in range(X.shape[1])])
    named = SparseVoxelEncoder(0.5, forced_features=["sae_00149"], refit="ridge").fit(frame, Y)
    counted = SparseVoxelEncoder(0.5, forced_features=[-1], refit="ridge").fit(X, Y)
    assert (named.coef_ != counted.coef_).nnz == 0
    with pytest.raises(ValueError, match="'surprisal', which is not among the 150 feature names"):
        SparseVoxelEncoder(forced_features=["surprisal"]).fit(frame, Y)
    with pytest.raises(ValueError, match="'surprisal', but X has no feature names"):
        SparseVoxelEncoder(forced_features=["surprisal"]).fit(X, Y)
    with pytest.raises(ValueError, match="indices of the 150 features, got 150"):
        SparseVoxelEncoder(forced_features=[150]).fit(X, Y)


def test_a_shift_and_a_scale_of_the_targets_move_only_intercept_and_scale():
    X, Y = problem()
    plain = SparseVoxelEncoder(refit="ridge").fit(X, Y)
    moved = SparseVoxelEncoder(refit="ridge").fit(X, 10 * Y + 100)
    np.testing.assert_allclose(moved.coef_.toarray(), 10 * plain.coef_.toarray(), rtol=1e-8)
    np.testing.assert_allclose(moved.predict(X), 10 * plain.predict(X) + 100)


def test_without_an_intercept_a_zero_row_is_predicted_as_zero():
    X, Y = problem()
    encoder = SparseVoxelEncoder(fit_intercept=False).fit(X, Y)
    np.testing.assert_array_equal(encoder.predict(np.zeros((1, X.shape[1]))), 0.0)


def test_one_target_gives_one_dimension_and_sparse_weights_of_one_row():
    X, Y = problem()
    encoder = SparseVoxelEncoder().fit(X, Y[:, 0])
    assert encoder.predict(X).shape == (len(X),)
    assert isinstance(encoder.coef_, sparse.csr_array)
    assert encoder.coef_.shape == (1, X.shape[1])


def test_score_is_the_mean_r2_and_voxel_scores_are_pearson():
    X, Y = problem()
    encoder = SparseVoxelEncoder().fit(X, Y)
    predictions = encoder.predict(X)
    assert encoder.score(X, Y) == pytest.approx(r2_score(Y, predictions))
    constant = np.ptp(predictions, axis=0) == 0  # a voxel without weights scores zero
    expected = [0 if constant[v] else np.corrcoef(Y[:, v], predictions[:, v])[0, 1] for v in range(5)]
    np.testing.assert_allclose(encoder.voxel_scores(X, Y)[:5], expected, atol=1e-12)
    with pytest.raises(ValueError, match="metric must be a callable or one of"):
        encoder.voxel_scores(X, Y, metric="spearman")


def test_constant_voxels_and_voxels_outside_the_mask_do_not_stop_the_others():
    X, Y = problem()
    expected = SparseVoxelEncoder().fit(X, Y)
    spoiled = np.column_stack([np.full(len(Y), np.nan), Y, np.full(len(Y), 7.0)])
    with pytest.warns(UserWarning, match="Of 8 voxels, 1 are constant and 1 are NaN"):
        encoder = SparseVoxelEncoder().fit(X, spoiled)
    np.testing.assert_array_equal(encoder.coef_.toarray()[1:-1], expected.coef_.toarray())
    assert encoder.coef_[[0, 7]].nnz == 0
    predictions = encoder.predict(X)
    assert np.isnan(predictions[:, 0]).all()
    np.testing.assert_array_equal(predictions[:, -1], 7.0)
    assert encoder.score(X, spoiled) == pytest.approx(expected.score(X, Y))


def test_a_brain_of_constant_voxels_is_fitted():
    X, Y = problem()
    with pytest.warns(UserWarning, match="Of 6 voxels, 6 are constant"):
        encoder = SparseVoxelEncoder(refit="ridge").fit(X, np.ones_like(Y))
    np.testing.assert_array_equal(encoder.predict(X), 1.0)


def test_a_voxel_with_some_nan_is_an_error_that_names_the_sample():
    X, Y = problem()
    Y[11, 2] = Y[12, 2] = Y[30, 4] = np.nan
    with pytest.raises(ValueError, match=r"some samples of 2 voxels \(3 values\), the first in sample 11, voxel 2"):
        SparseVoxelEncoder().fit(X, Y)
    with pytest.raises(ValueError, match="all 6 voxels are NaN in every sample"):
        SparseVoxelEncoder().fit(X, np.full_like(Y, np.nan))


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"penalty_factor": [1.0]}, "each of the 150 features, got shape"),
        ({"penalty_factor": -np.ones(150)}, "with minimum -1.0"),
        ({"alphas": [0.1, 0.0]}, "alphas must be positive"),
        ({"alphas": 1}, r"all weights are zero\. Set alphas=1\.0 or \[1\.0\] for the penalty 1"),
        ({"refit": "ridge", "refit_alphas": [-1.0]}, "refit_alphas must be positive"),
        ({"cv": [([0, 0, 1], [2])]}, "Fold 0 of cv has 3 training rows"),
    ],
)
def test_bad_parameters_are_explained(options, message):
    X, Y = problem()
    with pytest.raises(ValueError, match=message):
        SparseVoxelEncoder(**options).fit(X, Y)


def test_numbers_of_texts_and_rows_that_differ_are_both_named():
    X, Y = problem()
    with pytest.raises(ValueError, match=r"X has 80 samples \(texts\) but y has 79 rows"):
        SparseVoxelEncoder().fit(X, Y[1:])


def test_sparse_features_stay_sparse_and_unchanged():
    X, Y = problem()
    X = sparse.csr_array(X)
    before = X.copy()
    encoder = SparseVoxelEncoder(refit="ridge").fit(X, Y)
    assert abs(X - before).max() == 0.0
    np.testing.assert_allclose(encoder.predict(X), encoder.predict(X.toarray()))


def test_a_fit_leaves_nothing_behind_in_parameters_or_targets():
    X, Y = problem()
    before = Y.copy()
    encoder = SparseVoxelEncoder(np.logspace(-2, 0, 5), forced_features=[-1])
    parameters = clone(encoder).get_params()
    encoder.fit(X, Y)
    np.testing.assert_array_equal(Y, before)
    for name, value in encoder.get_params().items():
        np.testing.assert_array_equal(value, parameters[name])


@pytest.mark.parametrize("block_size", [1, 5, "auto"])
def test_the_size_of_a_block_does_not_matter(block_size):
    X, Y = problem()
    expected = SparseVoxelEncoder(block_size=2).fit(X, Y)
    found = SparseVoxelEncoder(block_size=block_size).fit(X, Y)
    np.testing.assert_allclose(found.coef_.toarray(), expected.coef_.toarray(), atol=1e-12)


def test_a_fit_resumes_from_the_blocks_that_were_finished(tmp_path, monkeypatch):
    X, Y = problem()
    expected = SparseVoxelEncoder(refit="ridge").fit(X, Y)
    encoder = SparseVoxelEncoder(refit="ridge", block_size=2, memory=str(tmp_path))
    solved, solve_block = [], cross_validation.solve_block

    def interrupted(task, targets, n_threads):
        if len(solved) == 2:
            raise KeyboardInterrupt
        solved.append(len(targets))
        return solve_block(task, targets, n_threads)

    monkeypatch.setattr(cross_validation, "solve_block", interrupted)
    with pytest.raises(KeyboardInterrupt):
        encoder.fit(X, Y)
    solved[:] = [0]  # one more block may be solved, and one is all that is left
    encoder.fit(X, Y)
    assert solved == [0, 2]
    np.testing.assert_allclose(encoder.coef_.toarray(), expected.coef_.toarray(), atol=1e-12)


def test_progress_is_one_line_that_counts_voxels(capsys):
    X, Y = problem()
    SparseVoxelEncoder(0.1, block_size=1, verbose=1).fit(X, Y)
    *before, line = capsys.readouterr().err.splitlines()
    assert before in ([], ["compiling, about 20 s: once after an installation"])  # the latter where no fit came before
    assert line.startswith("6 voxels in ")


def test_early_stopping_leaves_out_the_end_of_the_path_alone():
    X, Y = problem(noise=3.0)
    whole = SparseVoxelEncoder(early_stopping=False).fit(X, Y)
    short = SparseVoxelEncoder().fit(X, Y)
    assert not np.isnan(whole.cv_mse_path_).any()
    reached = ~np.isnan(short.cv_mse_path_)
    assert 0.2 < reached.mean() < 0.9
    np.testing.assert_allclose(short.cv_mse_path_[reached], whole.cv_mse_path_[reached])
    np.testing.assert_array_equal(short.alpha_[:5], whole.alpha_[:5])


def test_penalties_that_are_given_are_all_solved_unless_asked_otherwise():
    X, Y = problem(noise=3.0)
    penalties = np.geomspace(1.0, 0.01, 30)
    assert not np.isnan(SparseVoxelEncoder(penalties).fit(X, Y).cv_mse_path_).any()
    assert np.isnan(SparseVoxelEncoder(penalties, early_stopping=True).fit(X, Y).cv_mse_path_).any()


@pytest.mark.parametrize(
    "settings", [{}, {"l1_ratio": 0.5}, {"positive": True}, {"cv": 10}, {"selection": "1se"}], ids=str
)
def test_stopping_early_changes_no_penalty_of_voxels_with_signal_or_without(settings):
    rng = np.random.default_rng(7)
    X = rng.gamma(2.0, 1.0, (120, 400)) * (rng.random((120, 400)) < rng.choice([0.05, 0.3], 400))
    signal = X[:, :40] @ (rng.normal(size=(40, 30)) * (rng.random((40, 30)) < rng.uniform(0.0, 0.5, 30)))
    Y = signal + rng.uniform(0.3, 6.0, 30) * rng.normal(size=(120, 30))
    whole = SparseVoxelEncoder(early_stopping=False, **settings).fit(X, Y)
    short = SparseVoxelEncoder(**settings).fit(X, Y)
    assert np.isnan(short.cv_mse_path_).mean() > 0.2
    np.testing.assert_allclose(short.alpha_, whole.alpha_)
    np.testing.assert_allclose(short.coef_.toarray(), whole.coef_.toarray(), atol=1e-10)


def test_a_path_that_was_cut_off_warns_and_counts():
    X, Y = problem()
    with pytest.warns(
        ConvergenceWarning, match=r"6 of 6 voxels did not converge: the largest duality gap is .* \(voxel"
    ):
        SparseVoxelEncoder(max_iter=3).fit(X, Y)


@pytest.mark.parametrize("early_stopping", [False, True])
def test_a_path_given_up_on_one_fold_warns_even_if_its_gap_is_small(early_stopping):
    errors = np.ones((2, 3, 5))
    errors[1, 2, 4] = np.nan
    solution = SimpleNamespace(worst_gaps=np.array([0.0, 1e-9]), errors=errors, alphas=np.ones((2, 3)))
    targets = SimpleNamespace(values=np.ones((2, 4)), voxels=np.arange(2))
    task = SimpleNamespace(alphas=np.ones(3), penalty=SimpleNamespace(tol=1e-4), stop_early=early_stopping)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        warn_of_gaps(solution, targets, task, 10, stacklevel=1)
    messages = [str(one.message) for one in caught]
    if early_stopping:  # which leaves out errors by itself
        assert messages == []
    else:
        assert len(messages) == 1
        assert messages[0].startswith("1 of 2 voxels did not converge")


def test_a_fit_changes_no_thread_setting():
    X, Y = problem()
    before = [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()]
    SparseVoxelEncoder().fit(X, Y)
    assert [(pool["filepath"], pool["num_threads"]) for pool in threadpool_info()] == before


def test_paths_on_which_the_active_set_nears_the_rank_of_the_data_are_followed_to_their_end():
    rng = np.random.default_rng(1)
    n_samples, n_features = 100, 2000
    X = rng.gamma(2.0, size=(n_samples, n_features))
    X *= rng.random((n_samples, n_features)) < 15.0 / np.arange(15, n_features + 15)
    X *= rng.gamma(2.0, size=n_features)
    y = rng.normal(size=(n_samples, 300))[:, 143]
    encoder = SparseVoxelEncoder(8, cv=3, early_stopping=False, standardize_targets=False)
    encoder.fit(sparse.csc_array(X), y)
    reference = LassoCV(alphas=encoder.alphas_[0], cv=3, **EXACT).fit(X, y)
    np.testing.assert_allclose(encoder.cv_mse_path_[0], reference.mse_path_, rtol=1e-5)
