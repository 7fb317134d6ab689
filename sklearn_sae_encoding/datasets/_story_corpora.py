"""Published story data sets, as datalad puts them on disk, to runs and responses."""

import json
import warnings
from pathlib import Path

import numpy as np
from sklearn.utils import Bunch

from sklearn_sae_encoding._annex import is_fetched, require_file
from sklearn_sae_encoding.datasets._story_lists import load_story_list
from sklearn_sae_encoding.masking import read_pycortex_rois
from sklearn_sae_encoding.timing import StoryRun, read_textgrid, read_words

# What the authors' code takes for granted: scans of 2 s, a sound that begins 10 s after the first, five scans that the
# table of scans counts too many, and ten scans at the beginning and five at the end that the published responses lack.
_LEBEL = {"t_r": 2.0, "onset": 10.0, "surplus": 5, "scans": slice(10, -5)}
_REPEATS = "individual_repeats"  # of the test story, of shape (n_repeats, n_scans, n_voxels)
_LPP_T_R = 2.0
_NO_FILE = (
    "The data set comes by datalad, which checks every file: datalad clone "
    "https://github.com/OpenNeuroDatasets/{dataset}.git, then in it datalad get {what}"
)


def load_lebel2023(folder, subject, stories=None, *, texts=None, scan_time="start", repeats=False, rois=False):
    """Load the Moth stories of LeBel et al. (2023), ds003020, that lie on disk.

    Parameters
    ----------
    folder : path-like
        The clone of ds003020. Of it are needed ``derivative/TextGrids``, ``derivative/respdict.json`` and
        ``derivative/preprocessed_data/<subject>``.

    subject : str
        Such as ``"UTS03"``.

    stories : sequence of str or {"train", "test"}, default=None
        Names of stories, or those of a published split (:func:`load_story_list`). None is all whose responses are
        there.

    texts : dict of str to str, or callable, default=None
        The running text of each story, or a function of the joined words that restores it: the transcripts have neither
        case nor punctuation, of which is warned.

    scan_time : {"start", "middle", "end"} or float, default="start"
        The moment that a scan stands for. The authors' code takes the trigger, the beginning.

    repeats : bool, default=False
        Of a story that was heard again and again (``"wheretheressmoke"``) give a run each time it was, in place of one
        with the mean responses: :func:`~sklearn_sae_encoding.analysis.score_stories` then averages them and estimates
        the story's noise ceiling. These runs are one object.

    rois : bool, default=False
        Whether to read the participant's regions (auditory cortex, Broca's area, ...), which were drawn on a flatmap:
        :func:`~sklearn_sae_encoding.masking.read_pycortex_rois`. Needs ``derivative/pycortex-db/<subject>`` and
        svgelements.

    Returns
    -------
    data : Bunch
        ``runs``, a list of StoryRun, named by their story; ``responses``, a list of float32 arrays of shape
        `(n_scans_i, n_voxels)`, as published: detrended, cut and standardized by story, voxels in pycortex' order
        (:func:`~sklearn_sae_encoding.masking.from_pycortex`); ``mask_img``, the path of their mask, None where it was
        not fetched; ``rois``, None or a dict of regions, each true in its voxels, in the order of the responses;
        ``citation``; ``licence``.

    Raises
    ------
    FileNotFoundError
        If a file is missing; says how to get it.

    ValueError
        If the responses have other scans than the clock of the story says, or other voxels than the mask.

    References
    ----------
    LeBel et al. (2023), "A natural language fMRI dataset for voxelwise encoding models", Scientific Data 10.
    """
    folder = Path(folder)
    responses = folder / "derivative" / "preprocessed_data" / subject
    lengths = _there(folder / "derivative" / "respdict.json", "ds003020", "derivative/respdict.json")
    lengths = json.loads(lengths.read_text(encoding="utf-8"))
    if stories is None:
        _there(responses, "ds003020", f"derivative/preprocessed_data/{subject}")
        stories = sorted(path.stem for path in responses.glob("*.hf5"))
    if isinstance(stories, str):
        table = load_story_list("lebel2023", subject)
        if stories not in set(table["split"]):
            raise ValueError(f"stories must be names, 'train' or 'test', got {stories!r}.")
        stories = table.loc[table["split"] == stories, "story"].tolist()
    data = Bunch(runs=[], responses=[], licence="CC0", citation="LeBel et al. (2023), Scientific Data 10, 555")
    data.mask_img, data.rois = _cortex_of(folder / "derivative" / "pycortex-db" / subject, rois)
    for story in stories:
        grid = f"derivative/TextGrids/{story}.TextGrid"
        words = read_textgrid(_there(folder / grid, "ds003020", grid), tier=None)
        stored = f"derivative/preprocessed_data/{subject}/{story}.hf5"
        heard = _read_hdf5(_there(folder / stored, "ds003020", stored), repeats)
        if story not in lengths:
            raise ValueError(f"respdict.json doesn't say how many scans the story {story!r} has.")
        run = StoryRun(
            texts.get(story) if isinstance(texts, dict) else texts,
            words,
            n_scans=int(lengths[story]) - _LEBEL["surplus"],
            t_r=_LEBEL["t_r"],
            onset=_LEBEL["onset"],
            scans=_LEBEL["scans"],
            scan_time=scan_time,
            story=story,
        )
        for Y in heard:
            if len(Y) != run.n_rows:
                raise ValueError(
                    f"{stored} holds {len(Y)} scans, but the story's clock leaves {run.n_rows} of {run.n_scans} after "
                    f"scans={run.scans}: the files belong to different versions of the data set."
                )
            data.runs.append(run)
            data.responses.append(Y)
    _check_voxels(data)
    return data


def load_lepetitprince(folder, subject, *, onset, texts=None, scan_time="middle"):
    """Load the runs of a listener of Le Petit Prince, ds003643, that lie on disk.

    Parameters
    ----------
    folder : path-like
        The clone of ds003643. Of it are needed ``annotation/<language>`` and
        ``derivatives/sub-<subject>/func``.

    subject : str
        Such as ``"EN057"``, ``"FR001"`` or ``"CN001"``: the first two letters are the language.

    onset : float or sequence of float
        When the sound of each run began, in seconds after the beginning of its first scan. The data set does not say
        it, and a wrong one raises no error anywhere.

    texts : dict of int to str, or callable, default=None
        The running text of each section (from 1), or a function of the joined words that restores it.

    scan_time : {"middle", "start", "end"} or float, default="middle"
        The moment that a scan stands for.

    Returns
    -------
    data : Bunch
        ``runs``, a list of StoryRun, one of each of the nine sections; ``imgs``, the paths of their preprocessed
        images, for a masker; ``citation``; ``licence``.

    Raises
    ------
    FileNotFoundError
        If a file is missing; says how to get it.

    ValueError
        If there are not as many images as sections.

    References
    ----------
    Li et al. (2022), "Le Petit Prince multilingual naturalistic fMRI corpus", Scientific Data 9.
    """
    import nibabel

    folder, subject = Path(folder), subject.removeprefix("sub-")
    language = subject[:2]
    table = f"annotation/{language}/lpp{language}_word_information.csv"
    words = read_words(_there(folder / table, "ds003643", table))
    if "section" not in words:
        raise ValueError(f"{table} has no column 'section', which says the run of each word.")
    sections = [(int(section), rows) for section, rows in words.groupby("section", sort=True)]
    where = f"derivatives/sub-{subject}/func"
    imgs = sorted(_there(folder / where, "ds003643", where).glob("*_desc-preproc_bold.nii.gz"), key=_run_number)
    if len(imgs) != len(sections):
        raise ValueError(f"{where} holds {len(imgs)} preprocessed images, but the words {len(sections)} sections.")
    onsets = np.broadcast_to(onset, len(imgs))
    runs = [
        StoryRun(
            texts.get(section) if isinstance(texts, dict) else texts,
            rows,
            n_scans=int(nibabel.load(_there(img, "ds003643", where)).shape[3]),
            t_r=_LPP_T_R,
            onset=float(begin),
            scan_time=scan_time,
            story=f"section {section}",
        )
        for (section, rows), img, begin in zip(sections, imgs, onsets, strict=True)
    ]
    return Bunch(runs=runs, imgs=imgs, licence="CC0", citation="Li et al. (2022), Scientific Data 9, 530")


def read_narratives_story(folder, story):
    """Read text and word times of a story of Narratives, ds002345, as gentle aligned them.

    For :func:`~sklearn_sae_encoding.timing.runs_from_fmriprep`, whose `stimulus` may be
    ``lambda entities: read_narratives_story(folder, entities["task"])``.

    Parameters
    ----------
    folder : path-like
        The clone of ds002345. Of it ``stimuli/gentle/<story>`` is needed.

    story : str
        Such as ``"pieman"``.

    Returns
    -------
    stimulus : dict
        Arguments of :class:`~sklearn_sae_encoding.timing.StoryRun`: ``text``, ``words``, ``story``. Words that gentle
        did not find in the sound have no time: they stay in the text, which the language model reads, and are not in
        the table.

    Raises
    ------
    FileNotFoundError
        If a file is missing; says how to get it.

    References
    ----------
    Nastase et al. (2021), "The Narratives fMRI dataset for evaluating models of naturalistic language comprehension",
    Scientific Data 8.
    """
    import pandas as pd

    where = f"stimuli/gentle/{story}"
    table = _there(Path(folder) / where / "align.csv", "ds002345", where)
    text = _there(Path(folder) / where / "transcript.txt", "ds002345", where).read_text(encoding="utf-8")
    names = ["word", "aligned", "onset", "offset"]
    words = pd.read_csv(table, header=None, names=names, keep_default_na=False, dtype=str)
    times = words[["onset", "offset"]].apply(pd.to_numeric, errors="coerce")
    timed = times.notna().all(axis=1)
    if not timed.all():
        rows = np.flatnonzero(~timed)
        named = ", ".join(f"{words['word'][row]!r} in row {row}" for row in rows[:5]) + (", ..." * (len(rows) > 5))
        warnings.warn(
            f"{len(rows):,} of {len(words):,} words of {story!r} have no time, since gentle did not find them in the "
            f"sound: {named}. They stay in the text and are left out of the word table.",
            stacklevel=2,
        )
    words = words.assign(onset=times["onset"], offset=times["offset"])[timed]
    return {"text": text.strip(), "words": words.reset_index(drop=True), "story": story}


def _cortex_of(folder, wants_rois):
    """Give the mask and the regions in pycortex' database, in the order of the published responses."""
    transform = f"{folder.name}_auto"
    mask_img = folder / "transforms" / transform / "mask_thick.nii.gz"
    if not wants_rois:
        return (mask_img if is_fetched(mask_img) else None), None
    _there(folder / "overlays.svg", "ds003020", f"derivative/pycortex-db/{folder.name}")
    return mask_img, read_pycortex_rois(folder, order="pycortex", transform=transform)


def _check_voxels(data):
    if data.mask_img is None or not data.responses:
        return
    import nibabel

    n_voxels = int(np.count_nonzero(np.asarray(nibabel.load(data.mask_img).dataobj)))
    if n_voxels != data.responses[0].shape[1]:
        raise ValueError(
            f"The responses have {data.responses[0].shape[1]} voxels, but {data.mask_img} {n_voxels}: the files belong "
            "to different versions of the data set."
        )


def _there(path, dataset, what):
    return require_file(path, _NO_FILE.format(dataset=dataset, what=what))


def _read_hdf5(path, repeats):
    """Read responses, a list of one array, or of one a repeat where there are any."""
    import h5py  # comes with himalaya

    with h5py.File(path, "r") as file:
        if repeats and _REPEATS in file:
            return list(np.asarray(file[_REPEATS], dtype=np.float32))
        names = [name for name in ("data", "resp") if name in file] or [name for name in file if name != _REPEATS]
        if len(names) != 1:
            raise ValueError(f"{path} holds {', '.join(names)}; expected one array, 'data'.")
        return [np.asarray(file[names[0]], dtype=np.float32)]


def _run_number(path):
    runs = [part.removeprefix("run-") for part in path.name.split("_") if part.startswith("run-")]
    return (int(runs[0]) if runs and runs[0].isdigit() else 0, path.name)
