"""A folder of fMRIPrep to runs: images, clocks, confounds and censored scans."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_sae_encoding._annex import require_file
from sklearn_sae_encoding.timing._run import StoryRun
from sklearn_sae_encoding.timing._words import check_t_r

_ENTITY = re.compile(r"([a-zA-Z]+)-([a-zA-Z0-9+]+)")
_VOLUME = "_desc-preproc_bold.nii.gz"
# What images end with; those of the left hemisphere stand for both. Older versions say the space before the hemisphere.
_ENDINGS = (_VOLUME, "_bold.dtseries.nii", "_bold.func.gii")
_SURFACE_ONLY = ("den", "hemi", "desc")


class FmriprepRuns(NamedTuple):
    """What :func:`runs_from_fmriprep` finds; all lists have an entry a run."""

    runs: list  # of StoryRun
    imgs: list  # of pathlib.Path, images with all scans: 4-D or CIFTI; pairs of GIFTI files as (left, right)
    confounds: list  # of DataFrame with all scans, for clean_runs
    masks: list  # of pathlib.Path, or None where there is no brain mask, as of surfaces
    entities: list  # of dict, the entities of the file's name: sub, ses, task, run, space


def runs_from_fmriprep(
    folder,
    subject,
    stimulus,
    *,
    task=None,
    space=None,
    events=None,
    scan_time=None,
    strategy=("motion", "high_pass", "wm_csf"),
    scans=None,
    **confound_params,
):
    """Find the runs of a participant among the derivatives of fMRIPrep.

    Images are volumes (``_desc-preproc_bold.nii.gz``), pairs of hemispheres (``_hemi-L_space-fsaverage5_bold.func.gii``
    and that of ``R``) or CIFTI files (``_space-fsLR_den-91k_bold.dtseries.nii``). Number of scans, repetition time and
    the moment that a scan stands for come from image and sidecar, censored scans and confounds from
    :func:`nilearn.interfaces.fmriprep.load_confounds`.

    Parameters
    ----------
    folder : path-like
        Of fMRIPrep's derivatives; it holds ``sub-*``.

    subject : str
        Label of the participant, with or without ``sub-``.

    stimulus : callable
        What was heard: a function of the entities of a run's file name (a dict with ``sub``, ``ses``, ``task``,
        ``run``, ``space``, as far as they are there) that gives a dict of arguments of :class:`StoryRun`: ``words``,
        ``text``, and if they are wanted ``story``, ``tables``, ``onset``, ...

    task, space : str, default=None
        Which task and which space (such as ``"MNI152NLin2009cAsym"``, ``"fsaverage5"`` or ``"fsLR"``). None takes all
        tasks, and the only space.

    events : callable, default=None
        When the stimulus began, where `stimulus` says no ``onset``: a function of the entities that gives BIDS events
        (a path or DataFrame) whose first row is the beginning of the stimulus, or a number of seconds.

    scan_time : {"middle", "start", "end"} or float, default=None
        The moment of a repetition time that a scan stands for. None takes the sidecar's ``StartTime``, which fMRIPrep
        writes since version 21, and is an error where there is none.

    strategy, **confound_params
        Which confounds, as in :func:`nilearn.interfaces.fmriprep.load_confounds`. Scans before the
        steady state are censored, and with ``"scrub"`` those of movement.

    scans : slice, default=None
        The scans that responses will hold, of every run.

    Returns
    -------
    found : FmriprepRuns
        A named tuple of ``runs``, ``imgs``, ``confounds``, ``masks`` and ``entities``, in the order of the file names.
        ``clean_runs([masker.transform(img) for img in found.imgs], found.runs, confounds=found.confounds)`` gives the
        responses; of surfaces with ``masker.transform(read_surface(img, mesh))``
        (:func:`~sklearn_sae_encoding.masking.read_surface`) and a SurfaceMasker.

    Raises
    ------
    FileNotFoundError
        If there are no such runs, or a run has no sidecar or no right hemisphere.

    ValueError
        If images lie in several spaces and none is asked for, or a clock is not known.
    """
    subject = f"sub-{str(subject).removeprefix('sub-')}"
    imgs = _find(Path(folder), subject, task, space)
    found = FmriprepRuns([], [], [], [], [])
    for img in imgs:
        every = dict(_ENTITY.findall(img.name))
        entities = {name: value for name, value in every.items() if name not in _SURFACE_ONLY}
        clock = _clock(img, scan_time)
        confounds, kept = _confounds(img, clock["n_scans"], strategy, confound_params)
        given = dict(stimulus(dict(entities)))
        if "onset" not in given:
            given["onset"] = _onset(events, entities, img)
        run = StoryRun(given.pop("text", None), given.pop("words"), **{**clock, "scans": scans, "kept": kept, **given})
        mask = img.with_name(img.name.removesuffix(_VOLUME) + "_desc-brain_mask.nii.gz")
        mask = mask if mask.exists() else None
        file = (img, _other_hemisphere(img)) if "hemi" in every else img
        for part, value in zip(found, (run, file, confounds, mask, entities), strict=True):
            part.append(value)
    return found


def _find(folder, subject, task, space):
    imgs = sorted(img for ending in _ENDINGS for img in folder.glob(f"{subject}/**/func/{subject}_*{ending}"))
    imgs = [img for img in imgs if dict(_ENTITY.findall(img.name)).get("hemi") != "R"]
    entities = [dict(_ENTITY.findall(img.name)) for img in imgs]
    if task is not None:
        imgs = [img for img, named in zip(imgs, entities, strict=True) if named.get("task") == task]
    spaces = sorted({dict(_ENTITY.findall(img.name)).get("space", "native") for img in imgs})
    if space is None and len(spaces) > 1:
        raise ValueError(f"The images of {subject} lie in several spaces: say which by space=, one of {spaces}.")
    if space is not None:
        imgs = [img for img in imgs if dict(_ENTITY.findall(img.name)).get("space", "native") == space]
    if not imgs:
        wanted = f"task {task!r}" if task else "any task"
        wanted += f" in the space {space!r}; there are the spaces {spaces}" if space and spaces else ""
        raise FileNotFoundError(
            f"{folder} holds no {subject}/**/func/{subject}_*{_VOLUME} (or {', '.join(_ENDINGS[1:])}) of {wanted}."
        )
    return imgs


def _clock(img, scan_time):
    import nibabel

    sidecar = img.with_name(re.sub(r"(\.dtseries\.nii|\.func\.gii|\.nii\.gz)$", ".json", img.name))
    require_file(sidecar, f"{img.name} needs its sidecar, which says the repetition time.")
    told = json.loads(sidecar.read_text(encoding="utf-8"))
    t_r = check_t_r(told.get("RepetitionTime"))
    if scan_time is None:
        if "StartTime" not in told:
            raise ValueError(
                f"{sidecar.name} has no StartTime, so that it isn't known which moment a scan stands for: say it by "
                "scan_time. fMRIPrep's slice timing correction puts it in the middle; without it, say 'start'."
            )
        scan_time = float(told["StartTime"]) / t_r
    return {"n_scans": _count_scans(nibabel.load(require_file(img))), "t_r": t_r, "scan_time": scan_time}


def _count_scans(img):
    if hasattr(img, "darrays"):  # GIFTI: an array a scan, or one of all
        return len(img.darrays) if len(img.darrays) > 1 else int(np.atleast_2d(img.darrays[0].data).shape[1])
    return int(img.shape[0] if img.ndim == 2 else img.shape[3])


def _other_hemisphere(img):
    right = img.with_name(img.name.replace("_hemi-L", "_hemi-R"))
    if not right.exists():
        raise FileNotFoundError(f"{img.name} has no right hemisphere {right.name} beside it.")
    return right


def _as_nilearn_names(img):
    """Name a run's images so that nilearn finds the confounds beside them; it asks for both hemispheres."""
    if not img.name.endswith(".func.gii"):
        return str(img)
    stem = re.sub(r"(_hemi-L|_space-[a-zA-Z0-9]+|_den-[a-zA-Z0-9]+|_bold\.func\.gii)", "", img.name)
    return [str(img.with_name(f"{stem}_hemi-{side}_bold.func.gii")) for side in "LR"]


def _confounds(img, n_scans, strategy, params):
    from nilearn.interfaces.fmriprep import load_confounds

    confounds, sample_mask = load_confounds(_as_nilearn_names(img), strategy=strategy, **params)
    if len(confounds) != n_scans:
        raise ValueError(f"{img.name} has {n_scans} scans, but its confounds have {len(confounds)} rows.")
    if sample_mask is None:
        return confounds, None
    kept = np.zeros(n_scans, dtype=bool)
    kept[sample_mask] = True
    return confounds, kept


def _onset(events, entities, img):
    if events is None:
        raise ValueError(
            f"When the stimulus of {img.name} began is not known: let stimulus give onset, or say events, a function "
            "of the run's entities that gives its events."
        )
    table = events(dict(entities))
    if not isinstance(table, pd.DataFrame):
        if isinstance(table, (int, float)):
            return float(table)
        table = pd.read_csv(table, sep="\t")
    if "onset" not in table or len(table) == 0:
        raise ValueError(f"The events of {img.name} need a column onset and a row, got {list(table.columns)}.")
    return float(table["onset"].iloc[0])
