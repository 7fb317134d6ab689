"""Small stories with known times, for tests of what is made of runs."""

import numpy as np
import pandas as pd

from sklearn_sae_encoding.timing import StoryRun

SENTENCE = "Alice was beginning to get very tired of sitting by her sister on the bank, and of having nothing to do."


def word_table(n_words=20, start=1.0, every=0.5, lasting=0.3):
    """A sentence, over and over, a word every half second."""
    words = [SENTENCE.split()[i % len(SENTENCE.split())].strip(",.") for i in range(n_words)]
    onset = start + every * np.arange(n_words)
    return pd.DataFrame({"word": words, "onset": onset, "offset": onset + lasting})


def make_run(n_scans=20, t_r=2.0, onset=0.0, n_words=40, text=None, **params):
    """A run, its text joined from its words if none is given."""
    return StoryRun(text, word_table(n_words), n_scans=n_scans, t_r=t_r, onset=onset, **params)


def noisy_runs(n_runs=4, n_scans=80, width=3, n_voxels=2, delay=2, noise=0.3, seed=0):
    """Arrays and responses that follow the first features `delay` scans later."""
    rng = np.random.default_rng(seed)
    X = [rng.normal(size=(n_scans, width)) for _ in range(n_runs)]
    y = []
    for run in X:
        late = np.zeros((n_scans, n_voxels))
        late[delay:] = run[:-delay, :n_voxels]
        y.append(late + noise * rng.normal(size=late.shape))
    return X, y
