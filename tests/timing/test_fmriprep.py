"""A folder of fMRIPrep gives runs whose clock, confounds and censored scans are those of its files."""

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from nibabel import Cifti2Image, Nifti1Image
from nibabel.cifti2 import BrainModelAxis, SeriesAxis
from nibabel.gifti import GiftiDataArray, GiftiImage
from nilearn.surface import InMemoryMesh, PolyMesh
from story_cases import word_table

from sklearn_sae_encoding.masking import read_surface
from sklearn_sae_encoding.timing import clean_runs, runs_from_fmriprep

N_SCANS, T_R = 30, 2.0
SIDES = {"L": "left", "R": "right"}
STEM = "sub-01/ses-1/func/sub-01_ses-1_task-{task}_run-{run}"


def write_run(folder, task="moth", run=1, space="_space-MNI152NLin2009cAsym", n_still=2, **sidecar):
    """A run as fMRIPrep leaves it, whose second half begins with a movement."""
    stem = folder / STEM.format(task=task, run=run)
    stem.parent.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(run)
    img = Nifti1Image(rng.normal(100, 1, size=(3, 3, 3, N_SCANS)).astype(np.float32), np.eye(4))
    img.to_filename(f"{stem}{space}_desc-preproc_bold.nii.gz")
    Nifti1Image(np.ones((3, 3, 3), dtype=np.int8), np.eye(4)).to_filename(f"{stem}{space}_desc-brain_mask.nii.gz")
    told = {"RepetitionTime": T_R, "StartTime": 1.0} | sidecar
    told = {name: value for name, value in told.items() if value is not None}
    with open(f"{stem}{space}_desc-preproc_bold.json", "w") as file:
        json.dump(told, file)
    table = pd.DataFrame(rng.normal(size=(N_SCANS, 6)), columns=[f"{k}_{a}" for k in ("trans", "rot") for a in "xyz"])
    table["framewise_displacement"] = np.where(np.arange(N_SCANS) == 20, 3.0, 0.1)
    table["std_dvars"] = 1.0
    for i in range(n_still):
        table[f"non_steady_state_outlier{i:02d}"] = (np.arange(N_SCANS) == i).astype(float)
    table.to_csv(f"{stem}_desc-confounds_timeseries.tsv", sep="\t", index=False)
    with open(f"{stem}_desc-confounds_timeseries.json", "w") as file:
        json.dump({}, file)


def heard(entities):
    return {"words": word_table(), "story": f"{entities['task']} {entities['run']}"}


MOTION = {"strategy": ("motion", "scrub"), "motion": "basic", "scrub": 0}


def test_runs_have_the_clock_of_their_files_and_censored_scans_leave(tmp_path):
    for run in (1, 2):
        write_run(tmp_path, run=run)
    found = runs_from_fmriprep(tmp_path, "01", heard, events=lambda entities: 4.0, scans=slice(1, None), **MOTION)
    assert [run.story for run in found.runs] == ["moth 1", "moth 2"]
    first = found.runs[0]
    assert (first.n_scans, first.t_r, first.onset, first.scan_time) == (N_SCANS, T_R, 4.0, 0.5)
    assert sorted(set(range(N_SCANS)) - set(first.rows)) == [0, 1, 20]
    assert all(mask.name.endswith("desc-brain_mask.nii.gz") for mask in found.masks)
    assert found.entities[1]["run"] == "2"
    responses = [np.random.default_rng(0).normal(size=(N_SCANS, 4)) for _ in found.imgs]
    cleaned = clean_runs(responses, found.runs, confounds=found.confounds)
    assert [run.shape for run in cleaned] == [(run.n_rows, 4) for run in found.runs]
    movement = found.confounds[0].to_numpy()[1:][first.kept[1:]]
    assert abs(np.corrcoef(movement[:, 0], cleaned[0][:, 0])[0, 1]) < 0.2


SURFACES = {
    "fsaverage5": "_hemi-{side}_space-fsaverage5_bold",
    "fsaverage": "_space-fsaverage_hemi-{side}_bold",  # as in older versions
    "fsLR": "_space-fsLR_den-91k_bold",
}


def write_surface(folder, space, sides="LR"):
    """The same run on a surface of five vertices a hemisphere, of which CIFTI lacks the first."""
    stem, told = folder / STEM.format(task="moth", run=1), json.dumps({"RepetitionTime": T_R, "StartTime": 1.0})
    values = np.random.default_rng(5).normal(size=(N_SCANS, 8)).astype(np.float32)
    if space == "fsLR":
        cortex = [BrainModelAxis.from_mask([False, True, True, True, True], name=f"cortex_{s}") for s in SIDES.values()]
        axes = (SeriesAxis(0, T_R, N_SCANS), cortex[0] + cortex[1])
        file = f"{stem}{SURFACES[space]}"
        Cifti2Image(values, axes).to_filename(f"{file}.dtseries.nii")
        Path(f"{file}.json").write_text(told)
        return values
    for side in sides:
        part = values[:, :4] if side == "L" else values[:, 4:]
        padded = np.pad(part, ((0, 0), (1, 0)))
        file = f"{stem}{SURFACES[space].format(side=side)}"
        GiftiImage(darrays=[GiftiDataArray(scan) for scan in padded]).to_filename(f"{file}.func.gii")
        Path(f"{file}.json").write_text(told)
    return values


@pytest.mark.parametrize("space", SURFACES)
def test_runs_on_surfaces_are_those_of_their_volumes(space, tmp_path):
    write_run(tmp_path)
    values = write_surface(tmp_path, space)
    at = {"events": lambda entities: 4.0, **MOTION}
    volume = runs_from_fmriprep(tmp_path, "01", heard, space="MNI152NLin2009cAsym", **at)
    found = runs_from_fmriprep(tmp_path, "01", heard, space=space, **at)
    assert len(found.runs) == 1
    assert (found.runs[0].n_scans, found.runs[0].t_r, found.runs[0].scan_time) == (N_SCANS, T_R, 0.5)
    np.testing.assert_array_equal(found.runs[0].kept, volume.runs[0].kept)
    pd.testing.assert_frame_equal(found.confounds[0], volume.confounds[0])
    assert found.masks == [None]
    assert found.entities == [volume.entities[0] | {"space": space}]
    surface = InMemoryMesh(np.random.default_rng(0).normal(size=(5, 3)), np.array([[0, 1, 2], [2, 3, 4]]))
    img = read_surface(found.imgs[0], PolyMesh(left=surface, right=surface))
    for side, part in zip(SIDES.values(), (values[:, :4], values[:, 4:]), strict=True):
        np.testing.assert_array_equal(img.data.parts[side][1:], part.T)


def test_a_missing_hemisphere_and_several_spaces_are_named(tmp_path):
    write_run(tmp_path)
    write_surface(tmp_path, "fsaverage5", sides="L")
    at = {"events": lambda entities: 4.0, **MOTION}
    with pytest.raises(FileNotFoundError, match=r"hemi-L.* has no right hemisphere .*hemi-R_space-fsaverage5"):
        runs_from_fmriprep(tmp_path, "01", heard, space="fsaverage5", **at)
    with pytest.raises(ValueError, match=r"several spaces: .* one of \['MNI152NLin2009cAsym', 'fsaverage5'\]"):
        runs_from_fmriprep(tmp_path, "01", heard, **at)


def test_the_stimulus_begins_where_the_events_do(tmp_path):
    write_run(tmp_path)
    pd.DataFrame({"onset": [6.5, 50.0], "duration": [40, 1]}).to_csv(tmp_path / "e.tsv", sep="\t", index=False)
    found = runs_from_fmriprep(tmp_path, "sub-01", heard, events=lambda entities: tmp_path / "e.tsv", **MOTION)
    assert found.runs[0].onset == 6.5


def test_what_is_missing_is_named(tmp_path):
    write_run(tmp_path)
    write_run(tmp_path, task="rest", StartTime=None)
    at = {"events": lambda entities: 0.0, **MOTION}
    with pytest.raises(FileNotFoundError, match=r"holds no sub-02/\*\*/func/sub-02_\*"):
        runs_from_fmriprep(tmp_path, "02", heard, **at)
    with pytest.raises(FileNotFoundError, match="of task 'wheel'"):
        runs_from_fmriprep(tmp_path, "01", heard, task="wheel", **at)
    with pytest.raises(ValueError, match=r"has no StartTime, .* say it by scan_time"):
        runs_from_fmriprep(tmp_path, "01", heard, task="rest", **at)
    assert runs_from_fmriprep(tmp_path, "01", heard, task="rest", scan_time="start", **at).runs[0].scan_time == 0
    with pytest.raises(ValueError, match="began is not known: let stimulus give onset"):
        runs_from_fmriprep(tmp_path, "01", heard, task="moth", **MOTION)
    with pytest.raises(ValueError, match=r"need a column onset and a row, got \['time'\]"):
        runs_from_fmriprep(
            tmp_path, "01", heard, task="moth", **{**at, "events": lambda _: pd.DataFrame({"time": [1]})}
        )
    write_run(tmp_path, space="_space-T1w", RepetitionTime=None)
    with pytest.raises(ValueError, match=r"several spaces: .* one of \['MNI152NLin2009cAsym', 'T1w'\]"):
        runs_from_fmriprep(tmp_path, "01", heard, task="moth", **at)
    with pytest.raises(ValueError, match="The repetition time is missing"):
        runs_from_fmriprep(tmp_path, "01", heard, task="moth", space="T1w", **at)
