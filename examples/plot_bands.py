"""
Alone, content predicts sentence length; beyond length, it predicts nothing
===========================================================================

Features come in bands, and bands overlap: what a sentence is about, how surprising it
is and how long it is go together. We simulate voxels that each follow one of the three,
fit ridge regressions with a penalty for each band and voxel, and ask twice how much a
band explains: alone, and beyond the other two.
"""

import matplotlib.pyplot as plt
import numpy as np
from scipy import sparse
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import (
    band_models,
    partition_by_region,
    partition_variance,
)
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.datasets import load_demo_sae, load_sentences, load_smollm2
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.pipeline import make_augmented_encoder

# %%
# Three bands
# -----------
# 2,048 SAE features of layer 15 of SmolLM2, surprisal, and the numbers of words and
# letters of 200 sentences. The SAE features are sparse, and stay so.

texts = load_sentences()
language_model = LanguageModel(load_smollm2(), memory="demo_output/cache")
model = make_augmented_encoder(language_model, layer=15, sae=load_demo_sae())
features = sparse.csr_array(model["features"].fit_transform(texts))
length = np.array([[len(text.split()), len(text)] for text in texts])
X = sparse.hstack([features, length], format="csr")
bands = ["content", "surprisal", "length"]
labels = np.repeat(bands, [features.shape[1] - 1, 1, 2])
words, surprisal = length[:, 0], features[:, [-1]].toarray()[:, 0]
print(f"words and surprisal: r = {np.corrcoef(words, surprisal)[0, 1]:.2f}")

# %%
# Four kinds of voxels
# --------------------
# Twenty follow twenty SAE features each, twenty surprisal, twenty the number of words,
# and twenty nothing. Noise has 0.8 times the standard deviation of the signal.

rng = np.random.default_rng(0)
content = features[:, :-1].toarray()
often = np.flatnonzero(np.count_nonzero(content, axis=0) > 20)
chosen = [rng.choice(often, 20, replace=False) for _ in range(20)]
followed = [content[:, some] @ rng.normal(size=20) for some in chosen]
signals = {
    "content": np.transpose(followed),
    "surprisal": np.tile(surprisal[:, None], 20),
    "length": np.tile(words[:, None], 20),
    "nothing": np.zeros((200, 20)),
}
kinds = np.repeat(list(signals), 20)
Y = np.hstack(list(signals.values()))
Y[:, :60] /= Y[:, :60].std(axis=0)
Y += 0.8 * rng.normal(size=Y.shape)

# %%
# Alone, and beyond the others
# ----------------------------
# ``band_models`` makes the models of all bands, of all but one, and of each alone. They
# are scored on the same held-out sentences and searched over the same candidates.

firing = {"content": (0.02, 1.0)}  # without features of fewer than four sentences
encoder = BandedRidgeEncoder(labels, candidates=20, scale="columns", firing=firing)
results = cross_val_voxel_scores(
    band_models(encoder, bands),
    X,
    Y,
    cv=KFold(5, shuffle=True, random_state=0),
    return_predictions=True,
)
parts = partition_variance(results, Y)
table = partition_by_region(parts, np.full(len(kinds), "simulated"), kinds)

fig, axes = plt.subplots(1, 4, figsize=(10, 3), sharey=True, layout="constrained")
for ax, kind in zip(axes, table.index, strict=True):
    for name, shift, color in (("variance", -0.2, "0.75"), ("unique", 0.2, "C0")):
        values = [table.loc[kind, f"{name}_{band}"] for band in bands]
        ax.bar(np.arange(3) + shift, values, 0.4, color=color, label=name)
    ax.set(title=f"voxels of {kind}", xticks=range(3), xticklabels=bands)
    ax.axhline(0, color="k", lw=0.8)
axes[0].set_ylabel("squared r, held out")
axes[0].legend(axes[0].containers, ["alone", "beyond the others"], frameon=False)
plt.show()

# %%
# In voxels that follow length, content alone reaches more than a third of what length
# does, and surprisal less than a fifth: longer sentences hold other features, and less
# surprising words. Beyond length, both explain nothing. Only in voxels of content has
# content a part of its own; less than length and surprisal have in theirs, since 200
# sentences are few for hundreds of features.

print(table[[f"unique_{band}" for band in bands] + ["shared"]].round(3))

# %%
# What can go wrong
# -----------------
# A part that bands share belongs to none of them: here it is length's own in truth, but
# no regression can know that. Unique parts can be below zero, since a band that tells
# nothing still adds some noise; see :ref:`banded`. And a band that predicts a voxel
# need not be what drives it.
