"""A run: what was heard, and the clock of the scans."""

from __future__ import annotations

import copy
from numbers import Integral, Real
from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding.timing._words import (
    MARKS,
    check_clock,
    check_t_r,
    check_words,
    join_words,
    place_words,
    take_marks,
    warn_of_bare_text,
)

SCAN_TIMES = {"start": 0.0, "middle": 0.5, "end": 1.0}
WORD_TIMES = ("onset", "middle", "offset")


class Block(NamedTuple):
    """Which part of a recording a run is."""

    recording: str  # name of the recording
    start: int  # first scan of the part
    stop: int  # scan after its last one
    first: int  # first scan of all parts
    last: int  # scan after the last of all parts
    gap: int  # scans left out of training beside a part that is held out


class StoryRun:
    """One run of scans while a story was heard or read: the stimulus and the clock, no responses.

    Parameters
    ----------
    text : str, callable or None
        The running text, with case and punctuation: a language model reads it. None joins the words of the table. A
        function takes the joined words and gives the text, to restore what a transcript has lost.

    words : DataFrame
        A row a word: ``word``, ``onset`` and ``offset`` in seconds from the beginning of the stimulus, in the order of
        time. More columns may stand beside them (log frequency, part of speech, ...).

    n_scans : int
        All scans of the run, also those that are not used.

    t_r : float
        Repetition time: seconds from one scan to the next.

    onset : float
        When the stimulus began, in seconds after the beginning of the first scan. It can't be told from the other
        arguments and a wrong one raises no error anywhere, so that it has no default.

    scans : slice or array-like of int, default=None
        The scans that the responses hold, such as ``slice(10, -5)``. Features are made and delayed on all scans and
        then cut, so that the first rows know what was heard before them. None is all.

    scan_time : {"middle", "start", "end"} or float, default="middle"
        The moment of a repetition time to which a scan's values belong: where slice timing correction put it
        (fMRIPrep's default is the middle), as a name or as a share of the repetition time.

    tables : dict of str to (times, values), default=None
        Time series with a clock of their own (sound, phones, states of a speech model): ``times`` of shape
        `(n_times,)`, in seconds from the beginning of the stimulus, and ``values`` of shape `(n_times, width)`.

    story : str, default=None
        Name of the story, to group runs by.

    kept : array-like of bool of shape (n_scans,), default=None
        Scans that are not censored. Censored ones leave after delays and cleaning, so that none moves.

    marks : collection of str, default=("", "sp", "sil", "ns", "lg", "br", "ls", "cg", "sl", "spn", "<unk>", ...)
        What is no word in the table, whatever its case. Anything in brackets is a mark,
        too. Marks leave the table and are counted.

    unplaced : {"warn", "raise", "ignore"}, default="warn"
        What to do about words that don't stand in the text. They have a time and count as words, but a language model
        says nothing of them.

    Attributes
    ----------
    text : str
        The running text.

    words : DataFrame
        The words, without marks.

    marks : collections.Counter
        How often each mark stood in the table.

    rows : ndarray of shape (n_rows,)
        The scans that the responses hold, after `scans` and `kept`.

    Raises
    ------
    ValueError
        If the word table lacks times, times are in milliseconds, out of order or outside the scans, the repetition
        time or the onset is missing, or no scan is left.

    Warns
    -----
    UserWarning
        Names words that overlap, fall before the first or after the last scan, or don't stand in the text; says that
        the text has lost its case or punctuation.

    Examples
    --------
    >>> import pandas as pd
    >>> from sklearn_sae_encoding.timing import StoryRun
    >>> words = pd.DataFrame({"word": ["Down", "sp", "went", "Alice"], "onset": [0.2, 0.6, 1.1, 1.6],
    ...                       "offset": [0.6, 1.1, 1.5, 2.1]})
    >>> run = StoryRun("Down went Alice.", words, n_scans=6, t_r=2.0, onset=4.0, scans=slice(1, None))
    >>> run
    StoryRun(3 words, 6 scans of 2 s, stimulus from 4 s, scan time 0.5 t_r, 5 rows, marks left out: sp 1)
    >>> run.word_times("middle").tolist()
    [4.4, 5.3, 5.85]
    """

    def __init__(
        self,
        text,
        words,
        *,
        n_scans,
        t_r,
        onset,
        scans=None,
        scan_time="middle",
        tables=None,
        story=None,
        kept=None,
        marks=MARKS,
        unplaced="warn",
    ):
        self.n_scans = _check_n_scans(n_scans)
        self.t_r = check_t_r(t_r)
        self.onset = _check_onset(onset)
        self.scan_time = _check_scan_time(scan_time)
        self.words, self.marks = take_marks(check_words(words), marks)
        check_clock(self.words, self.onset, self.n_scans, self.t_r)
        self.text = self._check_text(text, unplaced)
        self.tables = _check_tables(tables or {}, self.onset, self.n_scans * self.t_r)
        self.story = story
        self.scans = _check_scans(scans, self.n_scans)
        self.kept = _check_kept(kept, self.n_scans)
        self.block = None
        if len(self.rows) == 0:
            raise ValueError(f"No scan of {self.n_scans} is left by scans={scans} and kept.")

    @property
    def rows(self):
        """Numbers of the scans that the responses hold."""
        rows = np.arange(self.n_scans)
        rows = rows if self.scans is None else rows[self.scans]
        return rows if self.kept is None else rows[self.kept[rows]]

    @property
    def n_rows(self):
        """Number of scans that the responses hold."""
        return len(self.rows)

    @property
    def recording(self):
        """What scans are neighbours in: the recording of a part, or None if the run stands alone."""
        return None if self.block is None else self.block.recording

    def scan_times(self):
        """Give the moment that each scan stands for.

        Returns
        -------
        times : ndarray of shape (n_scans,)
            Seconds after the beginning of the first scan.
        """
        return (np.arange(self.n_scans) + self.scan_time) * self.t_r

    def word_times(self, moment):
        """Give a moment of each word on the clock of the scans.

        Parameters
        ----------
        moment : {"onset", "middle", "offset"}

        Returns
        -------
        times : ndarray of shape (n_words,)
            Seconds after the beginning of the first scan.
        """
        if moment not in WORD_TIMES:
            raise ValueError(f"The moment of a word must be one of {WORD_TIMES}, got {moment!r}.")
        onset, offset = self.words["onset"].to_numpy(), self.words["offset"].to_numpy()
        return self.onset + {"onset": onset, "middle": (onset + offset) / 2, "offset": offset}[moment]

    @property
    def spans(self):
        """First and last + 1 character of each word in the text, of shape (n_words, 2); empty for unplaced words."""
        return self._spans

    @property
    def placed(self):
        """Which words stand in the text, of shape (n_words,). Others have a time, but no tokens."""
        return self.spans[:, 1] > self.spans[:, 0]

    def cut(self, n_blocks, *, gap=0, recording=None):
        """Cut one long recording into parts that can be held out.

        The parts share the stimulus: features are made and delayed on the whole, then cut. Responses have to be
        cleaned part by part (:func:`clean_runs`). Beside a part that is held out, ``gap`` scans are left out of
        training, never of scoring.

        Parameters
        ----------
        n_blocks : int
            Number of parts, contiguous and nearly equal in scans.

        gap : int, default=0
            Scans to leave out of training beside a part that is held out, because responses are autocorrelated.

        recording : str, default=None
            Name of the recording. Parts with one name are neighbours. None takes the story's. Recordings that are cut
            and fitted together, such as those of two participants, need names of their own.

        Returns
        -------
        blocks : list of StoryRun
        """
        whole = np.arange(self.n_scans) if self.scans is None else np.arange(self.n_scans)[self.scans]
        if not isinstance(n_blocks, Integral) or not 1 <= n_blocks <= len(whole):
            raise ValueError(f"n_blocks must be an integer from 1 to the {len(whole)} scans, got {n_blocks!r}.")
        if not isinstance(gap, Integral) or gap < 0:
            raise ValueError(f"gap must be a number of scans, at least 0, got {gap!r}.")
        if len(whole) > 1 and np.any(np.diff(whole) != 1):
            raise ValueError(f"Only scans that follow each other can be cut, got scans={self.scans}.")
        recording = recording or self.story or "recording"
        blocks = []
        for part in np.array_split(whole, n_blocks):
            block = copy.copy(self)
            block.scans = slice(int(part[0]), int(part[-1]) + 1)
            block.block = Block(recording, int(part[0]), int(part[-1]) + 1, int(whole[0]), int(whole[-1]) + 1, int(gap))
            blocks.append(block)
        return blocks

    def __repr__(self):
        parts = [
            f"{len(self.words)} words",
            f"{self.n_scans} scans of {self.t_r:g} s",
            f"stimulus from {self.onset:g} s",
            f"scan time {self.scan_time:g} t_r",
            f"{self.n_rows} rows",
        ]
        if self.story is not None:
            parts.insert(0, repr(self.story))
        if self.block is not None:
            parts.append(f"part of {self.block.recording!r}, gap {self.block.gap}")
        if self.marks:
            parts.append("marks left out: " + ", ".join(f"{mark} {n}" for mark, n in self.marks.most_common(5)))
        return f"StoryRun({', '.join(parts)})"

    def _check_text(self, text, unplaced):
        joined, spans = join_words(self.words["word"])
        if text is None:
            self._spans = spans
            warn_of_bare_text(joined, stacklevel=4)
            return joined
        if callable(text):
            text = text(joined)
        if not isinstance(text, str) or not text.strip():
            shown = repr(text) if len(repr(text)) <= 60 else f"{repr(text)[:60]}..."
            raise ValueError(f"text must be the running text of the run (str), got {type(text).__name__}: {shown}")
        self._spans = place_words(text, self.words, unplaced)
        warn_of_bare_text(text, stacklevel=4)
        return text


def _check_n_scans(n_scans):
    if not isinstance(n_scans, Integral) or n_scans < 1:
        raise ValueError(f"n_scans must be a positive integer, got {n_scans!r}.")
    return int(n_scans)


def _check_onset(onset):
    if not isinstance(onset, Real) or not np.isfinite(onset):
        raise ValueError(
            f"onset must say when the stimulus began, in seconds after the beginning of the first scan, got {onset!r}. "
            "Give 0 if they began together."
        )
    return float(onset)


def _check_scan_time(scan_time):
    if isinstance(scan_time, str) and scan_time in SCAN_TIMES:
        return SCAN_TIMES[scan_time]
    if isinstance(scan_time, Real) and 0 <= scan_time <= 1:
        return float(scan_time)
    raise ValueError(f"scan_time must be one of {list(SCAN_TIMES)} or a share of t_r from 0 to 1, got {scan_time!r}.")


def _check_scans(scans, n_scans):
    if scans is None or isinstance(scans, slice):
        return scans
    numbers = np.asarray(scans)
    if numbers.ndim != 1 or numbers.dtype.kind not in "iu" or isinstance(scans, tuple):
        raise ValueError(f"scans must be a slice, such as slice(10, -5), or the numbers of scans, got {scans!r}.")
    if len(numbers) and (np.any(np.diff(numbers) <= 0) or numbers[0] < 0 or numbers[-1] >= n_scans):
        raise ValueError(f"scans must be different numbers from 0 to {n_scans - 1}, in order, got {scans!r}.")
    return numbers


def _check_tables(tables, onset, duration):
    checked = {}
    for name, (times, values) in tables.items():
        times, values = np.asarray(times, dtype=np.float64), np.asarray(values)
        values = values[:, None] if values.ndim == 1 else values
        if times.ndim != 1 or values.ndim != 2 or len(times) != len(values):
            raise ValueError(
                f"The table {name!r} needs one time a row of values, got times of shape {times.shape} and values of "
                f"shape {values.shape}."
            )
        if not np.all(np.isfinite(times)) or not np.all(np.isfinite(values)):
            raise ValueError(f"The table {name!r} holds a time or value that is NaN or infinite.")
        _check_table_clock(name, times, onset, duration)
        checked[name] = (times, values)
    return checked


def _check_table_clock(name, times, onset, duration):
    """Refuse times in another unit or of another run: they would make a band of zeros."""
    inside = (times + onset >= 0) & (times + onset < duration)
    if inside.any() and np.ptp(times) <= 100 * duration:
        return
    spread = "there are none" if not len(times) else f"they go from {times.min():g} to {times.max():g}"
    raise ValueError(
        f"The table {name!r} has {inside.sum()} of {len(times)} times inside the scans, which last {duration:g} s, the "
        f"stimulus beginning at onset={onset:g} s: {spread}. Give seconds from the beginning of the stimulus."
    )


def _check_kept(kept, n_scans):
    if kept is None:
        return None
    kept = np.asarray(kept)
    if kept.dtype != bool or kept.shape != (n_scans,):
        raise ValueError(
            f"kept must hold True or False for each of the {n_scans} scans of the run, got dtype {kept.dtype}, shape "
            f"{kept.shape}."
        )
    return kept
