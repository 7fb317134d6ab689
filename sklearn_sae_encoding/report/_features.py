"""The features that voxels use, and the texts and tokens that drive them."""

from __future__ import annotations

from itertools import groupby

import numpy as np

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import count_feature_use, rank_band_features
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.report._html import cell, element, join, paragraph, searchable_table
from sklearn_sae_encoding.report._passages import Passages
from sklearn_sae_encoding.surprisal import SurprisalTransformer

_OFTEN = 0.9  # share of halves from which on a voxel counts as one that uses a feature often
_RESAMPLES = {"halves": "random halves", "bootstrap": "bootstrap samples"}
_LEVELS = 5  # shades of a token, t1 to t5


def features_section(fitted, n_features, n_texts, stability=None):
    """Make the tables of features and of what drives them."""
    if stability is not None:
        _check_stability(fitted, stability)
    if isinstance(fitted.encoder, BandedRidgeEncoder):
        return _banded_section(fitted, n_features, n_texts)
    use = count_feature_use(fitted.view if stability is None else stability, fitted.view.features).head(n_features)
    if use.empty:
        return paragraph("No voxel uses any feature.")
    labelled = fitted.pages is not None or fitted.view.features["label"].ne("").any()
    if stability is None:
        caution = (
            "Weights were fitted to all texts, so they describe this sample. Supports of correlated features change "
            "from fold to fold: a feature used by many voxels says more than any single weight."
        )
    else:
        caution = (
            f"Voxels were fitted to {stability.n_resamples} {_RESAMPLES[stability.resampling]} of the texts. The "
            "frequency of a feature is the share of these in which a voxel uses it, the mean over voxels. Weights are "
            "those of the fit to all texts."
        )
    about = paragraph(
        f"{caution} The effect is the median, over the voxels that use the feature, of how far one of its standard "
        "deviations moves the prediction, in standard deviations of the response."
    )
    tables = [_feature_table(fitted, use, labelled, stability), _driver_table(fitted, use, labelled, n_texts)]
    return join([about, *tables])


def _check_stability(fitted, stability):
    if isinstance(fitted.encoder, BandedRidgeEncoder):
        raise ValueError("stability tells which features voxels select, but a BandedRidgeEncoder selects none.")
    if stability.frequency.shape != fitted.coef.shape:
        raise ValueError(
            f"stability must be of the voxels that were fitted and of the model's features, {fitted.coef.shape}; it is "
            f"of {stability.frequency.shape}."
        )


def _banded_section(fitted, n_features, n_texts):
    """Rank features by their effect: ridge uses all of them in every voxel."""
    ranked = rank_band_features(fitted.view).head(n_features)
    labelled = fitted.pages is not None or ranked["label"].ne("").any()
    about = paragraph(
        "Ridge uses every feature in every voxel. The effect of a feature is the root mean square, over voxels, of how "
        "far one of its standard deviations moves the prediction, in units of the response. Correlated features share "
        "their effect."
    )
    columns = [("Feature", "text"), ("Band", "text"), *([("Label", "text")] if labelled else [])]
    delayed = "delay" in ranked
    columns += [("Effect", "number"), ("Raises", "number"), *([("Delay", "number")] if delayed else [])]
    rows = [
        [
            cell(_finder(row.feature), row.feature, class_="name"),
            cell(row.band),
            *_labels(fitted, row.index, labelled),
            cell(f"{row.effect:.3g}", f"{row.effect:.6g}", class_="number"),
            cell(f"{row.positive:.0%}", f"{row.positive:.6f}", class_="number"),
            *([cell(f"{row.delay}", class_="number")] if delayed else []),
        ]
        for row in ranked.itertuples(index=False)
    ]
    table = searchable_table("features", "Features of the largest effect", columns, rows, rows_are="features")
    return join([about, table, _driver_table(fitted, ranked, labelled, n_texts)])


def _labels(fitted, column, labelled):
    if not labelled:
        return []
    label = fitted.view.features["label"].iloc[column]
    return [cell(linked(fitted, column, label or "page") if has_page(fitted, column) else label, label)]


def has_page(fitted, column):
    """Whether a feature is shown somewhere."""
    return fitted.pages is not None and fitted.pages[column] is not None


def linked(fitted, column, shown):
    """Link to the page of a feature, if there is one."""
    return element("a", shown, href=fitted.pages[column], rel="noreferrer") if has_page(fitted, column) else shown


def _feature_table(fitted, use, labelled, stability):
    columns = [("Feature", "text"), *([("Label", "text")] if labelled else []), ("Sign", "text")]
    shares = ("Voxels", "Share of voxels") if stability is None else (f"Voxels at {_OFTEN:.0%}", "Frequency")
    columns += [(name, "number") for name in (*shares, "Effect", "Active in texts")]
    voxels = use["n_voxels"] if stability is None else _n_often(stability, use)
    effects = _effects(fitted, use)
    active = np.asarray((fitted.X != 0).mean(axis=0)).ravel()
    rows = [
        [
            cell(_finder(row.feature), row.feature, class_="name"),
            *_labels(fitted, row.index, labelled),
            cell("+" if row.sign > 0 else "−", class_="name"),
            cell(f"{n:,}", n, class_="number"),
            cell(f"{row.share:.1%}", f"{row.share:.6f}", class_="number"),
            cell(f"{effect:.3f}" if effect == effect else "–", f"{effect:.6g}", class_="number"),
            cell(f"{active[row.index]:.0%}", f"{active[row.index]:.6f}", class_="number"),
        ]
        for row, n, effect in zip(use.itertuples(index=False), voxels, effects, strict=True)
    ]
    how = "the number of voxels that use them" if stability is None else "how often voxels select them"
    return searchable_table("features", f"Features, by {how}", columns, rows, rows_are="features")


def _n_often(stability, use):
    """Count the voxels that use a signed feature in nearly all halves."""
    positive, every = stability.positive.tocsc(), stability.frequency.tocsc()
    shares = [
        positive[:, [column]] if sign > 0 else every[:, [column]] - positive[:, [column]]
        for column, sign in zip(use["index"], use["sign"], strict=True)
    ]
    return [int((share.toarray() >= _OFTEN - 1e-12).sum()) for share in shares]


def _finder(name):
    return element("button", name, type="button", data_find=name, data_table="drivers", title="Show what drives it")


def _effects(fitted, use):
    coef = fitted.coef.tocsc()
    spread = fitted.responses.sd[fitted.kept] / fitted.view.target_scale
    effects = []
    for column, sign in zip(use["index"], use["sign"], strict=True):
        begin, end = coef.indptr[column], coef.indptr[column + 1]
        weights, voxels = coef.data[begin:end], coef.indices[begin:end]
        of_sign = (weights * sign > 0) & (spread[voxels] > 0)
        scale = fitted.X[:, [column]].toarray().std(dtype=np.float64)
        effects.append(np.median(weights[of_sign] * scale / spread[voxels[of_sign]]) if of_sign.any() else np.nan)
    return effects


def _driver_table(fitted, use, labelled, n_texts):
    heard = fitted.runs is not None
    columns = [("Feature", "text"), *([("Label", "text")] if labelled else [])]
    columns += [("Value at scan" if heard else "Value in text", "number")]
    # Features that were given don't say which token made them.
    by_token = heard or fitted.view.maker((LMActivationTransformer, SurprisalTransformer)) is not None
    columns += [("Strongest word" if heard else "Strongest token", "text")] if by_token else []
    columns += [("Heard", "text"), ("Run and scan", "text")] if heard else [("Text", "text")]
    passages = Passages(fitted, n_texts)
    rows = [
        row
        for column in dict.fromkeys(use["index"])
        for row in _drivers(fitted, column, labelled, by_token, passages.of(column))
    ]
    texts = "Texts and tokens that drive the features"
    caption = "Words that drive the features, heard their delay before a scan" if heard else texts
    return searchable_table("drivers", caption, columns, rows, rows_are="passages" if heard else "texts")


def _drivers(fitted, column, labelled, by_token, passages):
    """Make the rows of one feature: its strongest passages, shaded where it is active."""
    name = str(fitted.names[column])
    pieces = [passage.pieces.values for passage in passages if passage.pieces is not None]
    strongest = max((values.max(initial=0.0) for values in pieces), default=0.0)
    return [
        [
            cell(name, class_="name"),
            *_labels(fitted, column, labelled),
            cell(f"{passage.value:.3g}", f"{passage.value:.6g}", class_="number"),
            *([cell(element("bdi", _strongest_piece(passage.text, passage.pieces)))] if by_token else []),
            cell(element("bdi", _shaded(passage.text, passage.pieces, strongest)), passage.text, class_="passage"),
            *([] if passage.place is None else [cell(passage.place)]),
        ]
        for passage in passages
    ]


def _strongest_piece(text, pieces):
    if pieces is None or pieces.values.max(initial=0.0) <= 0:
        return ""
    start, end = pieces.offsets[np.argmax(pieces.values)]
    return text[start:end].strip()


def _shaded(text, pieces, strongest):
    """Shade each token or word by its value over the strongest one; what none covers stays as it is."""
    if pieces is None or strongest <= 0:
        return text
    # By character, because tokens of a character of several bytes lie on each other.
    values = np.zeros(len(text))
    for (start, end), value in zip(pieces.offsets, pieces.values, strict=True):
        values[start:end] = np.maximum(values[start:end], value)
    shaded = []
    for value, run in groupby(range(len(text)), key=values.__getitem__):
        run = list(run)
        piece = text[run[0] : run[-1] + 1]
        level = int(np.ceil(_LEVELS * value / strongest))
        shaded.append(element("mark", piece, class_=f"t{level}", title=f"{value:.3g}") if level > 0 else piece)
    return join(shaded)
