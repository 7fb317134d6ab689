"""Equal samples in training and test are noticed, counted and can be grouped."""

import warnings

import numpy as np
import pandas as pd
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold
from story_cases import make_run

from sklearn_sae_encoding import BandedRidgeEncoder, SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, group_repeats, permutation_test_voxel_scores
from sklearn_sae_encoding.timing import RunwiseRegressor, WordsToScans

RNG = np.random.default_rng(0)
STIMULI = RNG.normal(size=(20, 3))
TEXTS = [f"Sentence {i}." for i in range(20)]
STIMULUS, RUN = np.tile(np.arange(20), 3), np.repeat([1, 2, 3], 20)  # every stimulus in each of three runs
X = STIMULI[STIMULUS]
Y = RNG.normal(size=(60, 2))


class Length:
    """A Ridge on the lengths of texts, whatever holds them."""

    def get_params(self, deep=True):
        return {}

    def __sklearn_clone__(self):
        return Length()

    def fit(self, X, y):
        self.ridge = Ridge().fit(self._lengths(X), y)
        return self

    def predict(self, X):
        return self.ridge.predict(self._lengths(X))

    def _lengths(self, X):
        return [[len(text)] for text in np.ravel(X)]


@pytest.mark.parametrize(
    "as_given",
    [np.asarray, sparse.csr_array, sparse.csc_array, pd.DataFrame, lambda X: X.tolist(), lambda X: X.astype("f4")],
)
def test_repeats_that_stand_on_both_sides_of_a_fold_are_counted_in_one_warning(as_given):
    with pytest.warns(UserWarning, match="60 of 60 samples are tested though an equal one .* such as 0 and 20") as seen:
        cross_val_voxel_scores({"a": Ridge(), "b": Ridge(2.0)}, as_given(X), Y, cv=GroupKFold(3), groups=RUN)
    assert len(seen) == 1
    assert seen[0].filename == __file__


@pytest.mark.parametrize("as_given", [list, np.array, pd.Series, lambda texts: pd.DataFrame({"text": texts}), tuple])
def test_equal_texts_are_equal_whatever_holds_them(as_given):
    texts = [TEXTS[i] for i in STIMULUS]
    with pytest.warns(UserWarning, match="60 of 60 samples .* such as 0 and 20"):
        cross_val_voxel_scores(Length(), as_given(texts), Y, cv=3)


@pytest.mark.parametrize("shift", [0.0, 1e6])
@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array, pd.DataFrame, lambda X: X.tolist()])
def test_rows_that_differ_by_rounding_alone_are_equal_and_those_that_differ_by_more_are_not(as_given, shift):
    far = X * [1.0, 1e-6, 1e5] + [shift, 0.0, 0.0]
    noise = np.random.default_rng(1).uniform(-1, 1, X.shape) * far.std(axis=0)
    with pytest.warns(UserWarning, match="60 of 60 samples .* such as 0 and 20"):
        cross_val_voxel_scores(Ridge(), as_given(far + 1e-6 * noise), Y, cv=GroupKFold(3), groups=RUN)
    assert np.array_equal(group_repeats(as_given(far + 1e-6 * noise)), STIMULUS)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cross_val_voxel_scores(Ridge(), as_given(far + 1e-3 * noise), Y, cv=GroupKFold(3), groups=RUN)


@pytest.mark.parametrize("beside", ["nothing", "a condition", "a standardised condition"])
def test_samples_of_one_continuous_feature_are_not_equal_by_chance(beside):
    rng = np.random.default_rng(2)
    condition = rng.integers(0, 2, size=(3000, 1))
    others = {"nothing": condition[:, :0], "a condition": condition, "a standardised condition": condition / 0.7 - 0.7}
    many = np.hstack([rng.normal(size=(3000, 1)), others[beside]])
    assert len(np.unique(group_repeats(many))) == 3000
    assert len(np.unique(group_repeats(np.repeat(many, 2, axis=0)))) == 3000


@pytest.mark.parametrize("absent", [np.nan, np.inf])
def test_equal_rows_with_absent_values_are_equal(absent):
    some = X.copy()
    some[STIMULUS == 3, 1] = absent
    np.testing.assert_array_equal(group_repeats(some), STIMULUS)
    np.testing.assert_array_equal(group_repeats(sparse.csr_array(some)), STIMULUS)


def test_only_samples_that_leak_are_counted():
    changed = X.copy()
    changed[1:55] = RNG.normal(size=(54, 3))  # 0 has no equal now; 57 equals nothing
    changed[56] = changed[3]
    with pytest.warns(UserWarning, match="2 of 60 samples are tested .* such as 3 and 56"):
        cross_val_voxel_scores(Ridge(), changed, Y, cv=3)


def test_folds_without_repeats_across_and_rows_of_nothing_are_quiet():
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cross_val_voxel_scores(Ridge(), X, Y, cv=GroupKFold(4), groups=STIMULUS)
        cross_val_voxel_scores(Ridge(), X, Y, cv=GroupKFold(4), groups=group_repeats(X))
        cross_val_voxel_scores(Ridge(), RNG.normal(size=(60, 3)), Y, cv=KFold(5))
        cross_val_voxel_scores(Ridge(), np.zeros((60, 3)), Y, cv=KFold(5))
        cross_val_voxel_scores(Ridge(), sparse.csr_array((60, 3)), Y, cv=KFold(5))
        cross_val_voxel_scores(Ridge(), STIMULI, Y[:20], cv=[(np.arange(20) < 10, np.arange(20) >= 10)])


def test_a_permutation_test_warns_once_however_often_it_refits():
    with pytest.warns(UserWarning, match="60 of 60 samples") as seen:
        permutation_test_voxel_scores(Ridge(), X, Y, n_permutations=5, cv=KFold(3), random_state=0)
    assert len(seen) == 1


def test_noise_scores_high_through_repeats_and_not_through_their_groups():
    """The fault itself: responses that repeat with the stimulus and have nothing to do with the features."""
    noise = np.random.default_rng(1).normal(size=(20, 200))[STIMULUS]
    wide = np.random.default_rng(2).normal(size=(20, 50))[STIMULUS]
    with pytest.warns(UserWarning, match="60 of 60"):
        by_run = cross_val_voxel_scores(Ridge(), wide, noise, cv=GroupKFold(3), groups=RUN).scores.mean()
    by_stimulus = cross_val_voxel_scores(Ridge(), wide, noise, cv=GroupKFold(4), groups=group_repeats(wide)).scores
    assert by_run > 0.8
    assert abs(by_stimulus.mean()) < 0.1


@pytest.mark.parametrize("encoder", [SparseVoxelEncoder(alphas=8), BandedRidgeEncoder(alphas=8)])
@pytest.mark.parametrize("as_given", [np.asarray, sparse.csr_array, sparse.csc_array, np.asfortranarray, np.float32])
def test_repeats_inside_a_fit_choose_too_small_a_penalty_and_are_counted_in_one_warning(encoder, as_given):
    noise = np.random.default_rng(1).normal(size=(20, 30))[STIMULUS]
    wide = as_given(np.random.default_rng(2).normal(size=(20, 50))[STIMULUS])
    with pytest.warns(UserWarning, match="60 of 60 samples are held out inside the fit") as seen:
        by_row = clone(encoder).fit(wide, noise)
    assert sum("inside the fit" in str(one.message) for one in seen) == 1
    assert {one.filename for one in seen} == {__file__}
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        grouped = clone(encoder).set_params(cv=GroupKFold(4)).fit(wide, noise, groups=group_repeats(wide))
        clone(encoder).fit(np.random.default_rng(3).normal(size=(60, 50)), noise)
        clone(encoder).set_params(cv=GroupKFold(4)).fit(X, noise, groups=STIMULUS)
    assert np.ptp(by_row.predict(wide), axis=0).mean() > 3 * np.ptp(grouped.predict(wide), axis=0).mean()


def test_repeats_inside_the_folds_of_a_cross_validation_are_told_of_once():
    wide = np.random.default_rng(2).normal(size=(20, 50))[STIMULUS]
    with pytest.warns(UserWarning, match="In 4 fits up to 45 of 45 samples are held out inside the fit") as seen:
        cross_val_voxel_scores(SparseVoxelEncoder(alphas=8), wide, Y, cv=GroupKFold(4), groups=STIMULUS)
    assert sum("inside the fit" in str(one.message) for one in seen) == 1


@pytest.mark.parametrize("n_features", [19, 20])
def test_repeats_of_fewer_features_than_stimuli_can_not_be_remembered(n_features):
    few = np.random.default_rng(2).normal(size=(20, n_features))[STIMULUS]
    noise = np.random.default_rng(1).normal(size=(60, 5))
    with warnings.catch_warnings(record=True) as seen:
        warnings.simplefilter("always")
        SparseVoxelEncoder(alphas=8).fit(few, noise)
    assert any("inside the fit" in str(one.message) for one in seen) == (n_features == 20)


def test_groups_hold_all_repeats_and_all_of_a_run_and_no_more():
    texts = ["a", "b", "a", "c", "d", "c", "e"]
    runs = [1, 1, 2, 3, 3, 4, 5]
    assert group_repeats(texts).tolist() == [0, 1, 0, 2, 3, 2, 4]
    assert group_repeats(texts, runs).tolist() == [0, 0, 0, 1, 1, 1, 2]
    assert group_repeats(np.zeros((3, 2))).tolist() == [0, 1, 2]
    with pytest.raises(ValueError, match=r"Repeats join all samples into one group.*average_repeats"):
        group_repeats(X, RUN)
    with pytest.raises(ValueError, match="one label a sample, 60, got 3"):
        group_repeats(X, [1, 2, 3])


def test_parts_of_a_recording_are_no_repeats_of_each_other_but_the_same_part_heard_twice_is():
    runs = make_run(n_scans=40).cut(4)
    rng = np.random.default_rng(0)
    responses = [rng.normal(size=(10, 2)) for _ in range(8)]
    model = RunwiseRegressor(WordsToScans(["rate", "letters"]), Ridge(), delays=(0, 1))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        cross_val_voxel_scores(model, runs, responses[:4], cv=4)
    again = make_run(n_scans=40).cut(4, recording="another listener")
    with pytest.warns(UserWarning, match="8 of 8 samples .* such as 0 and 4"):
        cross_val_voxel_scores(model, runs + again, responses, cv=2)
    assert group_repeats(runs + again).tolist() == [0, 1, 2, 3, 0, 1, 2, 3]
