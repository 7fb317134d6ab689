"""What changed the scores of abstract and concrete voxels: the token before sentences, the SAE, or the penalties?

    git show ca2b902:sklearn_sae_encoding/datasets/data/demo_sae/cfg.json > OLD/cfg.json
    git show ca2b902:sklearn_sae_encoding/datasets/data/demo_sae/sae_weights.safetensors > OLD/sae_weights.safetensors
    SKLEARN_SAE_ENCODING_DATA=FOLDER python benchmarks/bos_and_sae.py OLD [n_jobs]

Scores each combination of the SAE of before (folder OLD, trained with ``<|im_start|>`` before texts) and the one that
ships, of the two tokens before sentences, and of published and relative penalties: noise-ceiling-normalised r, mean
over voxels and participants of each set, for those on whom choices were made and those on whom none was. Looked at to
explain a difference; nothing is chosen by it.
"""

import sys

import numpy as np
import pandas as pd
from sklearn.model_selection import KFold

from sklearn_sae_encoding import LanguageModel, cross_val_voxel_scores, make_augmented_encoder
from sklearn_sae_encoding.analysis import restrict_encoder
from sklearn_sae_encoding.datasets import fetch_lepori2026, load_demo_sae, load_smollm2
from sklearn_sae_encoding.pipeline import make_published_encoder

OUTER = KFold(5, shuffle=True, random_state=19)
SETS = ["abstract", "concrete"]
TOKENS = ("<|im_start|>", "<|endoftext|>")
GROUPS = {"p1": "p1 to p4", "p2": "p1 to p4", "p3": "p1 to p4", "p4": "p1 to p4"}


def main(old, n_jobs=1):
    data = fetch_lepori2026(sets=SETS)
    Y, voxels = np.ascontiguousarray(data.betas), data.voxels
    ceiling = voxels["noise_ceiling"].to_numpy()
    groups = voxels["participant"].map(GROUPS).fillna("p5 to p8")
    means = {}
    for token in TOKENS:
        model = LanguageModel(load_smollm2(), bos_token=token)
        for name, sae in {"SAE before": old, "SAE now": load_demo_sae()}.items():
            made = make_augmented_encoder(model, layer=15, sae=sae, sae_params={"check_match": False})
            X = made["features"].fit_transform(data.texts)
            published = restrict_encoder(encoder=make_published_encoder().set_params(early_stopping=True))
            encoders = {"published": published, "relative": restrict_encoder(encoder=made["encoder"])}
            if name == "SAE now":  # surprisal alone is the same, whatever the SAE
                encoders["published, surprisal alone"] = restrict_encoder([], encoder=make_published_encoder())
            for penalties, encoder in encoders.items():
                result = cross_val_voxel_scores(encoder, X, Y, cv=OUTER, noise_ceiling=ceiling, n_jobs=n_jobs)
                by = pd.Series(result.normalized_scores).groupby([groups, voxels["participant"], voxels["set"]]).mean()
                means[token, name, penalties] = (
                    by.rename_axis(["participants", "one", "set"]).groupby(level=[0, 2]).mean()
                )
                print(token, name, penalties, flush=True)
    table = pd.concat(means, names=["token", "SAE", "penalties"]).unstack("set")[SETS]
    print(table.sort_index(level=["participants", "penalties"]).round(3).to_string())


if __name__ == "__main__":
    main(sys.argv[1], *map(int, sys.argv[2:]))
