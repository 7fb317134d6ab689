"""Alice in Wonderland: human responses to a story, which ship."""

import logging
from functools import cache
from importlib.resources import files

import numpy as np
import pandas as pd
from sklearn.utils import Bunch

from sklearn_sae_encoding.metrics import listener_noise_ceilings
from sklearn_sae_encoding.timing import StoryRun, clean_runs

_SIZES = ("6mm", "10mm")
_N_SCANS, _T_R, _DROPPED = 372, 2.0, 10
_HIGH_PASS = 1 / 128

_CITATION = (
    "Brennan, Stabler, Van Wagenen, Luh and Hale (2016), Abstract linguistic structure correlates with temporal "
    "activity during naturalistic comprehension, Brain and Language 157-158, 81-94"
)
_LICENCE = "CC BY 4.0, http://creativecommons.org/licenses/by/4.0/"

_logger = logging.getLogger("sklearn_sae_encoding.datasets")


class StoryData(Bunch):
    """A story with the responses of many listeners, that can be cut into runs."""

    def cut(self, n_blocks, *, gap=0, listener="mean", movement=True, high_pass="auto"):
        """Cut the recording into contiguous parts, and clean the responses of each part alone.

        Parameters
        ----------
        n_blocks : int
            Number of parts.

        gap : int, default=0
            Scans to leave out of training beside a part that is held out.

        listener : str, default="mean"
            Whose responses: one of `listeners`, or ``"mean"``, the average over all of what is cleaned and standardized
            listener by listener, standardized again.

        movement : bool, default=True
            Whether the six parameters of movement are regressed out.

        high_pass : float, None or "auto", default="auto"
            In Hz. "auto" is 1/128 Hz where a part lasts 128 s or longer, which holds a period of it; else, and with
            None, a linear trend alone is taken out.

        Returns
        -------
        runs : list of StoryRun of length n_blocks
            They share the stimulus.

        responses : list of ndarray of shape (n_scans_i, n_regions)
            In standard deviations.
        """
        if listener != "mean" and listener not in self.listeners:
            raise ValueError(f"listener must be 'mean' or one of {', '.join(self.listeners)}, got {listener!r}.")
        runs = self.run.cut(n_blocks, gap=gap, recording=f"{self.run.story}, {listener}")
        chosen = range(len(self.listeners)) if listener == "mean" else [self.listeners.index(listener)]
        cleaned = [self._cleaned(i, runs, movement, high_pass) for i in chosen]
        if listener != "mean":
            return runs, cleaned[0]
        means = [np.mean(part, axis=0) for part in zip(*cleaned, strict=True)]
        return runs, [(part - part.mean(axis=0)) / part.std(axis=0, ddof=1) for part in means]

    def _cleaned(self, i, runs, movement, high_pass):
        if isinstance(high_pass, str):
            shortest = min(run.n_rows for run in runs) * self.run.t_r
            high_pass = _HIGH_PASS if shortest >= 1 / _HIGH_PASS else None
        first = self.run.scans.start
        responses = [self.responses[i, run.rows - first] for run in runs]
        confounds = [self.movement[i, run.rows] for run in runs] if movement else None
        return clean_runs(responses, runs, confounds=confounds, high_pass=high_pass)


def load_alice(size="6mm"):
    """Load responses of 27 people to the first chapter of Alice in Wonderland, with the time of each word.

    The mean signal of six regions of the left and right hemisphere while they listened for 12 minutes, after Brennan
    et al. (2016). It ships with the library; the 28th listener of the source has a constant series and is left out.

    Parameters
    ----------
    size : {"6mm", "10mm"}, default="6mm"
        Radius of the regions.

    Returns
    -------
    story : StoryData
        A Bunch with

        - ``run``: the stimulus and its clock, a :class:`~sklearn_sae_encoding.timing.StoryRun` of 372 scans of 2 s, of
          which the responses hold all but the first ten. Its tables ``rate`` and ``sound_power`` are the source's
          regressors, one value a scan and convolved with a haemodynamic response already: they enter without delays;
        - ``text``, ``words``: those of the run;
        - ``responses``: raw, of shape `(27, 362, 6)`; ``movement``: of shape `(27, 372, 6)`;
        - ``listeners``, ``regions``: their names;
        - ``noise_ceiling``: for ``"mean"`` and each listener, ceilings of the regions in units of r, from all other
          listeners (:func:`~sklearn_sae_encoding.metrics.listener_noise_ceilings`; whole series, movement and 1/128 Hz
          cleaned);
        - ``citation``, ``licence``, ``DESCR``;
        - ``cut(n_blocks, gap=, listener=)``: runs and cleaned responses.

    Notes
    -----
    A scan stands for the beginning of its repetition time: so the source's own word rate was made. It agrees with the
    convolved ends of the words to r = .96 then, and to r = .89 if a scan stood for its middle.

    The word list is what was read; it differs from the text in some thirty places. Spelling and contractions
    (``labled``, ``she 'd``) find their place; seven of the 2,103 words don't stand in the text and have no features of
    a language model (``she`` at 169.0 s, ``what a curious feeling`` from 580.2 s, ``ever`` at 621.0 s, ``she`` at
    675.9 s: ``story.words[~story.run.placed]``).

    Licence: CC BY 4.0. Cite Brennan et al. (2016), Brain and Language 157-158, 81-94. The text is in the public domain.

    Examples
    --------
    >>> from sklearn_sae_encoding.datasets import load_alice
    >>> story = load_alice()
    >>> len(story.words), story.run.n_scans, story.run.n_rows, story.run.marks["sp"]
    (2103, 372, 362, 286)
    >>> runs, responses = story.cut(6, gap=10)
    >>> [run.n_rows for run in runs], responses[0].shape
    ([61, 61, 60, 60, 60, 60], (61, 6))
    """
    if size not in _SIZES:
        raise ValueError(f"size must be one of {_SIZES}, got {size!r}.")
    _tell()
    folder = files("sklearn_sae_encoding.datasets") / "data" / "alice"
    with (folder / "alice.npz").open("rb") as file, np.load(file, allow_pickle=False) as arrays:
        responses, movement = _unpacked(arrays, f"responses_{size}"), _unpacked(arrays, "movement")
        listeners, regions = arrays["listeners"].tolist(), arrays["regions"].tolist()
        series = {name: arrays[name].astype(np.float64) for name in ("rate", "sound_power")}
    with (folder / "words.tsv").open(encoding="utf-8") as file:
        words = pd.read_csv(file, sep="\t", keep_default_na=False, na_values={})
    moments = np.arange(_DROPPED, _N_SCANS) * _T_R
    run = StoryRun(
        (folder / "text.txt").read_text(encoding="utf-8").strip(),
        words,
        n_scans=_N_SCANS,
        t_r=_T_R,
        onset=0.0,
        scans=slice(_DROPPED, None),
        scan_time="start",
        tables={name: (moments, values) for name, values in series.items()},
        story="alice",
        unplaced="ignore",  # said in the docstring
    )
    return StoryData(
        run=run,
        text=run.text,
        words=run.words,
        responses=responses,
        movement=movement,
        listeners=listeners,
        regions=regions,
        noise_ceiling=_ceilings(size, run, responses, movement, listeners),
        citation=_CITATION,
        licence=_LICENCE,
        DESCR=(folder / "README.md").read_text(encoding="utf-8"),
    )


@cache
def _tell():
    _logger.warning("Alice data set: %s. Licence: %s.", _CITATION, _LICENCE)


def _unpacked(arrays, name):
    codes = np.cumsum(arrays[name], axis=1, dtype=np.uint16)  # wraps around, as the differences did
    return arrays[f"{name}_low"][:, None] + codes * arrays[f"{name}_step"][:, None]


_computed = {}


def _ceilings(size, run, responses, movement, listeners):
    if size not in _computed:
        used = [moved[run.rows] for moved in movement]
        cleaned = clean_runs(list(responses), confounds=used, t_r=run.t_r, high_pass=_HIGH_PASS)
        mean, each = listener_noise_ceilings(cleaned)
        _computed[size] = {"mean": mean, **dict(zip(listeners, each, strict=True))}
    return {name: ceiling.copy() for name, ceiling in _computed[size].items()}
