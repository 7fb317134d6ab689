"""Does what was chosen on some participants hold in another one?"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_sae_encoding.metrics import mean_interval


class LeftOut(NamedTuple):
    """What was chosen without each participant, and what it was worth there."""

    results: pd.DataFrame  # a row a participant, a column a quantity
    choices: dict  # of participant to what was chosen without it
    summary: pd.DataFrame  # a row a quantity: mean over participants, with intervals if one choice serves all


def leave_one_participant_out(
    participants, choose, test, *, choose_on=None, confidence=0.95, n_bootstraps=10_000, random_state=None
):
    """Choose on all participants but one, test on that one, for each in turn; or choose on some, test on the others.

    Features, labels, populations and clusters that were chosen by looking at everyone describe everyone. Whether they
    hold in a new head takes participants that had no say in the choice.

    Parameters
    ----------
    participants : array-like of shape (n_voxels,)
        Participant of each voxel (or of each row of whatever is analysed).

    choose : callable
        Takes a mask of shape `(n_voxels,)`, the voxels of all participants but one, and returns what it chooses by
        looking at these alone: a list of features, a population, a labelling.

    test : callable
        Takes what was chosen and the mask of the voxels of the participant left out, and returns a number, or several
        by name (a dict or Series).

    choose_on : sequence of participant, default=None
        Choose once, on these, and test on each of the others. None leaves one out at a time.

    confidence, n_bootstraps
        Of the intervals in the summary, see :func:`~sklearn_sae_encoding.metrics.mean_interval`.

    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap.

    Returns
    -------
    left_out : LeftOut
        A named tuple with ``results``, a table of participants by quantities (one number is called `value`);
        ``choices`` by participant; and ``summary``, for each quantity `mean`, `sem`, `t_low`, `t_high`, `low`, `high`
        and `n` over participants.

        The mean is fair in both ways. Intervals are given with `choose_on` alone, NaN otherwise: choices that share
        seven of eight participants make what is left out of each depend on the others, and intervals that overlook it
        are too short. With the best of 50 features that mean nothing, they held zero in 72% of simulations where they
        claimed 95% (``python benchmarks/calibration.py left_out``).

    Raises
    ------
    ValueError
        If there are fewer than two participants, `choose_on` names others or leaves none to test, or `test` gives
        something that is no number.

    Examples
    --------
    The features that most voxels of the others use, and the share of the voxels of the one left out that use them:

    >>> import numpy as np
    >>> from sklearn_sae_encoding.analysis import leave_one_participant_out
    >>> used = np.array([[1, 0, 0], [1, 1, 0], [1, 0, 0], [1, 0, 1]], dtype=bool)  # (n_voxels, n_features)
    >>> result = leave_one_participant_out(
    ...     ["p1", "p1", "p2", "p3"],
    ...     choose=lambda others: int(np.argmax(used[others].sum(axis=0))),
    ...     test=lambda feature, own: used[own, feature].mean(),
    ... )
    >>> result.choices
    {'p1': 0, 'p2': 0, 'p3': 0}
    >>> result.results["value"].tolist()
    [1.0, 1.0, 1.0]
    """
    participants = np.asarray(participants)
    names = list(dict.fromkeys(participants.tolist()))
    if participants.ndim != 1 or len(names) < 2:
        raise ValueError(f"Leaving one out takes a label a voxel, of two or more participants; got {names}.")
    chosen_on = [] if choose_on is None else list(choose_on)
    tested = [name for name in names if name not in chosen_on]
    if choose_on is not None and (not chosen_on or not tested or not set(chosen_on) <= set(names)):
        raise ValueError(f"choose_on must be some of the participants {names}, not all, got {chosen_on}.")
    once = choose(np.isin(participants, chosen_on)) if chosen_on else None
    choices, rows = {}, {}
    for name in tested:
        own = participants == name
        choices[name] = once if chosen_on else choose(~own)
        rows[name] = _named(test(choices[name], own.copy()), name)
    results = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="participant")
    options = {"confidence": confidence, "n_bootstraps": n_bootstraps, "random_state": random_state}
    intervals = {quantity: mean_interval(values, **options)._asdict() for quantity, values in results.items()}
    summary = pd.DataFrame.from_dict(intervals, orient="index").rename_axis(index="quantity")
    if not chosen_on:
        summary[["sem", "t_low", "t_high", "low", "high"]] = np.nan
    return LeftOut(results, choices, summary)


def _named(values, name):
    values = {"value": values} if np.ndim(values) == 0 and not hasattr(values, "keys") else dict(values)
    try:
        return {str(quantity): float(value) for quantity, value in values.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"test must give numbers, but for participant {name!r} it gave {values!r}.") from error
