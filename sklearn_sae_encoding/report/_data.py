"""What the report says of texts, voxels and those that were left out."""

from __future__ import annotations

import numpy as np

from sklearn_sae_encoding.report._html import definitions, element


def data_section(fitted, noise_ceiling, noise_floor):
    """List texts or scans, voxels, sizes of supports and noise ceilings."""
    rows = [
        *(_text_rows(fitted.texts) if fitted.runs is None else fitted.runs.clocks()),
        ("voxels given", f"{fitted.Y.shape[1]:,}"),
        ("excluded: values not finite", f"{int((~fitted.responses.finite).sum()):,}"),
        ("without variance", f"{int(fitted.responses.constant.sum()):,}"),
        ("voxels fitted", f"{fitted.coef.shape[0]:,}"),
        ("features of a voxel", _support_sizes(fitted)),
        ("voxels without a content feature", f"{int((fitted.n_content == 0).sum()):,}"),
    ]
    if noise_ceiling is not None:
        low = int(np.sum(~(noise_ceiling >= noise_floor)))
        quartiles = np.nanquantile(noise_ceiling, [0.25, 0.5, 0.75])
        rows.append(("noise ceiling (r)", "median {1:.2f}, quartiles {0:.2f} and {2:.2f}".format(*quartiles)))
        rows.append((f"noise ceiling below {noise_floor:g}", f"{low:,}"))
    if fitted.masker is not None:
        rows.append(("masker", type(fitted.masker).__name__))
    return element("div", definitions(rows), class_="facts")


def _text_rows(texts):
    lengths = np.array([len(text.split()) for text in texts])
    return [
        ("texts", f"{len(texts):,}, {len(set(texts)):,} of them different"),
        ("words in a text", f"median {np.median(lengths):.0f}, from {lengths.min()} to {lengths.max()}"),
    ]


def _support_sizes(fitted):
    q25, median, q75 = np.quantile((fitted.coef != 0).sum(axis=1), [0.25, 0.5, 0.75])
    return f"median {median:.0f}, quartiles {q25:.0f} and {q75:.0f}"
