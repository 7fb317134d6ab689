"""How well each layer predicts a story, and what a layer that was chosen without the scans that are scored does.

    python benchmarks/story_layers.py [doc/layers.png]

Alice, the mean of 27 listeners, six regions; activations of SmolLM2 at some layers with surprisal and word rate. Six
parts, each predicted by a model of the others; the layer is chosen anew in each, by cross-validation in its training
parts. One pass of the language model serves all layers.
"""

import argparse

import numpy as np
from sklearn.model_selection import LeaveOneOut

from sklearn_sae_encoding.analysis import layer_profile
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.datasets import load_alice, load_smollm2
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.pipeline import make_story_features
from sklearn_sae_encoding.timing import RunwiseRegressor

LAYERS = (3, 9, 15, 21, 27)
DELAYS = {"activations": (2, 3, 4), "surprisal": (2, 3, 4), "rate": (0,)}


def profile():
    """Score the layers on the group's mean."""
    story, smollm2 = load_alice(), LanguageModel(load_smollm2())
    runs, responses = story.cut(6, gap=10)
    models = {
        layer: RunwiseRegressor(
            make_story_features(smollm2, layer, content="activations"), BandedRidgeEncoder(candidates=6), delays=DELAYS
        )
        for layer in LAYERS
    }
    return story, layer_profile(models, runs, responses, cv=LeaveOneOut(), inner_cv=LeaveOneOut())


def draw(story, found, path):
    """Draw a line a region over layers, and beside it what the chosen layers score."""
    import matplotlib.pyplot as plt

    figure, ax = plt.subplots(figsize=(7, 3.4), layout="constrained")
    for region, name in enumerate(story.regions):
        (line,) = ax.plot(LAYERS, found.scores[:, region], marker="o", ms=3, label=name)
        end = LAYERS[-1] + 3
        ax.plot(end, found.best_scores[region], "o", mfc="none", color=line.get_color())
        ax.plot(end + 4, found.chosen_scores[region], "o", color=line.get_color())
        ax.plot(
            [end, end + 4], [found.best_scores[region], found.chosen_scores[region]], lw=0.8, color=line.get_color()
        )
    ax.set(xlabel="layer", ylabel="r, held out", xticks=[*LAYERS, end, end + 4])
    ax.set_xticklabels([*LAYERS, "best\nof all", "chosen in\ntraining"])
    ax.spines[["top", "right"]].set_visible(False)
    ax.legend(frameon=False, ncols=6, loc="lower center", bbox_to_anchor=(0.5, 1), fontsize=8)
    figure.savefig(path, dpi=120)


def main():
    """Print the table, and draw it if a file is named."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("figure", nargs="?")
    path = parser.parse_args().figure
    story, found = profile()
    print(f"{'':24}" + "".join(f"{name:>7}" for name in story.regions) + "   mean")
    rows = {f"layer {layer}": scores for layer, scores in zip(LAYERS, found.scores, strict=True)}
    rows |= {"best of all": found.best_scores, "chosen in training": found.chosen_scores}
    for name, row in rows.items():
        print(f"{name:24}" + "".join(f"{r:7.2f}" for r in row) + f"{np.mean(row):7.3f}")
    print(found.table().to_string(index=False))
    if path:
        draw(story, found, path)


if __name__ == "__main__":
    main()
