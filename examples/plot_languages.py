"""
Does a feature mean the same in French and Chinese?
===================================================

A feature of a sparse autoencoder fires for *The dog sleeps under the table*. Does it
fire for *Le chien dort sous la table* and for 狗在桌子下面睡觉? We train one on
sentences of three languages, which are no translations of one another, and ask with 120
that are.
"""

# %%
# A model that reads three languages
# ----------------------------------
# Gemma 3 270M does, and comes with the extra ``[gemma]``, under terms of its own. Where
# it is not installed, SmolLM2 stands in, which has read little but English.

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import (
    feature_correspondence,
    language_shares,
    translation_retrieval,
)
from sklearn_sae_encoding.datasets import (
    load_gemma3_270m,
    load_smollm2,
    load_three_languages,
)
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.sae import SAEProjector

try:
    name, model = "Gemma 3 270M", load_gemma3_270m()
except ImportError as error:
    name, model = "SmolLM2", load_smollm2()
    print(f"SmolLM2 stands in. {error}")

data = load_three_languages()
names = {"en": "English", "fr": "French", "zh": "Chinese"}
read = LMActivationTransformer(LanguageModel(model, keep=()), layer=9, level="token")
tokens = read.fit_transform([text for n in names for text in data.texts[n][:300]])
print(f"{name}: {tokens.n_tokens.sum():,} tokens to train on")

# %%
# A sparse autoencoder of it
# --------------------------
# 512 features, 24 of which fire on a token, on average. How much of the activations it
# explains in texts that it has not seen, and how sparsely, is told by language.

explained = ["explained_variance"]
sae = SAEProjector(n_features=512, k=24, reconstruction=explained, random_state=0)
sae.fit(tokens)
states = {n: read.transform(list(data.parallel[n])) for n in names}
encoded = {n: sae.transform(states[n]).toarray() for n in names}
features = {n: values[:, :-1] for n, values in encoded.items()}
sae.set_params(pooling="fraction_active")
for n, values in encoded.items():
    active = sae.transform(states[n]).toarray()[:, :-1].sum(axis=1).mean()
    share = values[:, -1].mean()
    print(f"{names[n]}: {active:.0f} features a token explain {share:.0%}")

# %%
# Finding the translation
# -----------------------
# Mean features of a sentence are compared with those of all 120 in the other language.
# Dense states are the comparison; chance is one in 120.

dense = {n: table.pool("text", pooling="mean") for n, table in states.items()}
found = translation_retrieval(features).set_index(["source", "target"])
found["dense"] = translation_retrieval(dense)["top_1"].to_numpy()
print(found[["top_1", "dense", "chance"]].round(3))

# %%
# One feature at a time
# ---------------------
# ``phi`` is the correlation of firing over sentences and their translations. Exchanged
# sentences show what it is where nothing corresponds.

same = feature_correspondence(features, min_share=0.05)
rng = np.random.default_rng(0)
other = {n: values[rng.permutation(120)] for n, values in features.items()}
chance = feature_correspondence(other, min_share=0.05)
print(language_shares(features)["kind"].value_counts(normalize=True).round(2))

# %%
# The features that correspond best in all pairs, with the sentences for which they are
# strongest.

worst = same.groupby("feature")["phi"].agg(["min", "size"])
best = worst[worst["size"] == 3]["min"].nlargest(5)
for feature, phi in best.items():
    top = {n: data.parallel[n][features[n][:, feature].argmax()] for n in names}
    print(f"feature {feature} (phi {phi:.2f}): {' / '.join(top.values())}")

figure, axes = plt.subplots(1, 2, figsize=(8, 3), layout="constrained")
pairs = [f"{names[a]}\nto {names[b]}" for a, b in found.index]
axes[0].plot(found["dense"].to_numpy(), "o", mfc="none", color="0.5", label="dense")
axes[0].plot(found["top_1"].to_numpy(), "o", color="#0072b2", label="features")
axes[0].axhline(1 / 120, color="black", lw=0.8)
axes[0].set_xticks(range(6), pairs, fontsize="xx-small")
axes[0].set(ylabel="translations found", ylim=(-0.03, 1.03), title=name)
axes[0].legend(frameon=False, fontsize="small")
bins = np.linspace(-0.4, 1, 29)
axes[1].hist(chance["phi"], bins, color="0.8", label="of other sentences")
blue = {"histtype": "step", "color": "#0072b2", "lw": 1.5}
axes[1].hist(same["phi"], bins, label="of translations", **blue)
axes[1].set(xlabel="correlation of firing (phi)", ylabel="features and pairs")
axes[1].legend(frameon=False, fontsize="small")
for ax in axes:
    ax.spines[["top", "right"]].set_visible(False)
plt.show()

# %%
# The answer depends on who is asked. Gemma's features explain two thirds of the
# activations in each language. They find more than four in ten of the translations from
# and to English, and a quarter of those between French and Chinese, where chance finds
# one in 120; its dense states find nearly all. Many features fire for a sentence and
# its translation, with phi around .4, and one in seven of 512 knows one language alone.
# So meaning is shared, and some features carry it. SmolLM2's features find one in eight
# at best, and more of them know one language than know several.
#
# What can go wrong
# -----------------
# A thousand sentences make coarse features: a feature's best sentence is not its
# meaning. With twice as many sentences and features, six in ten French versions of
# English sentences are found (:ref:`languages`). Dense states do better with either
# model: what a feature misses may be in the model nonetheless.
