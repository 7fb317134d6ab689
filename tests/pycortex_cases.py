"""A participant of pycortex' database, with a flatmap of two squares and two regions."""

import json

import nibabel as nib
import numpy as np

SIDE = 12  # vertices along an edge of each hemisphere
WIDTH, HEIGHT = 200.0, 100.0
SVG = """<svg xmlns="http://www.w3.org/2000/svg" xmlns:inkscape="http://www.inkscape.org/namespaces/inkscape"
 width="{width}" height="{height}"><g inkscape:label="data"><image/></g>
<g inkscape:label="rois" transform="translate(10,0)"><g inkscape:label="shapes">
<g inkscape:label="AC"><path d="M 10,20 C 10,-10 60,-10 60,20 S 10,60 10,20 Z"/>
<path d="m 130,30 h 30 v 40 h -30 z"/></g>
<g inkscape:label="Broca" transform="scale(2)"><path d="M 5,30 L 25,30 L 25,45 L 5,45 Z
 M 10,35 L 20,35 L 20,40 L 10,40 Z"/></g>
<g inkscape:label="empty"/></g><g inkscape:label="labels"><text>AC</text></g></g></svg>"""


def sheet(left):
    """Make a square of vertices on the map, and triangles that leave out one corner, as a cut does."""
    x, y = np.meshgrid(np.arange(SIDE), np.arange(SIDE), indexing="ij")
    points = np.column_stack([x.ravel() * 3.0 - (100 if left else -70), y.ravel() * 2.0 + 5, np.zeros(SIDE**2)])
    corner = np.arange(SIDE**2).reshape(SIDE, SIDE)
    a, b, c, d = (part.ravel() for part in (corner[:-1, :-1], corner[1:, :-1], corner[:-1, 1:], corner[1:, 1:]))
    triangles = np.concatenate([np.column_stack([a, b, c]), np.column_stack([b, c, d])])
    return points, triangles[~(triangles == SIDE**2 - 1).any(axis=1)]


def write_surface(path, points, triangles):
    arrays = [
        nib.gifti.GiftiDataArray(points.astype(np.float32), "NIFTI_INTENT_POINTSET"),
        nib.gifti.GiftiDataArray(triangles.astype(np.int32), "NIFTI_INTENT_TRIANGLE"),
    ]
    nib.GiftiImage(darrays=arrays).to_filename(path)


def make_subject(folder):
    """Write what pycortex' database holds of a participant."""
    (folder / "surfaces").mkdir(parents=True)
    there = folder / "transforms" / f"{folder.name}_auto"
    there.mkdir(parents=True)
    (folder / "overlays.svg").write_text(SVG.format(width=WIDTH, height=HEIGHT))
    rng = np.random.default_rng(0)
    for side, left in (("lh", True), ("rh", False)):
        flat, triangles = sheet(left)
        write_surface(folder / "surfaces" / f"flat_{side}.gii", flat, triangles)
        middle = rng.uniform([-20, -15, -10], [20, 15, 10], size=(SIDE**2, 3))
        write_surface(folder / "surfaces" / f"wm_{side}.gii", middle - 1, triangles)
        write_surface(folder / "surfaces" / f"pia_{side}.gii", middle + 1, triangles)
    to_voxels = np.array([[-0.4, 0, 0, 8.0], [0, 0.4, 0, 6.0], [0, 0, 0.5, 5.0], [0, 0, 0, 1]])
    (there / "matrices.xfm").write_text(json.dumps({"coord": to_voxels.tolist(), "magnet": np.eye(4).tolist()}))
    mask = (rng.random((17, 13, 11)) > 0.3).astype(np.uint8)
    nib.Nifti1Image(mask, np.eye(4)).to_filename(there / "mask_thick.nii.gz")
    return folder
