"""
Which features fire on which words
==================================

A voxel's model names a feature by its number, ``sae_00079``. What does that feature
respond to? Before any brain is involved, we look at single sentences: which features of
a sparse autoencoder (SAE) are on at which token, and which tokens of 200 sentences turn
one feature on most. Most features are on for a word or two and off elsewhere; a few of
the first ones are on nearly everywhere.
"""

import matplotlib.pyplot as plt
import numpy as np

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import promoted_tokens, top_tokens
from sklearn_sae_encoding.datasets import load_demo_sae, load_sentences, load_smollm2
from sklearn_sae_encoding.sae import SAEProjector

# %%
# Every token, not pooled
# -----------------------
# ``level="token"`` keeps a row a token. The language model runs once, and the features
# know their tokens.

sentences = load_sentences()
activations = LMActivationTransformer(load_smollm2(), layer=15).fit_transform(sentences)
projector = SAEProjector(load_demo_sae(), level="token").fit(activations)
features = projector.transform(activations)
every_token = features.concatenated()
firing_rate = (every_token != 0).mean(axis=0)
n_on = every_token.nnz / every_token.shape[0]
print(
    f"{every_token.shape[0]} tokens, on each of which {n_on:.0f} of "
    f"{len(firing_rate)} features are on"
)

# %%
# One sentence
# ------------
# The features that are strongest somewhere in the sentence, leaving out those that are
# on for more than a fifth of all tokens, against its tokens; beside each number, the
# words of all sentences that turn it on most. Most rows have one or two bright cells:
# the feature belongs to a word, not to the sentence. Mean pooling, which the published
# protocol uses, spreads that cell over the sentence.

tokens = features.pieces
number = max(range(len(sentences)), key=lambda i: len(set(tokens[i])))
table = features[number].toarray() * (firing_rate < 0.2)
shown = np.argsort(-table.max(axis=0), kind="stable")[:14]
shown = shown[np.argsort(table[:, shown].argmax(axis=0), kind="stable")]
words = [
    top_tokens(features, feature, n_tokens=20).token.unique()[:3] for feature in shown
]

fig, ax = plt.subplots(figsize=(8, 5), layout="constrained")
image = ax.imshow(table[:, shown].T, aspect="auto", cmap="magma")
ax.set_xticks(range(len(tokens[number])), tokens[number], rotation=45, ha="right")
ax.set_yticks(
    range(len(shown)),
    [f"{', '.join(found)}  {i}" for i, found in zip(shown, words, strict=True)],
)
fig.colorbar(image, label="activation")
ax.set_title(sentences[number])

# %%
# One feature
# -----------
# The tokens on which the most local of these features is strongest, with what stands
# before them. A reader can now give it a name, or see that it has none: features of a
# small SAE are often coarse.

feature = shown[np.argmin(firing_rate[shown] + (firing_rate[shown] < 0.005))]
print(f"feature {feature} is on for {firing_rate[feature]:.1%} of the tokens")
print(
    top_tokens(features, feature, n_tokens=8)[
        ["before", "token", "activation"]
    ].to_string()
)
print(
    "It promotes",
    promoted_tokens(
        load_smollm2(), load_demo_sae(), [feature], n_tokens=5
    ).token.tolist(),
)

# %%
# What can go wrong
# -----------------
# The tokens that turn a feature on and those that its decoder promotes (the logit lens,
# last line above) answer two questions and need not agree; halfway through a small
# model the second answer is mostly noise. A feature that fires on the first token of
# many sentences may say "start of text" and nothing else. And names are guesses: check
# them on texts that were not used to find them
# (:func:`~sklearn_sae_encoding.analysis.check_interpretation`).

plt.show()
