"""Small SAEs and activations; no test finds an SAE that another one loaded."""

import pytest
from tiny_saes import HOOK, make_sae, make_texts, save_sae

from sklearn_sae_encoding._sae import loading


@pytest.fixture
def texts():
    return make_texts()


@pytest.fixture
def folder(tmp_path):
    return save_sae(make_sae(model_name="toy/LM-1", hook_name=HOOK, prepend_bos=True), tmp_path / "sae")


@pytest.fixture(autouse=True)
def no_saes_loaded():
    loading.forget_saes()
    yield
    loading.forget_saes()
