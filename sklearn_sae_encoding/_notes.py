"""What many fits inside one call would each warn of, to one warning."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import NamedTuple


class Note(NamedTuple):
    """Of some of the voxels of a fit, or of the one with the most of them among several fits."""

    count: int
    total: int
    said: str  # what follows on "3 of 10 "
    n_fits: int = 1  # that have such voxels


_gathered: ContextVar[list | None] = ContextVar("notes", default=None)


@contextmanager
def gathering() -> Iterator[list[Note]]:
    """Keep notes of what is fitted meanwhile, instead of warnings; in this thread of this process."""
    notes: list[Note] = []
    token = _gathered.set(notes)
    try:
        yield notes
    finally:
        _gathered.reset(token)


def tell(notes: list[Note], stacklevel: int) -> None:
    """Warn once of each kind of note, or hand them on to a call around this one that gathers them."""
    around = _gathered.get()
    if around is not None:
        around.extend(notes)
        return
    for said in dict.fromkeys(note.said for note in notes):
        same = [note for note in notes if note.said == said]
        most, n_fits = max(same, key=lambda note: note.count), sum(note.n_fits for note in same)
        where = f"In {n_fits} fits up to " if n_fits > 1 else ""
        warnings.warn(f"{where}{most.count} of {most.total} {said}", UserWarning, stacklevel=stacklevel + 1)


@contextmanager
def warn_once() -> Iterator[None]:
    """Warn once of what all fits inside a ``with`` block would each warn of, such as those of a search.

    Encoders count voxels that a smaller penalty would predict better. A search fits once a fold and candidate, and each
    fit would say so. :func:`cross_val_voxel_scores` and :func:`~sklearn_sae_encoding.analysis.layer_profile` need no
    help: they say it once by themselves.

    Notes
    -----
    It knows of fits in this thread of this process: those of a search with ``n_jobs`` warn in their own processes.

    Examples
    --------
    >>> import numpy as np
    >>> from sklearn.model_selection import GridSearchCV
    >>> from sklearn_sae_encoding.encoder import SparseVoxelEncoder
    >>> from sklearn_sae_encoding.metrics import warn_once
    >>> X = np.random.default_rng(0).normal(size=(60, 5))
    >>> with warn_once():
    ...     search = GridSearchCV(SparseVoxelEncoder(), {"selection": ["min", "1se"]}, cv=3).fit(X, 3 * X[:, :2])
    """
    with gathering() as notes:
        yield
    tell(notes, stacklevel=3)
