"""A pickled SAE becomes a folder once, on the user's word, and gives the features that it gave."""

import json
import pickle
from pathlib import Path

import numpy as np
import pytest
import torch
from tiny_saes import D_MODEL, HOOK, N_FEATURES, encoded, make_sae

from sklearn_sae_encoding.sae import SAEProjector, convert_sae

LINEAR = {"W_enc": "encoder.weight", "W_dec": "decoder.weight", "b_enc": "encoder.bias"}
NAMES = {
    "sae-lens": {},
    "dictionary_learning": {**LINEAR, "b_dec": "bias"},
    "dictionary_learning BatchTopK": LINEAR,
    "goodfire": {name: given.replace("coder.", "coder_linear.") for name, given in LINEAR.items()}
    | {"b_dec": "decoder_linear.bias"},
}


def write(sae, path, naming):
    """Pickle the weights under the names that others give them."""
    state = {}
    for name, tensor in sae.state_dict().items():
        given = NAMES[naming].get(name, name)
        state[given] = (tensor.T if given.endswith(".weight") else tensor).clone()
    torch.save(state, path)
    return path


def features_of(folder, texts, **params):
    return [one.toarray() for one in SAEProjector(folder, pooling=None, **params).fit_transform(texts)]


@pytest.mark.parametrize("naming", NAMES)
@pytest.mark.parametrize("architecture", ["standard", "jumprelu", "topk"])
def test_features_are_those_of_the_sae_that_was_pickled(naming, architecture, texts, tmp_path):
    sae = make_sae(architecture, apply_b_dec_to_input=True)
    path = write(sae, tmp_path / "ae.pt", naming)
    options = {"architecture": "topk", "k": 5} if architecture == "topk" else {}
    subtract = sae.cfg.apply_b_dec_to_input
    folder = convert_sae(path, tmp_path / "out", apply_b_dec_to_input=subtract, hook_name=HOOK, **options)
    for found, text in zip(features_of(folder, texts), texts, strict=True):
        np.testing.assert_allclose(found, encoded(sae, text), rtol=1e-6)
    metadata = json.loads((Path(folder) / "cfg.json").read_text())["metadata"]
    assert metadata["hook_name"] == HOOK


def test_what_stands_beside_the_pickle_is_taken_over(texts, tmp_path):
    write(make_sae("topk"), tmp_path / "ae.pt", "dictionary_learning")
    trainer = {"dict_class": "AutoEncoderTopK", "k": 5, "layer": 3, "lm_name": "EleutherAI/pythia-70m-deduped"}
    (tmp_path / "config.json").write_text(json.dumps({"trainer": trainer, "buffer": {}}))
    folder = convert_sae(tmp_path, tmp_path / "out")
    config = json.loads((Path(folder) / "cfg.json").read_text())
    assert (config["architecture"], config["k"]) == ("topk", 5)
    assert config["metadata"] == {"model_name": "EleutherAI/pythia-70m-deduped", "hook_name": HOOK}
    assert all((found != 0).sum(axis=1).max() <= 5 for found in features_of(folder, texts))


def test_one_threshold_for_all_is_one_for_each(texts, tmp_path):
    sae = make_sae("jumprelu")
    with torch.no_grad():
        sae.threshold.fill_(0.25)
    state = {**sae.state_dict(), "threshold": torch.tensor(0.25), "k": torch.tensor(5)}
    torch.save({"state_dict": state}, tmp_path / "ae.pt")
    folder = convert_sae(tmp_path / "ae.pt", tmp_path / "out", apply_b_dec_to_input=sae.cfg.apply_b_dec_to_input)
    for found, text in zip(features_of(folder, texts), texts, strict=True):
        np.testing.assert_allclose(found, encoded(sae, text), rtol=1e-6)


class Trap:
    def __reduce__(self):
        return Path.touch, (Path("opened"),)


def test_a_pickle_that_holds_more_than_tensors_runs_nothing(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "plain.pt").write_bytes(pickle.dumps({"W_enc": Trap()}))
    torch.save({"W_enc": Trap()}, tmp_path / "torch.pt")
    for name in ("plain.pt", "torch.pt"):
        with pytest.raises(ValueError, match="holds more than tensors, or is damaged"):
            convert_sae(name, "out")
    assert not Path("opened").exists()
    assert not Path("out").exists()


@pytest.mark.parametrize(
    ("state", "options", "message"),
    [
        ({"weight": torch.ones(3)}, {}, r"Found no W_enc and no W_dec; the file holds weight\."),
        ({"W_enc": torch.ones(3, 4), "W_dec": torch.ones(5, 3)}, {}, r"\(3, 4\) and W_dec of shape \(5, 3\) do not"),
        ({"W_enc": torch.ones(3, 4), "W_dec": torch.ones(4, 3)}, {"architecture": "topk"}, r"how many: set k="),
        ({"W_enc": torch.ones(3, 4), "W_dec": torch.ones(4, 3)}, {"architecture": "jumprelu"}, "holds none"),
        ([torch.ones(3)], {}, "holds a list; expected tensors by name"),
    ],
)
def test_what_is_no_sae_is_said(state, options, message, tmp_path):
    torch.save(state, tmp_path / "ae.pt")
    with pytest.raises(ValueError, match=message):
        convert_sae(tmp_path / "ae.pt", tmp_path / "out", **options)


def test_nothing_is_overwritten_and_nothing_is_guessed(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"one file \.pt/\.pth/\.bin/\.ckpt, at .*: none"):
        convert_sae(tmp_path, tmp_path / "out")
    for name in ("a.pt", "b.pt"):
        write(make_sae(), tmp_path / name, "sae-lens")
    with pytest.raises(FileNotFoundError, match=r"a\.pt, b\.pt"):
        convert_sae(tmp_path, tmp_path / "out")
    with pytest.raises(FileExistsError, match="holds something already"):
        convert_sae(tmp_path / "a.pt", tmp_path)


def test_a_folder_of_a_pickle_alone_names_the_way(tmp_path, texts):
    write(make_sae(), tmp_path / "ae.pt", "sae-lens")
    (tmp_path / "cfg.json").write_text("{}")
    with pytest.raises(FileNotFoundError, match=r"ae\.pt is a pickle, .* sae\.convert_sae\(path, out\)"):
        SAEProjector(tmp_path).fit(texts)


def test_matrices_of_qwens_scope_stand_the_other_way_round(texts, tmp_path):
    sae = make_sae("standard")
    state = sae.state_dict()
    torch.save({**state, "W_enc": state["W_enc"].T.clone(), "W_dec": state["W_dec"].T.clone()}, tmp_path / "ae.pt")
    subtract = sae.cfg.apply_b_dec_to_input
    folder = convert_sae(tmp_path / "ae.pt", tmp_path / "out", apply_b_dec_to_input=subtract)
    assert SAEProjector(folder).fit(texts).n_features_ == N_FEATURES
    assert np.shape(features_of(folder, texts)[0])[1] == N_FEATURES > D_MODEL
