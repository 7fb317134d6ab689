"""Surfaces of GIFTI and CIFTI files keep each value at its vertex, there and back."""

import nibabel as nib
import numpy as np
import pytest
from nibabel.cifti2 import BrainModelAxis, SeriesAxis
from nilearn.maskers import SurfaceMasker
from nilearn.surface import InMemoryMesh, PolyMesh
from sklearn.linear_model import Ridge

from sklearn_sae_encoding.masking import MaskedTargetRegressor, read_surface, surface_to_cifti

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
    paths = []
    for side, values in whole.items():
        arrays = [nib.gifti.GiftiDataArray(scan, intent="NIFTI_INTENT_TIME_SERIES") for scan in values.T]
        paths.append(tmp_path / f"{side}.func.gii")
        nib.GiftiImage(darrays=arrays).to_filename(paths[-1])
    img = read_surface(paths, mesh)
    for side, values in whole.items():
        np.testing.assert_array_equal(img.data.parts[side], values)
    with pytest.raises(ValueError, match=r"vertices, but the mesh .*: give the mesh that they lie on"):
        read_surface(paths[::-1], mesh)


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
