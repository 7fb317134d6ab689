"""Nothing of the process is changed for others: generators, progress bars, warnings."""

import threading

import numpy as np
import pytest
import torch
from transformers.utils import logging

from sklearn_sae_encoding._lm.source import quiet
from sklearn_sae_encoding._sae.training import plan_for, train_matryoshka
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import LanguageModel, release_models


@pytest.fixture
def no_gpu_is_seeded(monkeypatch):
    def refuse(*_):
        raise AssertionError("the generators of all GPUs were seeded")

    monkeypatch.setattr(torch.cuda, "manual_seed_all", refuse)
    monkeypatch.setattr(torch, "manual_seed", refuse)


@pytest.mark.usefixtures("no_gpu_is_seeded")
def test_random_weights_leave_all_generators_alone(tiny_lm_dir, texts):
    release_models()
    before = torch.random.get_rng_state()
    LMActivationTransformer(LanguageModel(tiny_lm_dir, weights="random"), 1).fit_transform(texts)
    assert torch.equal(torch.random.get_rng_state(), before)


@pytest.mark.usefixtures("no_gpu_is_seeded")
def test_learning_an_sae_leaves_all_generators_alone():
    values = np.random.default_rng(0).normal(size=(300, 6)).astype(np.float32)
    plan = plan_for(300, 6, n_features=8, k=2, widths=None, n_steps=20, learning_rate=1e-3, seed=0)
    before = torch.random.get_rng_state()
    first, second = (train_matryoshka(values, plan).weights["W_enc"] for _ in range(2))
    np.testing.assert_array_equal(first, second)
    assert torch.equal(torch.random.get_rng_state(), before)


def test_progress_bars_are_hidden_while_any_thread_loads_and_come_back_after_the_last():
    assert logging.is_progress_bar_enabled()
    inside, leave = threading.Event(), threading.Event()

    def load():
        with quiet():
            inside.set()
            leave.wait(60)

    thread = threading.Thread(target=load)
    with quiet():
        thread.start()
        inside.wait(60)
    assert not logging.is_progress_bar_enabled()  # the other one still loads
    leave.set()
    thread.join()
    assert logging.is_progress_bar_enabled()
