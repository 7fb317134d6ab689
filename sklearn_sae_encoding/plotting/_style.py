"""What all figures share: a column's width, colours, and labels that keep clear of each other."""

import textwrap

import numpy as np

COLUMN_WIDTH = 3.5  # inches: one column of most journals

# Told apart with any common colour blindness: Okabe and Ito's, but with Tol's purple, since theirs is grey to a
# deuteranope. Grey comes first, for baselines.
GREY, BLUE, ORANGE, GREEN, PURPLE, SKY, VERMILLION, YELLOW = COLORS = (
    "#999999",
    "#0072B2",
    "#E69F00",
    "#009E73",
    "#AA4499",
    "#56B4E9",
    "#D55E00",
    "#F0E442",
)


def import_pyplot():
    """Give matplotlib's pyplot, or say how to get it."""
    try:
        import matplotlib.pyplot as plt
    except ImportError as error:
        raise ImportError("Figures need matplotlib: pip install 'sklearn-sae-encoding[plot]'") from error
    return plt


def new_axes(ax, height, **subplots):
    """Return the axes given, or those of a new figure of column width."""
    if ax is not None:
        return ax
    return import_pyplot().subplots(figsize=(COLUMN_WIDTH, height), layout="constrained", **subplots)[1]


def colors_for(n, colors=None, what="groups"):
    """Return `n` colours, the given ones or the first of the palette."""
    if colors is None and n > len(COLORS):
        raise ValueError(f"Colours tell at most {len(COLORS)} {what} apart, got {n}. Pass colors, or show fewer.")
    colors = palette() if colors is None else list(colors)
    if len(colors) < n:
        raise ValueError(f"Expected a colour for each of {n} {what}, got {len(colors)}.")
    return colors[:n]


def plain(ax):
    """Take away the lines that carry nothing."""
    ax.spines[["top", "right"]].set_visible(False)
    ax.tick_params(labelsize="small")
    return ax


def ink():
    """Colour of lines and letters, so that figures also work on a dark page."""
    return import_pyplot().rcParams["text.color"]


def _to_rgba(color):
    from matplotlib.colors import to_rgba

    return to_rgba(color)


def palette():
    """The colours, the two blues exchanged if the ink is pale: on a dark page the lighter one is seen better."""
    if on_color(_to_rgba(ink())) == "white":
        return list(COLORS)
    exchanged = {BLUE: SKY, SKY: BLUE}
    return [exchanged.get(color, color) for color in COLORS]


def accent():
    """The blue of what matters most."""
    return palette()[1]


def wrap(label, width):
    """Break a label at spaces and underscores into lines of at most `width` letters."""
    return "\n".join(textwrap.wrap(str(label).replace("_", " "), width, break_long_words=False)) or str(label)


def columns_of_letters(ax, n_columns, size=7.0):
    """How many letters fit side by side into one of the columns that an axes is divided into."""
    inches = ax.figure.get_size_inches()[0] * ax.get_position().width
    return max(int(inches / n_columns * 72 / (0.55 * size)), 6)


def legend_above(ax):
    """Put the legend above the axes, where no data are, in as few rows as its names allow."""
    handles, labels = ax.get_legend_handles_labels()
    letters = columns_of_letters(ax, 1)
    n_rows = 1
    while n_rows < len(labels) and _width_in_letters(labels, n_rows) > letters:
        n_rows += 1
    ax.legend(
        handles,
        labels,
        ncols=-(-len(labels) // n_rows),
        frameon=False,
        fontsize="x-small",
        loc="lower center",
        bbox_to_anchor=(0.5, 1.0),
        borderaxespad=0.2,
        columnspacing=1.0,
        handlelength=1.4,
        handletextpad=0.5,
    )


def _width_in_letters(labels, n_rows):
    columns = [labels[i : i + n_rows] for i in range(0, len(labels), n_rows)]
    return sum(max(map(len, column)) + 5 for column in columns)  # a handle and its space take 5 letters


def spread(positions, gap, low, high):
    """Move positions as little as needed until neighbours are `gap` apart, all within [low, high]."""
    positions = np.asarray(positions, dtype=float)
    gap = min(gap, (high - low) / max(len(positions) - 1, 1))
    order = np.argsort(positions, kind="stable")
    moved = np.clip(positions[order], low, high)
    for i in range(1, len(moved)):
        moved[i] = max(moved[i], moved[i - 1] + gap)
    # What was pushed beyond the end comes back and pushes its neighbours the other way.
    moved[-1:] = np.minimum(moved[-1:], high)
    for i in range(len(moved) - 2, -1, -1):
        moved[i] = min(moved[i], moved[i + 1] - gap)
    result = np.empty_like(moved)
    result[order] = moved
    return result


def on_color(rgba):
    """Black or white, whichever has the larger contrast with a colour (WCAG's relative luminance)."""
    rgb = np.asarray(rgba, dtype=float)[:3]
    linear = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    return "black" if linear @ (0.2126, 0.7152, 0.0722) > 0.179 else "white"
