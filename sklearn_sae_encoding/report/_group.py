"""What participants in a common space share: a group map, its tests and its pictures."""

from __future__ import annotations

import numpy as np

from sklearn_sae_encoding.analysis import GroupMap
from sklearn_sae_encoding.plotting import plot_score_map
from sklearn_sae_encoding.report._figures import figure
from sklearn_sae_encoding.report._html import cell, element, join, paragraph, scrolling_table

_LEVEL = 0.05
_FEWEST = 6  # participants of whom some two-sided sign flip reaches .05


def group_section(fitted, group, regions, bg):
    """Make a table with a row a region, and maps; None without a group map."""
    if group is None:
        return None
    if not isinstance(group, GroupMap):
        raise ValueError(f"group must be what group_map gives, got {type(group).__name__}.")
    if group.t.shape != fitted.kept.shape:
        raise ValueError(
            f"group must be of the {len(fitted.kept)} voxels of Y, in the same space, got {len(group.t)} voxels."
        )
    places = {"all": np.ones(len(group.t), dtype=bool)}
    if regions is not None:
        names = np.asarray([str(region) for region in regions], dtype=object)
        places |= {name: names == name for name in dict.fromkeys(names) if name}
    columns = ["Region", "Voxels", "Mean", "Family-wise, above 0", "Below 0", "False discovery rate", "Smallest p"]
    columns += [] if group.n_passing is None else ["Most who pass"]
    head = [element("th", name, scope="col", class_="number" if i else "") for i, name in enumerate(columns)]
    rows = [_row(group, name, inside) for name, inside in places.items()]
    caption = f"Voxels that pass at {_LEVEL:g} over participants"
    figures = element("div", *_maps(fitted, group, bg), class_="figures")
    return join([paragraph(_about(group)), scrolling_table(caption, head, rows), figures])


def _about(group):
    least, most = (int(n) for n in (group.n_participants.min(), group.n_participants.max()))
    who = f"{most} participants" if least == most else f"{least} to {most} participants a voxel"
    how = f"all {group.n_flips:,}" if group.exact else f"{group.n_flips:,} random"
    text = (
        f"Over {who}: the t value of the mean, compared with {how} flips of participants’ signs; for the family-wise "
        "error with the largest |t| of all voxels. “Smallest p” is a voxel’s own, which no other voxel corrects."
    )
    if group.n_passing is not None:
        text += " “Most who pass”: how many participants pass their own test in the voxel where most do."
    if most < _FEWEST:
        text += (
            f" With {most} participants no two-sided flip can reach .05 (the smallest p is {2.0 ** (1 - most):.3g}): "
            "read the mean, and how many participants pass their own test."
        )
    return text


def _row(group, name, inside):
    found = inside & (group.fwe_p_values <= _LEVEL)
    mean, p = group.mean[inside], group.p_values[inside]
    texts = [
        f"{inside.sum():,}",
        f"{np.nanmean(mean):.3f}" if np.isfinite(mean).any() else "–",
        f"{np.sum(found & (group.t > 0)):,}",
        f"{np.sum(found & (group.t < 0)):,}",
        f"{np.sum(group.fdr_q_values[inside] <= _LEVEL):,}",
        f"{np.nanmin(p):.3g}" if np.isfinite(p).any() else "–",
    ]
    if group.n_passing is not None:
        texts.append(f"{group.n_passing[inside].max(initial=0)} of {group.n_participants.max()}")
    return element("tr", element("th", name, scope="row"), *[cell(text, class_="number") for text in texts])


def _maps(fitted, group, bg):
    if fitted.masker is None:
        return
    to_img, passing = fitted.masked.to_img, group.fwe_p_values <= _LEVEL
    if passing.any():
        t = np.where(passing, group.t, 0.0)
        yield figure(
            lambda: plot_score_map(to_img(t), label="t over participants", bg=bg),
            f"t values over participants, where they pass at a family-wise {_LEVEL:g}.",
            f"Map of the group: {int(passing.sum())} voxels pass at a family-wise {_LEVEL:g}.",
        )
    elif np.nanmax(np.abs(group.mean), initial=0.0) > 0:
        mean = np.nan_to_num(group.mean)
        yield figure(
            lambda: plot_score_map(to_img(mean), label="mean over participants", bg=bg),
            f"Mean over participants, untested: no voxel passes at a family-wise {_LEVEL:g}.",
            f"Map of the mean over participants: no voxel passes at a family-wise {_LEVEL:g}.",
        )
    if group.n_passing is not None and group.n_passing.any():
        yield figure(
            lambda: plot_score_map(
                to_img(group.n_passing.astype(float)), signed=False, label="participants who pass", bg=bg
            ),
            "How many participants pass their own test.",
            f"Map of counts: up to {group.n_passing.max()} participants pass their own test.",
        )
