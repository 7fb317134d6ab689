"""Voxel scores as scikit-learn's scorer."""

import pickle

import numpy as np
import pytest
from sklearn.decomposition import PCA
from sklearn.linear_model import Ridge
from sklearn.model_selection import GridSearchCV, cross_val_score
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, make_voxel_scorer, voxelwise_pearson, voxelwise_r2


@pytest.fixture
def problem():
    rng = np.random.default_rng(0)
    X = rng.normal(size=(60, 5)) + 3
    return X, X @ rng.normal(size=(5, 4)) + rng.normal(size=(60, 4)) + 100


def test_it_is_the_mean_of_what_cross_validated_voxel_scores_are_in_each_fold(problem):
    X, Y = problem
    expected = cross_val_voxel_scores(Ridge(), X, Y, cv=4).fold_scores.mean(axis=1)
    np.testing.assert_allclose(cross_val_score(Ridge(), X, Y, cv=4, scoring=make_voxel_scorer()), expected)


def test_r2_without_absent_voxels_is_scikit_learns_own_score(problem):
    X, Y = problem
    model = Ridge().fit(X, Y)
    assert make_voxel_scorer("r2")(model, X, Y) == pytest.approx(model.score(X, Y))


@pytest.mark.parametrize(
    "wrap",
    [
        lambda encoder: encoder,
        make_pipeline,
        lambda encoder: make_pipeline(StandardScaler(), encoder),
        lambda encoder: make_pipeline(StandardScaler(), PCA(4), encoder),
    ],
    ids=["alone", "one step", "two steps", "three steps"],
)
def test_an_encoder_is_asked_for_its_own_voxel_scores_alone_in_a_pipeline_and_as_a_searchs_best(problem, wrap):
    X, Y = problem
    encoder = wrap(SparseVoxelEncoder(alphas=5, cv=3)).fit(X, Y)
    expected = voxelwise_pearson(Y, encoder.predict(X)).mean()
    assert make_voxel_scorer()(encoder, X, Y) == pytest.approx(expected)
    name = "l1_ratio" if encoder is not None and not hasattr(encoder, "steps") else "sparsevoxelencoder__l1_ratio"
    search = GridSearchCV(encoder, {name: [1.0]}, cv=3, scoring=make_voxel_scorer()).fit(X, Y)
    assert make_voxel_scorer()(search, X, Y) == pytest.approx(search.score(X, Y))


def test_a_callable_is_the_metric_or_the_average(problem):
    X, Y = problem
    model = Ridge().fit(X, Y)
    r2 = voxelwise_r2(Y, model.predict(X))
    assert make_voxel_scorer(voxelwise_r2)(model, X, Y) == pytest.approx(r2.mean())
    assert make_voxel_scorer("r2", np.max)(model, X, Y) == pytest.approx(r2.max())


def test_voxels_without_a_score_are_left_out_and_counted(problem):
    X, Y = problem
    scorer, model = make_voxel_scorer(), SparseVoxelEncoder(alphas=5, cv=3).fit(X, Y)
    whole = model.voxel_scores(X, Y)
    Y = Y.copy()
    Y[:, 1] = 7.0
    with pytest.warns(UserWarning, match="1 of 4 voxels have no score"):
        assert scorer(model, X, Y) == pytest.approx(np.delete(whole, 1).mean())


def test_ceilings_in_units_of_r_divide_r_and_squared_r2(problem):
    X, Y = problem
    model, ceiling = Ridge().fit(X, Y), np.array([0.5, 0.6, 0.7, 0.8])
    r, r2 = voxelwise_pearson(Y, model.predict(X)), voxelwise_r2(Y, model.predict(X))
    assert make_voxel_scorer(noise_ceiling=ceiling)(model, X, Y) == pytest.approx(np.mean(r / ceiling))
    assert make_voxel_scorer("r2", noise_ceiling=ceiling)(model, X, Y) == pytest.approx(np.mean(r2 / ceiling**2))
    median = make_voxel_scorer(average="median", noise_ceiling=0.5)(model, X, Y)
    assert median == pytest.approx(np.median(r) / 0.5)
    with pytest.raises(ValueError, match="one noise ceiling a voxel"):
        make_voxel_scorer(noise_ceiling=ceiling[:2])(model, X, Y)
    with pytest.raises(ValueError, match="cannot be negative"):
        make_voxel_scorer("r2", noise_ceiling=-ceiling)(model, X, Y)


def test_it_survives_pickling_and_says_what_it_is(problem):
    X, Y = problem
    scorer = pickle.loads(pickle.dumps(make_voxel_scorer("r2", "median")))
    assert repr(scorer) == "make_voxel_scorer('r2', 'median')"
    assert scorer(Ridge().fit(X, Y), X, Y) == make_voxel_scorer("r2", "median")(Ridge().fit(X, Y), X, Y)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"metric": "rho"}, "metric must be a callable or one of"),
        ({"average": "mode"}, "average must be a callable or one of"),
        ({"metric": voxelwise_r2, "noise_ceiling": 0.5}, "divide in the callable"),
    ],
)
def test_what_it_does_not_know_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        make_voxel_scorer(**arguments)
