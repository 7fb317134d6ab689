"""What SAEProjector learns when it is given no SAE."""

import pickle

import numpy as np
import pytest
from tiny_saes import activations

from sklearn_sae_encoding.sae import SAEProjector


def test_a_learnt_sae_knows_what_it_was_learnt_from(texts):
    projector = SAEProjector(n_steps=3, random_state=0).fit(activations(texts))
    with pytest.raises(ValueError, match=r"trained on LM-1, but the activations come from gpt2"):
        projector.transform(activations(texts, model="gpt2"))


def sparse_mixture(n_tokens=3000, d_model=12, n_atoms=16, seed=0):
    """Activations that are few atoms each, around a mean that is not 0."""
    rng = np.random.default_rng(seed)
    atoms = rng.standard_normal((n_atoms, d_model))
    atoms /= np.linalg.norm(atoms, axis=1, keepdims=True)
    codes = rng.uniform(2, 4, (n_tokens, n_atoms)) * (rng.random((n_tokens, n_atoms)) < 2 / n_atoms)
    return (codes @ atoms + 5).astype(np.float32), atoms


def explained_variance(values, decoded):
    return 1 - ((decoded - values) ** 2).sum() / ((values - values.mean(0)) ** 2).sum()


def test_learning_finds_planted_atoms_at_the_sparsity_asked_for():
    values, atoms = sparse_mixture()
    projector = SAEProjector(n_features=32, k=2, widths=(16, 32), n_steps=600, learning_rate=3e-3, random_state=0)
    features = projector.fit_transform(values)
    decoder = projector.learnt_.weights["W_dec"]
    np.testing.assert_allclose(np.linalg.norm(decoder, axis=1), 1, rtol=1e-4)
    best = np.abs(atoms @ decoder.T).max(axis=1)
    assert np.median(best) > 0.85
    assert 1.5 < features.nnz / len(values) < 2.5
    assert explained_variance(values, projector.inverse_transform(features)) > 0.6


def test_learning_is_deterministic_and_leaves_torchs_generator_alone(texts):
    import torch

    torch.manual_seed(1)
    expected = torch.rand(1)
    torch.manual_seed(1)
    weights = [SAEProjector(n_steps=5, random_state=seed).fit(texts).learnt_.weights["W_enc"] for seed in (0, 0, 1)]
    assert torch.rand(1) == expected
    np.testing.assert_array_equal(weights[0], weights[1])
    assert np.abs(weights[0] - weights[2]).max() > 1e-3


def test_learning_follows_the_units_of_the_activations():
    values, _ = sparse_mixture(500)
    options = {"n_features": 16, "k": 2, "n_steps": 30, "random_state": 0}
    features = SAEProjector(**options).fit_transform(values).toarray()
    scaled = SAEProjector(**options).fit_transform(values * 64).toarray()
    np.testing.assert_allclose(scaled, features * 64, rtol=1e-2, atol=0.5)


def test_one_huge_token_does_not_take_over_what_is_learnt():
    values, _ = sparse_mixture()
    with_sink = values.copy()
    with_sink[17] *= 1000
    options = {"n_features": 32, "k": 2, "n_steps": 300, "random_state": 0, "learning_rate": 3e-3}

    def explained(projector):
        return explained_variance(values[18:], projector.inverse_transform(projector.transform(values[18:])))

    clean, disturbed = (explained(SAEProjector(**options).fit(X)) for X in (values, with_sink))
    assert clean > 0.6
    assert disturbed > clean - 0.05


def test_huge_tokens_are_encoded_at_the_norm_up_to_which_the_sae_was_trained():
    values, _ = sparse_mixture(500)
    projector = SAEProjector(n_features=16, n_steps=20, random_state=0).fit(values)
    max_norm = projector.learnt_.config["metadata"]["max_norm"]
    np.testing.assert_allclose(max_norm, 3 * np.median(np.linalg.norm(values, axis=1)), rtol=1e-5)
    direction = values[:1] / np.linalg.norm(values[:1])
    at_limit, beyond = (projector.transform(direction * norm).toarray() for norm in (max_norm, 1000 * max_norm))
    np.testing.assert_allclose(beyond, at_limit, rtol=1e-4)
    assert np.abs(projector.transform(direction * max_norm / 2).toarray() - at_limit).max() > 0.05


def test_a_learnt_sae_is_stored_as_plain_arrays_and_in_sae_lens_format(texts, tmp_path):
    projector = SAEProjector(n_features=16, n_steps=5, random_state=0).fit(texts)
    stored = pickle.dumps(projector)
    assert b"torch" not in stored
    features = projector.transform(texts).toarray()
    np.testing.assert_array_equal(pickle.loads(stored).transform(texts).toarray(), features)
    projector.learnt_.save(tmp_path)
    again = SAEProjector(tmp_path).fit(texts)
    np.testing.assert_allclose(again.transform(texts).toarray(), features, rtol=1e-6)
    assert again.widths_ == projector.widths_ == (2, 8, 16)


def test_progress_of_learning_is_printed_only_on_request(texts, capfd):
    SAEProjector(n_steps=3, random_state=0).fit(texts)
    captured = capfd.readouterr()
    assert captured.out == captured.err == ""
    SAEProjector(n_steps=3, random_state=0, verbose=1).fit(texts)
    assert "step 3 of 3" in capfd.readouterr().out


def test_widths_that_contradict_the_number_of_features_are_refused():
    X = np.random.default_rng(0).standard_normal((20, 4))
    with pytest.raises(ValueError, match=r"widths=\(16, 32\).*n_features=64"):
        SAEProjector(n_features=64, widths=(16, 32)).fit(X)
