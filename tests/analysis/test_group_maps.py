"""Maps over participants, and functional regions."""

import itertools
import os
import sys
import types
import warnings
from pathlib import Path

import nibabel
import numpy as np
import pandas as pd
import pytest
from nilearn import maskers, surface
from scipy import stats

from sklearn_sae_encoding.analysis import functional_regions, group_map


def test_t_is_scipys_and_exact_p_values_are_its_sign_flips():
    values = np.random.default_rng(0).normal(size=(7, 20)) + 0.4
    result = group_map(values)
    assert result.exact
    assert result.n_flips == 128
    np.testing.assert_allclose(result.t, stats.ttest_1samp(values, 0).statistic)
    witness = stats.permutation_test(
        (values[:, 0],), lambda x, axis: stats.ttest_1samp(x, 0, axis=axis).statistic, permutation_type="samples",
        n_resamples=np.inf, vectorized=True,
    )  # fmt: skip
    assert result.p_values[0] == pytest.approx(witness.pvalue)


def test_family_wise_p_values_are_nilearns():
    mass_univariate = pytest.importorskip("nilearn.mass_univariate")
    values = np.random.default_rng(1).normal(size=(14, 30))
    values[:, :3] += 1.0
    result = group_map(values, n_flips=3000, random_state=0)
    witness = mass_univariate.permuted_ols(
        np.ones((14, 1)), values, model_intercept=False, n_perm=3000, two_sided_test=True, random_state=1,
        output_type="dict", verbose=0,
    )  # fmt: skip
    np.testing.assert_allclose(np.abs(result.t), np.abs(witness["t"][0]), rtol=1e-6)
    np.testing.assert_allclose(result.fwe_p_values, 10 ** -witness["logp_max_t"][0], atol=0.03)


def test_family_wise_p_values_count_the_flips_whose_largest_t_is_as_large_the_identity_among_them():
    values = np.random.default_rng(3).normal([4.0, 1.0, 0.5, 0.0, 0.0], size=(7, 5))
    signs = np.array(list(itertools.product([-1, 1], repeat=7)))
    flipped = np.abs([stats.ttest_1samp(sign[:, None] * values, 0).statistic for sign in signs]).max(axis=1)
    observed = np.abs(stats.ttest_1samp(values, 0).statistic)
    expected = (flipped[:, None] >= observed * (1 - 1e-9)).mean(axis=0)
    result = group_map(values)
    np.testing.assert_allclose(result.fwe_p_values, expected)
    assert result.fwe_p_values.min() == 2 / 128


def test_family_wise_error_and_discovery_rate_hold_where_there_is_nothing():
    rng = np.random.default_rng(2)
    results = [group_map(rng.standard_t(4, size=(8, 60))) for _ in range(150)]
    assert np.mean([(one.fwe_p_values <= 0.05).any() for one in results]) < 0.1
    assert np.mean([(one.fdr_q_values <= 0.05).any() for one in results]) < 0.1
    assert np.mean([one.p_values <= 0.05 for one in results]) == pytest.approx(0.05, abs=0.015)


def test_two_participants_make_a_map_whose_p_values_say_nothing():
    values = np.random.default_rng(4).normal(size=(2, 5)) + 1
    with pytest.warns(UserWarning, match="With 2 participants no two-sided sign flip .* smallest p-value is 0.5"):
        result = group_map(values)
    np.testing.assert_allclose(result.t, stats.ttest_1samp(values, 0).statistic)
    assert result.p_values.min() >= 0.5


def test_voxels_that_some_participants_miss_are_tested_on_the_others():
    values = np.random.default_rng(3).normal(size=(9, 4)) + 1
    values[:2, 1], values[:8, 2], values[:, 3] = np.nan, np.nan, np.nan
    result = group_map(dict(enumerate(values)))
    assert result.n_participants.tolist() == [9, 7, 1, 0]
    assert result.t[1] == pytest.approx(stats.ttest_1samp(values[2:, 1], 0).statistic)
    assert np.isnan(result.t[2:]).all()
    assert np.isnan(result.p_values[2:]).all()
    assert result.mean[2] == pytest.approx(values[8, 2])
    assert np.isnan(result.mean[3])


def test_five_participants_get_counts_and_a_warning_and_six_get_none():
    values = np.full((5, 3), 1.0) + np.random.default_rng(4).normal(scale=0.1, size=(5, 3))
    own = np.array([[0.01, 0.2, np.nan]] * 5)
    with pytest.warns(UserWarning, match="With 5 participants no two-sided sign flip can reach .05"):
        result = group_map(values, own_p_values=own)
    assert result.n_passing.tolist() == [5, 0, 0]
    assert result.p_values.min() > 0.05
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert group_map(np.vstack([values, values[:1]])).p_values.min() < 0.05


@pytest.mark.parametrize(
    ("call", "message"),
    [
        (lambda: group_map([[1.0, 2.0], [1.0]]), "must be in a common space"),
        (lambda: group_map([[1.0, 2.0]]), "two participants or more"),
        (lambda: group_map([[1.0, np.nan], [np.nan, 1.0]]), "at most 1 share a voxel"),
        (lambda: group_map(np.ones((6, 2)), own_p_values=np.ones((5, 2))), r"shape of maps, \(6, 2\)"),
        (lambda: functional_regions([1.0], ["a", "b"]), "of the same voxels"),
        (lambda: functional_regions([1.0], ["a"], top=0), "top must be a share"),
        (lambda: functional_regions([1.0], [""]), "of voxels in parcels; got 0.1, 0"),
    ],
)
def test_what_does_not_fit_is_refused(call, message):
    with pytest.raises(ValueError, match=message):
        call()


def test_regions_are_the_top_of_each_parcel_above_the_floor_identical_voxels_once():
    rng = np.random.default_rng(5)
    t, parcels = rng.normal(size=60), np.repeat(["a", "b", ""], 20)
    reliability, responses = rng.random(60), rng.normal(size=(10, 60))
    best = [np.flatnonzero(parcels == name)[np.argsort(-t[parcels == name])[:5]] for name in ("a", "b")]
    responses[:, best[0][3]] = responses[:, best[0][1]]
    labels, sizes = functional_regions(
        t, parcels, top=0.25, reliability=reliability, min_reliability=0.2, responses=responses
    )
    kept = [one[reliability[one] >= 0.2] for one in best]
    twin = {best[0][3], best[0][1]} <= set(kept[0])
    assert sizes["n_top"].tolist() == [5, 5]
    assert sizes["n_reliable"].tolist() == [len(one) for one in kept]
    assert sizes["n_chosen"].tolist() == [len(kept[0]) - twin, len(kept[1])]
    assert set(np.flatnonzero(labels == "b")) == set(kept[1])
    assert (labels[parcels == ""] == "").all()


def test_a_region_without_a_reliable_voxel_is_empty_and_named():
    labels, sizes = functional_regions([1.0, 2.0], ["a", "b"], reliability=[0.9, 0.1])
    assert labels.tolist() == ["a", ""]
    assert sizes.set_index("parcel")["n_chosen"].to_dict() == {"a": 1, "b": 0}


@pytest.fixture
def funroi(tmp_path, monkeypatch):
    """The package whose regions are the witness, with folders of its own; its downloads alone need boto3."""
    monkeypatch.setitem(sys.modules, "boto3", sys.modules.get("boto3", types.ModuleType("boto3")))
    package = pytest.importorskip("funROI")
    package.set_bids_deriv_folder(tmp_path / "derivatives")
    package.set_analysis_output_folder(tmp_path / "output")
    yield package
    package.reset_settings()


def simulated_localizer():
    """t values with an effect in some voxels, and parcels of 24 to 60 of 150 voxels, some of which are in none."""
    rng = np.random.default_rng(6)
    t, parcels = rng.normal(size=150), rng.permutation(np.repeat([0, 1, 2, 3], [30, 24, 36, 60]))
    t[rng.random(150) < 0.2] += 3
    t[np.flatnonzero(parcels == 2)[:2]] = np.nan
    return t, parcels


def regions_of_funroi(package, parcels):
    config = package.FROIConfig(
        task="language", contrasts=["SN"], threshold_type="percent", threshold_value=0.1, parcels=parcels
    )
    ((subject, image),) = package.FROIGenerator(["01"], config).run(save=False)
    assert subject == "01"
    return image


def contrast_file(tmp_path, ending):
    folder = tmp_path / "derivatives/first_level_language/sub-01/contrasts"
    folder.mkdir(parents=True, exist_ok=True)
    return folder / f"sub-01_task-language_run-all_contrast-SN{ending}"


def test_regions_in_a_volume_are_those_of_funroi(funroi, tmp_path):
    t, parcels = simulated_localizer()
    for values, path in (
        (stats.t.sf(t, 100), contrast_file(tmp_path, "_p.nii.gz")),
        (parcels.astype(float), tmp_path / "parcels.nii.gz"),
    ):
        nibabel.Nifti1Image(values.reshape(5, 5, 6), np.eye(4)).to_filename(path)
    image = regions_of_funroi(funroi, funroi.ParcelsConfig(tmp_path / "parcels.nii.gz"))
    labels, sizes = functional_regions(t, parcels)
    assert sizes.set_index("parcel")["n_chosen"].to_dict() == {"1": 2, "2": 3, "3": 6}
    np.testing.assert_array_equal(np.where(labels == "", "0", labels).astype(int), image.get_fdata().ravel())


def test_regions_on_a_surface_are_those_of_funroi(funroi, tmp_path):
    t, parcels = simulated_localizer()
    halves, meshes, drawn = {"L": slice(0, 75), "R": slice(75, 150)}, {}, {}
    for side, own in halves.items():
        for name, values in ((contrast_file(tmp_path, f"_hemi-{side}_p.func.gii"), stats.t.sf(t[own], 100)),
                             (tmp_path / f"parcels_{side}.func.gii", parcels[own])):  # fmt: skip
            data = nibabel.gifti.GiftiDataArray(np.asarray(values, dtype=np.float32), datatype="NIFTI_TYPE_FLOAT32")
            nibabel.save(nibabel.gifti.GiftiImage(darrays=[data]), name)
        points = np.random.default_rng(7).normal(size=(75, 3)).astype(np.float32)
        triangles = np.column_stack([np.arange(73), np.arange(1, 74), np.arange(2, 75)]).astype(np.int32)
        mesh = [
            nibabel.gifti.GiftiDataArray(points, intent="NIFTI_INTENT_POINTSET", datatype="NIFTI_TYPE_FLOAT32"),
            nibabel.gifti.GiftiDataArray(triangles, intent="NIFTI_INTENT_TRIANGLE", datatype="NIFTI_TYPE_INT32"),
        ]
        meshes[side], drawn[side] = tmp_path / f"{side}.surf.gii", tmp_path / f"parcels_{side}.func.gii"
        nibabel.save(nibabel.gifti.GiftiImage(darrays=mesh), meshes[side])
    image = regions_of_funroi(funroi, funroi.SurfaceParcelsConfig(parcels_paths=drawn, mesh_paths=meshes))
    found = np.concatenate([np.ravel(image.data.parts[side]) for side in ("left", "right")])
    labels, _ = functional_regions(t, parcels)
    np.testing.assert_array_equal(np.where(labels == "", "0", labels).astype(int), found)


@pytest.mark.parametrize("kind", ["volume", "surface"])
def test_images_come_in_and_maps_go_out_by_nilearns_maskers(kind):
    t, parcels = simulated_localizer()
    t = np.nan_to_num(t)
    if kind == "volume":
        images = [nibabel.Nifti1Image(one.reshape(5, 5, 6).astype(float), np.eye(4)) for one in (t, parcels)]
        masker = maskers.NiftiMasker(nibabel.Nifti1Image(np.ones((5, 5, 6), dtype=np.uint8), np.eye(4))).fit()
    else:
        points = np.random.default_rng(8).normal(size=(75, 3))
        mesh = dict.fromkeys(["left", "right"], surface.InMemoryMesh(points, np.array([[0, 1, 2], [1, 2, 3]])))
        images = [
            surface.SurfaceImage(mesh, {"left": one[:75, None].astype(float), "right": one[75:, None].astype(float)})
            for one in (t, parcels)
        ]
        masker = maskers.SurfaceMasker().fit(images[0])
    values, where = (masker.transform(image).ravel() for image in images)
    labels, _ = functional_regions(values, where.astype(int))
    np.testing.assert_array_equal(labels, functional_regions(t, parcels)[0])
    found = masker.inverse_transform(group_map([values, values + 1, values + 2, values, values, values + 1]).mean)
    np.testing.assert_allclose(masker.transform(found).ravel(), values + 4 / 6, atol=1e-5)


# De-duplicated voxels of IFGorb, IFG, MFG, AntTemp and PostTemp, as the authors' tables have them.
PUBLISHED_SIZES = {
    "p1": [104, 108, 129, 68, 430], "p2": [78, 85, 197, 95, 475], "p3": [79, 107, 50, 22, 255], "p4": [0, 9, 7, 21, 80],
    "p5": [33, 1, 118, 77, 345], "p6": [48, 97, 22, 158, 420], "p7": [0, 16, 16, 28, 53], "p8": [42, 29, 119, 56, 298],
}  # fmt: skip


@pytest.mark.published_data
@pytest.mark.parametrize("participant", PUBLISHED_SIZES)
def test_identical_vertices_of_published_regions_are_counted_once(participant):
    root = os.environ.get("SKLEARN_SAE_ENCODING_DATA", "")
    folder = Path(root) / "lepori2026/data/processed_csvs_anon" / participant
    if not folder.is_dir():
        pytest.skip("SKLEARN_SAE_ENCODING_DATA names no folder with the published betas")
    meta = pd.read_csv(folder / "langfroi12345_meta.csv")
    betas = pd.read_csv(folder / "langfroi12345_betas.csv", index_col=0)
    _, sizes = functional_regions(
        meta["tstat_langloc_SN"], meta["parc_lang"], top=1.0, reliability=meta["ncsnr"], responses=betas.to_numpy()
    )
    found = sizes.set_index("parcel")["n_chosen"].reindex([*"12345"], fill_value=0)
    assert found.tolist() == PUBLISHED_SIZES[participant]
