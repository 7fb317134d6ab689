"""Orders of voxels are never mixed: a value stays in its voxel."""

import numpy as np
import pytest
from nibabel import Nifti1Image
from nilearn.maskers import NiftiMasker

from sklearn_sae_encoding.masking import from_pycortex, to_pycortex


@pytest.fixture
def mask():
    return Nifti1Image((np.random.default_rng(0).random((4, 5, 3)) > 0.4).astype(np.int8), np.eye(4))


def test_a_value_stays_in_its_voxel_in_the_order_of_either_library(mask):
    volume = np.random.default_rng(1).normal(size=(4, 5, 3))
    masker = NiftiMasker(mask, standardize=None).fit()
    values = masker.transform(Nifti1Image(volume, np.eye(4))).ravel()
    cortex = to_pycortex(values, mask)
    # What pycortex does: its volumes are (z, y, x), and so are its masks.
    np.testing.assert_allclose(cortex, volume.T[mask.get_fdata().T > 0])
    assert not np.allclose(cortex, values)
    back = np.zeros((3, 5, 4))
    back[mask.get_fdata().T > 0] = cortex
    np.testing.assert_allclose(back.T, masker.inverse_transform(values).get_fdata())


def test_there_and_back_is_where_it_was_for_any_leading_dimensions(mask):
    n_voxels = int(mask.get_fdata().sum())
    runs = np.arange(2 * 3 * n_voxels).reshape(2, 3, n_voxels)
    assert np.array_equal(from_pycortex(to_pycortex(runs, mask), mask), runs)
    assert np.array_equal(to_pycortex(from_pycortex(runs, mask), mask), runs)
    assert not np.array_equal(to_pycortex(runs, mask), from_pycortex(runs, mask))


def test_values_of_another_mask_are_refused(mask):
    n_voxels = int(mask.get_fdata().sum())
    for function in (to_pycortex, from_pycortex):
        with pytest.raises(ValueError, match=rf"each of the {n_voxels} voxels of the mask, got values of shape \(7,\)"):
            function(np.zeros(7), mask)
    with pytest.raises(ValueError, match="three dimensions"):
        to_pycortex(np.zeros(8), Nifti1Image(np.ones((2, 2, 2, 1), dtype=np.int8), np.eye(4)))
