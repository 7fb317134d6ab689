"""
The features that predict best are not the ones to trust
========================================================

A sparse encoder selects some forty of 2,048 features for a voxel and predicts it well.
Are these the features that drive the voxel? We simulate voxels whose features we know,
ask halves of the sentences which features they would have selected, and test whether
what is trusted predicts as well as what is not.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from scipy import sparse
from sklearn.linear_model import RidgeCV

from sklearn_sae_encoding.analysis import paired_tests, stability_selection
from sklearn_sae_encoding.datasets import (
    load_demo_sae,
    load_sentences,
    load_smollm2,
    make_voxel_responses,
)
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import voxelwise_pearson
from sklearn_sae_encoding.pipeline import make_augmented_encoder

# %%
# Voxels of five features
# -----------------------
# SAE features of SmolLM2 for 200 sentences; eight participants with twenty voxels, each
# driven by five features that fire on at least twenty sentences.

lm = LanguageModel(load_smollm2(), memory="demo_output/cache")
maker = make_augmented_encoder(lm, layer=15, sae=load_demo_sae())["features"]
X = sparse.csr_array(maker.fit_transform(load_sentences()))[:, :-1]
options = {"n_informative": 5, "min_active": 20, "noise_ceiling": 0.8}
data = make_voxel_responses(X, n_voxels=160, random_state=0, **options)
Y, planted = data.betas, data.weights.toarray() != 0
order = np.random.default_rng(0).permutation(200)
train, test = order[:150], order[150:]

# %%
# One fit, and forty halves
# -------------------------
# The penalty of the fit is chosen to predict. ``stability_selection`` takes a larger
# one, the same for all halves, and counts.

fit = SparseVoxelEncoder(cv=5, refit="ridge", early_stopping=True)
fit.fit(X[train], Y[train])
selected = fit.coef_.toarray() != 0
halves = stability_selection(
    SparseVoxelEncoder(alphas=0.1), X[train], Y[train], n_pairs=20, random_state=0
)
frequency, trusted = halves.frequency.toarray(), halves.selected(0.9).toarray()
for name, which in {"one fit": selected, "nine in ten halves": trusted}.items():
    print(
        f"{name}: {which.sum(axis=1).mean():.1f} features a voxel, "
        f"{planted[which].mean():.0%} of them planted, "
        f"{which[planted].mean():.0%} found"
    )

# %%
# Do they predict as well?
# ------------------------
# On the held-out sentences, the trusted features alone, and a fit with the larger
# penalty of the one-standard-error rule, are compared with the first fit. A difference
# of .02 of the noise ceiling would not matter: that was said before looking.

features = X.toarray()
alone = np.zeros((50, 160))
for voxel in np.flatnonzero(trusted.any(axis=1)):
    few = features[:, trusted[voxel]]
    ridge = RidgeCV(np.logspace(-2, 5, 8)).fit(few[train], Y[train, voxel])
    alone[:, voxel] = ridge.predict(few[test])
sparser = SparseVoxelEncoder(cv=5, refit="ridge", selection="1se").fit(
    X[train], Y[train]
)
predictions = {
    "one fit": fit.predict(X[test]),
    "fewer (1 SE)": sparser.predict(X[test]),
    "trusted alone": alone,
}
scores = {
    name: voxelwise_pearson(Y[test], predicted).reshape(8, 20).mean(axis=1) / 0.8
    for name, predicted in predictions.items()
}
tests = paired_tests(pd.DataFrame(scores), "one fit", margin=0.02, random_state=0)
shown = ["condition", "difference", "p_value", "p_equivalent", "p_not_worse"]
print(tests[shown].round(3).to_string(index=False))

fig, axes = plt.subplots(1, 2, figsize=(9, 3), layout="constrained")
edges = np.array([0.0, 0.1, 0.3, 0.5, 0.7, 0.9, 1.0])
place = np.digitize(frequency, edges[1:-1])
share = [planted[(place == i) & (frequency > 0)].mean() for i in range(6)]
axes[0].bar(edges[:-1], share, np.diff(edges), align="edge", color="C0", ec="w")
axes[0].axhline(planted[selected].mean(), color="0.3", ls=":")
axes[0].text(0.02, planted[selected].mean() + 0.02, "features of one fit", color="0.3")
axes[0].set(
    xlabel="share of the halves that select it", ylabel="share that was planted"
)
axes[1].axvspan(-0.02, 0.02, color="0.85", label="equal")
bars = np.abs(tests[["t_low", "t_high"]].T.to_numpy() - tests["difference"].to_numpy())
axes[1].errorbar(tests["difference"], [1, 0], xerr=bars, fmt="o", color="C0", capsize=3)
axes[1].set(yticks=[1, 0], yticklabels=tests["condition"], ylim=(-0.5, 1.5))
axes[1].set_xlabel("score / ceiling, minus that of one fit (95%)")
axes[1].legend(frameon=False, loc="upper left")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# Of the features that one fit selects, one in eleven drives its voxel; of those that
# nine in ten halves select, nearly two thirds do. The rest are stand-ins: pooled over
# short sentences, features resemble each other. But the fit predicts with all of its
# stand-ins, and the trusted features alone fall short of it by a fifth of the ceiling.
# Even the larger penalty of the 1-SE rule costs .06 (the interval is .01 to .11). That
# either is as good within .02 can't be claimed. Read the features that halves agree on;
# predict with the fit.

bound = halves.error_bound(0.9).mean()
wrong = (trusted & ~planted).sum(axis=1).mean()
print(f"wrong features a voxel: {wrong:.2f}; bound on those by chance: {bound:.2f}")

# %%
# What can go wrong
# -----------------
# The bound counts features that a half selects no more often than chance. A stand-in
# of a planted feature is selected more often than chance and is not covered. And what
# is missing was not refuted: seven in ten planted features were not found often enough
# to be trusted.
