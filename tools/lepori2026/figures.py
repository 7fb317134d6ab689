"""The figures of the paper, drawn with the library's plots."""

import matplotlib as mpl

mpl.use("Agg")

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

from sklearn_sae_encoding.analysis import feature_use_by_group, prevalence_references
from sklearn_sae_encoding.plotting import (
    plot_feature_heatmap,
    plot_prevalence_entropy,
    plot_region_scores,
    plot_transfer_matrix,
)

COLORS = {"Shuffled": "#DDDDDD", "Surprisal": "#999999", "Matryoshka": "#0072B2", "Dense": "#E69F00"}


def _save(folder, name, figure):
    figure.savefig(folder / f"{name}.png", dpi=200, bbox_inches="tight")
    plt.close(figure)


def region_bars(folder, name, results, voxels, models, order):
    """Bars of the models by region, a point a participant."""
    figure, ax = plt.subplots(figsize=(6.5, 2.8))
    wide = voxels[["participant", "region"]].reset_index(drop=True)
    wide = pd.concat([wide, pd.DataFrame({m: results[m].normalized_scores for m in models})], axis=1)
    wide = wide.sort_values("region", key=lambda region: region.map(list(order).index), kind="stable")
    plot_region_scores(wide, models, colors=[COLORS.get(m) for m in models], ax=ax)
    _save(folder, name, figure)


def bin_bars(folder, name, results, voxels, bins):
    """Bars of the models that are restricted to a bin, over all voxels, a point a participant."""
    names = {"Surprisal": "surprisal only"} | {b: b for b in bins} | {"Matryoshka": "all"}
    wide = pd.concat(
        [
            pd.DataFrame(
                {
                    "participant": voxels["participant"].to_numpy(),
                    "region": label,
                    "score": results[m].normalized_scores,
                }
            )
            for m, label in names.items()
        ]
    )
    figure, ax = plt.subplots(figsize=(5.6, 2.6))
    plot_region_scores(wide, ["score"], colors=[COLORS["Matryoshka"]], ax=ax)
    ax.get_legend().remove()
    ax.set_xlabel("features offered, with surprisal", fontsize="small")
    ax.tick_params(axis="x", labelsize="x-small")
    _save(folder, name, figure)


def feature_heatmap(folder, name, coef, names, groups):
    """Signed features by sets of voxels."""
    table = feature_use_by_group(coef, names, groups)
    table.index = [label.replace("surprisal_mean", "surprisal") for label in table.index]
    figure, ax = plt.subplots(figsize=(4, 3.2))
    plot_feature_heatmap(table, n_features=15, fmt=".2f", ax=ax)
    _save(folder, name, figure)


def occupancy_bars(folder, name, table):
    """Share of the selected features in each bin, beside what firing rates alone would give, and the paper's."""
    figure, ax = plt.subplots(figsize=(3.6, 2.4))
    columns = {"share": "selected", "expected_share": "by firing rate", "paper_share": "paper, by place"}
    table[list(columns)].rename(columns=columns).plot.bar(
        ax=ax, rot=0, color=[COLORS["Matryoshka"], COLORS["Shuffled"], COLORS["Dense"]], width=0.8
    )
    ax.set_xlabel("Matryoshka bin", fontsize="small")
    ax.set_ylabel("share of selected features", fontsize="small")
    ax.tick_params(labelsize="x-small")
    ax.legend(frameon=False, fontsize="x-small")
    ax.spines[["top", "right"]].set_visible(False)
    _save(folder, name, figure)


def prevalence(folder, name, table, groups):
    """Prevalence against entropy with its reference curves."""
    references = prevalence_references(groups, n_draws=5000, random_state=0)
    figure, ax = plt.subplots(figsize=(4.4, 3))
    plot_prevalence_entropy(
        table["prevalence"],
        table["entropy"],
        max_entropy=references.max_entropy,
        max_prevalence=references.max_prevalence,
        curves=references.curves,
        labels=table["feature"],
        ax=ax,
    )
    ax.set_ylabel("entropy over participants (bits)")
    _save(folder, name, figure)


def cluster_heatmap(folder, name, coef, names, labels):
    """Signed features by clusters of voxels."""
    groups = np.where(labels >= 0, [f"cluster {label}" for label in labels], "no cluster")
    order = np.argsort(np.where(labels >= 0, labels, labels.max() + 1), kind="stable")  # columns from the largest on
    feature_heatmap(folder, name, coef[order], names, groups[order])


def transfer_matrix(folder, name, clusters, groups):
    """Transfer between all pairs of voxels, ordered by the tree."""
    figure, ax = plt.subplots(figsize=(4.2, 3.6))
    plot_transfer_matrix(clusters.similarity, linkage=clusters.linkage, groups=groups, clusters=clusters.labels, ax=ax)
    _save(folder, name, figure)


def surprisal_and_content(folder, name, table):
    """Unique parts of surprisal and content and what they share, by region."""
    parts = {"unique_surprisal": "surprisal alone", "shared": "shared", "unique_content": "content alone"}
    figure, ax = plt.subplots(figsize=(4.6, 2.6))
    colors = [COLORS["Surprisal"], COLORS["Dense"], COLORS["Matryoshka"]]
    table[list(parts)].rename(columns=parts).plot.bar(
        ax=ax,
        rot=0,
        color=colors,
        yerr=table[[f"{p}_sem" for p in parts]].to_numpy().T,
        width=0.8,
        error_kw={"lw": 0.8},
    )
    ax.axhline(0, color="black", linewidth=0.8)
    ax.set_xlabel("")
    ax.set_ylabel("explained variance / ceiling²", fontsize="small")
    ax.tick_params(labelsize="small")
    ax.legend(frameon=False, fontsize="x-small")
    ax.spines[["top", "right"]].set_visible(False)
    _save(folder, name, figure)
