"""Tables of the reproduction to four figures."""

import matplotlib.pyplot as plt
import numpy as np


def draw_figures(folder, alice, baseline, topography, planted, by_category):
    """Draw four figures."""
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    errors = [alice["r"] - alice["low"], alice["high"] - alice["r"]]
    axes.errorbar(alice["r"], alice.index, xerr=errors, fmt="o", color="0.2", capsize=3, label="alone")
    axes.plot(alice["r_without"], alice.index, "|", color="C0", ms=14, mew=2, label="all others")
    axes.axvline(0, color="0.6", lw=0.8)
    axes.margins(y=0.12)
    axes.invert_yaxis()
    axes.set_xlabel("r, mean over 27 listeners and 95 % interval")
    axes.set_title("Alice: each category alone, and all without it")
    axes.legend(frameon=False, loc="upper left", bbox_to_anchor=(1, 1))
    figure.savefig(folder / "figure1_alone.png", dpi=150)
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    kinds = {"Shapley value": "shapley", "unique": "unique"}
    for shift, (title, kind) in zip((-0.2, 0.2), kinds.items(), strict=True):
        mean = by_category.parts[[f"{kind}_{name}" for name in by_category.categories]].mean()
        axes.barh(np.arange(len(mean)) + shift, mean, 0.4, label=title)
    axes.set_yticks(range(len(by_category.categories)), by_category.categories)
    axes.invert_yaxis()
    axes.axvline(0, color="k", lw=0.5)
    axes.set_xlabel("explained variance (squared r)")
    axes.set_title("Alice: what each category adds")
    axes.legend(frameon=False)
    figure.savefig(folder / "figure2_parts.png", dpi=150)
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    axes.hist(baseline.draw_scores.mean(axis=1), bins=20, color="0.7", label="as many others of equal variance")
    axes.axvline(baseline.scores.mean(), color="C3", label="semantic")
    axes.set_xlabel("r, mean over listeners and regions")
    axes.set_ylabel("draws")
    axes.set_title(f"Semantic features against matched draws, p = {baseline.p_value:.2f}")
    axes.set_ylim(0, 1.35 * axes.get_ylim()[1])
    axes.legend(frameon=False, loc="upper left", ncols=2)
    figure.savefig(folder / "figure3_matched.png", dpi=150)
    figure, axes = plt.subplots(figsize=(6, 3), layout="constrained")
    topography = topography[sorted(topography)]
    image = axes.imshow(topography, cmap="viridis", vmin=0)
    for row, column in np.argwhere(planted[topography.columns].to_numpy() > 0):
        axes.add_patch(plt.Rectangle((column - 0.46, row - 0.46), 0.92, 0.92, fill=False, edgecolor="C3", lw=2))
    axes.set_xticks(range(topography.shape[1]), topography.columns)
    axes.set_yticks(range(len(topography)), topography.index)
    axes.set_xlabel("region")
    axes.set_title("Simulated cortex; where features were planted is outlined")
    figure.colorbar(image, label="share of voxels", shrink=0.8)
    figure.savefig(folder / "figure4_topography.png", dpi=150)
