"""A folder of fMRIPrep gives runs whose clock, confounds and censored scans are those of its files."""

import json

import numpy as np
import pandas as pd
import pytest
from nibabel import Nifti1Image
from story_cases import word_table

from sklearn_sae_encoding.timing import clean_runs, runs_from_fmriprep

N_SCANS, T_R = 30, 2.0
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
