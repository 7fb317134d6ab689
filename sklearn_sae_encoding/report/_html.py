"""HTML in which text is always text: what isn't marked as HTML is escaped."""

import re
from html import escape

_VOID = ("img", "input")
# Control characters mean nothing in a page, and halves of surrogate pairs can't be stored.
_UNPRINTABLE = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")


class Markup(str):
    """A string that is HTML already, made by :func:`element` or :func:`join` only."""

    __slots__ = ()


def text(value):
    """Turn anything into text that no browser takes for HTML."""
    return value if isinstance(value, Markup) else Markup(escape(_UNPRINTABLE.sub("\ufffd", str(value)), quote=True))


def join(parts, separator=""):
    """Put pieces one after the other."""
    return Markup(text(separator).join(text(part) for part in parts))


def element(name, *children, **attributes):
    """Make an element. ``class_`` is the class, ``data_value`` is data-value, and None leaves an attribute out."""
    rendered = "".join(_attribute(key, value) for key, value in attributes.items() if value not in (None, False))
    if name in _VOID:
        return Markup(f"<{name}{rendered}>")
    return Markup(f"<{name}{rendered}>{join(children)}</{name}>")


def _attribute(key, value):
    key = key.rstrip("_").replace("_", "-")
    return f" {key}" if value is True else f' {key}="{text(value)}"'


def paragraph(*children, **attributes):
    return element("p", *children, **attributes)


def definitions(rows):
    """Names and values, those without a value left out."""
    cells = [element("div", element("dt", name), element("dd", value)) for name, value in rows if value is not None]
    return element("dl", *cells)


def cell(shown, value=None, **attributes):
    """A cell of a table; `value` is what it is sorted by, if that isn't what it shows."""
    return element("td", shown, data_value=value, **attributes)


def scrolling_table(caption, head, rows):
    """Make a plain table that scrolls sideways on a narrow screen; `head` are its headings, `rows` its rows."""
    table = element(
        "table", element("caption", caption), element("thead", element("tr", *head)), element("tbody", *rows)
    )
    return element("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)


def searchable_table(name, caption, columns, rows, *, rows_are):
    """Make a table that can be sorted by its headings and searched; without scripts it is a plain table.

    `columns` are pairs of heading and kind ("text" or "number"), `rows` lists of cells, `rows_are` what they show.
    """
    headings = [
        element("th", element("button", heading, type="button"), scope="col", data_kind=kind, class_=kind)
        for heading, kind in columns
    ]
    search = element(
        "div",
        element("label", f"Search {rows_are} ", element("input", type="search", data_search=name)),
        element("output", data_count=name, role="status"),
        class_="tools",
        hidden=True,
    )
    table = element(
        "table",
        element("caption", caption),
        element("thead", element("tr", *headings)),
        element("tbody", *[element("tr", *row) for row in rows]),
        id=name,
    )
    # A wide table scrolls by itself, also with the arrow keys.
    scroll = element("div", table, class_="scroll", tabindex="0", role="region", aria_label=caption)
    return join([search, scroll])
