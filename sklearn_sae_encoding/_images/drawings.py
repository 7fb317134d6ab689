"""Outlines that were drawn in layers of an SVG file, as polygons."""

from __future__ import annotations

import re
from xml.etree import ElementTree

import numpy as np

_SVG = "{http://www.w3.org/2000/svg}"
_LABEL = "{http://www.inkscape.org/namespaces/inkscape}label"
_CURVE_POINTS = 24  # of each curve; its polygon then misses a circle of four curves by a thousandth of the radius


def read_outlines(path):
    """Give the outlines of each region, lists of polygons, and the drawing's (x, y, width, height)."""
    try:
        from svgelements import Matrix
    except ImportError as error:
        raise ImportError(
            "Reading overlays.svg needs svgelements: pip install 'sklearn-sae-encoding[pycortex]' (or pip install "
            "svgelements)."
        ) from error
    root = ElementTree.parse(path).getroot()
    layer = _find_layer(root, "rois", path)
    shapes = _find_layer(layer, "shapes", path)
    above = Matrix(shapes.get("transform", "")) * Matrix(layer.get("transform", ""))
    outlines = {}
    for shape in shapes.findall(f"{_SVG}g"):
        polygons = _polygons(shape, above)
        if shape.get(_LABEL) and polygons:
            outlines[shape.get(_LABEL)] = outlines.get(shape.get(_LABEL), []) + polygons
    return outlines, _size(root, path)


def _find_layer(parent, name, path):
    found = [layer for layer in parent.findall(f"{_SVG}g") if layer.get(_LABEL) == name]
    if not found:
        raise ValueError(f"{path} has no layer {name!r}: it is no file of pycortex' regions.")
    return found[0]


def _size(root, path):
    if root.get("viewBox"):
        return np.array(re.split(r"[\s,]+", root.get("viewBox").strip()), dtype=np.float64)
    try:
        return np.array([0, 0, *(float(root.get(name).removesuffix("px")) for name in ("width", "height"))])
    except (AttributeError, ValueError) as error:
        raise ValueError(f"{path} says no width and height.") from error


def _polygons(element, above):
    """Give each path below an element as a list of polygons, of shape (n_points, 2)."""
    from svgelements import Matrix
    from svgelements import Path as Outline

    here = Matrix(element.get("transform", "")) * above
    if element.tag == f"{_SVG}path" and element.get("d"):
        outline = (Outline(element.get("d")) * here).reify()
        return [[_polygon(part) for part in outline.as_subpaths()]]
    return [path for child in element if isinstance(child.tag, str) for path in _polygons(child, here)]


def _polygon(outline):
    points = []
    for segment in outline:
        if type(segment).__name__ in ("Move", "Close"):
            continue
        steps = [0.0, 1.0] if type(segment).__name__ == "Line" else np.linspace(0, 1, _CURVE_POINTS)
        points += [tuple(segment.point(step)) for step in steps]
    return np.array(points, dtype=np.float64).reshape(-1, 2)


def inside_any(points, paths):
    """Say which points lie inside one of the paths; the polygons of a path may cut holes into each other."""
    inside = np.zeros(len(points), dtype=bool)
    for polygons in paths:
        inside |= np.logical_xor.reduce([_inside(points, polygon) for polygon in polygons])
    return inside


def _inside(points, polygon):
    """Say which points lie inside a polygon: a line to the right crosses its edges an odd number of times."""
    inside = np.zeros(len(points), dtype=bool)
    if len(polygon) < 3:
        return inside
    low, high = polygon.min(axis=0), polygon.max(axis=0)
    near = np.flatnonzero(((points >= low) & (points <= high)).all(axis=1))  # never NaN
    x, y = points[near].T
    found = np.zeros(len(near), dtype=bool)
    for (x0, y0), (x1, y1) in zip(polygon, np.roll(polygon, -1, axis=0), strict=True):
        if y0 != y1:
            found ^= ((y0 > y) != (y1 > y)) & (x < (x1 - x0) * (y - y0) / (y1 - y0) + x0)
    inside[near] = found
    return inside
