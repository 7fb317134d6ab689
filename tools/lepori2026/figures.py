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

COLORS = {
    "Shuffled": "#DDDDDD",
    "Surprisal": "#999999",
    "JumpReLU": "#009E73",
    "Matryoshka": "#0072B2",
    "Dense": "#E69F00",
    "shared": "#AA4499",
}
OFFSET = "offset points"
COLUMN, PAGE = 3.5, 7.2  # inches, 89 and 183 mm: the widths of most journals


def _save(folder, name, figure):
    figure.savefig(folder / f"{name}.png", dpi=300, bbox_inches="tight")
    plt.close(figure)


def _new(height, width=COLUMN):
    return plt.subplots(figsize=(width, height), layout="constrained")


def region_bars(folder, name, results, voxels, models, order):
    """Bars of the models by region, a point a participant."""
    figure, ax = _new(2.4, PAGE if len(models) > 3 else COLUMN)
    table = _by_region(voxels, order, {m: results[m].normalized_scores for m in models})
    plot_region_scores(table, models, colors=[COLORS[m] for m in models], ax=ax)
    ax.tick_params(axis="x", labelsize="x-small" if len(models) <= 3 else "small")
    _save(folder, name, figure)


def _by_region(voxels, order, columns):
    wide = pd.concat([voxels[["participant", "region"]].reset_index(drop=True), pd.DataFrame(columns)], axis=1)
    wide = wide.sort_values("region", key=lambda region: region.map(list(order).index), kind="stable")
    return wide.melt(["participant", "region"], var_name="model", value_name="normalized_score")


def bin_bars(folder, name, results, voxels, bins):
    """Bars of the models that are restricted to a bin, over all voxels, a point a participant."""
    names = {"Surprisal": "none"} | {b: b.replace("-", "\u2013\n") for b in bins} | {"Matryoshka": "all"}
    participants = voxels["participant"].to_numpy()
    scores = {label: results[m].normalized_scores for m, label in names.items()}
    table = pd.DataFrame({"participant": participants, "model": "score"} | scores)
    table = table.melt(["participant", "model"], var_name="region", value_name="normalized_score")
    figure, ax = _new(2.2)
    plot_region_scores(table, colors=[COLORS["Matryoshka"]], ax=ax)
    ax.get_legend().remove()
    ax.set_xticks(range(len(names)), list(names.values()), fontsize="x-small")
    ax.set_xlabel("SAE features offered beside surprisal", fontsize="small")
    _save(folder, name, figure)


def feature_heatmap(folder, name, coef, names, groups):
    """Signed features by sets of voxels."""
    table = feature_use_by_group(coef, groups, names)
    table.index = [_short(label) for label in table.index]
    figure, ax = _new(3.3)
    plot_feature_heatmap(table, n_features=15, fmt=".2f", ax=ax)
    ax.set_ylabel("feature, with the sign of its weight", fontsize="small")
    _save(folder, name, figure)


def _short(label):
    """+sae_00053 to +53, as published."""
    sign, name = label[0].replace("-", "\u2212"), label[1:]
    return sign + (str(int(name[4:])) if name.startswith("sae_") else name.replace("surprisal_mean", "surprisal"))


def occupancy_bars(folder, name, table):
    """Share of the selected features in each bin, beside what firing rates alone would give, and the paper's."""
    figure, ax = _new(2.2)
    x = np.arange(len(table))
    ax.bar(x - 0.2, table["share"], 0.38, color=COLORS["Matryoshka"], label="selected")
    ax.bar(x + 0.2, table["expected_share"], 0.38, color=COLORS["Surprisal"], label="expected by firing rates")
    paper = {"marker": "D", "s": 22, "facecolor": "white", "edgecolor": "black", "linewidth": 0.8, "zorder": 3}
    ax.scatter(x - 0.2, table["paper_share"], label="paper, bin in this place", **paper)
    for at, row in zip(x, table.itertuples(), strict=True):
        stars = "***" if row.p_value < 0.001 else "**" if row.p_value < 0.01 else "*" if row.p_value < 0.05 else ""
        ax.annotate(
            stars, (at, max(row.share, row.expected_share, row.paper_share)), (0, 3), textcoords=OFFSET, ha="center"
        )
    ax.set_xticks(x, [label.replace("-", "\u2013") for label in table.index])
    ax.set_xlabel("features of the Matryoshka bin", fontsize="small")
    ax.set_ylabel("share of selected features", fontsize="small")
    ax.set_ylim(0, 1.12 * table[["share", "expected_share", "paper_share"]].max().max())
    ax.tick_params(labelsize="small")
    ax.legend(frameon=False, fontsize="x-small")
    ax.spines[["top", "right"]].set_visible(False)
    _save(folder, name, figure)


def selected_indices(folder, name, coef, widths):
    """Where in the SAE the selected features lie: how many voxels select each of them, the bins marked."""
    share = np.asarray((coef != 0).mean(axis=0)).ravel()[: widths[-1]]
    index = np.arange(len(share)) + 0.5  # so that index 0 has a place on a logarithmic axis
    figure, ax = _new(1.9)
    ax.vlines(index, 0, share, color=COLORS["Matryoshka"], linewidth=0.8)
    for width in widths[:-1]:
        ax.axvline(width, color="black", linewidth=0.7, linestyle=":")
    ax.set(xscale="log", xlim=(0.4, widths[-1]), ylim=(0, 1.05 * share.max()))
    ax.set_xlabel("index of the feature (bins between dotted lines)", fontsize="small")
    ax.set_ylabel("share of voxels\nthat use it", fontsize="small")
    ax.tick_params(labelsize="small")
    ax.spines[["top", "right"]].set_visible(False)
    _save(folder, name, figure)


def prevalence(folder, name, table, groups):
    """Prevalence against entropy with its reference curves."""
    references = prevalence_references(groups, n_draws=5000, random_state=0)
    figure, ax = _new(2.6)
    plot_prevalence_entropy(
        table["prevalence"],
        table["entropy"],
        max_entropy=references.max_entropy,
        max_prevalence=references.max_prevalence,
        curves=references.curves,
        labels=[str(index) for index in table["index"]],
        ax=ax,
    )
    ax.set_ylabel("entropy over participants (bits)", fontsize="small")
    _save(folder, name, figure)


def cluster_heatmap(folder, name, coef, names, labels):
    """Signed features by clusters of voxels."""
    groups = np.where(labels >= 0, [f"cluster {label}" for label in labels], "no cluster")
    order = np.argsort(np.where(labels >= 0, labels, labels.max() + 1), kind="stable")  # columns from the largest on
    feature_heatmap(folder, name, coef[order], names, groups[order])


def transfer_matrix(folder, name, scores, clusters, groups):
    """Transfer between all pairs of voxels, in either direction, ordered by the tree."""
    figure, ax = _new(3.2)
    plot_transfer_matrix(
        scores.normalized_scores, linkage=clusters.linkage, groups=groups, clusters=clusters.labels, ax=ax
    )
    _save(folder, name, figure)


def surprisal_and_content(folder, name, parts, voxels, order):
    """Unique parts of surprisal and content and what they share, by region, a point a participant."""
    names = {"unique_surprisal": "surprisal alone", "shared": "shared", "unique_content": "content alone"}
    figure, ax = _new(2.4)
    plot_region_scores(
        _by_region(voxels, order, parts[list(names)].rename(columns=names)),
        list(names.values()),
        colors=[COLORS["Surprisal"], COLORS["shared"], COLORS["Matryoshka"]],
        label="explained variance / ceiling\u00b2",
        ax=ax,
    )
    ax.tick_params(axis="x", labelsize="x-small")
    _save(folder, name, figure)
