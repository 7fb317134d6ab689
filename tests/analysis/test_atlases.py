"""Regions of voxels and vertices from an atlas, and topographies from images."""

import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn import maskers, surface
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.analysis import atlas_regions, category_topography
from sklearn_sae_encoding.masking import MaskedTargetRegressor

SHAPE = (4, 5, 6)
NAMES = ("Background", "IFG", "AntTemp", "PostTemp")


def volume(values, scale=1.0):
    return nibabel.Nifti1Image(np.asarray(values), np.diag([scale, scale, scale, 1.0]))


def on_surface(values):
    points = np.random.default_rng(8).normal(size=(60, 3))
    mesh = dict.fromkeys(["left", "right"], surface.InMemoryMesh(points, np.array([[0, 1, 2], [1, 2, 3]])))
    values = np.asarray(values, dtype=np.float32)
    return surface.SurfaceImage(mesh, {"left": values[:60], "right": values[60:]})


@pytest.fixture
def cortex():
    """Weights of 120 voxels for four features, regions by number, and which voxels were measured."""
    rng = np.random.default_rng(0)
    weights = (rng.random((120, 4)) < 0.4) * rng.normal(size=(120, 4))
    return weights.astype(np.float32), rng.integers(0, 4, 120), rng.random(120) < 0.8


def as_images(kind, weights, regions, mask):
    if kind == "volume":
        image = volume(weights.reshape(*SHAPE, 4))
        atlas, mask = volume(regions.reshape(SHAPE).astype("int32")), volume(mask.reshape(SHAPE).astype("int8"))
        return image, atlas, maskers.NiftiMasker(mask)
    return on_surface(weights), on_surface(regions), maskers.SurfaceMasker(on_surface(mask))


@pytest.mark.parametrize("kind", ["volume", "surface"])
@pytest.mark.parametrize("measure", ["voxels", "weight", "d"])
def test_a_topography_of_images_is_that_of_their_voxels(kind, measure, cortex):
    weights, regions, mask = cortex
    labels = np.array(["", *NAMES[1:]], dtype=object)[regions]
    expected = category_topography(weights[mask], labels[mask], {"a": [0, 1], "b": [3]}, measure=measure)
    image, atlas, masker = as_images(kind, *cortex)
    options = {"measure": measure, "masker": masker, "region_names": NAMES}
    found = category_topography(image, atlas, {"a": [0, 1], "b": [3]}, **options)
    pd.testing.assert_frame_equal(found.mean, expected.mean, rtol=1e-5)
    of_arrays = category_topography(weights[mask], atlas, {"a": [0, 1], "b": [3]}, **options)
    pd.testing.assert_frame_equal(of_arrays.mean, expected.mean, rtol=1e-5)
    by_name = category_topography(image, labels[mask], {"a": [0, 1], "b": [3]}, measure=measure, masker=masker)
    pd.testing.assert_frame_equal(by_name.mean, expected.mean, rtol=1e-5)


@pytest.mark.parametrize("kind", ["volume", "surface"])
def test_without_a_masker_the_voxels_are_those_of_the_atlas(kind, cortex):
    weights, regions, _ = cortex
    image, atlas, _ = as_images(kind, *cortex)
    found = category_topography(image, atlas, {"a": [0, 1]})
    assert found.mean.loc["a", "2"] == pytest.approx((weights[regions == 2, :2] != 0).any(axis=1).mean())
    assert found.cells["n_voxels"].sum() == (regions > 0).sum()


def test_participants_have_maskers_of_their_own_and_share_an_atlas(cortex):
    image, atlas, masker = as_images("volume", *cortex)
    whole = maskers.NiftiMasker(volume(np.ones(SHAPE, dtype="int8")))
    found = category_topography(
        {"p1": image, "p2": image}, atlas, {"a": [0]}, masker={"p1": masker, "p2": whole}, region_names=NAMES
    )
    counts = found.cells.groupby("participant")["n_voxels"].sum()
    assert counts.to_dict() == {"p1": int((cortex[1][cortex[2]] > 0).sum()), "p2": int((cortex[1] > 0).sum())}


def test_maps_of_a_fitted_regressor_come_in_and_voxels_that_it_left_out_are_in_no_region(cortex):
    rng = np.random.default_rng(1)
    X, Y = rng.normal(size=(20, 3)), rng.normal(size=(20, 120)).astype("float32")
    Y[0, 7] = np.nan
    _, atlas, masker = as_images("volume", *cortex)
    masker = maskers.NiftiMasker(volume(np.ones(SHAPE, dtype="int8")))
    with pytest.warns(UserWarning, match="1 of 120"):
        model = MaskedTargetRegressor(Ridge(), masker).fit(X, volume(Y.T.reshape(*SHAPE, 20)))
    found = category_topography(
        [model.coef_img(j) for j in range(3)], atlas, {"a": [0]}, measure="weight", masker=model.masker_
    )
    kept = np.arange(120) != 7
    labels = np.array(["", "1", "2", "3"], dtype=object)[cortex[1][kept]]
    expected = category_topography(model.regressor_.coef_, labels, {"a": [0]}, measure="weight")
    pd.testing.assert_frame_equal(found.mean[sorted(found.mean)], expected.mean[sorted(expected.mean)], rtol=1e-4)


def test_an_atlas_on_a_finer_grid_gives_each_voxel_the_number_at_its_centre():
    coarse = np.arange(8).reshape(2, 2, 2)
    fine = np.kron(coarse, np.ones((3, 3, 3))).astype("int32")
    affine = np.diag([1 / 3, 1 / 3, 1 / 3, 1.0])
    affine[:3, 3] = -1 / 3  # the centre of the first voxel of three lies a third before that of the large one
    regions = atlas_regions(
        nibabel.Nifti1Image(fine, affine), maskers.NiftiMasker(volume(np.ones((2, 2, 2), dtype="int8")))
    )
    assert regions.tolist() == ["", *map(str, range(1, 8))]


def test_names_come_as_a_mapping_a_table_or_in_order_and_from_a_file(tmp_path, cortex):
    _, atlas, masker = as_images("volume", *cortex)
    nibabel.save(atlas, tmp_path / "atlas.nii.gz")
    table = pd.DataFrame({"index": range(4), "name": NAMES})
    found = [atlas_regions(atlas, masker, names=names).tolist() for names in (NAMES, dict(enumerate(NAMES)), table)]
    assert found[0] == found[1] == found[2]
    assert atlas_regions(str(tmp_path / "atlas.nii.gz"), masker, names=NAMES).tolist() == found[0]


def test_what_is_no_atlas_is_refused(cortex):
    image, atlas, masker = as_images("volume", *cortex)
    shares = volume(np.full(SHAPE, 0.3))
    for given, names, message in (
        (shares, None, "whole numbers, one a region, got 0.3"),
        (image, None, "one map of numbers, got 4 maps"),
        (atlas, NAMES[:3], "regions without a name: 3"),
        (atlas, pd.DataFrame({"number": [1]}), "columns index and name"),
        (volume(np.zeros(SHAPE)), None, "No voxel of the masker is in a region"),
        (as_images("surface", *cortex)[1], None, "images are of the kind surface"),
    ):
        with pytest.raises(ValueError, match=message):
            atlas_regions(given, masker, names=names)
    with pytest.raises(ValueError, match="must tell voxels or vertices"):
        atlas_regions(atlas, maskers.NiftiLabelsMasker(atlas))
    with pytest.raises(ValueError, match="must tell voxels or vertices"):
        atlas_regions(atlas, maskers.NiftiMasker())
    with pytest.raises(ValueError, match="images are of the kind volume"):
        atlas_regions(atlas, as_images("surface", *cortex)[2])
    with pytest.raises(ValueError, match="needs the masker"):
        category_topography(cortex[0], atlas, {"a": [0]})


def test_surfaces_of_another_resolution_are_refused(cortex):
    weights, _, mask = cortex
    image, atlas, masker = as_images("surface", *cortex)
    mesh = surface.InMemoryMesh(np.random.default_rng(9).normal(size=(15, 3)), np.array([[0, 1, 2]]))
    coarse = surface.SurfaceImage(
        dict.fromkeys(["left", "right"], mesh), {side: np.ones(15, dtype=np.float32) for side in ("left", "right")}
    )
    counts = "{'left': 15, 'right': 15} vertices, but the masker {'left': 60, 'right': 60}"
    for given, at in ((weights[mask], coarse), (image, coarse), ([coarse] * 4, atlas)):
        with pytest.raises(ValueError, match=f"{counts}. Is the sphere of another resolution"):
            category_topography(given, at, {"a": [0]}, masker=masker)
    with pytest.raises(ValueError, match=r"but the masker .* Is the sphere of another resolution"):
        category_topography([coarse] * 4, atlas, {"a": [0]})
