"""The published protocol on the published voxels, against the same written with scikit-learn alone."""

import numpy as np
import pytest
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.feature_extraction.text import CountVectorizer
from sklearn.feature_selection import SelectFromModel, SelectKBest, f_regression
from sklearn.linear_model import LassoCV, RidgeCV
from sklearn.model_selection import KFold

from sklearn_sae_encoding.datasets import fetch_lepori2026
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.pipeline import make_published_encoder

OUTER = KFold(5, shuffle=True, random_state=19)
N_BEST = 1000  # of about 1,700; the paper has 8,000 of 32,768


@pytest.fixture(scope="module", params=["p1", "p2", "p3", "p4"])
def data(request):
    try:
        return fetch_lepori2026(request.param, ["hard_to_process", "abstract"], download_if_missing=False)
    except OSError as error:
        pytest.skip(f"the published betas are not here: {error}")


def features(data):
    """Strings of characters, each pattern once and in a scale of its own, and surprisal in the last column."""
    counts = CountVectorizer(analyzer="char_wb", ngram_range=(1, 8)).fit_transform(data.texts).toarray()
    counts = np.unique(counts, axis=1)
    scales = np.random.default_rng(0).gamma(2.0, 0.5, counts.shape[1])
    return np.column_stack([counts * scales, data.stimuli["surprisal-gpt2-xl_mean"]])


def plain_protocol(X, y):
    """Return the supports and correlations of the outer folds."""
    supports, scores = [], []
    for train, test in OUTER.split(X):
        z = (y[train] - y[train].mean()) / y[train].std()
        with np.errstate(invalid="ignore", divide="ignore"):
            kept = np.flatnonzero(SelectKBest(f_regression, k=N_BEST).fit(X[train], z).get_support())
        lasso = LassoCV(alphas=np.logspace(-2, 0, 10), cv=5, tol=1e-8, max_iter=50_000).fit(X[train][:, kept], z)
        support = np.union1d(kept[SelectFromModel(lasso, prefit=True).get_support()], X.shape[1] - 1)
        ridge = RidgeCV(np.logspace(-2, 5, 8)).fit(X[train][:, support], z)
        supports.append(support.tolist())
        scores.append(np.corrcoef(ridge.predict(X[test][:, support]), y[test])[0, 1])
    return supports, scores


@pytest.mark.published_data
@pytest.mark.filterwarnings(f"ignore::{ConvergenceWarning.__module__}.{ConvergenceWarning.__name__}")
def test_supports_and_scores_of_published_voxels_are_those_of_plain_scikit_learn(data):
    X, Y = features(data), data.betas[:, [0, 25]]  # one voxel of each set
    encoder = make_published_encoder().set_params(screening=N_BEST)
    found = cross_val_voxel_scores(encoder, sparse.csr_array(X), Y, cv=OUTER, return_estimators=True)
    for voxel, y in enumerate(Y.T):
        supports, scores = plain_protocol(X, y)
        assert [fitted.coef_[[voxel]].indices.tolist() for fitted in found.estimators] == supports
        np.testing.assert_allclose(found.fold_scores[:, voxel], scores, rtol=1e-6)
