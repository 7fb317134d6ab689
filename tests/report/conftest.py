"""Fitted models and their report."""

import matplotlib as mpl
import numpy as np
import pytest
from report_cases import given, make_encoder, make_features, make_responses, make_scores, make_texts
from tiny_saes import make_sae_of_tiny_lm, save_sae

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.pipeline import make_augmented_encoder
from sklearn_sae_encoding.report import encoder_report

mpl.use("Agg")
pytest.importorskip("nilearn")


@pytest.fixture(scope="module")
def case():
    X = make_features()
    Y = make_responses(X)
    return X, Y, make_encoder().fit(X, Y), make_scores(X, Y)


@pytest.fixture(scope="module")
def report(case):
    X, Y, encoder, scores = case
    labels = {"surprisal_mean": "<b onclick='window.hacked=1'>people</b>", 7: "places"}
    ceiling = np.r_[0.05, np.full(Y.shape[1] - 1, 0.9)]
    return encoder_report(
        encoder,
        make_texts(),
        Y,
        scores=scores,
        noise_ceiling=ceiling,
        **given(X),
        feature_labels=labels,
        title="<i>Sentences</i> & voxels",
    )


@pytest.fixture(scope="module")
def sae_dir(tmp_path_factory):
    """A random SAE for the tiny language model, in a folder."""
    return save_sae(make_sae_of_tiny_lm(), tmp_path_factory.mktemp("sae"))


@pytest.fixture(scope="module")
def pipeline_case(tiny_lm_dir, sae_dir):
    from tiny_models import SENTENCES

    texts = [*SENTENCES, "Naïve 🧠 café <script>window.hacked = 1</script>", "日本語 ok"]
    Y = np.random.default_rng(0).normal(3.0, 2.0, (len(texts), 4))
    encoder = SparseVoxelEncoder(alphas=[0.3, 0.1], cv=2, forced_features=[-1], refit="ridge")
    return make_augmented_encoder(tiny_lm_dir, 2, sae_dir, encoder=encoder).fit(texts, Y), texts, Y


@pytest.fixture(scope="module")
def image_case():
    from nibabel import Nifti1Image
    from nilearn.maskers import NiftiMasker

    from sklearn_sae_encoding.masking import MaskedTargetRegressor

    X = make_features()
    shape = (5, 6, 4)
    Y = make_responses(X, n_voxels=int(np.prod(shape))).astype(np.float32)
    Y[3, 10] = np.nan
    affine = np.diag([20.0, 20.0, 20.0, 1.0])
    affine[:3, 3] = [-40.0, -60.0, -20.0]
    images = Nifti1Image(Y.T.reshape(*shape, len(X)), affine)
    mask = Nifti1Image(np.ones(shape, dtype="int8"), affine)
    with pytest.warns(UserWarning, match="1 of 120 voxels"):
        model = MaskedTargetRegressor(make_encoder(), NiftiMasker(mask)).fit(X, images)
    finite = np.nan_to_num(Y)
    return X, images, model, make_scores(X, finite)
