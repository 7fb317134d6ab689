"""Runs of stories in a report: what was heard at each scan, and the clock of each run."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from sklearn_sae_encoding.timing import RunwiseRegressor, StoryRun

_AROUND = 1  # scans before and after one, whose words reach into it when words are resampled


class Runs(NamedTuple):
    """The runs that a model was fitted to, and where each row of their responses stands."""

    runs: list  # of StoryRun or of arrays
    run: np.ndarray  # (n_rows,), number of the run
    scan: np.ndarray  # (n_rows,), its scan
    trained: np.ndarray  # (n_rows,), bool: rows in a gap did not train
    absent: np.ndarray  # (n_voxels,), bool: voxels without responses
    delays: dict  # of each band

    def heard(self, row, delay=0):
        """Give the words heard around a row's scan, or some scans before it."""
        run = self.runs[self.run[row]]
        if not isinstance(run, StoryRun):
            return f"run {self.run[row]}, scan {self.scan[row] - delay}"
        return " ".join(run.words["word"].to_numpy()[self.words_at(row, delay)])

    def words_at(self, row, delay=0):
        """Tell which words of its run were heard around a row's scan, or some scans before it, (n_words,) bool."""
        run, scan = self.runs[self.run[row]], self.scan[row] - delay
        begin, end = (scan - _AROUND) * run.t_r, (scan + 1 + _AROUND) * run.t_r
        times = run.word_times("middle")
        return (times >= begin) & (times < end)

    def place(self, row, delay=0):
        """Say where a row stands: its story, run and scan, some scans before."""
        number = self.run[row]
        story = getattr(self.runs[number], "story", None)
        return f"{f'{story}, ' if story is not None else ''}run {number}, scan {self.scan[row] - delay}"

    def apart(self, rows, n):
        """Take the first `n` of some rows that hear none of the words that one before them hears."""
        taken = []
        for row in rows:
            near = any(
                self.run[row] == self.run[other] and abs(self.scan[row] - self.scan[other]) <= 2 * _AROUND
                for other in taken
            )
            if not near:
                taken.append(row)
            if len(taken) == n:
                break
        return taken

    def sentences(self, n_voxels):
        """Say what was analysed, as in a methods section."""
        stories = list(dict.fromkeys(run.story for run in self.runs if getattr(run, "story", None) is not None))
        named = f" of {', '.join(map(str, stories))}" if stories else ""
        left_out = int((~self.trained).sum())
        gap = f", of which {left_out:,} beside parts that are held out did not train" if left_out else ""
        lags = "; ".join(f"{band} by {', '.join(map(str, delays))}" for band, delays in self.delays.items())
        return (
            f"Responses of {n_voxels:,} voxels to {len(self.runs):,} run(s){named} ({len(self.run):,} scans{gap}) were "
            f"analysed. Features were made of each run and delayed inside it, in scans: {lags}."
        )

    def folds(self, cv):
        """Say what the folds inside the regressor hold out, whose rows are among those that trained."""
        own = self.run[self.trained] if len(self.run) == len(self.trained) else self.run
        whole = all(not np.isin(own[train], own[test]).any() for train, test in cv)
        return f"{len(cv)} folds of {'whole runs' if whole else 'scans that follow each other'}"

    def clocks(self):
        """Give a row a run: its number, and what is known of its stimulus and clock."""
        shapes = [repr(run) if isinstance(run, StoryRun) else f"array of {run.shape[0]} scans" for run in self.runs]
        return [(f"run {i}", shape) for i, shape in enumerate(shapes)]


def find_runs(view, X):
    """Give the runs if a sample of the model is one, else None."""
    model = view.wrapper(RunwiseRegressor)
    if model is None:
        return None
    if not isinstance(X, (list, tuple)) or not all(isinstance(run, StoryRun) or np.ndim(run) == 2 for run in X):
        raise ValueError(
            "A sample of the model is a run: give the list of runs that it was fitted to, in place of texts."
        )
    scans = [run.rows if isinstance(run, StoryRun) else np.arange(run.shape[0]) for run in X]
    numbers = np.repeat(np.arange(len(X)), [len(part) for part in scans])
    trained = model.trained_rows_
    if len(trained) != len(numbers):
        raise ValueError(
            f"The model was fitted to runs of {len(trained):,} scans in all, but those given have {len(numbers):,}."
        )
    return Runs(list(X), numbers, np.concatenate(scans), trained, model.absent_, model.delayer_.delays_)
