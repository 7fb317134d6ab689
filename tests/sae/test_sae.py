"""Token features are what sae-lens encodes; pooling, taking and decoding them follow."""

import sys
import threading
import tracemalloc
import warnings

import numpy as np
import pytest
from scipy import sparse
from sklearn.base import clone
from sklearn.utils.estimator_checks import parametrize_with_checks
from tiny_saes import (
    ARCHITECTURES,
    D_MODEL,
    N_FEATURES,
    TRAINED,
    TRANSCODERS,
    encoded,
    make_sae,
    make_texts,
    make_training_sae,
    pooled,
)

from sklearn_sae_encoding._sae.encoding import Encoder, sparse_rows
from sklearn_sae_encoding._sae.loading import load_sae
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.tokens import TokenTable

POOLINGS = ("mean", "max", "sum", "last", "first", "fraction_active")


@parametrize_with_checks([SAEProjector()])
def test_it_is_a_scikit_learn_transformer(estimator, check):
    check(estimator)


@pytest.mark.parametrize("architecture", [*ARCHITECTURES, *TRANSCODERS])
def test_token_features_are_what_sae_lens_encodes(architecture, texts):
    sae = make_sae(architecture)
    features = SAEProjector(sae, level="token").fit_transform(texts)
    assert [one.shape for one in features] == [(len(text), N_FEATURES) for text in texts]
    for one, text in zip(features, texts, strict=True):
        expected = encoded(sae, text)
        assert 0 < np.count_nonzero(expected) < expected.size
        np.testing.assert_allclose(one.toarray(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("architecture", TRAINED)
def test_a_training_sae_is_used_in_its_inference_form(architecture, texts, tmp_path):
    from sae_lens import SAE

    trained = make_training_sae(architecture)
    features = SAEProjector(trained, pooling="max", sparse_output=False).fit_transform(texts)
    trained.save_inference_model(tmp_path)
    inference = SAE.load_from_disk(tmp_path)
    np.testing.assert_allclose(features, pooled([encoded(inference, text) for text in texts], "max"), rtol=1e-5)


@pytest.mark.parametrize("chunk_size", [None, 1, 4, 5])
@pytest.mark.parametrize("architecture", ["jumprelu", "abstopk"])
@pytest.mark.parametrize("pooling", POOLINGS)
def test_pooling_comes_after_encoding_whatever_the_chunks(pooling, architecture, chunk_size, texts):
    sae = make_sae(architecture)
    features = SAEProjector(sae, pooling=pooling, chunk_size=chunk_size).fit_transform(texts)
    assert isinstance(features, sparse.csr_array)
    assert features.dtype == np.float32
    assert np.all(features.data != 0)
    expected = pooled([encoded(sae, text) for text in texts], pooling)
    np.testing.assert_allclose(features.toarray(), expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("level", ["text", "token"])
def test_no_dense_array_of_features_is_larger_than_a_chunk(level, folder, monkeypatch):
    sae, encoding = load_sae(folder), sys.modules[Encoder.__module__]
    seen, encode = [], sae.encode
    monkeypatch.setattr(sae, "encode", lambda x: seen.append(len(x)) or encode(x))
    monkeypatch.setattr(encoding, "_CHUNK_NUMBERS", 20 * N_FEATURES)
    many = [*make_texts(n_texts=60), np.ones((50, D_MODEL), dtype=np.float32), *make_texts(seed=1)]
    features = SAEProjector(folder, level=level).fit_transform(many)
    assert max(seen) == 20
    assert sum(seen) == sum(len(text) for text in many)
    features = [features] if level == "text" else features
    assert all(sparse.issparse(one) for one in features)
    at_once = SAEProjector(folder, level=level, chunk_size=10_000).fit_transform(many)
    for one, expected in zip(features, [at_once] if level == "text" else at_once, strict=True):
        np.testing.assert_allclose(one.toarray(), expected.toarray(), rtol=1e-5)


def test_dense_features_of_tokens_are_not_held_twice(folder):
    many = list(np.random.default_rng(0).standard_normal((400, 30, D_MODEL)).astype(np.float32))
    projector = SAEProjector(folder, level="token", sparse_output=False, chunk_size=128).fit(many[:1])
    projector.transform(many[:1])  # loads what every call needs
    tracemalloc.start()
    features = projector.transform(many)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 1.6 * sum(one.nbytes for one in features)


@pytest.mark.parametrize("dtype", ["float32", "float64", "float16"])
@pytest.mark.parametrize("container", [list, tuple])
def test_tensors_are_arrays(texts, folder, dtype, container):
    import torch

    tensors = container(torch.from_numpy(text.astype(dtype)) for text in texts)
    expected = SAEProjector(folder).fit_transform([text.astype(dtype) for text in texts])
    np.testing.assert_array_equal(SAEProjector(folder).fit_transform(tensors).toarray(), expected.toarray())
    with pytest.raises(ValueError, match=r"activations of text 1 can.t become an array .* Give tensor\.detach"):
        SAEProjector(folder).fit([tensors[0], tensors[1].clone().requires_grad_()])


def test_averaging_before_encoding_gives_other_features(texts, folder):
    projector = SAEProjector(folder, sparse_output=False)
    averaged_first = projector.fit_transform(np.stack([text.mean(0) for text in texts]))
    assert np.abs(averaged_first - projector.transform(texts))[1:].max() > 0.1


def test_a_table_counts_as_one_token_a_sample(texts, folder):
    table = np.concatenate(texts)
    features = SAEProjector(folder).fit_transform(table)
    tokens = SAEProjector(folder, level="token").fit_transform(texts)
    np.testing.assert_allclose(features.toarray(), tokens.concatenated().toarray(), rtol=1e-6)
    np.testing.assert_array_equal(
        SAEProjector(folder, level="token").fit_transform(table).toarray(), features.toarray()
    )


def test_a_text_has_the_same_row_alone_and_among_others(texts, folder):
    projector = SAEProjector(folder).fit(texts)
    together = projector.transform(texts).toarray()
    for i, text in enumerate(texts):
        np.testing.assert_allclose(projector.transform([text]).toarray()[0], together[i], rtol=1e-5, atol=1e-6)


def test_a_text_that_is_read_only_and_longer_than_a_chunk_is_encoded_without_a_warning(texts, folder):
    expected = SAEProjector(folder).fit_transform(texts).toarray()
    for text in texts:
        text.flags.writeable = False
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        features = SAEProjector(folder, chunk_size=2).fit_transform(texts)
    np.testing.assert_allclose(features.toarray(), expected, rtol=1e-6)


def test_half_precision_activations_are_encoded_in_single(texts, folder):
    halves = [text.astype(np.float16) for text in texts]
    features = SAEProjector(folder).fit_transform(halves)
    assert features.dtype == np.float32
    singles = SAEProjector(folder).fit_transform([half.astype(np.float32) for half in halves])
    np.testing.assert_array_equal(features.toarray(), singles.toarray())


@pytest.mark.parametrize(
    ("features", "indices"),
    [
        (5, [0, 1, 2, 3, 4]),
        ((4, 12), list(range(4, 12))),
        ([3, 7, 23], [3, 7, 23]),
        (np.arange(N_FEATURES) % 9 == 1, [1, 10, 19]),
    ],
    ids=["prefix", "bin", "indices", "mask"],
)
def test_taken_features_are_columns_of_the_whole(features, indices, texts):
    # TopK would choose others if it were cut before encoding.
    sae = make_sae("topk")
    whole = SAEProjector(sae).fit_transform(texts).toarray()
    projector = SAEProjector(sae, features=features)
    np.testing.assert_array_equal(projector.fit_transform(texts).toarray(), whole[:, indices])
    assert projector.get_feature_names_out().tolist() == [f"sae_{i:05d}" for i in indices]
    np.testing.assert_array_equal(projector.feature_indices_, indices)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("rows", ["some", "none", "empty rows", "full", "strided"])
def test_rows_become_sparse_as_scipy_makes_them_bit_for_bit(rows, dtype):
    rng = np.random.default_rng(0)
    dense = rng.standard_normal((7, 11)).astype(dtype)
    if rows != "full":
        dense[rng.random((7, 11)) < 0.7] = 0
    dense = {"none": dense[:0], "strided": np.repeat(dense, 2, axis=1)[:, ::2]}.get(rows, dense)
    if rows == "empty rows":
        dense[[0, 1, 4, 6]] = 0
    dense[1:2, 3:6] = [-0.0, np.nan, np.finfo(dtype).smallest_subnormal]
    found, expected = sparse_rows(dense), sparse.csr_array(dense)
    for name in ("data", "indices", "indptr"):
        np.testing.assert_array_equal(getattr(found, name), getattr(expected, name), strict=True)
    assert found.shape == expected.shape
    assert found.has_canonical_format


@pytest.mark.parametrize(
    ("features", "message"),
    [
        (N_FEATURES + 1, "the features from 0 up to 25, but the SAE has 24"),
        ((12, 4), "0 <= lo < hi <= 24"),
        ([3, 24], "holds the index 24, but the SAE has features 0 to 23"),
        ([7, 3], "must increase"),
        ([True, False], "has 2 entries, but the SAE has 24"),
        ([[1, 2]], "a list of indices or a mask"),
    ],
)
def test_features_that_the_sae_lacks_are_an_error(features, message, texts, folder):
    with pytest.raises(ValueError, match=message):
        SAEProjector(folder, features=features).fit(texts)


def test_matryoshka_bins_come_from_the_metadata_or_from_the_user(texts, folder):
    trained = SAEProjector(make_training_sae("matryoshka_batchtopk")).fit(texts)
    assert trained.widths_ == (4, 12, 24)
    assert trained.bins_ == [(0, 4), (4, 12), (12, 24)]
    assert SAEProjector(folder).fit(texts).bins_ is None
    assert SAEProjector(folder, widths=(8, 24)).fit(texts).bins_ == [(0, 8), (8, 24)]
    with pytest.raises(ValueError, match=r"widths=\(8, 20\) must increase .* to the SAE's number of features, 24"):
        SAEProjector(folder, widths=(8, 20)).fit(texts)


def test_features_can_be_scaled_by_decoder_norms(texts, folder):
    sae = make_sae()
    scaled = SAEProjector(folder, scale_by_decoder_norm=True).fit_transform(texts).toarray()
    plain = SAEProjector(folder).fit_transform(texts).toarray()
    np.testing.assert_allclose(scaled, plain * sae.W_dec.norm(dim=1).numpy(), rtol=1e-5)


@pytest.mark.parametrize("scale_by_decoder_norm", [False, True])
def test_inverse_transform_decodes(scale_by_decoder_norm, texts, folder):
    import torch

    sae = make_sae()
    projector = SAEProjector(folder, scale_by_decoder_norm=scale_by_decoder_norm, reconstruction=["error"]).fit(texts)
    decoded = projector.inverse_transform(projector.transform(texts))
    expected = np.stack([sae.decode(torch.from_numpy(encoded(sae, text))).numpy().mean(0) for text in texts])
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-5)
    with pytest.raises(ValueError, match=r"X has 3 columns, but the fitted SAEProjector gives 25"):
        projector.inverse_transform(np.zeros((2, 3)))


def test_inverse_transform_of_some_features_counts_the_others_as_0(texts, folder):
    sae = make_sae()
    projector = SAEProjector(folder, features=(4, 12), pooling="last").fit(texts)
    decoded = projector.inverse_transform(projector.transform(texts))
    last = np.concatenate([encoded(sae, text[-1:]) for text in texts])
    expected = last[:, 4:12] @ sae.W_dec[4:12].numpy() + sae.b_dec.numpy()
    np.testing.assert_allclose(decoded, expected, rtol=1e-4, atol=1e-5)


@pytest.mark.parametrize("chunk_size", [None, 2])
def test_reconstruction_is_measured_by_text(chunk_size, texts, folder):
    import torch

    sae = make_sae()
    projector = SAEProjector(folder, reconstruction=("explained_variance", "error"), chunk_size=chunk_size)
    columns = projector.fit_transform(texts)[:, -2:].toarray()
    assert projector.get_feature_names_out()[-2:].tolist() == ["sae_explained_variance", "sae_reconstruction_error"]
    for text, (explained, error) in zip(texts, columns, strict=True):
        with torch.inference_mode():
            residual = text - sae(torch.from_numpy(text)).numpy()
        squares = (residual**2).sum(1)
        np.testing.assert_allclose(error, np.sqrt(squares.mean()), rtol=1e-5)
        total = ((text - sae.b_dec.numpy()) ** 2).sum()
        np.testing.assert_allclose(explained, 1 - squares.sum() / total, rtol=1e-4, atol=1e-5)


def test_an_sae_that_normalises_tokens_is_exact_in_threads_and_does_not_decode(texts):
    import torch

    sae = make_sae("standard")
    sae.cfg.normalize_activations = "layer_norm"
    sae._setup_activation_normalization()
    projector = SAEProjector(sae, reconstruction=["error"], chunk_size=2).fit(texts)
    with torch.inference_mode():
        residuals = [text - sae(torch.from_numpy(text)).numpy() for text in texts]
    expected = [np.sqrt((residual**2).sum(1).mean()) for residual in residuals]
    results = []
    threads = [threading.Thread(target=lambda: results.append(projector.transform(texts * 20))) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(results) == 4
    for result in results:
        np.testing.assert_allclose(result[:, [-1]].toarray().ravel(), np.tile(expected, 20), rtol=1e-4)
    with pytest.raises(ValueError, match=r"rescales every token .* there is no inverse_transform"):
        projector.inverse_transform(projector.transform(texts))


def test_reconstruction_needs_an_sae_that_reconstructs_its_input(texts, folder):
    with pytest.raises(ValueError, match="A transcoder does not reconstruct its input"):
        SAEProjector(make_sae("transcoder"), reconstruction=["error"]).fit(texts)
    with pytest.raises(ValueError, match=r"takes 'error' and 'explained_variance', got \['bias'\]"):
        SAEProjector(folder, reconstruction=["bias"]).fit(texts)


@pytest.mark.parametrize("dtype", ["bfloat16", "float16"])
@pytest.mark.parametrize("architecture", ["jumprelu", "topk"])
def test_an_sae_in_half_precision_encodes_as_sae_lens_does(architecture, dtype, texts):
    import torch

    sae = make_sae(architecture).to(getattr(torch, dtype))
    projector = SAEProjector(sae, level="token", reconstruction=["error"], scale_by_decoder_norm=True).fit(texts)
    for text, one in zip(texts, projector.transform(texts), strict=True):
        with torch.inference_mode():
            x = torch.from_numpy(text).to(sae.dtype)
            features = sae.encode(x)
            error = (x.float() - sae.decode(features)).square().sum(-1).sqrt()
            expected = (features * sae.W_dec.norm(dim=-1)).float().numpy()
        assert one.dtype == np.float32
        np.testing.assert_allclose(one[:, :-1].toarray(), expected, rtol=1e-6)
        np.testing.assert_allclose(one[:, [-1]].toarray()[:, 0], error.numpy(), rtol=1e-3)
    pooled_rows = SAEProjector(sae).fit_transform(texts)
    assert pooled_rows.dtype == np.float32
    exact = make_sae(architecture)
    decoded = SAEProjector(sae).fit(texts).inverse_transform(pooled_rows)
    np.testing.assert_allclose(decoded, SAEProjector(exact).fit(texts).inverse_transform(pooled_rows), atol=0.1)


def test_activations_of_another_width_are_an_error_that_names_both(texts, folder):
    narrow = [text[:, :5] for text in texts]
    for X in (narrow, np.concatenate(narrow)):
        with pytest.raises(ValueError, match="The SAE takes activations of width 8, but X has width 5"):
            SAEProjector(folder, check_match=False).fit(X)
    projector = SAEProjector(folder).fit(texts)
    with pytest.raises(ValueError, match="X has activations of width 5, but SAEProjector was fitted on width 8"):
        projector.transform(narrow)


@pytest.mark.parametrize(
    ("break_it", "message"),
    [
        (lambda texts: [*texts[:3], texts[3][:0]], "Text 3 has no tokens"),
        (lambda texts: [texts[0], texts[1] * np.nan], "activations of text 1 contain NaN or infinity, first in row 0"),
        (lambda texts: [texts[0], texts[1][:, :5]], "text 0 have width 8, but those of text 1 5"),
        (lambda texts: [texts[0], texts[1][0]], r"text 1 is an array of shape \(8,\)"),
        (lambda texts: TokenTable([]), "at least one text, got none"),
        (lambda texts: ["It rains.", "It pours."], "got text. Put LMActivationTransformer before SAEProjector"),
        (lambda texts: "It rains.", "got text. Put LMActivationTransformer before SAEProjector"),
        (lambda texts: np.full((2, D_MODEL), np.inf), "The activations in X contain NaN or infinity, first in row 0"),
    ],
)
def test_broken_activations_are_an_error_that_names_the_text(break_it, message, texts, folder):
    projector = SAEProjector(folder).fit(texts)
    for use in (projector.transform, clone(projector).fit):
        with pytest.raises(ValueError, match=message):
            use(break_it(texts))


def test_clones_keep_settings_of_output_and_metadata(texts, folder):
    projector = SAEProjector(folder, sparse_output=False, features=3).set_output(transform="pandas")
    frame = clone(projector).fit_transform(texts)
    assert frame.columns.tolist() == ["sae_00000", "sae_00001", "sae_00002"]
    assert len(frame) == len(texts)


def test_no_warning_is_given_on_the_way(texts, folder):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        SAEProjector(folder, reconstruction=("error",)).fit(texts).transform(texts)
        SAEProjector(n_steps=5, random_state=0).fit(texts).transform(texts)
