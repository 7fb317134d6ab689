"""Does what was chosen on some participants hold in another one?"""

from typing import NamedTuple

import numpy as np
import pandas as pd

from sklearn_sae_encoding.metrics import mean_interval


class LeftOut(NamedTuple):
    """What was chosen without each participant, and what it was worth there."""

    results: pd.DataFrame  # a row a participant, a column a quantity
    choices: dict  # of participant to what was chosen on all others
    summary: pd.DataFrame  # a row a quantity: mean over participants with its intervals


def leave_one_participant_out(participants, choose, test, *, confidence=0.95, random_state=None):
    """Choose on all participants but one, test on that one, for each in turn.

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

    confidence : float, default=0.95
        Of the intervals in the summary, see :func:`~sklearn_sae_encoding.metrics.mean_interval`.

    random_state : int, RandomState instance or None, default=None
        Seed of the bootstrap.

    Returns
    -------
    left_out : LeftOut
        A named tuple with ``results``, a table of participants by quantities (one number is called `value`);
        ``choices`` by participant; and ``summary``, for each quantity `mean`, `sem`, `t_low`, `t_high`, `low`, `high`
        and `n` over participants. The choices share participants and are alike, so that the values left out depend on
        each other a little: intervals over eight participants are approximate.

    Raises
    ------
    ValueError
        If there are fewer than two participants, or `test` gives something that is no number.

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
    choices, rows = {}, {}
    for name in names:
        own = participants == name
        # Copies, so that neither function changes the other's mask.
        choices[name] = choose(~own)
        rows[name] = _named(test(choices[name], own.copy()), name)
    results = pd.DataFrame.from_dict(rows, orient="index").rename_axis(index="participant")
    summary = {
        quantity: mean_interval(values, confidence=confidence, random_state=random_state)._asdict()
        for quantity, values in results.items()
    }
    return LeftOut(results, choices, pd.DataFrame.from_dict(summary, orient="index").rename_axis(index="quantity"))


def _named(values, name):
    values = {"value": values} if np.ndim(values) == 0 and not hasattr(values, "keys") else dict(values)
    try:
        return {str(quantity): float(value) for quantity, value in values.items()}
    except (TypeError, ValueError) as error:
        raise ValueError(f"test must give numbers, but for participant {name!r} it gave {values!r}.") from error
