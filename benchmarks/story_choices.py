"""How much the scores of a story move with choices that papers make differently: a table of one change at a time.

    python benchmarks/story_choices.py [--rst | --ceilings]

Alice, the mean of 27 listeners, six regions; Fisher mean over parts of r, features of the SAE with word rate and
surprisal, and word rate and surprisal alone. No row was chosen by its scores. Takes some minutes on two cores.
"""

import argparse
import warnings

import numpy as np
from sklearn.model_selection import LeaveOneOut

from sklearn_sae_encoding.banded import BandedRidgeEncoder
from sklearn_sae_encoding.datasets import load_alice, load_demo_sae, load_smollm2
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, split_half_reliability, voxelwise_pearson
from sklearn_sae_encoding.pipeline import make_story_features
from sklearn_sae_encoding.timing import RunwiseRegressor, StoryRun, clean_runs

BASE = {
    "size": "6mm",
    "text": "as printed",
    "delays": (2, 3, 4),
    "blocks": 6,
    "gap": 10,
    "movement": True,
    "high_pass": "auto",
    "word_time": "middle",
    "cutoff": None,
}
CHANGES = {
    "as in the example": {},
    "delays 1 to 4": {"delays": (1, 2, 3, 4)},
    "delays 2 and 3": {"delays": (2, 3)},
    "4 parts": {"blocks": 4, "high_pass": None},
    "4 parts, 1/128 Hz out": {"blocks": 4},
    "8 parts": {"blocks": 8},
    "gap of 5 scans": {"gap": 5},
    "movement left in": {"movement": False},
    "regions of 10 mm": {"size": "10mm"},
    "words at their onset": {"word_time": "onset"},
    "words at their end": {"word_time": "offset"},
    "cutoff 0.125 Hz": {"cutoff": 0.125},
    "text without punctuation": {"text": "no punctuation"},
    "and without case": {"text": "no punctuation, no case"},
}


def load(size, text):
    """Load the story, with the text that a transcript of that kind would have."""
    story = load_alice(size)
    if text != "as printed":
        words, run = story.words.copy(), story.run
        if "no case" in text:
            words["word"] = words["word"].str.lower()
        same = {name: getattr(run, name) for name in ("n_scans", "t_r", "onset", "scans", "scan_time", "story")}
        story.run = StoryRun(None, words, **same)
    return story


def score(bands, choices):
    """Give r of each region: Fisher mean over parts, and pooled over scans."""
    story = load(choices["size"], choices["text"])
    cleaning = {name: choices[name] for name in ("gap", "movement", "high_pass")}
    runs, responses = story.cut(choices["blocks"], **cleaning)
    at = {"word_time": choices["word_time"], "cutoff": choices["cutoff"]}
    features = make_story_features(MODEL, layer=15, sae=SAE, **at, **bands)
    delays = {name: (0,) if name == "rate" else choices["delays"] for name, _ in features.transformer_list}
    model = RunwiseRegressor(features, BandedRidgeEncoder(candidates=10), delays=delays)
    result = cross_val_voxel_scores(model, runs, responses, cv=LeaveOneOut(), return_predictions=True)
    return result.scores, voxelwise_pearson(np.concatenate(responses), np.concatenate(result.predictions))


def main():
    """Print the table, a change a row."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rst", action="store_true", help="rows of a list-table")
    parser.add_argument("--ceilings", action="store_true", help="ceilings of the group mean alone, by cleaning")
    options = parser.parse_args()
    if options.ceilings:
        ceilings()
        return
    as_rst = options.rst
    everything, pace = {}, {"content": None}
    sae_alone = {"surprisal": False, "rate": False}
    kept = []
    for name, change in CHANGES.items():
        both = [score(bands, BASE | change)[0] for bands in (everything, pace)]
        kept.append(both)
        show(name, both, as_rst)
    show("least", np.min(kept, axis=0), as_rst)
    show("most", np.max(kept, axis=0), as_rst)
    base = [score(bands, BASE) for bands in (everything, pace, sae_alone)]
    show("pooled over scans", [base[0][1], base[1][1]], as_rst)
    show("SAE alone (mean over parts, pooled)", base[2], as_rst)


def ceilings():
    """Print ceilings of the mean over listeners, from halves of them, for several ways of cleaning."""
    for size in ("6mm", "10mm"):
        story = load_alice(size)
        movement = [moved[story.run.rows] for moved in story.movement]
        whole = {
            "movement and 1/128 Hz out": (movement, 1 / 128),
            "1/128 Hz out": (None, 1 / 128),
            "movement and a trend out": (movement, None),
            "a trend out": (None, None),
        }
        for name, (confounds, high_pass) in whole.items():
            cleaned = clean_runs(list(story.responses), confounds=confounds, t_r=story.run.t_r, high_pass=high_pass)
            row = np.sqrt(split_half_reliability(cleaned))
            print(f"{size + ', ' + name:44}{' '.join(f'{r:.2f}' for r in row)}", flush=True)
        for name, keeps in (("movement and a trend out", True), ("a trend out", False)):
            parts = [story.cut(6, listener=who, movement=keeps)[1] for who in story.listeners]
            row = np.sqrt(split_half_reliability(np.array([np.concatenate(part) for part in parts])))
            print(f"{size + ', ' + name + ' of six parts':44}{' '.join(f'{r:.2f}' for r in row)}", flush=True)


def show(name, rows, as_rst):
    """Print a row."""
    cells = [" ".join(f"{r:.2f}".replace("0.", ".", 1) for r in row) for row in rows]
    if as_rst:
        print(f"   * - {name}\n" + "\n".join(f"     - {cell}" for cell in cells), flush=True)
    else:
        print(f"{name:36}{cells[0]:34}{cells[1]}", flush=True)


if __name__ == "__main__":
    warnings.filterwarnings("ignore", message="In the text.*A language model reads such a transcript worse")
    MODEL, SAE = LanguageModel(load_smollm2()), load_demo_sae()
    main()
