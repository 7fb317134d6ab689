"""Sentences and responses to scores and weights of all models of the paper."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold

from sklearn_sae_encoding.analysis import matryoshka_models, restrict_encoder, transfer_scores
from sklearn_sae_encoding.datasets import fetch_lepori2026
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, shuffle_responses
from sklearn_sae_encoding.pipeline import make_augmented_encoder

FOLDS = KFold(5, shuffle=True, random_state=19)
SEED = 19


class Study:
    """Scores and weights of all models on one group of voxels."""

    def __init__(self, name, features, Y, voxels, models, store):
        self.name, self.X, self.Y, self.voxels, self.store = name, features["sae"], Y, voxels, store
        self.ceiling = voxels["noise_ceiling"].to_numpy()
        shuffled = shuffle_responses(Y, random_state=SEED)  # the paper's control: a fresh permutation for every voxel
        self.results = {
            model: self._score(model, encoder, features[content], shuffled if permuted else Y)
            for model, (encoder, content, permuted) in models.items()
        }
        encoder = restrict_encoder()
        self.coef, self.alpha = store(
            f"{name}-weights", lambda: fit_all(encoder, self.X, Y), encoder=encoder, X=self.X, Y=Y
        )

    def _score(self, name, model, X, Y):
        inputs = {"model": model, "X": X, "Y": Y, "cv": FOLDS, "noise_ceiling": self.ceiling}
        return self.store(f"{self.name}-{name}", lambda: score(**inputs), **inputs)

    def transfer(self, keep, label="transfer"):
        """Score the features of each kept voxel on every other one."""
        inputs = {
            "X": self.X,
            "Y": self.Y[:, keep],
            "coef": self.coef[keep],
            "alpha": self.alpha[keep],
            "cv": FOLDS,
            "scaled_features": [-1],  # surprisal, the last column
            "noise_ceiling": self.ceiling[keep],
        }
        return self.store(f"{self.name}-{label}", lambda: transfer_scores(**inputs), **inputs)


def score(model, X, Y, cv, noise_ceiling):
    """Cross-validate a model; of its fitted encoders, keep the weights."""
    result = cross_val_voxel_scores(
        model, X, Y, cv=cv, noise_ceiling=noise_ceiling, return_predictions=True, return_estimators=True
    )
    return result._replace(estimators=[fitted["encoder"].coef_ for fitted in result.estimators])


def fit_all(encoder, X, Y):
    """Fit the augmented model to all texts, to read its weights."""
    fitted = encoder.fit(X, Y)["encoder"]
    return fitted.coef_, fitted.refit_alpha_


def models_of(widths, features):
    """All models of the paper, by name: (encoder, features, whether the responses are shuffled)."""
    models = {
        "Surprisal": (restrict_encoder([]), "sae", False),
        "Matryoshka": (restrict_encoder(), "sae", False),
        "Dense": (restrict_encoder(), "activations", False),
        "Content": (restrict_encoder(surprisal=False), "sae", False),
        "Shuffled": (restrict_encoder(), "activations", True),
    }
    if "jumprelu" in features:
        models["JumpReLU"] = (restrict_encoder(), "jumprelu", False)
    bins = matryoshka_models(widths)
    return models | {name: (model, "sae", False) for name, model in bins.items() if name != "all"}


def for_language(models, widths):
    """The models that the paper scores in the language regions: no control, of prefixes and rests the first only."""
    bins = [f"{lo}-{hi}" for lo, hi in pairwise([0, *widths])]
    wanted = ("Surprisal", "JumpReLU", "Matryoshka", "Dense", "Content", *bins, f"{widths[0]}+")
    return {name: models[name] for name in wanted if name in models}


def load_features(configuration, texts, folder, store):
    """Features of all texts, surprisal last, with their names: of the SAE(s), and the dense activations."""
    lm, layer = _given(configuration["model"]), configuration["layer"]
    saes = {"sae": configuration["sae"], "activations": (None, None), "jumprelu": configuration["jumprelu"]}
    features = {}
    for name, sae in saes.items():
        if sae is None:
            continue
        sae, sae_id = _given(sae[0]), sae[1]
        content = "activations" if name == "activations" else "sae"
        pipeline = make_augmented_encoder(
            lm, layer, sae, sae_id=sae_id, content=content, memory=folder / "cache", verbose=1
        )["features"]
        files = [_size_and_time(path) for path in (lm, sae)]
        key = {"texts": texts, "model": str(lm), "layer": layer, "sae": str(sae), "sae_id": sae_id, "files": files}
        features[name] = store(
            f"features-{name}", lambda p=pipeline: (p.fit_transform(texts), p.get_feature_names_out()), **key
        )
    return features


def _given(source):
    return source() if callable(source) else source


def _size_and_time(source):
    """What tells another version of a local model from this one."""
    if source is None or not Path(str(source)).exists():
        return None
    path = Path(str(source))
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]


def load_voxels(participants, name, thin=1):
    """Data with responses and what is known of the voxels; of each region, every so many-th voxel."""
    data = fetch_lepori2026(participants, name)
    chosen = np.sort(
        np.concatenate([rows[::thin] for rows in data.voxels.groupby(["participant", "region"]).indices.values()])
    )
    return data, np.ascontiguousarray(data.betas[:, chosen]), data.voxels.iloc[chosen].reset_index(drop=True)
