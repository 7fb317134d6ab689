"""Images with a run each: masked one by one, so that a sample is a run."""

from __future__ import annotations

import numpy as np

from sklearn_sae_encoding._images.checks import check_counts, check_rows
from sklearn_sae_encoding._images.masks import fit_masker, mask_rows
from sklearn_sae_encoding._images.rows import ImageRows, is_images


def takes_runs(regressor) -> bool:
    """Whether a sample of a regressor, or of what it wraps, is a run."""
    while regressor is not None:
        if getattr(regressor, "sample_is_run", False):
            return True
        steps = getattr(regressor, "steps", None)
        inner = [getattr(regressor, name, None) for name in ("estimator", "regressor")]
        regressor = steps[-1][1] if steps else next((part for part in inner if part is not None), None)
    return False


def mask_runs(runs, masker, unfitted, X=None):
    """Give the fitted masker and a list with the rows of each run; runs are images or arrays."""
    check_counts(X, runs, "runs")
    if not is_images(runs):
        masker = fit_masker(unfitted) if masker is None else masker
        return masker, [check_rows(run, masker) for run in runs]
    masker = fit_masker(unfitted, ImageRows(list(runs))) if masker is None else masker
    return masker, [mask_rows(ImageRows(run), masker) for run in runs]


def pooled(Y):
    """Put the rows of runs below each other; give an array as it is."""
    return np.concatenate(Y) if isinstance(Y, list) else Y


def by_run(function, Y):
    """Apply a function to each run of a list, or to an array."""
    return [function(run) for run in Y] if isinstance(Y, list) else function(Y)
