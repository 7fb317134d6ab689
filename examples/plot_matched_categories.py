"""
Semantic features beat as many others only where meaning was planted
====================================================================

A category of features may predict well because it has many features, or strong ones.
Eight simulated participants have a temporal region that follows semantic features, and
a frontal one that follows any. In both the semantic ones alone predict something; only
in the first do they beat as many others of equal variance, and only there does it
matter that their labels are right.
"""

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from sklearn.linear_model import Ridge
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import (
    FeatureTaxonomy,
    compare_with_matched,
    draw_matched_features,
    encode_by_category,
    label_sensitivity,
    summarize_categories,
)

# %%
# Features with labels, and voxels that follow them
# -------------------------------------------------
# 300 features of different strength in three kinds. Of each participant, ten voxels of
# either region follow features at random: of semantic ones only, or of all.

rng = np.random.default_rng(0)
kinds = np.repeat(["semantic", "lexical", "positional"], [60, 180, 60])
taxonomy = FeatureTaxonomy(
    [{"index": i, "category": kind} for i, kind in enumerate(kinds)]
)
X = rng.exponential(size=(300, 300)) * (rng.random((300, 300)) < 0.3)
X *= rng.uniform(0.5, 1.5, size=300)
weights = rng.normal(size=(300, 160)) * (rng.random((300, 160)) < 0.3)
regions = np.tile(np.repeat(["temporal", "frontal"], 10), 8)
participants = np.repeat([f"p{i}" for i in range(1, 9)], 20)
weights[np.ix_(kinds != "semantic", regions == "temporal")] = 0
signal = X @ weights
Y = signal / signal.std(axis=0) + rng.normal(size=signal.shape)

# %%
# Each kind alone
# ---------------
# In the frontal region the semantic features have a share, too: they are a fifth of
# all.

groups, encoder, folds = taxonomy.groups(range(300)), Ridge(30.0), KFold(5)
found = encode_by_category(encoder, X, Y, groups=groups, cv=folds)
table = summarize_categories(found, participants=participants, regions=regions)
print(table[["region", "category", "r", "unique", "shapley"]].round(2).to_string())

# %%
# As many others, of equal variance
# ---------------------------------
# 99 draws of 60 other features. The p-value is the rank of the semantic ones among
# them, never a t-test over draws, of which any number can be made.

draws = draw_matched_features(X, groups["semantic"], n_draws=99, random_state=0)
compared = {}
for region in ("temporal", "frontal"):
    here = regions == region
    compared[region] = compare_with_matched(
        encoder, X, Y[:, here], columns=groups["semantic"], draws=draws,
        participants=participants[here], cv=folds,
    )  # fmt: skip
    print(f"{region}: p {compared[region].p_value:.2f}")

# %%
# Labels that are wrong
# ---------------------
# And if every seventh label were wrong, as people found of GPT-4's? The advantage
# shrinks where meaning was planted, and there was none to lose elsewhere.

confusion = pd.DataFrame(0.07 + 0.79 * np.eye(3), list(groups), list(groups))


def advantage(groups):
    columns = groups["semantic"]
    few = draw_matched_features(X, columns, n_draws=5, random_state=0)
    both = compare_with_matched(encoder, X, Y, columns=columns, draws=few, cv=folds)
    gain = both.scores - both.draw_scores.mean(axis=0)
    return pd.Series(gain).groupby(regions).mean()


moved = label_sensitivity(
    advantage, taxonomy, range(300), confusion=confusion, n_draws=10, random_state=0
)
print(moved.table.round(3).to_string())

# %%
figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.8), sharex=True, layout="constrained")
for ax, (region, one) in zip(axes, compared.items(), strict=True):
    ax.hist(one.draw_scores.mean(axis=1), bins=12, color="0.7", label="matched draws")
    ax.axvline(one.scores.mean(), color="C1", label="semantic")
    low, high = moved.table.loc[region, ["low", "high"]] + one.draw_scores.mean()
    ax.axvspan(low, high, color="C1", alpha=0.25, label="14 % of labels wrong")
    ax.set(title=f"{region}: p {one.p_value:.2f}", xlabel="r, mean over participants")
axes[0].set_ylabel("draws")
axes[0].legend(frameon=False, fontsize="small")
plt.show()

# %%
# What can go wrong
# -----------------
# Draws come from all other features here. If another kind is what a region follows, the
# others win for that reason: compare with draws of each kind (``candidates=``), too.
