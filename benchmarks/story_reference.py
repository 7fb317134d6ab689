"""Alice beside what is known from earlier work on these data: the group's mean and single listeners, two ways.

    python benchmarks/story_reference.py [--rst | --tried | --shifted]

r of six regions for the SAE alone, word rate and surprisal, and all three; pooled over scans and as the Fisher mean
over parts. "Earlier work" made its choices before; they are repeated here (delays 1 to 4, five scans left out beside a
part, responses cleaned on the whole series), and the example's stand beside them (delays 2 to 4, ten scans, each part
cleaned alone). All targets stand side by side, so that features and kernels are made once. Some minutes on one core.
"""

import argparse

import numpy as np
from scipy import stats
from sklearn.model_selection import LeaveOneOut

from sklearn_sae_encoding.analysis import group_map
from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.datasets import load_alice, load_demo_sae, load_smollm2
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import (
    cross_val_voxel_scores,
    listener_ceiling_interval,
    listener_noise_ceilings,
    voxelwise_pearson,
)
from sklearn_sae_encoding.pipeline import make_story_features
from sklearn_sae_encoding.timing import RunwiseRegressor, StoryRun, WordsToScans, clean_runs

BANDS = {
    "SAE alone": {"surprisal": False, "rate": False},
    "rate + surprisal": {"content": None},
    "SAE + rate + surprisal": {},
}
# LATL RATL LPTL LIPL LPreM LIFG; of two pairs of hands, pooled over scans and the Fisher mean over parts.
EARLIER = {
    "noise ceiling": [(0.88, 0.83, 0.94, 0.85, 0.84, 0.81), None],
    "SAE alone": [(0.44, 0.29, 0.32, 0.34, 0.45, 0.27), (0.45, 0.33, 0.35, 0.36, 0.48, 0.31)],
    "rate + surprisal": [(0.26, 0.21, 0.30, 0.39, 0.37, 0.25), (0.31, 0.28, 0.38, 0.41, 0.41, 0.28)],
    "rate + surprisal, other hands": [(0.22, 0.18, 0.39, 0.38, 0.36, 0.31), None],
    "SAE + rate + surprisal, other hands": [(0.44, 0.28, 0.43, 0.40, 0.41, 0.30), None],
}
CHOICES = {
    "choices of earlier work": {"delays": (1, 2, 3, 4), "gap": 5, "whole": True},
    "choices of the example": {"delays": (2, 3, 4), "gap": 10, "whole": False},
}


def standard(responses):
    """Divide by standard deviations about the mean."""
    return (responses - responses.mean(axis=0)) / responses.std(axis=0, ddof=1)


def targets(story, runs, whole):
    """Give the responses of each part, of the group's mean and then of each listener, side by side."""
    if whole:
        movement = [moved[story.run.rows] for moved in story.movement]
        cleaned = clean_runs(list(story.responses), confounds=movement, t_r=story.run.t_r, high_pass=1 / 128)
        every = np.hstack([standard(np.mean(cleaned, axis=0)), *cleaned])
        return [every[run.rows - story.run.rows[0]] for run in runs]
    parts = [story.cut(len(runs), listener=who)[1] for who in ("mean", *story.listeners)]
    return [np.hstack(part) for part in zip(*parts, strict=True)]


def score(story, model, choices):
    """Score all targets: (pooled over scans, Fisher mean over parts), each of shape (1 + listeners, regions)."""
    runs, _ = story.cut(6, gap=choices["gap"])
    responses = targets(story, runs, choices["whole"])
    result = cross_val_voxel_scores(model, runs, responses, cv=LeaveOneOut(), return_predictions=True)
    pooled = voxelwise_pearson(np.concatenate(responses), np.concatenate(result.predictions))
    return [scores.reshape(-1, len(story.regions)) for scores in (pooled, result.scores)]


def models(language_model, sae, delays):
    """Make the three models; the word rate is convolved, and enters without delays."""
    for name, bands in BANDS.items():
        features = make_story_features(language_model, layer=15, sae=sae, **bands)
        by_band = {band: (0,) if band == "rate" else delays for band, _ in features.transformer_list}
        yield name, RunwiseRegressor(features, BandedRidgeEncoder(candidates=10), delays=by_band)


def ceilings(story):
    """Give ceilings of the group's mean, its interval, and of each listener; movement and 1/128 Hz out of the whole."""
    movement = [moved[story.run.rows] for moved in story.movement]
    cleaned = clean_runs(list(story.responses), confounds=movement, t_r=story.run.t_r, high_pass=1 / 128)
    mean, each = listener_noise_ceilings(cleaned)
    return mean, listener_ceiling_interval(cleaned), each


def tried(story):
    """Print what rate and surprisal score where one thing is done otherwise, that earlier work may have done so."""
    smollm2, delays = load_smollm2(), {"surprisal": (1, 2, 3, 4), "rate": (0,)}

    def features(language_model=None, rate=None):
        own = {"rate": rate is None, "more": None if rate is None else {"rate": rate}}
        return make_story_features(language_model or LanguageModel(smollm2), content=None, **own)

    def activations(weights):
        language_model = LanguageModel(smollm2, weights=weights)
        return make_story_features(language_model, 15, content="activations", surprisal=False, rate=False)

    def clock(moment):
        same = {name: getattr(story.run, name) for name in ("n_scans", "t_r", "onset", "scans", "tables", "story")}
        return StoryRun(story.run.text, story.words, scan_time=moment, unplaced="ignore", **same)

    late = {"surprisal": (1, 2, 3, 4), "rate": (1, 2, 3, 4)}
    ways = {
        "as above": {},
        "a scan stands for its middle": {"run": clock("middle")},
        "a scan stands for its end": {"run": clock("end")},
        "the source's own word rate": {"features": features(rate=WordsToScans(table="rate", method="mean"))},
        "a word rate that is delayed": {"features": features(rate=WordsToScans("rate")), "delays": late},
        "responses averaged as they are": {"standardize": False},
        "movement left in": {"movement": False},
        "the chat marker before the text": {"features": features(LanguageModel(smollm2, bos_token="<|im_start|>"))},
        "windows of 128 tokens": {"features": features(LanguageModel(smollm2, window=128, stride=64))},
        "activations in their place": {"features": activations("pretrained"), "delays": (1, 2, 3, 4)},
        "those of the untrained model": {"features": activations("random"), "delays": (1, 2, 3, 4)},
    }
    for name, way in ways.items():
        run, used = way.get("run", story.run), [moved[story.run.rows] for moved in story.movement]
        cleaned = clean_runs(
            list(story.responses),
            confounds=used if way.get("movement", True) else None,
            t_r=run.t_r,
            high_pass=1 / 128,
            standardize=way.get("standardize", True),
        )
        mean, runs = standard(np.mean(cleaned, axis=0)), run.cut(6, gap=5)
        responses = [mean[part.rows - run.rows[0]] for part in runs]
        model = RunwiseRegressor(
            way.get("features", features()), BandedRidgeEncoder(candidates=10), delays=way.get("delays", delays)
        )
        result = cross_val_voxel_scores(model, runs, responses, cv=LeaveOneOut(), return_predictions=True)
        pooled = voxelwise_pearson(np.concatenate(responses), np.concatenate(result.predictions))
        show(f"rate + surprisal, {name}", cell(pooled), cell(result.scores), False)


def shifted(story, n_shifts=60, least=40):
    """Print what the example scores where responses are shifted in a circle, so that they belong to other words."""
    runs, responses = story.cut(6, gap=10, listener="mean")
    whole, ends = np.concatenate(responses), np.cumsum([len(part) for part in responses])[:-1]
    shifts = np.linspace(least, len(whole) - least, n_shifts).astype(int)
    moved = np.split(np.hstack([whole, *(np.roll(whole, shift, axis=0) for shift in shifts)]), ends)
    for name, model in models(LanguageModel(load_smollm2()), load_demo_sae(), (2, 3, 4)):
        scores = cross_val_voxel_scores(model, runs, moved, cv=LeaveOneOut()).scores.reshape(1 + n_shifts, -1)
        show(
            f"{name}, {n_shifts} shifts, mean and standard deviation",
            *map(cell, (scores[1:].mean(0), scores[1:].std(0))),
        )
        show("  shifts that score as high, share", cell((scores[1:] >= scores[0]).mean(0)), "")


def cell(row):
    """Write six numbers."""
    return "" if row is None else " ".join(f"{r:.2f}".replace("0.", ".", 1).replace("-.00", ".00") for r in row)


def show(name, pooled, by_part, as_rst=False):
    """Print a row."""
    if as_rst:
        print(f"   * - {name}\n     - {pooled}\n     - {by_part}", flush=True)
    else:
        print(f"{name:58}{pooled:40}{by_part}", flush=True)


def main():
    """Print the group's mean, then single listeners and the tests of the gain."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rst", action="store_true", help="rows of a list-table")
    parser.add_argument("--tried", action="store_true", help="what does not explain the difference to earlier work")
    parser.add_argument("--shifted", action="store_true", help="what responses to other words score")
    options = parser.parse_args()
    as_rst = options.rst
    if options.tried or options.shifted:
        (tried if options.tried else shifted)(load_alice())
        return
    story, language_model, sae = load_alice(), LanguageModel(load_smollm2()), load_demo_sae()
    found = {
        (how, name): score(story, model, choices)
        for how, choices in CHOICES.items()
        for name, model in models(language_model, sae, choices["delays"])
    }
    mean_ceiling, (low, high), own_ceilings = ceilings(story)
    print("The group's mean: pooled over scans, Fisher mean over parts;", " ".join(story.regions))
    show("noise ceiling, earlier work", cell(EARLIER["noise ceiling"][0]), "", as_rst)
    show("noise ceiling", cell(mean_ceiling), "", as_rst)
    show("its 95% interval over listeners, from and to", cell(low), cell(high), as_rst)
    for name, row in list(EARLIER.items())[1:]:
        show(f"{name}, earlier work", *map(cell, row), as_rst)
    for (how, name), scores in found.items():
        show(f"{name}, {how}", *(cell(kind[0]) for kind in scores), as_rst)
    print(f"\nSingle listeners, mean (and SEM) over {len(story.listeners)}:", " ".join(story.regions))
    show("noise ceiling, mean over listeners", cell(np.mean(own_ceilings, axis=0)), "", as_rst)
    for (how, name), scores in found.items():
        cells = [f"{cell(kind[1:].mean(axis=0))} ({cell(stats.sem(kind[1:], axis=0))})" for kind in scores]
        show(f"{name}, {how}", *cells, as_rst)
    print("\nWhat the SAE adds to rate + surprisal in single listeners: p")
    for how in CHOICES:
        gains = [
            after[1:] - before[1:]
            for after, before in zip(found[how, "SAE + rate + surprisal"], found[how, "rate + surprisal"], strict=True)
        ]
        flips = [group_map(gain, random_state=0) for gain in gains]
        tests = {
            "mean gain": [cell(gain.mean(axis=0)) for gain in gains],
            "paired t test": [p_cell(stats.ttest_1samp(gain, 0).pvalue) for gain in gains],
            "signs flipped": [p_cell(flip.p_values) for flip in flips],
            "signs flipped, any of six regions": [p_cell(flip.fwe_p_values) for flip in flips],
        }
        for test, row in tests.items():
            show(f"{test}, {how}", *row, as_rst)


def p_cell(row):
    """Write six p-values."""
    return " ".join("<.001" if p < 0.001 else f"{p:.3f}".removeprefix("0") for p in row)


if __name__ == "__main__":
    main()
