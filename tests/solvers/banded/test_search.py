"""Held-out errors of candidates, however they are cut into blocks."""

import numpy as np
import pytest
from sklearn.dummy import DummyRegressor

from sklearn_sae_encoding._solvers.banded import search
from sklearn_sae_encoding._solvers.banded.kernels import BandKernel
from sklearn_sae_encoding._solvers.banded.search import Task, errors_of_means, rotate, search_candidates


def task(primal, seed=0, n_samples=30, n_columns=12, n_voxels=5):
    rng = np.random.default_rng(seed)
    rows = rng.normal(size=(n_samples, n_columns))
    rows -= rows.mean(axis=0)
    targets = rows @ rng.normal(size=(n_columns, n_voxels)) + rng.normal(size=(n_samples, n_voxels))
    targets -= targets.mean(axis=0)
    halves = np.split(rows, 2, axis=1)
    return Task(
        kernels=() if primal else tuple(BandKernel(half @ half.T, np.zeros((0, 0))) for half in halves),
        rows=rows if primal else np.zeros((0, 0)),
        widths=np.array([6, 6]),
        targets=targets,
        folds=tuple((np.setdiff1d(np.arange(30), test), test) for test in np.split(np.arange(30), 3)),
        alphas=np.array([0.1, 1.0, 10.0]),
        centre=True,
        backend="numpy",
    ), halves


@pytest.mark.parametrize("primal", [True, False])
def test_errors_are_those_of_ridge_by_its_normal_equations(primal):
    given, halves = task(primal)
    weights = np.array([[0.5, 0.5], [0.9, 0.1], [1.0, 0.0]])
    found = search_candidates(given, weights)
    for place, weight in enumerate(weights):
        rows = np.column_stack([np.sqrt(w) * half for w, half in zip(weight, halves, strict=True)])
        errors = np.zeros((3, 5))
        for train, test in given.folds:
            X, Y = rows[train] - rows[train].mean(0), given.targets[train] - given.targets[train].mean(0)
            for a, alpha in enumerate(given.alphas):
                coef = np.linalg.solve(X.T @ X + alpha * np.eye(12), X.T @ Y)
                predicted = (rows[test] - rows[train].mean(0)) @ coef + given.targets[train].mean(0)
                errors[a] += np.mean((given.targets[test] - predicted) ** 2, axis=0) / 3
        np.testing.assert_allclose(found.errors[place], errors.min(axis=0), rtol=1e-9)
        np.testing.assert_array_equal(found.alphas[place], errors.argmin(axis=0))


def test_the_fall_to_the_smallest_penalty_is_that_of_the_two_smallest():
    given, _ = task(False)
    weights = np.array([[0.5, 0.5], [0.9, 0.1]])
    found = search_candidates(given, weights)
    alone = [search_candidates(given._replace(alphas=given.alphas[[place]]), weights).errors for place in (0, 1)]
    np.testing.assert_allclose(found.falls, alone[1] - alone[0], rtol=1e-9)


def test_errors_of_means_are_those_of_a_dummy(monkeypatch):
    monkeypatch.setattr(search, "AVERAGED", 60)
    given, _ = task(False)
    dummy = [DummyRegressor().fit(given.targets[a], given.targets[a]).predict(given.targets[b]) for a, b in given.folds]
    errors = [((given.targets[b] - mean) ** 2).mean(0) for mean, (_, b) in zip(dummy, given.folds, strict=True)]
    np.testing.assert_allclose(errors_of_means(given), np.mean(errors, axis=0), rtol=1e-12)


def test_narrow_bands_kept_as_rows_give_the_same_errors():
    given, halves = task(False)
    weights = np.array([[0.5, 0.5], [0.9, 0.1], [0.0, 1.0]])
    rows = tuple(BandKernel(np.zeros((0, 0)), half) for half in halves)
    for kernels in (rows, (given.kernels[0], rows[1])):
        found = search_candidates(given._replace(kernels=kernels), weights)
        np.testing.assert_allclose(found.errors, search_candidates(given, weights).errors, rtol=1e-9)


def test_batches_of_voxels_and_penalties_change_nothing(monkeypatch):
    given, _ = task(False)
    whole = search_candidates(given, np.array([[0.5, 0.5]]))
    monkeypatch.setattr(search, "PREDICTIONS", 10 * 8 * 2)
    monkeypatch.setattr(search, "RESOLUTION", 20 * 20 * 8)
    parts = search_candidates(given, np.array([[0.5, 0.5]]))
    np.testing.assert_allclose(parts.errors, whole.errors, rtol=1e-12)
    np.testing.assert_array_equal(parts.alphas, whole.alphas)


def test_equal_errors_go_to_the_larger_penalty():
    given, _ = task(False)
    given = given._replace(kernels=tuple(one._replace(kernel=np.zeros((30, 30))) for one in given.kernels))
    assert (search_candidates(given, np.array([[0.5, 0.5]])).alphas == 2).all()


def test_rotated_rows_have_the_same_products():
    rows = np.random.default_rng(0).normal(size=(50, 8)) + 3
    rotated, rotation = rotate(rows, centre=True)
    centred = rows - rows.mean(axis=0)
    assert rotated.shape == (8, 8)
    np.testing.assert_allclose(rotated.T @ rotated, centred.T @ centred, atol=1e-10)
    np.testing.assert_allclose(rotation @ rotated, centred, atol=1e-12)
