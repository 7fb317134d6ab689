"""Permutation p-values and the false discovery rate: calibrated, and equal to their definitions."""

import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMasker
from sklearn.linear_model import Ridge
from sklearn.model_selection import GroupKFold, KFold, permutation_test_score
from statsmodels.stats.multitest import multipletests

from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import (
    adjust_p_values,
    cross_val_voxel_scores,
    permutation_p_values,
    permutation_test_voxel_scores,
    shuffle_responses,
)

CV = KFold(5, shuffle=True, random_state=19)


def _data(n_voxels, n_related=0, n_samples=100, seed=0):
    rng = np.random.default_rng(seed)
    X, Y = rng.normal(size=(n_samples, 10)), rng.normal(size=(n_samples, n_voxels))
    Y[:, :n_related] += X @ rng.normal(scale=0.3, size=(10, n_related))
    return X, Y


def test_p_values_equal_their_definition():
    rng = np.random.default_rng(0)
    scores, null = rng.normal(size=4), rng.normal(size=(9, 4)).round(1)
    null[2, 1] = scores[1]  # a tie counts against the voxel
    own = [(1 + sum(n >= s for n in null[:, v])) / 10 for v, s in enumerate(scores)]
    np.testing.assert_allclose(permutation_p_values(scores, null), own)
    pooled = [(1 + (null >= s).sum()) / (1 + null.size) for s in scores]
    np.testing.assert_allclose(permutation_p_values(scores, null, pool=True), pooled)
    labels = np.array(["a", "b", "a", "b"])
    grouped = [(1 + (null[:, labels == k] >= s).sum()) / 19 for s, k in zip(scores, labels, strict=True)]
    np.testing.assert_allclose(permutation_p_values(scores, null, pool=labels), grouped)


def test_scores_and_null_scores_that_are_nan_are_left_out():
    null = np.array([[0.1, np.nan, 0.3], [0.2, np.nan, np.nan]])
    np.testing.assert_allclose(permutation_p_values([np.nan, 0.5, 0.2], null), [np.nan, np.nan, 1.0])
    np.testing.assert_allclose(permutation_p_values([np.nan, 0.5, 0.2], null, pool=True), [np.nan, 0.25, 0.75])


@pytest.mark.parametrize(
    ("method", "theirs"), [("bh", "fdr_bh"), ("by", "fdr_by"), ("bonferroni", "bonferroni"), ("holm", "holm")]
)
def test_adjusted_p_values_are_those_of_statsmodels_and_nan_does_not_count(method, theirs):
    rng = np.random.default_rng(1)
    for n in (1, 2, 7, 200):
        p = rng.random(n) ** 3
        expected = multipletests(p, method=theirs)[1]
        np.testing.assert_allclose(adjust_p_values(p, method), expected)
        np.testing.assert_allclose(adjust_p_values([*p, np.nan], method), [*expected, np.nan])
    assert np.isnan(adjust_p_values([np.nan], method)).all()
    assert adjust_p_values([], method).shape == (0,)


def test_p_values_are_left_alone_without_a_method_and_refused_where_they_are_none():
    np.testing.assert_array_equal(adjust_p_values([0.2, 0.3], None), [0.2, 0.3])
    with pytest.raises(ValueError, match=r"adjust must be 'bh', .* got 'fdr'"):
        adjust_p_values([0.2], "fdr")
    for method in ("bh", "holm", None):
        with pytest.raises(ValueError, match=r"p-values lie in \[0, 1\], got 1.5"):
            adjust_p_values([0.2, 1.5], method)


def test_one_voxel_has_about_the_p_value_of_scikit_learn():
    X, Y = _data(1, n_samples=60, seed=8)
    test = permutation_test_voxel_scores(Ridge(), X, Y, cv=CV, metric="r2", n_permutations=100, random_state=0)
    score, _, p_value = permutation_test_score(Ridge(), X, Y[:, 0], cv=CV, n_permutations=100, random_state=0)
    np.testing.assert_allclose(test.scores, [score])
    assert test.p_values[0] == pytest.approx(p_value, abs=0.12)


def test_one_permutation_has_p_values_of_a_half_or_one():
    X, Y = _data(20)
    test = permutation_test_voxel_scores(Ridge(), X, Y, cv=CV, n_permutations=1, random_state=0)
    np.testing.assert_array_equal(test.p_values, np.where(test.scores > test.null_scores[0], 0.5, 1.0))
    assert set(test.p_values) == {0.5, 1.0}


def test_null_scores_are_the_scores_of_shuffled_responses_on_the_same_folds():
    X, Y = _data(3)
    test = permutation_test_voxel_scores(Ridge(), X, Y, cv=KFold(4, shuffle=True), n_permutations=2, random_state=5)
    again = permutation_test_voxel_scores(Ridge(), X, Y, cv=CV, n_permutations=2, random_state=5)
    rng = np.random.RandomState(5)
    expected = [cross_val_voxel_scores(Ridge(), X, shuffle_responses(Y, rng), cv=CV).scores for _ in range(2)]
    np.testing.assert_allclose(again.null_scores, expected)
    np.testing.assert_allclose(again.scores, cross_val_voxel_scores(Ridge(), X, Y, cv=CV).scores)
    assert test.null_scores.shape == (2, 3)


@pytest.mark.parametrize("pool", [None, True])
def test_unrelated_voxels_are_significant_at_the_nominal_rate(pool):
    X, Y = _data(2000)
    test = permutation_test_voxel_scores(Ridge(), X, Y, cv=CV, n_permutations=39, pool=pool, random_state=0)
    for level in (0.05, 0.1, 0.5):
        # three standard errors of a rate over 2,000 voxels, widened because voxels share the texts
        margin = 4 * np.sqrt(level * (1 - level) / 2000)
        assert np.mean(test.p_values <= level) == pytest.approx(level, abs=margin)


def test_permuting_held_out_responses_without_refitting_would_not_be_calibrated():
    # Why the test refits: scores of folds that share training samples go up and down together.
    X, Y = _data(1000)
    measured = cross_val_voxel_scores(Ridge(), X, Y, cv=CV, return_predictions=True)

    class Fitted:  # what was predicted for a text, whatever the responses
        def __sklearn_clone__(self):
            return self

        def fit(self, rows, Y):
            return self

        def predict(self, rows):
            return measured.predictions[rows]

    rows = np.arange(len(X))
    folds = np.concatenate([np.full(len(test), i) for i, (_, test) in enumerate(measured.splits)])
    fold_of_row = folds[np.argsort(np.concatenate([test for _, test in measured.splits]))]
    rng = np.random.RandomState(0)
    null = [
        cross_val_voxel_scores(Fitted(), rows, shuffle_responses(Y, rng, groups=fold_of_row), cv=measured.splits).scores
        for _ in range(39)
    ]
    assert np.mean(permutation_p_values(measured.scores, null) <= 0.05) > 0.09


def test_false_discoveries_stay_at_the_nominal_share():
    X, Y = _data(1000, n_related=300)
    test = permutation_test_voxel_scores(Ridge(), X, Y, cv=CV, n_permutations=20, pool=True, random_state=0)
    discovered = test.adjusted_p_values <= 0.1
    assert np.mean(discovered[:300]) > 0.8
    assert np.sum(discovered[300:]) / np.sum(discovered) < 0.13


def test_shuffling_stays_within_runs_and_folds_may_be_grouped():
    X, Y = _data(2, n_samples=40)
    runs = np.repeat(np.arange(4), 10)
    Y = np.round(Y, 3) % 50 + 100 * runs[:, None]  # a response tells its run
    seen = []

    class Recorder(Ridge):
        def __sklearn_clone__(self):
            return self

        def fit(self, X, Y):
            seen.append((X, Y))
            return super().fit(X, Y)

    permutation_test_voxel_scores(
        Recorder(), X, Y, cv=GroupKFold(4), groups=runs, shuffle_within=runs, n_permutations=19, random_state=0
    )
    run_of_row = {tuple(row): run for row, run in zip(X, runs, strict=True)}
    assert len(seen) == 4 * 20
    for rows, responses in seen:
        own = np.array([run_of_row[tuple(row)] for row in rows])
        np.testing.assert_array_equal(responses // 100, np.column_stack([own, own]))
        assert len(set(own)) == 3
    original = {tuple(row): response for row, response in zip(X, Y, strict=True)}
    moved = [np.any(responses != [original[tuple(row)] for row in rows]) for rows, responses in seen]
    assert moved == [False] * 4 + [True] * 76


def test_images_are_masked_once_and_tested_as_their_voxels():
    X, Y = _data(8, n_samples=30)
    masker = NiftiMasker(Nifti1Image(np.ones((2, 2, 2), dtype="int8"), np.eye(4)))
    images = masker.fit().inverse_transform(Y)
    of_images = permutation_test_voxel_scores(
        MaskedTargetRegressor(Ridge(), masker), X, images, n_permutations=3, random_state=0
    )
    of_rows = permutation_test_voxel_scores(Ridge(), X, Y.astype("float32"), n_permutations=3, random_state=0)
    np.testing.assert_allclose(of_images.null_scores, of_rows.null_scores, atol=1e-5)
    np.testing.assert_allclose(of_images.p_values, of_rows.p_values)


def test_progress_is_shown_where_asked_for(capsys):
    X, Y = _data(2)
    permutation_test_voxel_scores(Ridge(), X, Y, n_permutations=2)
    assert capsys.readouterr() == ("", "")
    permutation_test_voxel_scores(Ridge(), X, Y, n_permutations=2, verbose=1)
    assert "2 permutations in " in capsys.readouterr().err


class CountedRidge(Ridge):
    fits = 0

    def fit(self, X, y, sample_weight=None):
        CountedRidge.fits += 1
        return super().fit(X, y, sample_weight)


def test_an_interrupted_test_resumes_and_finds_the_same(tmp_path, monkeypatch):
    X, Y = _data(2)
    options = {"cv": 3, "random_state": 0, "memory": str(tmp_path)}
    expected = permutation_test_voxel_scores(Ridge(), X, Y, n_permutations=4, cv=3, random_state=0)
    permutation_test_voxel_scores(CountedRidge(), X, Y, n_permutations=3, **options)
    monkeypatch.setattr(CountedRidge, "fits", 0)
    found = permutation_test_voxel_scores(CountedRidge(), X, Y, n_permutations=4, **options)
    assert CountedRidge.fits == 6  # the responses as measured, and the permutation that was missing
    np.testing.assert_array_equal(found.null_scores, expected.null_scores)


def test_bad_input_is_explained():
    X, Y = _data(2)
    with pytest.raises(ValueError, match="n_permutations must be at least 1, got 0"):
        permutation_test_voxel_scores(Ridge(), X, Y, n_permutations=0)
    for labels in ({"shuffle_within": [0, 1]}, {"voxel_groups": [0, 1]}):
        with pytest.raises(ValueError, match="are for samples in an array, not for lists of runs"):
            permutation_test_voxel_scores(Ridge(), [X, X], [Y, Y], n_permutations=1, **labels)
    with pytest.raises(ValueError, match=r"one label a voxel, \(2,\), got shape \(3,\)"):
        permutation_p_values([0.1, 0.2], np.zeros((5, 2)), pool=[0, 1, 1])
    with pytest.raises(ValueError, match=r"\(n_permutations, n_voxels\), got \(2,\) and \(5, 3\)"):
        permutation_p_values([0.1, 0.2], np.zeros((5, 3)))
    with pytest.raises(ValueError, match=r"\(n_permutations, n_voxels\), got \(2, 1\) and \(5, 2\)"):
        permutation_p_values([[0.1], [0.2]], np.zeros((5, 2)))
