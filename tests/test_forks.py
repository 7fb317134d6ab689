"""joblib's multiprocessing backend forks; torch then has to do without the parent's threads."""

import os
import subprocess
import sys

import pytest

CODE = """
import sys
import numpy as np
import torch
from joblib import Parallel, delayed
from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.language_model import forget_texts
from sklearn_sae_encoding.sae import SAEProjector

torch.set_num_threads(2)
folder, texts = sys.argv[1], ["A sentence about a cat on the mat and a dog " + str(i) for i in range(6)]

def features(layer):
    if layer:  # of layer 0 a child has what its parent computed
        forget_texts()
    acts = LMActivationTransformer(folder, layer).fit_transform(texts)
    return SAEProjector(n_features=16, n_steps=3, random_state=0).fit_transform(acts)

alone = [features(layer) for layer in (0, 1)]
assert torch.get_num_threads() == 2
forked = Parallel(n_jobs=2, backend="multiprocessing")(delayed(features)(layer) for layer in (0, 1))
assert torch.get_num_threads() == 2
for first, second in zip(alone, forked):
    np.testing.assert_allclose(first.toarray(), second.toarray(), atol=1e-3)
print("done")
"""


@pytest.mark.skipif(not hasattr(os, "fork"), reason="this system has no fork")
def test_a_forked_process_computes_what_its_parent_does_and_does_not_hang(tiny_lm_dir):
    threads = {"OMP_NUM_THREADS": "2", "OMP_WAIT_POLICY": "passive"}
    run = subprocess.run(
        [sys.executable, "-W", "ignore", "-c", CODE, str(tiny_lm_dir)],
        capture_output=True, text=True, check=False, timeout=240, env=os.environ | threads,
    )  # fmt: skip
    assert run.returncode == 0, run.stderr[-2000:]
    assert run.stdout.strip() == "done"
