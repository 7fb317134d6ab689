"""A sample is a run: rows are made inside runs, folds are whole runs, nothing crosses."""

import himalaya.kernel_ridge
import himalaya.ridge
import numpy as np
import pytest
from scipy import sparse
from sklearn.base import BaseEstimator, TransformerMixin, clone
from sklearn.linear_model import LinearRegression, Ridge, RidgeCV
from sklearn.model_selection import (
    GridSearchCV,
    GroupKFold,
    KFold,
    LeaveOneGroupOut,
    LeaveOneOut,
    cross_val_score,
)
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils.estimator_checks import parametrize_with_checks
from story_cases import make_run, noisy_runs
from timing.test_delays import MIXES_ROWS

from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, make_voxel_scorer, voxelwise_pearson
from sklearn_sae_encoding.timing import BandUnion, RunwiseRegressor, WordsToScans
from sklearn_sae_encoding.timing._delays import shifted

DELAYS = (1, 2, 3)


@parametrize_with_checks(
    [RunwiseRegressor(None, Ridge()), RunwiseRegressor(None, Ridge(), delays=(0, 1))],
    expected_failed_checks=lambda model: MIXES_ROWS if model.delays else {},
)
def test_on_arrays_the_regressor_keeps_scikit_learns_conventions(estimator, check):
    check(estimator)


class Recorder(BaseEstimator):
    """A regressor that keeps the rows it is given."""

    def __init__(self, cv=5):
        self.cv = cv

    def fit(self, X, y):
        self.X_, self.y_ = X, y
        return self

    def predict(self, X):
        return np.asarray(X[:, :1])


class Known(TransformerMixin, BaseEstimator):
    """Features at scans that are known beforehand, a number a scan of the run."""

    def fit(self, X, y=None):
        self.n_seen_ = len(X)
        return self

    def transform(self, X):
        self.n_made_ = getattr(self, "n_made_", 0) + len(X)
        return [np.arange(run.n_scans, dtype=float)[:, None] for run in X]


def test_the_fit_equals_ridge_on_rows_that_were_delayed_by_hand():
    X, y = noisy_runs()
    model = RunwiseRegressor(None, Ridge(), delays=DELAYS).fit(X, y)
    rows = []
    for run in X:
        padded = np.vstack([np.zeros((3, 3)), run])
        rows.append(np.hstack([padded[3 - d : len(padded) - d] for d in DELAYS]))
    by_hand = Ridge().fit(np.vstack(rows), np.vstack(y))
    np.testing.assert_allclose(model.regressor_.coef_, by_hand.coef_, atol=1e-10)
    for predicted, part in zip(model.predict(X), rows, strict=True):
        np.testing.assert_allclose(predicted, by_hand.predict(part), atol=1e-10)


@pytest.mark.parametrize(
    ("layout", "regressor"),
    [(np.asarray, Ridge()), (sparse.csr_array, BandedRidgeEncoder(cv=3, alphas=5, form="kernel"))],
)
def test_a_model_scaled_by_run_is_that_of_runs_scaled_before(layout, regressor):
    X, y = noisy_runs()
    X = [run * (1.0 + 5 * i) for i, run in enumerate(X)]
    scaled = [run / run.std(axis=0) for run in X]
    inside = RunwiseRegressor(None, regressor, delays=DELAYS, scale="runs").fit([layout(run) for run in X], y)
    before = RunwiseRegressor(None, regressor, delays=DELAYS).fit(scaled, y)
    for one, other in zip(inside.predict(X[:2]), before.predict(scaled[:2]), strict=True):
        np.testing.assert_allclose(one, other, rtol=1e-6, atol=1e-8)


def test_a_planted_lag_is_found():
    X, y = noisy_runs(delay=2)
    model = RunwiseRegressor(None, LinearRegression(), delays=(0, 1, 2, 3)).fit(X, y)
    best = model.design_.iloc[np.abs(model.regressor_.coef_[0]).argmax()]
    assert (best["feature"], best["delay"]) == ("x0", 2)


def test_poison_in_one_run_leaves_the_rows_of_the_others_as_they_are_to_the_bit():
    X, y = noisy_runs()
    before = RunwiseRegressor(None, Recorder(), delays=DELAYS).fit(X, y).regressor_
    X[1], y[1] = np.full_like(X[1], 1e200), np.full_like(y[1], -1e200)
    after = RunwiseRegressor(None, Recorder(), delays=DELAYS).fit(X, y).regressor_
    others = np.r_[:80, 160:320]
    np.testing.assert_array_equal(before.X_[others], after.X_[others])
    np.testing.assert_array_equal(before.y_[others], after.y_[others])


def test_features_are_delayed_on_all_scans_then_cut_to_those_of_the_responses():
    kept = np.ones(30, dtype=bool)
    kept[12] = False
    run = make_run(n_scans=30, scans=slice(10, -5), kept=kept)
    model = RunwiseRegressor(Known(), Recorder(), delays=(2,)).fit([run], [np.zeros((run.n_rows, 1))])
    np.testing.assert_array_equal(model.regressor_.X_[:, 0], run.rows - 2)
    assert model.predict([run])[0].shape == (14, 1)


def test_parts_of_a_recording_give_the_rows_of_the_whole_and_their_features_are_made_once():
    run = make_run(n_scans=40)
    whole = RunwiseRegressor(Known(), Recorder(), delays=(1, 4)).fit([run], [np.zeros((40, 1))])
    parts = run.cut(4)
    cut = RunwiseRegressor(Known(), Recorder(), delays=(1, 4)).fit(parts, [np.zeros((10, 1))] * 4)
    np.testing.assert_array_equal(cut.regressor_.X_, whole.regressor_.X_)
    assert cut.features_.n_seen_ == cut.features_.n_made_ == 1


def test_the_gap_beside_a_held_out_part_leaves_training_but_not_scoring():
    parts = make_run(n_scans=40, story="alice").cut(4, gap=3)
    responses = [np.zeros((10, 1))] * 4
    model = RunwiseRegressor(Known(), Recorder()).fit([parts[i] for i in (0, 2, 3)], [responses[i] for i in (0, 2, 3)])
    trained = model.regressor_.X_[:, 0].astype(int).tolist()
    assert trained == [*range(0, 7), *range(23, 40)]  # of scans 10 to 19 none, and three on each side
    assert len(model.predict([parts[1]])[0]) == 10
    everything = RunwiseRegressor(Known(), Recorder()).fit(parts, responses)
    assert len(everything.regressor_.X_) == 40
    wider = clone(model).set_params(gap=4, regressor__cv=2).fit(parts[:2], responses[:2])
    assert wider.regressor_.X_[:, 0].astype(int).tolist() == list(range(16))


def test_parts_of_two_recordings_under_one_name_are_refused_and_with_names_have_their_own_gaps():
    first, second = make_run(n_scans=40), make_run(n_scans=60, onset=3.0)
    model = RunwiseRegressor(WordsToScans("rate"), Ridge())
    for runs in (first.cut(2, gap=4) + second.cut(2, gap=4), first.cut(2) * 2):
        with pytest.raises(ValueError, match=r"Parts of more than one recording are called 'recording': scans 0 to 19"):
            model.fit(runs, [np.zeros((run.n_rows, 1)) for run in runs])
    named = [part for name, run in (("p1", first), ("p2", first)) for part in run.cut(2, gap=4, recording=name)]
    rng = np.random.default_rng(0)
    model.fit(named[1:], [rng.normal(size=(20, 1)) for _ in range(3)])  # the first part of p1 is held out
    assert model.trained_rows_.tolist() == [False] * 4 + [True] * 56


def test_an_integer_cv_inside_means_folds_of_whole_runs():
    X, y = noisy_runs(n_runs=6, n_scans=30)
    folds = RunwiseRegressor(None, Recorder(cv=3)).fit(X, y).regressor_.cv
    run_of_row = np.repeat(np.arange(6), 30)
    assert [np.unique(run_of_row[test]).tolist() for _, test in folds] == [[0, 1], [2, 3], [4, 5]]
    assert all(len(np.intersect1d(run_of_row[train], run_of_row[test])) == 0 for train, test in folds)
    assert len(RunwiseRegressor(None, Recorder(cv=9)).fit(X, y).regressor_.cv) == 6  # no more folds than runs


def test_one_run_is_cut_inside_into_blocks_with_a_gap():
    X, y = noisy_runs(n_runs=1, n_scans=50)
    folds = RunwiseRegressor(None, Recorder(), delays=(1, 4)).fit(X, y).regressor_.cv
    assert [(test[0], test[-1]) for _, test in folds] == [(0, 9), (10, 19), (20, 29), (30, 39), (40, 49)]
    train, _ = folds[1]
    assert train.tolist() == [*range(0, 7), *range(23, 50)]  # the delays reach over three scans


def test_folds_inside_leave_the_gap_between_neighbouring_parts():
    parts = make_run(n_scans=40).cut(4, gap=2)
    folds = RunwiseRegressor(Known(), Recorder(cv=4)).fit(parts, [np.zeros((10, 1))] * 4).regressor_.cv
    train, test = folds[1]
    assert test.tolist() == list(range(10, 20))
    assert train.tolist() == [*range(0, 8), *range(22, 40)]


@pytest.mark.parametrize("regressor", [himalaya.ridge.RidgeCV, himalaya.kernel_ridge.KernelRidgeCV])
def test_himalayas_regressors_choose_on_whole_runs_as_on_rows_delayed_by_hand(regressor):
    X, y = noisy_runs(n_runs=4, noise=2.0)
    model = RunwiseRegressor(None, regressor(alphas=[0.1, 10.0, 1000.0]), delays=DELAYS).fit(X, y)
    rows = np.concatenate([np.hstack([shifted(run, delay) for delay in DELAYS]) for run in X])
    run = np.repeat(np.arange(4), 80)
    whole = [(np.flatnonzero(run != fold), np.flatnonzero(run == fold)) for fold in range(4)]
    by_hand = regressor(alphas=[0.1, 10.0, 1000.0], cv=whole).fit(rows, np.concatenate(y))
    np.testing.assert_array_equal(model.regressor_.best_alphas_, by_hand.best_alphas_)
    np.testing.assert_allclose(np.concatenate(model.predict(X)), by_hand.predict(rows), rtol=1e-6, atol=1e-9)


def test_a_splitter_inside_gets_the_run_of_each_row_as_groups():
    X, y = noisy_runs(n_runs=3, n_scans=30)
    folds = RunwiseRegressor(None, Recorder(cv=LeaveOneGroupOut())).fit(X, y).regressor_.cv
    assert [test.tolist() for _, test in folds] == [list(range(30 * i, 30 * i + 30)) for i in range(3)]
    with pytest.raises(ValueError, match="can't split the 30 rows of 1 run"):
        RunwiseRegressor(None, Recorder(cv=LeaveOneGroupOut())).fit(X[:1], y[:1])
    with pytest.raises(ValueError, match=r"GroupKFold.*can't split"):
        RunwiseRegressor(None, Recorder(cv=GroupKFold(2))).fit(X[:1], y[:1])


def test_rows_given_as_folds_are_taken_as_they_are():
    X, y = noisy_runs(n_runs=2, n_scans=30)
    own = [(np.arange(30), np.arange(30, 60))]
    assert RunwiseRegressor(None, Recorder(cv=own)).fit(X, y).regressor_.cv is not None
    model = RunwiseRegressor(None, SparseVoxelEncoder(alphas=5, cv=own)).fit(X, y)
    assert model.regressor_.cv_mse_path_.shape[2] == 1


def test_cv_is_found_inside_a_pipeline_and_a_regressor_that_chooses_without_it_is_named():
    X, y = noisy_runs()
    pipeline = make_pipeline(StandardScaler(), SparseVoxelEncoder(alphas=5, cv=2))
    fitted = RunwiseRegressor(None, pipeline, delays=DELAYS).fit(X, y).regressor_
    assert len(fitted[-1].cv) == 2
    assert len(RunwiseRegressor(None, RidgeCV(), delays=DELAYS).fit(X, y).regressor_.cv) == 4
    with pytest.warns(UserWarning, match="RidgeCV with alpha_per_target=True chooses by leaving out single scans"):
        RunwiseRegressor(None, RidgeCV(alpha_per_target=True)).fit(X, y)

    class ChoosesCV(Ridge):
        pass

    with pytest.warns(UserWarning, match="The ChoosesCV has no cv"):
        RunwiseRegressor(None, ChoosesCV()).fit(X, y)


def test_a_search_inside_whose_estimator_has_folds_of_its_own_is_told_to_go_outside(recwarn):
    X, y = noisy_runs()
    inside = GridSearchCV(BandedRidgeEncoder(candidates=2, cv=3), {"scale": [None, "columns"]}, cv=2)
    with pytest.warns(UserWarning, match="Inside the GridSearchCV estimator__cv=3 splits rows, not runs.*around"):
        RunwiseRegressor(None, inside).fit(X, y)
    recwarn.clear()
    RunwiseRegressor(None, GridSearchCV(Ridge(), {"alpha": [1, 10]}, cv=2)).fit(X, y)
    RunwiseRegressor(None, make_pipeline(StandardScaler(), BandedRidgeEncoder(candidates=2, cv=2))).fit(X, y)
    assert not [one for one in recwarn.list if "splits rows" in str(one.message)]


def test_scikit_learns_splitters_scores_and_searches_take_lists():
    X, y = noisy_runs(n_runs=5)
    model = RunwiseRegressor(None, Ridge(), delays=DELAYS)
    scores = cross_val_score(model, X, y, cv=KFold(5))
    np.testing.assert_allclose(scores, cross_val_score(model, X, y, cv=LeaveOneOut()))
    stories = cross_val_score(model, X, y, cv=LeaveOneGroupOut(), groups=["a", "a", "b", "b", "c"])
    assert len(stories) == 3
    search = GridSearchCV(model, {"delays": [(0,), (1,), (2,)], "regressor__alpha": [1.0, 1e6]}, cv=3).fit(X, y)
    assert search.best_params_ == {"delays": (2,), "regressor__alpha": 1.0}
    assert [len(run) for run in search.predict(X[:2])] == [80, 80]
    by_voxel = GridSearchCV(model, {"delays": [(0,), (2,)]}, cv=3, scoring=make_voxel_scorer()).fit(X, y)
    assert by_voxel.best_params_ == {"delays": (2,)}


def test_scores_are_pooled_over_scans_or_by_run():
    X, y = noisy_runs()
    y = [run[: 80 - 10 * i] for i, run in enumerate(y)]
    X = [run[: 80 - 10 * i] for i, run in enumerate(X)]
    model = RunwiseRegressor(None, Ridge(), delays=DELAYS).fit(X[:2], y[:2])
    predicted = model.predict(X[2:])
    np.testing.assert_allclose(
        model.voxel_scores(X[2:], y[2:]), voxelwise_pearson(np.vstack(y[2:]), np.vstack(predicted))
    )
    by_run = model.voxel_scores(X[2:], y[2:], by="run")
    np.testing.assert_allclose(by_run[1], voxelwise_pearson(y[3], predicted[1]))
    residual = np.vstack(y[2:]) - np.vstack(predicted)
    total = np.vstack(y[2:]) - np.vstack(y[2:]).mean(axis=0)
    r2 = 1 - (residual**2).sum(axis=0) / (total**2).sum(axis=0)
    assert model.score(X[2:], y[2:]) == pytest.approx(r2.mean())


def test_an_array_is_one_run_and_one_dimension_is_one_voxel():
    X, y = noisy_runs(n_runs=1)
    model = RunwiseRegressor(None, Ridge(), delays=DELAYS)
    alone = model.fit(X[0], y[0]).predict(X[0])
    np.testing.assert_allclose(alone, model.fit(X, y).predict(X)[0])
    one = model.fit(X, [y[0][:, 0]]).predict(X)[0]
    assert one.shape == (80,)
    np.testing.assert_allclose(one, alone[:, 0])


def test_sparse_runs_reach_the_regressor_sparse():
    X, y = noisy_runs()
    X = [run * (run > 1) for run in X]
    dense = RunwiseRegressor(None, SparseVoxelEncoder(alphas=5), delays=DELAYS).fit(X, y)
    model = RunwiseRegressor(None, SparseVoxelEncoder(alphas=5), delays=DELAYS).fit(list(map(sparse.csr_array, X)), y)
    np.testing.assert_allclose(model.regressor_.coef_.toarray(), dense.regressor_.coef_.toarray(), atol=1e-6)


def test_a_voxel_absent_in_all_runs_is_left_out_and_one_absent_in_some_is_an_error():
    X, y = noisy_runs()
    whole = RunwiseRegressor(None, Ridge(), delays=DELAYS).fit(X, y).predict(X)[0]
    gaps = [np.column_stack([np.full(80, np.nan), run]) for run in y]
    model = RunwiseRegressor(None, Ridge(), delays=DELAYS).fit(X, gaps)
    assert model.absent_.tolist() == [True, False, False]
    np.testing.assert_allclose(model.predict(X)[0][:, 1:], whole)
    assert np.isnan(model.predict(X)[0][:, 0]).all()
    assert model.score(X, gaps) == pytest.approx(RunwiseRegressor(None, Ridge(), delays=DELAYS).fit(X, y).score(X, y))
    gaps[2][:, 2] = np.nan
    with pytest.raises(ValueError, match=r"1 voxel\(s\) are absent.*voxel 2, absent in run\(s\) 2"):
        model.fit(X, gaps)


def _swap(X, y):
    return [np.zeros((40, 1))], [make_run(n_scans=40)]


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (_swap, "X and y are swapped"),
        (lambda X, y: (X, y[:-1]), "X holds 4 runs, but y holds the responses to 3"),
        (lambda X, y: (X, [*y[:3], y[3][:-1]]), "responses to run 3 have 79 rows, but the run has 80"),
        (lambda X, y: (X, [*y[:3], y[3][:, :1]]), "run 3 has 1 and run 0 has 2"),
        (lambda X, y: (X, [*y[:3], np.where(np.arange(80)[:, None] == 5, np.nan, y[3])]), "run 3.*first in scan 5"),
        (lambda X, y: ([*X[:3], X[3][:, :2]], y), "Run 3 has 2 columns, expected 3"),
        (lambda X, y: ([*X[:3], np.where(np.arange(80)[:, None] == 5, np.nan, X[3])], y), "features of run 3.*scan 5"),
        (lambda X, y: ([*X[:3], X[3][:3]], [*y[:3], y[3][:3]]), "Run 3 has 3 scans, but there are delays of up to 3"),
        (lambda X, y: (X, np.stack(y)), "y must be a list with one array a run"),
        (lambda X, y: ([make_run()], [np.zeros((20, 1))]), "features=None takes arrays"),
        (lambda X, y: (make_run(), np.zeros((20, 1))), "got a single StoryRun: give .run."),
    ],
)
def test_bad_runs_say_what_is_wrong(change, message):
    X, y = change(*noisy_runs())
    with pytest.raises(ValueError, match=message):
        RunwiseRegressor(None, Ridge(), delays=DELAYS).fit(X, y)


def test_features_of_runs_want_runs():
    X, y = noisy_runs()
    with pytest.raises(
        ValueError, match="X must be a list of StoryRuns, of which features are made, got a list of nda"
    ):
        RunwiseRegressor(Known(), Ridge()).fit(X, y)
    with pytest.raises(ValueError, match=r"features must be a transformer of runs, .*, got 'rate'"):
        RunwiseRegressor("rate", Ridge()).fit([make_run()], [np.zeros((20, 1))])


def test_runs_that_were_not_cleaned_each_alone_are_warned_of(recwarn):
    X, y = noisy_runs()
    RunwiseRegressor(None, Ridge(), delays=DELAYS).fit(X, [run + 0.3 * i for i, run in enumerate(y)])
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"In 100% of the voxels the means of the 4 runs lie further apart.*clean"):
        RunwiseRegressor(None, Ridge(), delays=DELAYS).fit(X, [run + 100 * i for i, run in enumerate(y)])


def test_bands_of_a_union_reach_delays_and_the_regressor():
    class Banded(Recorder):
        def __init__(self, cv=5, bands=None):
            super().__init__(cv)
            self.bands = bands

    union = BandUnion([("rate", WordsToScans("rate", method="hrf")), ("form", WordsToScans(["letters", "duration"]))])
    run = make_run(n_scans=40)
    model = RunwiseRegressor(union, Banded(), delays={"rate": (0,), "form": (2, 3)})
    model.fit([run], [np.zeros((40, 1))])
    assert model.regressor_.bands == {"rate": slice(0, 1), "form": slice(1, 5)}
    assert model.design_["name"].tolist() == [
        "rate",
        "letters_delay2",
        "duration_delay2",
        "letters_delay3",
        "duration_delay3",
    ]
    searched = GridSearchCV(RunwiseRegressor(union, Ridge()), {"features__form__cutoff": [0.1, 0.4]}, cv=2).fit(
        run.cut(4), [np.random.default_rng(0).normal(size=(10, 1)) for _ in range(4)]
    )
    assert set(searched.best_params_) == {"features__form__cutoff"}


def test_bands_of_runs_are_named_by_bands_and_features():
    union = BandUnion([("rate", WordsToScans("rate", method="hrf")), ("form", WordsToScans(["letters", "duration"]))])
    run, y = make_run(n_scans=40), np.random.default_rng(0).normal(size=(40, 2))
    bands = {"size": ["letters"], "time": ["rate", "duration"]}
    model = RunwiseRegressor(union, Ridge(), bands=bands, delays={"size": (1, 2), "time": (0,)}).fit([run], [y])
    assert model.design_["name"].tolist() == ["letters_delay1", "letters_delay2", "rate", "duration"]
    whole = RunwiseRegressor(union, Ridge(), bands={"all": ["form", "rate"]}).fit([run], [y])
    assert whole.design_["feature"].tolist() == ["letters", "duration", "rate"]
    with pytest.raises(
        ValueError, match=r"band 'size' is made of 'height', which is neither a band \(rate, form\) nor a f"
    ):
        RunwiseRegressor(union, Ridge(), bands={"size": "height"}).fit([run], [y])


def test_voxel_scores_count_scans_so_that_a_fold_may_be_one_run():
    X, y = noisy_runs(n_runs=4)
    model = RunwiseRegressor(None, Ridge(), delays=DELAYS)
    result = cross_val_voxel_scores(model, X, y, cv=LeaveOneOut(), return_predictions=True, noise_ceiling=[1.0, 0.5])
    fitted = model.fit(X[1:], y[1:])
    np.testing.assert_allclose(result.fold_scores[0], voxelwise_pearson(y[0], fitted.predict(X[:1])[0]))
    np.testing.assert_allclose(result.predictions[0], fitted.predict(X[:1])[0])
    np.testing.assert_allclose(result.normalized_scores, result.scores / [1.0, 0.5])
    assert np.all(result.scores > 0.8)


def test_voxel_scores_of_runs_leave_out_a_voxel_that_is_absent_in_all():
    X, y = noisy_runs(n_runs=4)
    gaps = [np.column_stack([run, np.full(80, np.nan)]) for run in y]
    model = RunwiseRegressor(None, Ridge(), delays=DELAYS)
    result = cross_val_voxel_scores(model, X, gaps, cv=2)
    np.testing.assert_allclose(result.scores[:2], cross_val_voxel_scores(model, X, y, cv=2).scores)
    assert np.isnan(result.scores[2])
    gaps[1][:, 0] = np.nan
    with pytest.raises(ValueError, match=r"absent .NaN. in some runs but not in all, such as voxel 0"):
        cross_val_voxel_scores(model, X, gaps, cv=2)


def test_voxel_scores_of_noise_with_autocorrelated_responses_are_zero():
    rng = np.random.default_rng(5)
    scores = []
    for _ in range(20):
        noise = rng.normal(size=(6, 130, 5))
        y = [np.apply_along_axis(lambda column: np.convolve(column, np.ones(10), "valid"), 0, run) for run in noise]
        X = [rng.normal(size=(len(run), 4)) for run in y]
        scores.append(cross_val_voxel_scores(RunwiseRegressor(None, Ridge(), delays=DELAYS), X, y, cv=3).scores)
    assert abs(np.mean(scores)) < 3 * np.std(scores) / np.sqrt(np.size(scores)) + 0.01


def test_what_stands_in_the_place_of_lists_labels_and_ceilings_is_named():
    X, y = [make_run(story=f"s{i}") for i in range(3)], [np.random.default_rng(0).normal(size=(20, 2))] * 3
    model = RunwiseRegressor(WordsToScans("rate"), Ridge())
    with pytest.raises(ValueError, match=r"X holds 3 runs: Y must be a list.* got an array of shape \(60, 2\)"):
        cross_val_voxel_scores(model, X, np.concatenate(y), cv=3)
    with pytest.raises(ValueError, match="Give groups=, one label a run, such as its story"):
        cross_val_voxel_scores(model, X, y, cv=LeaveOneGroupOut())
    ceilings = {"mean": np.ones(2), "s18": np.ones(2)}
    with pytest.raises(ValueError, match=r"ceilings of 2 targets \(mean, s18, ...\): give those of the one.*'mean'"):
        cross_val_voxel_scores(model, X, y, cv=3, noise_ceiling=ceilings)


def test_voxel_scores_name_runs_that_are_swapped_too_few_or_unlike():
    runs = make_run(n_scans=40).cut(4)
    y = [np.random.default_rng(0).normal(size=(10, 2)) for _ in runs]
    model = RunwiseRegressor(WordsToScans("rate"), Ridge())
    for X, Y, message in (
        (y, runs, "Y holds StoryRuns: X and Y are swapped"),
        (runs[:1], y[:1], r"LeaveOneOut\(\) can't split 1 run\(s\), as a sample is a run: .*StoryRun.cut"),
        (runs, y[:3], "X holds 4 runs, but Y holds the responses to 3"),
        (runs, [*y[:3], y[3][:, :1]], "All runs need the same voxels, but the responses to run 3"),
        (runs, [*y[:3], y[3][:9]], r"run 3 have 9 rows, but the run has 10 \(after scans= and kept=\)"),
        (runs, [*y[:3], np.where(np.arange(10)[:, None] == 4, np.nan, y[3])], "run 3 hold 2 value.* first in scan 4"),
    ):
        with pytest.raises(ValueError, match=message):
            cross_val_voxel_scores(model, X, Y, cv=LeaveOneOut())


def test_folds_inside_that_shuffle_scans_are_warned_of_and_those_of_whole_runs_are_not(recwarn):
    X, y = noisy_runs(n_runs=4, n_scans=40)
    shuffled = BandedRidgeEncoder(candidates=2, cv=KFold(4, shuffle=True, random_state=0))
    with pytest.warns(UserWarning, match=r"tests \d+ of 160 scans beside a scan that trains"):
        RunwiseRegressor(None, shuffled).fit(X, y)
    recwarn.clear()
    for cv in (2, KFold(4), LeaveOneGroupOut()):
        RunwiseRegressor(None, BandedRidgeEncoder(candidates=2, cv=cv)).fit(X, y)
    assert not [one for one in recwarn if "beside a scan" in str(one.message)]


def test_a_single_run_in_place_of_a_list_is_told_so():
    with pytest.raises(ValueError, match=r"X is a single run. Runs come in a list"):
        cross_val_voxel_scores(RunwiseRegressor(WordsToScans(), Ridge()), make_run(), np.zeros((20, 2)))
