"""Tokens of a text, coloured by what a feature makes of them."""

import numpy as np

from sklearn_sae_encoding._tokens.arrays import column_of, values_of
from sklearn_sae_encoding.plotting._style import COLUMN_WIDTH, import_pyplot, on_color
from sklearn_sae_encoding.tokens import TokenTable

_LINE = 1.75  # height of a line over that of the letters
_MARKS = {"Ġ": " ", "▁": " ", "Ċ": "⏎", "\n": "⏎"}  # how tokenizers spell a leading space and a line's end


def plot_token_heatmap(table, feature=0, *, text=0, label=None, vmax=None, cmap=None, ax=None):
    """Draw a text with each token coloured by its value.

    Parameters
    ----------
    table : TokenTable
        Values of tokens or words: the features that ``SAEProjector(level="token")`` gives, the surprisal of
        ``SurprisalTransformer(level="token")``, or ``TokenTable.from_arrays(values, texts, offsets)``.

    feature : int or str, default=0
        Column of the table, or its name, such as ``"sae_00123"``.

    text : int, default=0
        Position of the text in the table.

    label : str, default=None
        What the values are. None is the name of the column, "activation" if it has none.

    vmax : float, default=None
        Value of the deepest colour. None is the largest absolute value.

    cmap : str, default=None
        Colour map. None is white to blue, or orange to purple around 0 if there are negative values.

    ax : matplotlib.axes.Axes, default=None
        Where to draw. None makes a figure as tall as the lines need.

    Returns
    -------
    ax : matplotlib.axes.Axes

    Raises
    ------
    ValueError
        If this is no table, or it has no such text or column, or the text no tokens.

    Examples
    --------
    >>> from sklearn_sae_encoding.plotting import plot_token_heatmap
    >>> from sklearn_sae_encoding.tokens import TokenTable
    >>> offsets = [[(0, 1), (2, 5), (6, 11), (11, 12)]]
    >>> table = TokenTable.from_arrays([[[0.0], [2.1], [0.7], [0.1]]], ["A dog barks."], offsets)
    >>> ax = plot_token_heatmap(table)
    >>> [text.get_text() for text in ax.texts]
    ['A', 'dog', 'barks', '.']
    """
    if not isinstance(table, TokenTable) or not -len(table) <= text < len(table):
        raise ValueError(f"Expected a TokenTable, and the position of a text in it, got {table!r} and text={text!r}.")
    column, of_text = column_of(table, feature), table[[text]]
    values = np.asarray(values_of(of_text[0], column), dtype=float)
    if len(values) == 0:
        raise ValueError(f"Text {text} has no tokens to draw.")
    label = ("activation" if table.names is None else table.names[column]) if label is None else label
    tokens = [_shown(token) for token in _written(of_text)]
    plt = import_pyplot()
    from matplotlib.font_manager import FontProperties

    font = FontProperties(size=plt.rcParams["font.size"] * 0.9)
    width = COLUMN_WIDTH if ax is None else ax.figure.get_size_inches()[0] * ax.get_position().width
    room = width - 0.1
    tokens, lines = _wrapped(tokens, font, room * 72)
    if ax is None:
        height = (lines[-1][0] + 1) * font.get_size() * _LINE / 72
        # Set by hand: a layout engine would change the width that the lines were broken for.
        figure = plt.figure(figsize=(width, height + 0.42))
        ax = figure.add_axes([0.05 / width, 0.38 / (height + 0.42), room / width, height / (height + 0.42)])
    mappable = _mappable(values, vmax, cmap)
    _draw_lines(ax, tokens, values, lines, mappable, font)
    _draw_scale(ax, mappable, label)
    return ax


def _written(table):
    """Tokens as they stand in the text, if it is known, and else as the tokenizer spells them."""
    if table.texts is not None and table.offsets is not None:
        return table.pieces[0]
    return table.tokens[0] if table.tokens is not None else [str(t) for t in range(table.n_tokens[0])]


def _shown(token):
    token = str(token)
    for mark, space in _MARKS.items():
        token = token.replace(mark, space)
    return token


def _widths(tokens, font):
    """Widths in points. Letters around a token keep its spaces from being cut off."""
    from matplotlib.textpath import TextToPath

    measure = TextToPath().get_text_width_height_descent
    around = measure("xx", font, ismath=False)[0]
    return np.array([measure(f"x{token}x", font, ismath=False)[0] - around for token in tokens])


def _wrapped(tokens, font, room):
    """Break the text into lines: the tokens as drawn, and line, left end and width of each, in points."""
    line, left, drawn, placed = 0, 0.0, [], []
    for token, full, bare in zip(
        tokens, _widths(tokens, font), _widths([token.lstrip(" ") for token in tokens], font), strict=True
    ):
        if left > 0 and left + full > room:
            line, left = line + 1, 0.0
        if left == 0:  # no space at the start of a line
            token, full = token.lstrip(" "), bare
        drawn.append(token)
        placed.append((line, left, full))
        left += full
    return drawn, placed


def _mappable(values, vmax, cmap):
    from matplotlib.cm import ScalarMappable
    from matplotlib.colors import Normalize

    finite = values[np.isfinite(values)]
    largest = (np.abs(finite).max(initial=0.0) or 1.0) if vmax is None else vmax
    negative = finite.min(initial=0.0) < 0
    return ScalarMappable(
        Normalize(-largest if negative else 0.0, largest), cmap or ("PuOr_r" if negative else "Blues")
    )


def _draw_lines(ax, tokens, values, lines, mappable, font):
    from matplotlib.patches import Rectangle

    step = font.get_size() * _LINE
    inches = ax.figure.get_size_inches() * (ax.get_position().width, ax.get_position().height)
    ax.set(xlim=(0, inches[0] * 72), ylim=(-max(inches[1] * 72, (lines[-1][0] + 1) * step), 0))
    ax.set_axis_off()
    for token, value, (line, left, width) in zip(tokens, values, lines, strict=True):
        color = mappable.to_rgba(value) if np.isfinite(value) else (0.9, 0.9, 0.9, 1.0)
        bottom = -(line + 1) * step
        ax.add_patch(Rectangle((left, bottom + 0.1 * step), width, 0.8 * step, color=color, linewidth=0))
        # parse_math=False: a dollar sign in a text is a dollar sign.
        ax.text(
            left + (width if token.startswith(" ") else 0),
            bottom + 0.5 * step,
            token.strip(" "),
            ha="right" if token.startswith(" ") else "left",
            va="center_baseline",
            color=on_color(color),
            fontproperties=font,
            parse_math=False,
        )


def _draw_scale(ax, mappable, label):
    # Points below the text, whatever its height.
    height = ax.figure.get_size_inches()[1] * ax.get_position().height
    scale = ax.inset_axes([0.04, -0.16 / height, 0.4, 0.08 / height])
    bar = ax.figure.colorbar(mappable, cax=scale, orientation="horizontal")
    bar.outline.set_visible(False)
    bar.ax.tick_params(labelsize="x-small", length=2)
    bar.ax.locator_params(nbins=4)
    scale.text(1.05, 0.5, label, transform=scale.transAxes, fontsize="x-small", va="center")
