"""Participants who heard stories to one long table: scores by story, repeats of a test story averaged."""

from collections.abc import Mapping

import numpy as np
import pandas as pd
from sklearn.base import clone

from sklearn_sae_encoding.metrics import fisher_mean, noise_ceiling_from_repeats, voxelwise_pearson


def score_stories(model, data, test, *, train=None):
    """Train on some stories, and score others, of one participant or several.

    Repeats of a test story are averaged, there only, and its noise ceiling is estimated from them. Participants who
    heard the same runs are fitted side by side, as if they were voxels of one brain: features, and kernels, of a story
    are made once. So the regressor should have a penalty a voxel, as
    :class:`~sklearn_sae_encoding.banded.BandedRidgeEncoder` has.

    Parameters
    ----------
    model : RunwiseRegressor
        It is cloned for each set of runs.

    data : dict of str to (runs, responses)
        By participant: a list of :class:`~sklearn_sae_encoding.timing.StoryRun` with a ``story``, and a list of arrays
        of shape `(n_scans_i, n_voxels)`, cleaned. Voxels may differ between participants. Runs of one stimulus and
        clock are the same for all if they are the same objects.

    test : str or sequence of str
        Names of the stories that are scored.

    train : sequence of str, default=None
        Names of those that are trained on. None is all others.

    Returns
    -------
    table : pandas.DataFrame
        A row a participant, story and voxel: ``participant``, ``story``, ``voxel``, ``score`` (Pearson's r),
        ``noise_ceiling`` (of the averaged repeats, in r; NaN without repeats), ``normalized_score``, ``n_repeats``,
        ``n_scans``. Of several test stories there are two more: ``"(pooled)"``, r over the scans of all of them, and
        ``"(mean)"``, the Fisher mean of their scores; they have no ceiling.

    Raises
    ------
    ValueError
        If a run has no story, a story is trained and tested, a participant lacks one, or the repeats of a story differ
        in scans.

    Examples
    --------
    >>> import numpy as np
    >>> import pandas as pd
    >>> from sklearn.linear_model import Ridge
    >>> from sklearn_sae_encoding.analysis import score_stories
    >>> from sklearn_sae_encoding.timing import RunwiseRegressor, StoryRun, WordsToScans
    >>> rng = np.random.default_rng(0)
    >>> def tell(name):
    ...     onset = np.sort(rng.uniform(0, 100, 90))
    ...     words = pd.DataFrame({"word": "so", "onset": onset, "offset": onset})
    ...     return StoryRun(None, words, n_scans=50, t_r=2.0, onset=0.0, story=name)
    >>> a, b, c = tell("a"), tell("b"), tell("c")
    >>> runs = [a, b, c, c]  # c was heard twice
    >>> rate = WordsToScans("rate", method="sum").fit(runs)
    >>> responses = [run + rng.normal(size=(50, 1)) for run in rate.transform(runs)]
    >>> table = score_stories(RunwiseRegressor(rate, Ridge()), {"p1": (runs, responses)}, test="c")
    >>> table[["participant", "story", "n_repeats"]].values.tolist(), table["score"][0] > 0.6
    ([['p1', 'c', 2]], np.True_)
    """
    tests = [test] if isinstance(test, str) else list(test)
    if not isinstance(data, Mapping) or not data:
        raise ValueError("data must be a dictionary of participants, each with (runs, responses).")
    parted = {who: _part(who, *runs_and_responses, tests, train) for who, runs_and_responses in data.items()}
    alike = {}
    for who, (training, tested) in parted.items():
        key = tuple(map(id, training[0])), tuple((story, id(run)) for story, (run, _) in tested.items())
        alike.setdefault(key, []).append(who)
    tables = {}
    for group in alike.values():
        for who, predicted in zip(group, _predict(model, [parted[who] for who in group]), strict=True):
            tables[who] = _table(parted[who][1], predicted).assign(participant=who)
    table = pd.concat([tables[who] for who in data], ignore_index=True)
    return table[["participant", *table.columns.drop("participant")]]


def _part(who, runs, responses, tests, train):
    """Give (runs, responses) to train on, and of each test story its run and the responses to its repeats."""
    if len(runs) != len(responses):
        raise ValueError(f"{who} has {len(runs)} runs, but responses to {len(responses)}.")
    unnamed = [i for i, run in enumerate(runs) if getattr(run, "story", None) is None]
    if unnamed:
        raise ValueError(f"Run {unnamed[0]} of {who} has no story: give StoryRun a story, to train and test by.")
    stories = [run.story for run in runs]
    chosen = [story for story in dict.fromkeys(stories) if story not in tests] if train is None else list(train)
    if both := [story for story in chosen if story in tests]:
        raise ValueError(f"The story {both[0]!r} is in train and in test.")
    if lacking := [story for story in (*chosen, *tests) if story not in stories]:
        raise ValueError(f"{who} did not hear {lacking[0]!r}; there are {', '.join(dict.fromkeys(stories))}.")
    if not chosen:
        raise ValueError(f"No story of {who} is left to train on.")
    rows = [np.asarray(response, dtype=np.float64) for response in responses]
    rows = [response[:, None] if response.ndim == 1 else response for response in rows]
    training = [i for i, story in enumerate(stories) if story in chosen]
    tested = {story: _repeats(who, story, runs, rows) for story in tests}
    return ([runs[i] for i in training], [rows[i] for i in training]), tested


def _repeats(who, story, runs, responses):
    found = [i for i, run in enumerate(runs) if run.story == story]
    first = runs[found[0]]
    for i in found[1:]:
        if not np.array_equal(runs[i].rows, first.rows) or responses[i].shape != responses[found[0]].shape:
            raise ValueError(
                f"{who} heard {story!r} in the runs {found}, whose scans differ: run {found[0]} has the responses "
                f"{responses[found[0]].shape} and run {i} {responses[i].shape}, after scans= and kept=. Repeats are "
                "averaged scan by scan: let all hold the same scans."
            )
    return first, np.array([responses[i] for i in found])  # (n_repeats, n_scans, n_voxels)


def _predict(model, participants):
    """Fit participants of the same runs side by side, and give the predictions of each, by story."""
    (runs, _), tested = participants[0]
    widths = [responses[0].shape[1] for (_, responses), _ in participants]
    side_by_side = [np.hstack(parts) for parts in zip(*(responses for (_, responses), _ in participants), strict=True)]
    predicted = clone(model).fit(runs, side_by_side).predict([run for run, _ in tested.values()])
    split = [np.split(run, np.cumsum(widths)[:-1], axis=1) for run in predicted]
    return [dict(zip(tested, (run[i] for run in split), strict=True)) for i in range(len(participants))]


def _table(tested, predicted):
    tables, means = [], {story: repeats.mean(axis=0) for story, (_, repeats) in tested.items()}
    scores = {story: voxelwise_pearson(means[story], predicted[story]) for story in tested}
    for story, (_, repeats) in tested.items():
        several = len(repeats) > 1
        ceiling = noise_ceiling_from_repeats(repeats) if several else np.full(repeats.shape[2], np.nan)
        tables.append(_rows(story, scores[story], ceiling, len(repeats), repeats.shape[1]))
    if len(tested) > 1:
        every = [np.concatenate([by_story[story] for story in tested]) for by_story in (means, predicted)]
        together = {"(pooled)": voxelwise_pearson(*every), "(mean)": fisher_mean(np.array(list(scores.values())))}
        tables += [_rows(name, score, np.nan, pd.NA, len(every[0])) for name, score in together.items()]
    return pd.concat(tables, ignore_index=True)


def _rows(story, score, ceiling, n_repeats, n_scans):
    with np.errstate(divide="ignore", invalid="ignore"):
        normalized = np.where(np.asarray(ceiling) > 0, score / ceiling, np.nan)
    columns = {"story": story, "voxel": range(len(score)), "score": score, "noise_ceiling": ceiling}
    table = pd.DataFrame({**columns, "normalized_score": normalized, "n_scans": n_scans})
    table["n_repeats"] = pd.array([n_repeats] * len(score), dtype="Int64")
    return table
