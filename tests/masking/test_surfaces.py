"""Surfaces of GIFTI and CIFTI files keep each value at its vertex, there and back."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, SeriesAxis
from nilearn.maskers import SurfaceMasker
from nilearn.surface import InMemoryMesh, PolyMesh, SurfaceImage
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.masking import (
    ImageRows,
    MaskedTargetRegressor,
    read_surface,
    surface_to_cifti,
    surface_to_gifti,
)
from sklearn_sae_encoding.timing import RunwiseRegressor

N_SCANS = 12
WALL = {"left": [0, 3], "right": [4]}  # vertices that the file lacks


def half(n_vertices, seed):
    coordinates = np.random.default_rng(seed).normal(size=(n_vertices, 3))
    return InMemoryMesh(coordinates, np.array([[i, i + 1, i + 2] for i in range(n_vertices - 2)]))


@pytest.fixture
def mesh():
    return PolyMesh(left=half(6, 0), right=half(5, 1))


@pytest.fixture
def whole():
    rng = np.random.default_rng(2)
    data = {"left": rng.normal(size=(6, N_SCANS)), "right": rng.normal(size=(5, N_SCANS))}
    return {side: values.astype(np.float32) for side, values in data.items()}


@pytest.fixture
def cifti(whole):
    axes, columns = [], []
    for side, values in whole.items():
        there = ~np.isin(np.arange(len(values)), WALL[side])
        axes.append(BrainModelAxis.from_mask(there, name=f"cortex_{side}"))
        columns.append(values[there])
    axes.append(BrainModelAxis.from_mask(np.ones((1, 1, 2)), name="thalamus_left", affine=np.eye(4)))
    columns.append(np.full((2, N_SCANS), 99.0))
    series = SeriesAxis(0, 1, N_SCANS)
    return nib.Cifti2Image(np.concatenate(columns).T.astype(np.float32), (series, axes[0] + axes[1] + axes[2]))


def test_a_cifti_file_has_its_values_at_their_vertices_and_nothing_at_the_medial_wall(cifti, whole, mesh, tmp_path):
    cifti.to_filename(tmp_path / "run.dtseries.nii")
    img = read_surface(tmp_path / "run.dtseries.nii", mesh)
    for side, values in whole.items():
        expected = values.copy()
        expected[WALL[side]] = np.nan
        np.testing.assert_array_equal(img.data.parts[side], expected)
    back = surface_to_cifti(img, cifti)
    np.testing.assert_array_equal(np.asarray(back.dataobj), np.asarray(cifti.dataobj)[:, :-2])


def test_a_pair_of_gifti_files_is_an_image(whole, mesh, tmp_path):
    paths = write_pair(tmp_path, whole)
    img = read_surface(paths, mesh)
    for side, values in whole.items():
        np.testing.assert_array_equal(img.data.parts[side], values)
    with pytest.raises(ValueError, match=r"vertices, but the mesh .*: give the mesh that they lie on"):
        read_surface(paths[::-1], mesh)


def write_pair(folder, whole):
    paths = []
    for side, values in whole.items():
        arrays = [nib.gifti.GiftiDataArray(scan, intent="NIFTI_INTENT_TIME_SERIES") for scan in values.T]
        paths.append(folder / f"run_hemi-{side[0].upper()}.func.gii")
        nib.GiftiImage(darrays=arrays).to_filename(paths[-1])
    return paths


def test_a_model_of_pairs_of_gifti_files_writes_its_maps_and_scans_as_pairs(whole, mesh, tmp_path):
    whole["left"][WALL["left"]] = np.nan  # as fMRIPrep writes the medial wall, if it is asked to
    whole["right"][WALL["right"]] = np.nan
    runs = [read_surface(write_pair(tmp_path, whole), mesh)] * 2
    X = [np.random.default_rng(seed).normal(size=(N_SCANS, 2)) for seed in (0, 1)]
    with pytest.warns(UserWarning, match="Non-finite values detected"):
        model = MaskedTargetRegressor(RunwiseRegressor(None, Ridge()), SurfaceMasker(standardize=None)).fit(X, runs)
    assert model.n_elements_ == 8
    left, right = surface_to_gifti(model.coef_img(1), names=["weight of b"])
    left.to_filename(tmp_path / "map_hemi-L.func.gii")
    right.to_filename(tmp_path / "map_hemi-R.func.gii")
    back = read_surface([tmp_path / f"map_hemi-{side}.func.gii" for side in "LR"], mesh)
    stacked = np.concatenate([np.concatenate([whole["left"], whole["right"]]).T] * 2)
    there = np.isfinite(stacked[0])
    expected = np.full(11, np.nan)
    expected[there] = Ridge().fit(np.concatenate(X), stacked[:, there]).coef_[:, 1]
    found = np.concatenate([back.data.parts[side][:, 0] for side in ("left", "right")])
    np.testing.assert_allclose(found[there], expected[there], rtol=1e-4, atol=1e-5)
    assert not found[~there].any()  # nilearn's maskers put 0 where there is no mask
    written = nib.load(tmp_path / "map_hemi-R.func.gii")
    assert written.meta["AnatomicalStructurePrimary"] == "CortexRight"
    assert written.darrays[0].meta["Name"] == "weight of b"
    scans = surface_to_gifti(model.predict(X, as_image=True)[0], t_r=1.5)
    assert [len(part.darrays) for part in scans] == [N_SCANS, N_SCANS]
    assert scans[0].darrays[3].intent == nib.nifti1.intent_codes["NIFTI_INTENT_TIME_SERIES"]
    assert scans[0].darrays[3].meta["TimeStep"] == "1500"
    with pytest.raises(ValueError, match="names must name each of the 1 maps, got 2"):
        surface_to_gifti(model.coef_img(1), names=["a", "b"])


def test_files_on_the_surface_are_read_where_the_masker_knows_the_mesh(whole, cifti, mesh, tmp_path):
    cifti.to_filename(tmp_path / "run.dtseries.nii")
    pair = tuple(write_pair(tmp_path, whole))
    everywhere = SurfaceImage(mesh=mesh, data={"left": np.ones(6, dtype=bool), "right": np.ones(5, dtype=bool)})
    masker = SurfaceMasker(everywhere, standardize=None)
    X = [np.random.default_rng(seed).normal(size=(N_SCANS, 2)) for seed in (0, 1)]
    by_run = MaskedTargetRegressor(RunwiseRegressor(None, Ridge()), masker)
    rows = np.concatenate([whole["left"], whole["right"]]).T
    expected = Ridge().fit(np.concatenate(X), np.concatenate([rows] * 2)).coef_
    for runs in ([pair, pair], [list(pair)] * 2, [tuple(map(nib.load, pair))] * 2):
        np.testing.assert_allclose(by_run.fit(X, runs).regressor_.regressor_.coef_, expected, rtol=1e-4, atol=1e-5)
    for runs in ([tmp_path / "run.dtseries.nii"] * 2, [str(tmp_path / "run.dtseries.nii")] * 2, [cifti, cifti]):
        with pytest.warns(UserWarning, match="3 of 11 voxels are left out"):
            fitted = by_run.fit(X, runs)
        assert np.flatnonzero(fitted.missing_).tolist() == [0, 3, 10]  # the medial wall
        np.testing.assert_allclose(fitted.regressor_.regressor_.coef_, expected[~fitted.missing_], rtol=1e-4, atol=1e-5)
        assert np.isnan(fitted.coef_img(1).data.parts["left"][WALL["left"]]).all()
    plain = MaskedTargetRegressor(Ridge(), masker).fit(X[0], pair)
    np.testing.assert_allclose(plain.regressor_.coef_, Ridge().fit(X[0], rows).coef_, rtol=1e-4, atol=1e-5)
    assert plain.mask_targets(pair).shape == (N_SCANS, 11)


def test_files_without_a_mesh_or_half_of_a_pair_are_told_what_to_do(whole, mesh, tmp_path):
    pair = write_pair(tmp_path, whole)
    X = [np.zeros((N_SCANS, 2))] * 2
    no_mesh = MaskedTargetRegressor(RunwiseRegressor(None, Ridge()), SurfaceMasker(standardize=None))
    with pytest.raises(ValueError, match=r"SurfaceMasker knows none: give it a mask_img .*read_surface"):
        no_mesh.fit(X, [pair, pair])
    with pytest.raises(TypeError, match=r"lies on the surface: read it by read_surface"):
        ImageRows(pair)
    everywhere = SurfaceImage(mesh=mesh, data={"left": np.ones(6, dtype=bool), "right": np.ones(5, dtype=bool)})
    masked = MaskedTargetRegressor(RunwiseRegressor(None, Ridge()), SurfaceMasker(everywhere, standardize=None))
    with pytest.raises(ValueError, match=r"Expected a CIFTI file or a pair .left, right. of GIFTI files"):
        masked.fit(X, [pair[0], pair[0]])


def test_predictions_of_a_cifti_series_are_a_series_with_its_clock(cifti, mesh):
    img = read_surface(cifti, mesh)
    written = surface_to_cifti(img, cifti, series=True)
    axis, expected = written.header.get_axis(0), cifti.header.get_axis(0)
    assert (axis.start, axis.step, axis.unit, len(axis)) == (expected.start, expected.step, expected.unit, N_SCANS)
    np.testing.assert_array_equal(np.asarray(written.dataobj), np.asarray(cifti.dataobj)[:, :-2])
    with pytest.raises(ValueError, match="like is no series of scans"):
        surface_to_cifti(img, surface_to_cifti(img, cifti), series=True)


def test_a_model_of_a_cifti_file_writes_its_map_as_one(cifti, mesh):
    img = read_surface(cifti, mesh)
    X = np.random.default_rng(0).normal(size=(N_SCANS, 2))
    with pytest.warns(UserWarning, match="Non-finite values detected"):
        model = MaskedTargetRegressor(Ridge(), SurfaceMasker(standardize=None)).fit(X, img)
    assert model.n_elements_ == 8  # without the medial wall
    written = surface_to_cifti(model.coef_img(1), cifti, names=["weight"])
    expected = Ridge().fit(X, np.asarray(cifti.dataobj)[:, :-2]).coef_[:, 1]
    np.testing.assert_allclose(np.asarray(written.dataobj)[0], expected, rtol=1e-4, atol=1e-5)
    assert written.header.get_axis(0).name.tolist() == ["weight"]


def test_other_files_and_meshes_are_named(cifti, mesh, whole):
    with pytest.raises(ValueError, match=r"CIFTI file or a pair .left, right. of GIFTI files"):
        read_surface(nib.Nifti1Image(np.zeros((2, 2, 2)), np.eye(4)), mesh)
    small = PolyMesh(left=half(5, 0), right=half(5, 1))
    with pytest.raises(ValueError, match=r"The CIFTI file has .* vertices, but the mesh"):
        read_surface(cifti, small)
    left_alone = nib.Cifti2Image(
        np.zeros((1, 6), dtype=np.float32),
        (SeriesAxis(0, 1, 1), BrainModelAxis.from_mask(np.ones(6), name="cortex_left")),
    )
    with pytest.raises(ValueError, match="lacks a hemisphere: it has CIFTI_STRUCTURE_CORTEX_LEFT"):
        read_surface(left_alone, mesh)
