"""Regions that were drawn on a flatmap are found in the voxels under them, in the order that was asked for."""

import nibabel as nib
import numpy as np
import pytest
from matplotlib.path import Path as Outline
from nilearn.maskers import NiftiMasker
from pycortex_cases import HEIGHT, SIDE, WIDTH, make_subject, sheet, write_surface

from sklearn_sae_encoding.masking import convert_pycortex_rois, from_pycortex, read_pycortex_rois, region_names

pytest.importorskip("svgelements")


@pytest.fixture
def subject(tmp_path):
    return make_subject(tmp_path / "UTS09")


def by_hand(subject):
    """Find regions by another road: matplotlib's outlines, and all distances; volumes of shape (z, y, x)."""
    flat = [sheet(True)[0][:, :2], sheet(False)[0][:, :2]]
    flat[0][:, 0] -= flat[0][:, 0].max()
    flat[1][:, 0] -= flat[1][:, 0].min()
    places = np.concatenate(flat)
    places = (places - places.min(axis=0)) / np.ptp(places, axis=0) * [WIDTH, HEIGHT]
    places[:, 1] = HEIGHT - places[:, 1]
    kinds = [Outline.MOVETO, *[Outline.CURVE4] * 6]
    curve = Outline([(20, 20), (20, -10), (70, -10), (70, 20), (70, 50), (20, 60), (20, 20)], kinds)
    square = Outline([(140, 30), (170, 30), (170, 70), (140, 70)])
    outer = Outline([(20, 60), (60, 60), (60, 90), (20, 90)]).contains_points(places)
    inner = Outline([(30, 70), (50, 70), (50, 80), (30, 80)]).contains_points(places)
    inside = {"AC": curve.contains_points(places) | square.contains_points(places), "Broca": outer & ~inner}
    for on_map in inside.values():
        on_map[[SIDE**2 - 1, 2 * SIDE**2 - 1]] = False
    paths = [[subject / "surfaces" / f"{kind}_{side}.gii" for kind in ("wm", "pia")] for side in ("lh", "rh")]
    middle = np.concatenate([sum(nib.load(path).agg_data("pointset") for path in pair) / 2 for pair in paths])
    x, y, z = np.meshgrid(np.arange(17), np.arange(13), np.arange(11), indexing="ij")
    places = np.stack([(x - 8) / -0.4, (y - 6) / 0.4, (z - 5) / 0.5], axis=-1)
    nearest = np.argmin(((places[..., None, :] - middle) ** 2).sum(axis=-1), axis=-1)
    return {name: on_map[nearest].T for name, on_map in inside.items()}, nearest.T


def test_voxels_of_a_region_are_those_nearest_to_the_vertices_inside_its_outline(subject):
    expected, nearest = by_hand(subject)
    mask = nib.load(subject / "transforms/UTS09_auto/mask_thick.nii.gz")
    inside = np.asarray(mask.dataobj).T > 0  # (z, y, x), as pycortex reads it
    rois = read_pycortex_rois(subject, order="pycortex")
    assert list(rois) == ["AC", "Broca"]
    for name, volume in expected.items():
        assert 0 < rois[name].sum() < inside.sum() / 2
        assert np.array_equal(rois[name], volume[inside])
    sides = read_pycortex_rois(subject, order="pycortex", by_hemisphere=True)
    assert list(sides) == ["left AC", "right AC", "left Broca", "right Broca"]
    assert np.array_equal(sides["left AC"], (expected["AC"] & (nearest < SIDE**2))[inside])
    assert np.array_equal(sides["left AC"] | sides["right AC"], rois["AC"])
    assert not sides["right Broca"].any()


def test_orders_of_voxels_are_told_apart_and_a_map_of_nilearn_shows_the_region_where_it_is(subject):
    mask = nib.load(subject / "transforms/UTS09_auto/mask_thick.nii.gz")
    here, there = (read_pycortex_rois(subject, order=order)["AC"] for order in ("nilearn", "pycortex"))
    assert not np.array_equal(here, there)
    assert np.array_equal(here, from_pycortex(there, mask))
    volume = NiftiMasker(mask, standardize=None).fit().inverse_transform(here.astype(np.float32)).get_fdata()
    expected = by_hand(subject)[0]["AC"].T & (np.asarray(mask.dataobj) > 0)
    assert np.array_equal(volume > 0, expected)


def test_volumes_of_pycortex_become_the_same_voxels(subject):
    path = subject / "transforms/UTS09_auto/mask_thick.nii.gz"
    volumes, _ = by_hand(subject)
    for order in ("pycortex", "nilearn"):
        read, converted = read_pycortex_rois(subject, order=order), convert_pycortex_rois(volumes, path, order=order)
        assert all(np.array_equal(converted[name], read[name]) for name in volumes)
    shares = {"AC": np.where(volumes["AC"], 0.6, 0.4)}
    expected = read_pycortex_rois(subject, order="pycortex")["AC"]
    assert np.array_equal(convert_pycortex_rois(shares, path, order="pycortex")["AC"], expected)
    flat = {"AC": read_pycortex_rois(subject, order="pycortex")["AC"]}
    assert np.array_equal(convert_pycortex_rois(flat, path, order="pycortex")["AC"], flat["AC"])


def test_voxels_out_of_reach_belong_to_no_region(subject):
    everywhere, near = (read_pycortex_rois(subject, order="nilearn", reach=reach)["AC"] for reach in (None, 2.0))
    assert 0 < near.sum() < everywhere.sum()
    assert not (near & ~everywhere).any()
    assert not read_pycortex_rois(subject, order="nilearn", reach=-1.0)["AC"].any()


def test_surfaces_of_the_older_format_give_the_same(subject):
    expected = read_pycortex_rois(subject, order="nilearn")
    for path in sorted((subject / "surfaces").glob("*.gii")):
        points, triangles = nib.load(path).agg_data(("pointset", "triangle"))
        lines = ["OFF", f"{len(points)} {len(triangles)} 0"]
        lines += [" ".join(map(repr, map(float, point))) for point in points]
        lines += [f"3 {a} {b} {c}" for a, b, c in triangles]
        path.with_suffix(".off").write_text("\n".join(lines) + "\n")
        path.unlink()
    found = read_pycortex_rois(subject, order="nilearn")
    assert all(np.array_equal(found[name], expected[name]) for name in expected)


def test_names_of_regions_are_empty_outside_and_overlaps_are_told():
    rois = {"AC": np.array([True, False, True, False]), "FFA": np.array([False, False, True, True])}
    with pytest.raises(ValueError, match=r"1 voxel.s. belong to 'FFA' and 'AC'"):
        region_names(rois)
    assert region_names(rois, overlapping="first").tolist() == ["AC", "", "AC", "FFA"]
    with pytest.raises(ValueError, match="in arrays of one length"):
        region_names({"AC": [True], "FFA": [True, False]})
    with pytest.raises(ValueError, match="True or False for each voxel"):
        region_names({"AC": [1, 4, 7]})
    with pytest.raises(ValueError, match="must be 'raise' or 'first', got 'last'"):
        region_names(rois, overlapping="last")


def test_what_does_not_belong_together_is_named(subject):
    path = subject / "transforms/UTS09_auto/mask_thick.nii.gz"
    volumes, _ = by_hand(subject)
    with pytest.raises(ValueError, match=r"order must be one of .'pycortex', 'nilearn'., got 'zyx'"):
        read_pycortex_rois(subject, order="zyx")
    with pytest.raises(ValueError, match=r"expected a volume .z, y, x. of shape .11, 13, 17.*This is .x, y, z."):
        convert_pycortex_rois({"AC": volumes["AC"].T}, path, order="nilearn")
    with pytest.raises(ValueError, match=r"Vertices, as of cortex.get_roi_verts, need the surfaces"):
        convert_pycortex_rois({"AC": np.array([3, 9])}, path, order="nilearn")
    with pytest.raises(ValueError, match="a share from 0 to 1"):
        convert_pycortex_rois({"AC": volumes["AC"] * 3}, path, order="nilearn")
    with pytest.raises(ValueError, match=r"holds 'UTS09_auto': say by transform= which, got 'auto'"):
        read_pycortex_rois(subject, order="nilearn", transform="auto")
    with pytest.raises(FileNotFoundError, match=r"mask_thin.nii.gz is not there"):
        read_pycortex_rois(subject, order="nilearn", mask="thin")
    (subject / "overlays.svg").write_text("<svg xmlns='http://www.w3.org/2000/svg' width='3' height='4'/>")
    with pytest.raises(ValueError, match=r"overlays.svg has no layer 'rois'"):
        read_pycortex_rois(subject, order="nilearn")
    write_surface(subject / "surfaces" / "flat_lh.gii", np.zeros((4, 3)), np.array([[0, 1, 2]]))
    with pytest.raises(ValueError, match="flat_lh has 4 vertices, but the fiducial surface 144"):
        read_pycortex_rois(subject, order="nilearn")
