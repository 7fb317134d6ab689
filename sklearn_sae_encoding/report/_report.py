"""The sections of the report, from a fitted model to the page."""

from __future__ import annotations

from datetime import datetime

import numpy as np

from sklearn_sae_encoding import __version__
from sklearn_sae_encoding.plotting import (
    plot_difference_map,
    plot_score_histogram,
    plot_score_map,
    plot_score_scatter,
    plot_surprisal_content_map,
)
from sklearn_sae_encoding.report._bands import NOT_SPLIT, bands_section
from sklearn_sae_encoding.report._checks import find_problems
from sklearn_sae_encoding.report._data import data_section
from sklearn_sae_encoding.report._features import features_section
from sklearn_sae_encoding.report._figures import figure
from sklearn_sae_encoding.report._fitted import find_pages, parts_of_predictions, take_apart
from sklearn_sae_encoding.report._group import group_section
from sklearn_sae_encoding.report._html import cell, definitions, element, join, paragraph, scrolling_table
from sklearn_sae_encoding.report._methods import methods, settings
from sklearn_sae_encoding.report._regions import regions_section
from sklearn_sae_encoding.report._scores import prepare_scores, summary
from sklearn_sae_encoding.report._stories import stories_section


def encoder_report(
    model,
    texts,
    Y,
    *,
    scores=None,
    noise_ceiling=None,
    features=None,
    feature_table=None,
    feature_labels=None,
    feature_pages="auto",
    stability=None,
    regions=None,
    group=None,
    title="Encoding model",
    n_features=20,
    n_texts=5,
    noise_floor=0.1,
    threshold=0.1,
    bg=None,
):
    """Describe a fitted encoding model on one page: what was done, how well it predicts, and by which features.

    The page is a single file that needs no network: it can be sent, archived and printed. Its tables can be searched
    and sorted, and nothing that stands in a text or label is run.

    Parameters
    ----------
    model : estimator
        Fitted: a pipeline such as :func:`~sklearn_sae_encoding.pipeline.make_augmented_encoder` makes, a
        :class:`~sklearn_sae_encoding.encoder.SparseVoxelEncoder` (or another linear regressor), or a
        :class:`~sklearn_sae_encoding.masking.MaskedTargetRegressor` around either, which adds maps.

    texts : list of str, array, Series or DataFrame of one column, or list of StoryRun
        The texts that it was fitted to. Of a :class:`~sklearn_sae_encoding.timing.RunwiseRegressor` the runs: the
        report prints their clocks, draws weights over delays, and shows features with the words that were heard their
        delay before a scan, shaded. Scores with predictions add the course of the voxel that is predicted best.

    Y : array-like of shape (n_texts, n_voxels) or images, or a list with one of these a run
        The responses that it was fitted to, as they were given to ``fit``.

    scores : VoxelScores or dict of str to VoxelScores, default=None
        What :func:`~sklearn_sae_encoding.metrics.cross_val_voxel_scores` gave for this model, or for several with it.
        The first that is not called ``"surprisal"`` is the model reported; one called ``"surprisal"`` is compared
        with it, voxel by voxel. None reports no scores, and warns of it.

    noise_ceiling : array-like of shape (n_voxels,) or float, default=None
        In units of r. Scores are divided by it.

    features : array-like, sparse array or DataFrame of shape (n_texts, n_features), default=None
        The features of the texts. Needed if the model itself takes features; otherwise None computes them.

    feature_table : transformer, FittedView, DataFrame or sequence of str, default=None
        If the model itself takes features, what they are: the fitted transformer that made them, or a table such as
        :func:`~sklearn_sae_encoding.fitted.feature_table` makes. None knows their names, if `features` has any, but
        not which are surprisal.

    feature_labels : Series or dict of int or str to str, default=None
        Labels of features, by the SAE's own index, such as
        :func:`~sklearn_sae_encoding.analysis.read_feature_labels` gives, or by name.

    feature_pages : str or None, default="auto"
        Address of a page about each feature, to which labels link, with the place ``{index}``: the ``page`` of
        :func:`~sklearn_sae_encoding.analysis.read_feature_export`. "auto" takes the pages that the SAE's metadata
        name, or a column `page` of `feature_table`, if there is one; None links nowhere.

    stability : FeatureStability, default=None
        What :func:`~sklearn_sae_encoding.analysis.stability_selection` gave for the voxels that were fitted. Features
        are then listed by how often voxels use them in halves of the texts, in place of whether they do in one fit.

    regions : sequence of str of length n_voxels, default=None
        The region of each voxel, or the names of targets that are regions; empty for none. The report then has a table
        of regions: scores, strongest features and, of stories, their delays.

    group : GroupMap, default=None
        What :func:`~sklearn_sae_encoding.analysis.group_map` gave for participants whose voxels are those of `Y`, in a
        common space. The report then has a table of what passes, by region, and with a masker maps, of a volume or a
        surface: t values that pass over participants, and how many participants pass their own test.

    title : str, default="Encoding model"
        Title of the page.

    n_features : int, default=20
        How many features to show, the most used first. A feature used with both signs counts twice.

    n_texts : int, default=5
        How many texts to show for each.

    noise_floor : float, default=0.1
        Voxels with a smaller noise ceiling, in units of r, are left out of what is said of normalised scores.

    threshold : float, default=0.1
        Smaller scores, differences of scores and parts of predictions (in standard deviations of the response) are not
        drawn on maps.

    bg : image, default=None
        Background of maps; see :func:`~sklearn_sae_encoding.plotting.plot_score_map`.

    Returns
    -------
    report : nilearn.reporting.HTMLReport
        ``report.save_as_html(path)``, ``report.open_in_browser()``, ``report.get_iframe()``; in a notebook it shows
        itself.

    Raises
    ------
    ValueError
        If texts, responses, scores, the group map or features don't belong together, or the model takes features and
        none are given.
    sklearn.exceptions.NotFittedError
        If the model is not fitted.

    References
    ----------
    Nichols et al. (2017), "Best practices in data analysis and sharing in neuroimaging using MRI" (COBIDAS), Nature
    Neuroscience 20.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.encoder import SparseVoxelEncoder
    >>> from sklearn_sae_encoding.fitted import feature_table
    >>> from sklearn_sae_encoding.metrics import cross_val_voxel_scores
    >>> from sklearn_sae_encoding.report import encoder_report
    >>> rng = np.random.default_rng(0)
    >>> texts = [f"Sentence {i}." for i in range(60)]
    >>> table = feature_table(["sae_00000", "sae_00001", "surprisal_mean"], kinds=["sae", "sae", "surprisal"])
    >>> X = pd.DataFrame(rng.random((60, 3)), columns=table["feature"])
    >>> Y = X[["sae_00001"]].to_numpy() + 0.1 * rng.standard_normal((60, 4))
    >>> encoder = SparseVoxelEncoder()
    >>> scores = cross_val_voxel_scores(encoder, X, Y)
    >>> report = encoder_report(encoder.fit(X, Y), texts, Y, scores=scores, features=X, feature_table=table)
    >>> report.save_as_html("report.html")  # doctest: +SKIP
    """
    fitted = take_apart(model, texts, Y, features, feature_table, feature_labels)
    fitted = fitted._replace(pages=find_pages(fitted.view.features, feature_pages))
    scores, noise_ceiling = prepare_scores(scores, noise_ceiling, noise_floor, len(fitted.kept))
    findings = find_problems(fitted, scores, noise_ceiling, noise_floor)
    unit = "score / noise ceiling" if noise_ceiling is not None else "score"
    sections = [
        ("warnings", "Warnings", _warnings_section(findings)),
        ("methods", "What was done", _methods_section(fitted, scores, noise_ceiling)),
        ("data", "Data and exclusions", data_section(fitted, noise_ceiling, noise_floor)),
        ("scores", "Scores", _scores_section(fitted, scores, unit, threshold, bg)),
        ("surprisal", "Surprisal and content", _surprisal_section(fitted, scores, unit, threshold, bg)),
        ("bands", "Bands", bands_section(fitted)),
        ("lags", "Lags", stories_section(fitted, scores, regions)),
        ("regions", "Regions", regions_section(fitted, scores, regions, unit)),
        ("group", "Group of participants", group_section(fitted, group, regions, bg)),
        ("features-used", "Features", features_section(fitted, n_features, n_texts, stability)),
        ("settings", "Settings and versions", _settings_section(fitted, scores)),
    ]
    return _document(title, _page(title, _summary(fitted, scores, unit, findings), sections))


def _document(title, body):
    # nilearn is heavy, and only the class of the report needs it.
    from sklearn_sae_encoding.report._document import make_document

    return make_document(title, body, __version__)


def _page(title, summary, sections):
    sections = [section for section in sections if section[2] is not None]
    links = [element("li", element("a", heading, href=f"#{name}")) for name, heading, _ in sections]
    parts = [
        element(
            "section", element("h2", heading, id=f"{name}-heading"), content, id=name, aria_labelledby=f"{name}-heading"
        )
        for name, heading, content in sections
    ]
    made = datetime.now().astimezone().strftime("%Y-%m-%d %H:%M %Z")
    return join(
        [
            element("a", "Skip to the content", href="#main", class_="skip"),
            element(
                "header",
                element("h1", title),
                paragraph(f"Report of a fitted encoding model, made {made}"),
                summary,
                element("nav", element("ul", *links), aria_label="Sections"),
            ),
            element("main", *parts, id="main"),
            element(
                "footer", f"sklearn-sae-encoding {__version__}. This page is complete in itself: it loads nothing."
            ),
        ]
    )


def _summary(fitted, scores, unit, findings):
    rows = [("Texts" if fitted.runs is None else "Scans", f"{len(fitted.texts):,}")]
    rows.append(("Voxels", f"{len(fitted.kept):,}"))
    used = np.unique(fitted.coef.nonzero()[1])
    rows.append(("Features in use", f"{len(used):,} of {fitted.X.shape[1]:,}"))
    if scores:
        median = summary(next(iter(scores.values())).shown)["median"]
        rows.append((f"Median {unit}", f"{median:.2f}"))
    rows.append(("Warnings", len(findings)))
    return element("div", definitions(rows), class_="overview")


def _warnings_section(findings):
    if not findings:
        return paragraph(
            "Nothing was found. Looked at, as far as the model tells: convergence, the penalty grid, excluded "
            "voxels, noise ceilings and repeated texts."
        )
    items = [element("li", element("strong", finding.title), " ", finding.text) for finding in findings]
    return element("ul", *items, class_="warnings")


def _methods_section(fitted, scores, noise_ceiling):
    return element("blockquote", *[paragraph(text) for text in methods(fitted, scores, noise_ceiling)])


def _scores_section(fitted, scores, unit, threshold, bg):
    if not scores:
        return paragraph("No cross-validated scores were given.")
    # Surprisal first: it gets the grey of baselines.
    names = sorted(scores, key=lambda name: name != "surprisal")
    shown = {name: scores[name].shown for name in names if np.isfinite(scores[name].shown).any()}
    parts = [_score_table(scores, unit)]
    figures = []
    if shown:
        alt = "; ".join(f"{name}: median {np.nanmedian(values):.2f}" for name, values in shown.items())
        figures.append(
            figure(
                lambda: plot_score_histogram(shown, label=unit),
                "How scores are distributed over voxels. Vertical lines are medians.",
                f"Histograms of scores over voxels. {alt}.",
            )
        )
    figures += _score_maps(fitted, scores, unit, threshold, bg)
    return join([*parts, element("div", *figures, class_="figures")])


def _score_table(scores, unit):
    columns = ("Model", "Voxels", "Mean", "Lower quartile", "Median", "Upper quartile", "Above zero")
    head = [element("th", name, scope="col", class_="number" if i else "") for i, name in enumerate(columns)]
    rows = []
    for name, one in scores.items():
        values = summary(one.shown)
        numbers = [f"{values['n']:,}"] + [f"{values[key]:.3f}" for key in ("mean", "q25", "median", "q75")]
        numbers.append(f"{values['positive']:.0%}")
        row = [element("th", name, scope="row"), *[cell(number, class_="number") for number in numbers]]
        rows.append(element("tr", *row))
    metric = next(iter(scores.values())).metric
    caption = (
        f"Cross-validated {metric} ({unit}), over voxels"
        if unit != "score"
        else f"Cross-validated {metric}, over voxels"
    )
    return scrolling_table(caption, head, rows)


def _score_maps(fitted, scores, unit, threshold, bg):
    if fitted.masker is None:
        return
    to_img = fitted.masked.to_img
    name, one = next(iter(scores.items()))
    if np.nanmax(one.shown, initial=-np.inf) > threshold:
        n = int(np.sum(one.shown > threshold))
        yield figure(
            lambda: plot_score_map(to_img(one.shown), threshold=threshold, signed=False, label=unit, bg=bg),
            f"Scores of “{name}” above {threshold:g}.",
            f"Map of the scores of {name}: {n} voxels above {threshold:g}.",
        )
    if "surprisal" in scores and name != "surprisal":
        difference = one.shown - scores["surprisal"].shown
        if np.nanmax(np.abs(difference), initial=0.0) >= threshold:
            images = to_img(one.shown), to_img(scores["surprisal"].shown)
            yield figure(
                lambda: plot_difference_map(*images, threshold=threshold, label=f"difference of {unit}", bg=bg),
                f"“{name}” minus surprisal alone, where they differ by {threshold:g} or more: orange where “{name}” is "
                "better, purple where surprisal is.",
                f"Map of differences: {int(np.sum(difference >= threshold))} voxels better predicted by {name}, "
                f"{int(np.sum(difference <= -threshold))} by surprisal alone.",
            )


def _surprisal_section(fitted, scores, unit, threshold, bg):
    if len(fitted.surprisal) in (0, fitted.coef.shape[1]):
        return None
    if hasattr(fitted.encoder, "n_runs_"):
        return join([_sign_of_surprisal(fitted), paragraph(NOT_SPLIT)])
    surprisal, content = parts_of_predictions(fitted)
    figures = [
        figure(
            lambda: plot_score_scatter(surprisal, content, xlabel="surprisal’s part", ylabel="content’s part"),
            "How far surprisal and content move each voxel’s prediction: standard deviation over texts, in standard "
            "deviations of the response. In sample: it describes the fit.",
            f"Scatter of voxels. Content moves the prediction more than surprisal in "
            f"{share_larger(content, surprisal):.0%} of voxels.",
        )
    ]
    if "surprisal" in scores and len(scores) > 1:
        name, one = next(iter(scores.items()))
        alone = scores["surprisal"].shown
        if np.any(np.isfinite(alone) & np.isfinite(one.shown)):
            figures.append(
                figure(
                    lambda: plot_score_scatter(alone, one.shown, xlabel="surprisal alone", ylabel=name),
                    f"Cross-validated {unit} of each voxel: above the line, content adds to surprisal.",
                    f"Scatter of voxels. {name} predicts {share_larger(one.shown, alone):.0%} of voxels better than "
                    "surprisal alone.",
                )
            )
    figures += _content_map(fitted, surprisal, content, threshold, bg)
    return join([_sign_of_surprisal(fitted), element("div", *figures, class_="figures")])


def _sign_of_surprisal(fitted):
    weights = fitted.coef[:, fitted.surprisal].toarray()
    n = len(weights)
    more, less = int((weights > 0).any(axis=1).sum()), int((weights < 0).any(axis=1).sum())
    return paragraph(
        f"Surprisal has a positive weight in {more:,} voxels ({more / n:.0%}: less expected texts, larger responses), "
        f"and a negative one in {less:,} ({less / n:.0%})."
    )


def _content_map(fitted, surprisal, content, threshold, bg):
    if fitted.masker is None or not np.nanmax(np.fmax(surprisal, content)) > threshold:
        return
    to_img = fitted.masked.to_img
    images = to_img(np.nan_to_num(surprisal)), to_img(np.nan_to_num(content))
    yield figure(
        lambda: plot_surprisal_content_map(*images, threshold=threshold, bg=bg),
        "Where surprisal (orange), content (blue) or both (dark) move the prediction, in standard deviations of the "
        "response.",
        "Two-colour map of surprisal’s and content’s parts of the predictions.",
    )


def _settings_section(fitted, scores):
    parts = [
        join([element("h3", heading), definitions(rows)]) for heading, rows in settings(fitted, scores) if len(rows) > 0
    ]
    return element("details", element("summary", "Everything that another lab needs"), *parts, class_="facts")


def share_larger(first, second):
    """Share of voxels in which `first` is larger, among those where both are known; NaN where none is."""
    known = np.isfinite(first) & np.isfinite(second)
    return float(np.mean(first[known] > second[known])) if known.any() else np.nan
