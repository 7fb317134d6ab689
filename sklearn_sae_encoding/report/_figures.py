"""Figures to images inside the page, each for light and dark paper."""

from base64 import b64encode
from io import BytesIO

from sklearn_sae_encoding.plotting._style import import_pyplot
from sklearn_sae_encoding.report._html import element

_DPI = 200
_LIGHT = {"figure.facecolor": "none", "savefig.facecolor": "none", "axes.facecolor": "none", "font.size": 10.0}
_PALE = "#e6e8ec"
_DARK = {
    **_LIGHT,
    **dict.fromkeys(("text.color", "axes.labelcolor", "axes.edgecolor", "xtick.color", "ytick.color"), _PALE),
}


def figure(draw, caption, alt):
    """Draw twice, in dark and in pale ink, and let the reader's screen choose.

    `draw` takes no argument and returns axes. `alt` says in words what the figure shows.
    """
    light, dark = _png(draw, _LIGHT), _png(draw, _DARK)
    # Not a picture element: it would keep the pale ink of a dark screen on paper.
    images = [
        element("img", src=light, alt=alt, class_="on-light"),
        element("img", src=dark, alt=alt, class_="on-dark"),
    ]
    return element("figure", *images, element("figcaption", caption))


def _png(draw, style):
    plt = import_pyplot()
    import matplotlib as mpl

    # The report looks the same whatever style, backend or figures the session has.
    with mpl.rc_context({key: value for key, value in mpl.rcParamsDefault.items() if key not in _KEPT}):
        mpl.rcParams.update(style)
        drawn = draw().figure
        buffer = BytesIO()
        drawn.savefig(buffer, format="png", dpi=_DPI, metadata={"Software": None})
        plt.close(drawn)
    return "data:image/png;base64," + b64encode(buffer.getvalue()).decode("ascii")


_KEPT = ("backend", "backend_fallback", "interactive", "toolbar", "webagg.port", "webagg.address")
