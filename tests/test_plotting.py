"""Figures show what the numbers say, and their letters can be read."""

import itertools
import sys

import matplotlib as mpl
import numpy as np
import pandas as pd
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import stats
from scipy.cluster.hierarchy import dendrogram, linkage
from sklearn.dummy import DummyRegressor
from sklearn.linear_model import Ridge

from sklearn_sae_encoding import plotting
from sklearn_sae_encoding.analysis import compare_raters
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, voxel_score_table
from sklearn_sae_encoding.plotting import _images, _maps, plot_cluster_map
from sklearn_sae_encoding.plotting._style import COLORS, on_color, spread
from sklearn_sae_encoding.tokens import TokenTable

mpl.use("Agg")
plt = pytest.importorskip("matplotlib.pyplot")

MODELS = ["surprisal", "SAE + surprisal", "dense + surprisal", "shuffled"]
SETS = ["hard_to_process", "easy_to_process", "abstract", "concrete", "ghost"]


@pytest.fixture(autouse=True)
def _close_figures():
    yield
    plt.close("all")


def _voxels(n_participants=8, seed=0):
    rng = np.random.default_rng(seed)
    table = pd.DataFrame(
        [(f"p{p}", name) for p in range(n_participants) for name in SETS for _ in range(12)],
        columns=["participant", "set"],
    )
    for i, model in enumerate(MODELS):
        table[model] = 0.6 - 0.2 * i + 0.1 * rng.standard_normal(len(table))
    return table


def _scores(**options):
    """The same, a row a voxel and model."""
    table = _voxels(**options)
    return table.melt(["participant", "set"], var_name="model", value_name="normalized_score")


def _volume(seed=0, shape=(8, 9, 7), center=0.3):
    from nibabel import Nifti1Image

    values = center + 0.2 * np.random.default_rng(seed).standard_normal(shape)
    affine = np.diag([15.0, 15.0, 15.0, 1.0])
    affine[:3, 3] = [-55.0, -85.0, -35.0]
    return Nifti1Image(values.astype(np.float32), affine)


def _surface(seed=0):
    from nilearn.datasets import load_fsaverage_data

    image = load_fsaverage_data(mesh="fsaverage5", mesh_type="inflated", data_type="sulcal")
    rng = np.random.default_rng(seed)
    for part in image.data.parts:
        image.data.parts[part] = 0.3 + 0.2 * rng.standard_normal(10242).astype(np.float32)
    return image


def _transfer(n=60, seed=0):
    rng = np.random.default_rng(seed)
    groups = rng.integers(0, 4, n)
    similarity = 0.2 + 0.5 * (groups[:, None] == groups) + 0.05 * rng.standard_normal((n, n))
    distance = np.clip(1 - np.minimum(similarity, similarity.T), 0, 1)
    tree = linkage(distance[np.triu_indices(n, 1)], "average", optimal_ordering=True)
    return similarity, tree, np.array(["IFG", "MFG", "AntTemp", "PostTemp"])[groups]


def _region_figure(ax=None):
    return plotting.plot_region_scores(_scores(), MODELS, region="set", ax=ax)


def _histogram_figure(ax=None):
    return plotting.plot_score_histogram(_voxels()[MODELS].to_dict("series"), ax=ax)


def _scatter_figure(ax=None):
    table = _voxels()
    return plotting.plot_score_scatter(table["surprisal"], table["SAE + surprisal"], ax=ax)


def _heatmap_figure(ax=None):
    values = np.random.default_rng(0).random((25, 5))
    names = [f"{'+-'[i % 2]}sae_{i:05d} people and names" for i in range(25)]
    return plotting.plot_feature_heatmap(pd.DataFrame(values, names, SETS), fmt=".2f", ax=ax)


def _prevalence_figure(ax=None):
    rng = np.random.default_rng(0)
    prevalence = np.r_[[4147, 4079, 3311, 3169, 2969, 2800, 2500, 2100], rng.integers(1, 900, 300)]
    entropy = np.r_[2.99 - 0.03 * rng.random(8), 3 * rng.random(300)]
    x = np.arange(1, 4376)
    return plotting.plot_prevalence_entropy(
        prevalence,
        entropy,
        max_entropy=3,
        max_prevalence=4375,
        curves={"chance": (x, 3 - 3 / x), "as specific as can be": (x, np.log2(np.maximum(x / 900, 1)))},
        labels=[f"sae_{i:05d}" for i in range(308)],
        ax=ax,
    )


def _transfer_figure(ax=None):
    similarity, tree, groups = _transfer()
    return plotting.plot_transfer_matrix(similarity, linkage=tree, groups=groups, ax=ax)


def _path_figure(ax=None):
    alphas = np.geomspace(1, 0.01, 30)
    errors = 1 - 0.1 * np.random.default_rng(0).random((30, 5))
    return plotting.plot_regularization_path(alphas, errors, chosen=alphas[12], axes=ax)


def _path_with_weights_figure():
    alphas = np.geomspace(1, 0.01, 30)
    weights = np.maximum(np.linspace(-1, 1, 30)[:, None], 0) * [1.0, 0.99, 0.98, -0.5, 0.1, 0.0]
    names = [f"sae_{i:05d}" for i in range(6)]
    return plotting.plot_regularization_path(alphas, np.ones((30, 5)), coefs=weights, names=names)[0]


def _tokens_figure(ax=None):
    text = "The chef quickly simmered the rich tomato sauce for $ 5 while his assistant slept."
    tokens = text.replace(" ", " Ġ").split(" ")
    values = np.random.default_rng(0).random((len(tokens), 1))
    return plotting.plot_token_heatmap(TokenTable([values], tokens=[tokens]), ax=ax)


def _score_map_figure(ax=None):
    return plotting.plot_score_map(_volume(), ax=ax)


def _difference_map_figure(ax=None):
    return plotting.plot_difference_map(_volume(), _volume(1), threshold=0.2, ax=ax)


def _two_color_figure(ax=None):
    return plotting.plot_surprisal_content_map(_volume(), _volume(1), ax=ax)


def _surface_figure(ax=None):
    return plotting.plot_score_map(_surface(), ax=ax)


def _surface_difference_figure(ax=None):
    return plotting.plot_difference_map(_surface(), _surface(1), threshold=0.2, ax=ax)


def _surface_two_color_figure(ax=None):
    return plotting.plot_surprisal_content_map(_surface(), _surface(1), ax=ax)


FIGURES = [
    _region_figure,
    _histogram_figure,
    _scatter_figure,
    _heatmap_figure,
    _prevalence_figure,
    _transfer_figure,
    _path_figure,
    _tokens_figure,
    _score_map_figure,
    _difference_map_figure,
    _two_color_figure,
    _surface_figure,
    _surface_difference_figure,
    _surface_two_color_figure,
]


def _letters(figure):
    """Every piece of text that is drawn, with its box in pixels."""
    renderer = figure.canvas.get_renderer()
    texts = itertools.chain.from_iterable(_texts(ax) for ax in figure.findobj(mpl.axes.Axes))
    drawn = [text for text in texts if text.get_visible() and text.get_text().strip()]
    # An annotation's own extent includes its line.
    return [(text.get_text(), mpl.text.Text.get_window_extent(text, renderer)) for text in drawn]


def _texts(ax):
    legend = [] if ax.get_legend() is None else ax.get_legend().get_texts()
    ticks = []
    if ax.axison:
        for axis in (ax.xaxis, ax.yaxis):
            low, high = sorted(axis.get_view_interval())
            ticks += [label for at, label in zip(axis.get_ticklocs(), axis.get_ticklabels()) if low <= at <= high]  # noqa: B905
            ticks.append(axis.label)
    return [*ax.texts, *legend, *ticks]


@pytest.mark.parametrize("draw", [*FIGURES, _path_with_weights_figure], ids=lambda f: f.__name__)
def test_at_column_width_all_letters_are_inside_and_none_overlap(draw):
    figure = draw().figure
    assert figure.get_size_inches()[0] == 3.5
    figure.canvas.draw()
    letters = _letters(figure)
    assert letters
    page = figure.bbox.padded(1)
    outside = [text for text, box in letters if not (page.contains(*box.min) and page.contains(*box.max))]
    assert not outside
    # The box of a slanted text is larger than the text.
    slanted = {text.get_text() for text in figure.findobj(mpl.text.Text) if text.get_rotation() % 90}
    overlapping = [
        (a, b)
        for (a, first), (b, second) in itertools.combinations([pair for pair in letters if pair[0] not in slanted], 2)
        if first.padded(-1.5).overlaps(second.padded(-1.5))
    ]
    assert not overlapping


@pytest.mark.parametrize("draw", FIGURES, ids=lambda f: f.__name__)
def test_axes_that_are_given_are_drawn_into_and_returned(draw):
    figure, axes = plt.subplots(2, figsize=(6, 6))
    assert draw(axes[1]) is axes[1]
    assert not axes[0].has_data()
    assert plt.get_fignums() == [figure.number]
    figure.canvas.draw()
    boxes = [box for _, box in _letters(figure) if box.y1 < axes[0].get_window_extent().y0 - 25]
    assert boxes


def test_bars_are_means_of_participant_means_and_lines_their_standard_errors():
    table = _scores()
    table = pd.concat([table, table[table["participant"] == "p0"]])  # more voxels must not count for more
    ax = plotting.plot_region_scores(table, region="set")
    means = table.groupby(["set", "participant", "model"], sort=False)["normalized_score"].mean().unstack(sort=False)
    heights = [bar.get_height() for container in ax.containers for bar in getattr(container, "patches", [])]
    np.testing.assert_allclose(heights, means.groupby("set", sort=False).mean().to_numpy().T.ravel())
    lines = [c.get_segments()[0] for c in ax.collections if isinstance(c, mpl.collections.LineCollection)]
    lengths = [(segment[1, 1] - segment[0, 1]) / 2 for segment in lines]
    sems = means.groupby("set", sort=False).agg(stats.sem).to_numpy().T.ravel()
    np.testing.assert_allclose(lengths, sems)
    assert [text.get_text() for text in ax.get_legend().get_texts()] == MODELS


def test_the_table_of_scores_is_drawn_as_it_comes_and_said_to_be_what_it_is():
    X = np.random.default_rng(0).normal(size=(40, 2))
    results = cross_val_voxel_scores({"ridge": Ridge(), "mean": DummyRegressor()}, X, X, noise_ceiling=0.8)
    voxels = pd.DataFrame({"participant": ["p1", "p2"], "region": "IFG"})
    table = voxel_score_table(results, voxels)
    for value, label in (("normalized_score", "score / noise ceiling"), ("score", "score")):
        ax = plotting.plot_region_scores(table, value=value)
        assert ax.get_ylabel() == label
        assert ax.patches[0].get_height() == pytest.approx(table.loc[table["model"] == "ridge", value].mean())


def test_each_participant_is_a_point_and_missing_ones_are_none():
    table = _scores()
    table.loc[(table["participant"] == "p3") & (table["set"] == "ghost"), "normalized_score"] = np.nan
    ax = plotting.plot_region_scores(table, "shuffled", region="set")
    points = [c.get_offsets() for c in ax.collections if isinstance(c, mpl.collections.PathCollection)]
    assert [len(p) for p in points] == [8, 8, 8, 8, 7]
    shuffled = table[table["model"] == "shuffled"]
    expected = shuffled.groupby(["set", "participant"], sort=False)["normalized_score"].mean()["abstract"]
    np.testing.assert_allclose(points[2][:, 1], expected)


def test_a_column_or_model_that_is_not_in_the_table_is_named():
    with pytest.raises(ValueError, match=r"no model \['ridge'\]; it has \['surprisal'"):
        plotting.plot_region_scores(_scores(), ["ridge"], region="set")
    with pytest.raises(ValueError, match=r"no column \['model', 'normalized_score'\]"):
        plotting.plot_region_scores(_voxels(), region="set")


def test_more_models_than_colours_are_refused_unless_colours_come_with_them():
    table = pd.concat(_scores().query("model == 'shuffled'").assign(model=f"m{i}") for i in range(9))
    with pytest.raises(ValueError, match="at most 8 models apart"):
        plotting.plot_region_scores(table, region="set")
    plotting.plot_region_scores(table, region="set", colors=["red"] * 9)


def test_a_histogram_counts_every_finite_voxel():
    scores = np.r_[np.random.default_rng(0).normal(0.3, 0.1, 997), np.nan, 40.0, -40.0]
    ax = plotting.plot_score_histogram(scores)
    assert ax.patches[0].get_data().values.sum() == 999
    assert ax.get_xlim()[1] < 5  # one wild voxel doesn't flatten the rest


def test_scores_that_are_all_nan_cannot_be_shown():
    with pytest.raises(ValueError, match="no finite score to show of 'ridge'"):
        plotting.plot_score_histogram({"ridge": [np.nan, np.nan]})


def test_a_scatter_leaves_out_voxels_without_both_values():
    ax = plotting.plot_score_scatter([0.1, np.nan, 0.3], [0.2, 0.3, np.nan])
    np.testing.assert_allclose(ax.collections[0].get_offsets(), [[0.1, 0.2]])
    with pytest.raises(ValueError, match="no voxel with both"):
        plotting.plot_score_scatter([np.nan], [0.1])
    with pytest.raises(ValueError, match="3 on x and 2 on y"):
        plotting.plot_score_scatter([1, 2, 3], [1, 2])


def test_a_scatter_of_many_voxels_counts_them_all():
    rng = np.random.default_rng(0)
    ax = plotting.plot_score_scatter(rng.random(5000), rng.random(5000))
    assert ax.collections[0].get_array().sum() == 5000


def test_a_heat_map_shows_the_rows_of_largest_sum_first():
    table = pd.DataFrame([[0.1, 0.1], [-0.9, -0.9], [0.5, 0.2]], ["a", "b", "c"], ["x", "y"])
    ax = plotting.plot_feature_heatmap(table, n_features=2)
    assert [t.get_text() for t in ax.get_yticklabels()] == ["b", "c"]
    np.testing.assert_allclose(ax.collections[0].get_array(), [[-0.9, -0.9], [0.5, 0.2]])
    assert ax.collections[0].norm.vmin == -ax.collections[0].norm.vmax  # negative values: zero is the middle


def test_numbers_in_cells_contrast_with_their_colour():
    assert on_color((1, 1, 0.6, 1)) == "black"
    assert on_color((0.1, 0.0, 0.3, 1)) == "white"


def test_an_empty_table_is_refused():
    with pytest.raises(ValueError, match="no row or no column"):
        plotting.plot_feature_heatmap(pd.DataFrame())


def test_the_most_prevalent_features_are_named_at_their_points():
    ax = plotting.plot_prevalence_entropy([5, 50, 500], [0.5, 1.0, 2.0], labels=["a", "b", "c"], n_labels=2)
    assert {(t.get_text(), tuple(t.xy)) for t in ax.texts} == {("c", (500, 2.0)), ("b", (50, 1.0))}
    with pytest.raises(ValueError, match=r"got shapes \(2,\) and \(3,\)"):
        plotting.plot_prevalence_entropy([1, 2], [1, 2, 3])


def test_a_transfer_matrix_and_its_tree_follow_the_leaves_of_the_linkage():
    similarity, tree, _ = _transfer()
    ax = plotting.plot_transfer_matrix(similarity, linkage=tree)
    expected = dendrogram(tree, no_plot=True)
    order = expected["leaves"]
    np.testing.assert_array_equal(ax.images[0].get_array(), similarity[np.ix_(order, order)])
    forks = ax.child_axes[0].collections[0].get_segments()
    # scipy puts leaves at 5, 15, 25, ...
    drawn = sorted((fork[1, 0], fork[0, 1], fork[3, 1]) for fork in forks)
    known = sorted(
        (d[1], (i[0] - 5) / 10, (i[3] - 5) / 10) for i, d in zip(expected["icoord"], expected["dcoord"], strict=True)
    )
    np.testing.assert_allclose(np.array(drawn)[:, 0], np.array(known)[:, 0])
    np.testing.assert_allclose(np.sort(np.array(drawn)[:, 1:]), np.sort(np.array(known)[:, 1:]))


def test_of_a_chain_of_thousands_of_merges_the_uppermost_are_drawn():
    n = 3000
    chain = np.c_[np.r_[0, np.arange(n, 2 * n - 2)], np.arange(1, n), np.linspace(0.1, 1, n - 1), np.arange(2, n + 1)]
    ax = plotting.plot_transfer_matrix(np.zeros((n, n)), linkage=chain)
    segments = ax.child_axes[0].collections[0].get_segments()
    np.testing.assert_allclose([segment[1, 0] for segment in segments], chain[-150:, 2])


def test_clusters_are_outlined_where_their_voxels_stand():
    ax = plotting.plot_transfer_matrix(np.zeros((6, 6)), clusters=[-1, 0, 0, 0, -1, 1])
    boxes = [(p.get_x(), p.get_width()) for p in ax.patches]
    assert boxes == [(0.5, 3), (0.5, 3)]  # black below white; a single voxel needs no box


@pytest.mark.parametrize("n_groups", [3, 4, 5, 8])
def test_the_groups_of_a_transfer_matrix_touch_neither_the_matrix_nor_the_colour_bar(n_groups):
    groups = [f"a_long_name_{i}" for i in range(n_groups)]
    ax = plotting.plot_transfer_matrix(np.eye(n_groups), groups=groups)
    ax.figure.canvas.draw()
    legend = ax.get_legend().get_window_extent()
    (bar,) = [other for other in ax.figure.axes if other is not ax]
    assert not legend.overlaps(bar.get_tightbbox())
    assert not legend.overlaps(ax.get_window_extent())
    assert [text.get_text() for text in ax.get_legend().get_texts()] == [g.replace("_", " ") for g in groups]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"similarity": np.zeros((3, 2))}, r"square matrix .* shape \(3, 2\)"),
        ({"similarity": np.zeros((3, 3)), "groups": ["a"]}, r"groups must hold one label a voxel, \(3,\)"),
        ({"similarity": np.zeros((3, 3)), "clusters": [0]}, "clusters must hold one label"),
        ({"similarity": np.zeros((3, 3)), "linkage": np.zeros((1, 4))}, r"has the shape \(2, 4\), got \(1, 4\)"),
    ],
)
def test_a_transfer_matrix_of_other_shapes_is_refused(arguments, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_transfer_matrix(**arguments)


def test_a_path_runs_from_the_largest_penalty_and_its_band_is_a_standard_error():
    alphas = np.array([0.01, 1.0, 0.1])
    errors = np.random.default_rng(0).random((3, 5))
    ax = plotting.plot_regularization_path(alphas, errors)
    assert ax.get_xlim() == (1.0, 0.01)
    vertices = ax.collections[0].get_paths()[0].vertices
    for alpha, row in zip(alphas, errors, strict=True):
        band = vertices[np.isclose(vertices[:, 0], alpha), 1]
        np.testing.assert_allclose([band.min(), band.max()], row.mean() + np.array([-1, 1]) * stats.sem(row))


def test_a_path_names_the_largest_weights_only():
    alphas = np.array([1.0, 0.1])
    coefs = np.array([[0, 0, 0, 0.0], [0.1, -2.0, 1.0, 0.0]])
    _, ax = plotting.plot_regularization_path(alphas, np.ones(2), coefs=coefs, names=list("abcd"), n_labels=2)
    assert [t.get_text() for t in ax.texts] == ["b", "c"]


def test_a_path_of_other_lengths_or_axes_is_refused():
    with pytest.raises(ValueError, match="2 alphas, 3 rows of errors"):
        plotting.plot_regularization_path([1, 0.1], np.ones((3, 5)))
    with pytest.raises(ValueError, match="2 axes, with coefs, got 1"):
        plotting.plot_regularization_path([1, 0.1], np.ones(2), coefs=np.ones((2, 1)), axes=plt.subplots()[1])


def test_tokens_stand_side_by_side_in_lines_and_show_the_text():
    tokens = ["Ġshe", "Ġ$x", "$", "Ċ", *["Ġword"] * 30]
    values = np.linspace(0, 1, len(tokens))
    ax = plotting.plot_token_heatmap(TokenTable([values[:, None]], tokens=[tokens]))
    patches = [(p.get_x(), p.get_y(), p.get_width()) for p in ax.patches]
    assert len(patches) == len(tokens)
    for (x, y, width), (next_x, next_y, _) in itertools.pairwise(patches):
        assert (next_x == pytest.approx(x + width) and next_y == y) or (next_x == 0 and next_y < y)
    assert max(x + width for x, _, width in patches) <= ax.get_xlim()[1] + 0.5
    assert [t.get_text() for t in ax.texts[:4]] == ["she", "$x", "$", "⏎"]
    blueness = [p.get_facecolor()[2] - p.get_facecolor()[0] for p in ax.patches[:20]]
    assert blueness == sorted(blueness)


def test_a_heatmap_takes_a_table_its_column_by_name_or_position_and_shows_the_text_itself():
    values = [np.zeros((1, 2)), np.array([[0.0, 1.0], [0.0, 3.0], [0.0, 2.0]])]
    offsets = [[(0, 2)], [(0, 1), (1, 5), (5, 7)]]
    names = ["sae_00003", "sae_00007"]
    table = TokenTable.from_arrays(
        values, ["No", "A dog\n!"], offsets, tokens=[["No"], ["A", "Ġdog", "Ċ!"]], names=names
    )
    for feature in (1, "sae_00007"):
        ax = plotting.plot_token_heatmap(table, feature, text=1)
        assert [t.get_text() for t in ax.texts] == ["A", "dog", "⏎!"]
        assert ax.child_axes[0].texts[0].get_text() == "sae_00007"
    for wrong in ({"text": 2}, {"feature": 2}, {"feature": "sae_00001"}):
        with pytest.raises(ValueError, match=r"Expected|no column"):
            plotting.plot_token_heatmap(table, **wrong)
    with pytest.raises(ValueError, match="Text 0 has no tokens"):
        plotting.plot_token_heatmap(TokenTable([np.zeros((0, 1))]))
    with pytest.raises(ValueError, match="Expected a TokenTable"):
        plotting.plot_token_heatmap(["a", "b"])


def test_two_colours_say_how_much_of_each():
    table = _maps._two_color_table()[1:].reshape(_maps._LEVELS, _maps._LEVELS, 3)
    red, blue = table[..., 0], table[..., 2]
    assert np.all(np.diff(blue[:, 0]) < 0)  # more surprisal: less blue, towards orange
    assert np.all(np.diff(red[0]) < 0)  # more content: less red, towards blue
    luminance = table @ (0.2126, 0.7152, 0.0722)
    assert luminance[-1, -1] == luminance.min()
    assert luminance[0, 0] == luminance.max()
    # Told apart without the green receptors' help too: orange and blue differ in blue and in red.
    assert red[-1, 0] - red[0, -1] > 0.5
    assert blue[0, -1] - blue[-1, 0] > 0.5


@pytest.mark.parametrize("color", ["black", "white"])
def test_the_letters_of_a_map_have_the_ink_of_the_page(color):
    with plt.rc_context({"text.color": color}):
        ax = plotting.plot_score_map(_volume(), display_mode="z", cut_coords=[0, 8])
    letters = [text for part in ax.figure.axes for text in part.texts if text.get_text().strip()]
    assert {text.get_text() for text in letters} >= {"L", "R", "z=0", "z=8"}
    assert {text.get_color() for text in letters} == {color}


def test_full_colour_is_that_of_the_largest_values_drawn():
    img = _volume()
    values = img.get_fdata()
    ax = plotting.plot_surprisal_content_map(img, img, threshold=np.quantile(values, 0.9), display_mode="z")
    (square,) = ax.child_axes
    top = np.quantile(values[values > np.quantile(values, 0.9)], 0.98)
    assert square.get_xticks()[-1] == pytest.approx(top, rel=1e-3)


def test_two_colour_codes_hide_what_is_below_the_threshold_and_rise_with_the_values():
    surprisal, content = np.array([0.0, 0.5, 0.0, 9.0, np.nan]), np.array([0.05, 0.0, 0.5, 9.0, 0.5])
    codes = _maps._two_color_codes(surprisal, content, threshold=0.1, vmax=1.0)
    half, last = _maps._LEVELS // 2, _maps._LEVELS - 1
    expected = [0, 1.5 + half * _maps._LEVELS, 1.5 + half, 1.5 + last * _maps._LEVELS + last, 1.5 + half]
    np.testing.assert_array_equal(codes, expected)


def test_a_difference_map_shows_no_difference_below_the_threshold(monkeypatch):
    drawn = {}
    monkeypatch.setattr("nilearn.plotting.plot_stat_map", lambda image, **options: drawn.update(options, image=image))
    first, second = _volume(0), _volume(1)
    plotting.plot_difference_map(first, second, threshold=0.25, annotate=False)
    np.testing.assert_allclose(drawn["image"].get_fdata(), first.get_fdata() - second.get_fdata(), atol=1e-6)
    assert drawn["threshold"] == 0.25
    assert drawn["vmin"] == -drawn["vmax"]


def test_a_score_map_hides_nan_and_what_is_not_above_the_threshold(monkeypatch):
    drawn = {}
    monkeypatch.setattr("nilearn.plotting.plot_stat_map", lambda image, **options: drawn.update(options, image=image))
    image = _volume()
    image.get_fdata()[0] = np.nan
    plotting.plot_score_map(image, threshold=0.3, signed=False, annotate=False)
    shown = drawn["image"].get_fdata()
    np.testing.assert_array_equal(shown > 0, image.get_fdata() > 0.3)
    np.testing.assert_array_equal(shown < 0, False)
    assert not np.isnan(shown).any()
    assert drawn["vmin"] == 0


@pytest.mark.parametrize("make", [_volume, _surface])
def test_a_map_of_signed_weights_shows_both_signs_in_colours_around_zero(make, monkeypatch):
    drawn = {}
    for name in ("plot_stat_map", "plot_surf_stat_map"):
        monkeypatch.setattr(
            f"nilearn.plotting.{name}",
            lambda image=None, stat_map=None, **options: drawn.update(
                options, image=stat_map if image is None else image
            ),
        )
    weights = _images.map_values(lambda values: values - 0.3, make())
    options = {"annotate": False} if make is _volume else {}
    ax = plotting.plot_score_map(weights, threshold=0.1, label="weight", **options)
    np.testing.assert_allclose(_images.values_of(drawn["image"]), _images.values_of(weights), atol=1e-6)
    assert drawn["threshold"] == 0.1  # of nilearn: what lies within ±threshold is hidden
    assert drawn["vmin"] == -drawn["vmax"] < 0
    assert "weight" in [label.get_text() for child in ax.child_axes for label in [child.yaxis.label]]


def test_a_map_of_negative_values_alone_is_drawn():
    plotting.plot_score_map(_volume(center=-5.0))


@pytest.mark.parametrize(
    "draw",
    [
        lambda: plotting.plot_score_map(_volume()),
        lambda: plotting.plot_score_map(_volume(), signed=False),
        lambda: plotting.plot_region_scores(
            _scores().rename(columns={"normalized_score": "r"}), value="r", region="set"
        ),
        lambda: plotting.plot_transfer_matrix(_transfer()[0]),
        lambda: plotting.plot_score_histogram([0.1, 0.2]),
        lambda: plotting.plot_score_scatter([0.1, 0.2], [0.3, 0.4]),
    ],
)
def test_no_figure_says_by_default_that_what_it_shows_is_divided_by_the_noise_ceiling(draw):
    texts = draw().figure.findobj(mpl.text.Text)
    assert not any("noise ceiling" in text.get_text() for text in texts)


def test_without_matplotlib_figures_name_the_extra(monkeypatch):
    monkeypatch.setitem(sys.modules, "matplotlib.pyplot", None)
    monkeypatch.delattr(mpl, "pyplot")
    for draw in (
        lambda: plotting.plot_score_histogram([0.1, 0.2]),
        lambda: plotting.plot_score_scatter([0.1, 0.2], [0.1, 0.3]),
        lambda: plotting.plot_region_scores(_scores(), region="set"),
        lambda: plotting.plot_feature_heatmap(pd.DataFrame({"a": [1.0]})),
        lambda: plotting.plot_prevalence_entropy([1, 2], [0.0, 1.0]),
        lambda: plotting.plot_transfer_matrix(_transfer()[0]),
        lambda: plotting.plot_regularization_path([1.0, 0.5], [0.2, 0.1]),
        lambda: plotting.plot_token_heatmap(TokenTable.from_arrays([[[1.0]]], ["a"], [[(0, 1)]])),
        lambda: plotting.plot_score_map(_volume()),
        lambda: plotting.plot_difference_map(_volume(), _volume(1), threshold=0.1),
        lambda: plotting.plot_surprisal_content_map(_volume(), _volume(1)),
    ):
        with pytest.raises(ImportError, match=r"matplotlib: pip install 'sklearn-sae-encoding\[plot\]'"):
            draw()


@pytest.mark.parametrize(
    ("draw", "message"),
    [
        (lambda: plotting.plot_score_map(_volume(center=-5.0), signed=False), "No score lies above the threshold of 0"),
        (lambda: plotting.plot_score_map(_volume(), threshold=9.0), "No score lies above the threshold of 9"),
        (lambda: plotting.plot_score_map(_volume(), threshold=-0.1), "threshold must be at least 0, got -0.1"),
        (lambda: plotting.plot_difference_map(_volume(), _volume(), threshold=0.1), "No difference reaches"),
        (lambda: plotting.plot_surprisal_content_map(_volume(), _volume(), threshold=9.0), "No voxel lies above"),
        (lambda: plotting.plot_difference_map(_volume(), _volume(shape=(3, 3, 3)), threshold=0.1), "shapes are"),
        (lambda: plotting.plot_difference_map(_volume(), _surface(), threshold=0.1), "one of each"),
        (lambda: plotting.plot_score_map(_volume(shape=(3, 3, 3, 2))), r"3-D image, got shape \(3, 3, 3, 2\)"),
    ],
)
def test_maps_that_cannot_be_drawn_say_why(draw, message):
    with pytest.raises(ValueError, match=message):
        draw()


def test_maps_of_other_affines_are_refused():
    from nibabel import Nifti1Image

    moved = Nifti1Image(_volume(1).get_fdata(), np.eye(4))
    with pytest.raises(ValueError, match="affines differ"):
        plotting.plot_difference_map(_volume(), moved, threshold=0.1)


@settings(max_examples=50, deadline=None)
@given(st.lists(st.floats(0, 1), min_size=1, max_size=12), st.floats(0.001, 0.3))
def test_labels_that_are_spread_keep_their_order_distance_and_bounds(positions, gap):
    moved = spread(positions, gap, 0.0, 1.0)
    order = np.argsort(positions, kind="stable")
    possible = min(gap, 1.0 / max(len(positions) - 1, 1))
    assert np.all(np.diff(moved[order]) >= possible - 1e-9)
    assert moved.min() >= -1e-9
    assert moved.max() <= 1 + 1e-9


def test_the_palette_is_told_apart_by_colour_blind_readers():
    # Viénot, Brettel and Mollon (1999): what protanopes and deuteranopes see, in linear RGB.
    protan = np.array([[0.11238, 0.88762, 0.0], [0.11238, 0.88762, 0.0], [0.00401, -0.00401, 1.0]])
    deutan = np.array([[0.29275, 0.70725, 0.0], [0.29275, 0.70725, 0.0], [-0.02234, 0.02234, 1.0]])
    rgb = np.array([mpl.colors.to_rgb(color) for color in COLORS])
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    for seen_by in (np.eye(3), protan, deutan):
        seen = np.clip(linear @ seen_by.T, 0, 1) ** (1 / 2.2)
        apart = np.linalg.norm(seen[:, None] - seen, axis=-1)[np.triu_indices(len(COLORS), 1)]
        assert apart.min() > 0.1


def test_gains_coefficients_and_perplexities_are_drawn_where_their_numbers_say():
    gains = pd.DataFrame(
        {"in_sample": [40.0, 16.0], "held_out": [38.0, -6.0], "low": [20.0, -13.0], "high": [55.0, 2.0]},
        index=["surprisal", "shuffled"],
    )
    ax = plotting.plot_log_likelihood_gains(gains)
    assert [label.get_text() for label in ax.get_yticklabels()] == ["surprisal", "shuffled"]
    assert ax.lines[1].get_xdata().tolist() == [40.0, 16.0]
    assert ax.lines[2].get_xdata().tolist() == [38.0, -6.0]
    coef = pd.DataFrame({"estimate": [5.0, 0.1], "standard_error": [0.1, 0.02]}, index=["Intercept", "length"])
    assert plotting.plot_coefficients(coef, intercept=True).lines[1].get_xdata().tolist() == [5.0, 0.1]
    ax = plotting.plot_perplexity_gains(gains.assign(perplexity=[100.0, 900.0]))
    assert [text.get_text() for text in ax.texts] == ["surprisal", "shuffled"]
    with pytest.raises(ValueError, match=r"missing: \['perplexity'\]"):
        plotting.plot_perplexity_gains(gains)


def test_a_cluster_map_gives_every_cluster_its_colour_and_hides_what_is_in_none(monkeypatch):
    nibabel = pytest.importorskip("nibabel")
    pytest.importorskip("nilearn")
    from nilearn import plotting as nilearn_plotting

    drawn = {}
    monkeypatch.setattr(
        nilearn_plotting, "plot_stat_map", lambda image, **options: drawn.update(image=image, **options)
    )
    values = np.full((4, 4, 4), np.nan)
    values[0], values[1], values[2] = 0, 1, -1
    image = nibabel.Nifti1Image(values, np.eye(4))
    ax = plot_cluster_map(image, names=["people", "places"], annotate=False)
    codes = drawn["image"].get_fdata()
    assert [np.unique(codes[i]).tolist() for i in range(4)] == [[1.5], [2.5], [0.0], [0.0]]
    shown = drawn["cmap"]((codes[:2, 0, 0] - drawn["vmin"]) / (drawn["vmax"] - drawn["vmin"]))
    legend = ax.get_legend()
    assert [text.get_text() for text in legend.get_texts()] == ["people", "places"]
    np.testing.assert_allclose(shown, [patch.get_facecolor() for patch in legend.get_patches()])


@pytest.mark.parametrize(
    ("values", "names", "message"),
    [(-1.0, None, "Expected clusters numbered from 0"), (9.0, None, "from 0 to 7"), (1.0, ["a"], "2 clusters, but 1")],
)
def test_maps_of_no_or_too_many_clusters_are_refused(values, names, message):
    nibabel = pytest.importorskip("nibabel")
    with pytest.raises(ValueError, match=message):
        plot_cluster_map(nibabel.Nifti1Image(np.full((2, 2, 2), values), np.eye(4)), names=names)


def test_a_confusion_shows_shares_of_rows_or_columns_with_counts_and_margins():
    table = pd.DataFrame([[6, 2], [0, 4]], ["semantic", "lexical"], ["semantic", "lexical"])
    ax = plotting.plot_confusion(table, first="model", second="people")
    cells = [text.get_text() for text in ax.texts]
    assert cells == ["75%\n6", "25%\n2", "0", "100%\n4", "8", "4", "6", "6", "12", "% of each row"]
    assert [label.get_text() for label in ax.get_xticklabels()] == ["semantic", "lexical", "all"]
    assert ax.get_ylim() == (3, 0)  # the first category stands above
    columns = [text.get_text() for text in plotting.plot_confusion(table, normalize="column").texts]
    assert columns[:4] == ["100%\n6", "33%\n2", "0", "67%\n4"]
    counts = plotting.plot_confusion(table, normalize=None)
    assert [text.get_text() for text in counts.texts][:4] == ["6", "2", "0", "4"]


def test_a_confusion_of_raters_serves_with_its_margins_whatever_the_order_of_its_columns():
    found = compare_raters(dict(enumerate("aab")), dict(enumerate("abb")), n_bootstraps=2).confusion
    shown = [
        [text.get_text() for text in plotting.plot_confusion(one).texts] for one in (found, found[["b", "all", "a"]])
    ]
    assert shown[0] == shown[1]
    assert shown[0][:4] == ["50%\n1", "50%\n1", "0", "100%\n1"]


@pytest.mark.parametrize(
    ("table", "options", "message"),
    [
        (pd.DataFrame([[1, 2]], ["a"], ["a", "b"]), {}, "b stand on one side only"),
        (pd.DataFrame([[0]], ["a"], ["a"]), {}, "some of them above 0"),
        (pd.DataFrame([[-1]], ["a"], ["a"]), {}, "at least 0"),
        (pd.DataFrame([[1]], ["a"], ["a"]), {"normalize": "all"}, "must be 'row', 'column' or None"),
    ],
)
def test_what_is_no_confusion_is_refused(table, options, message):
    with pytest.raises(ValueError, match=message):
        plotting.plot_confusion(table, **options)
