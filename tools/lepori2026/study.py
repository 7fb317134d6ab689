"""Sentences and responses to scores and weights of all models of the paper."""

from itertools import pairwise
from pathlib import Path

import numpy as np
from sklearn.model_selection import KFold

from sklearn_sae_encoding.activations import LMActivationTransformer
from sklearn_sae_encoding.analysis import matryoshka_models, restrict_encoder, top_tokens, transfer_scores
from sklearn_sae_encoding.datasets import fetch_lepori2026, fetch_lepori2026_3t
from sklearn_sae_encoding.fitted import features_of
from sklearn_sae_encoding.language_model import LanguageModel
from sklearn_sae_encoding.metrics import cross_val_voxel_scores, shuffle_responses
from sklearn_sae_encoding.pipeline import make_augmented_encoder, make_published_encoder
from sklearn_sae_encoding.sae import SAEProjector
from sklearn_sae_encoding.tokens import TokenTable

FOLDS = KFold(5, shuffle=True, random_state=19)
SEED = 19
PLACES = ["first", "second", "third", "fourth", "fifth"]
CHECKED = 20  # of every so many voxels, weights are compared with those of whole paths


class Study:
    """Scores and weights of all models on one group of voxels; `encoder` is the one that selects features."""

    def __init__(self, name, features, Y, voxels, models, encoder, store, n_jobs=1):
        self.n_jobs = n_jobs
        self.name, self.X, self.Y, self.voxels, self.store = name, features["sae"], Y, voxels, store
        self.ceiling = voxels["noise_ceiling"].to_numpy()
        shuffled = shuffle_responses(Y, random_state=SEED)  # the paper's control: a fresh permutation for every voxel
        self.results = {
            model: self._score(model, encoder, features[content], shuffled if permuted else Y)
            for model, (encoder, content, permuted) in models.items()
        }
        encoder = restrict_encoder(encoder=encoder)
        self.coef, self.alpha = store(
            f"{name}-weights", lambda: fit_all(encoder, self.X, Y), encoder=encoder, X=self.X, Y=Y
        )

    def compare_whole_paths(self):
        """Count the fits (a voxel in a fold) whose weights are other ones when no path is stopped early."""
        chosen = slice(None, None, CHECKED)
        whole = self._score("whole-paths", restrict_encoder(), self.X, self.Y[:, chosen], self.ceiling[chosen])
        pairs = zip(whole.estimators, self.results["Matryoshka"].estimators, strict=True)
        other = [abs(a.coef_ - b.coef_[chosen]).max(axis=1).toarray().ravel() > 1e-8 for a, b in pairs]
        return int(np.sum(other)), int(np.size(other))

    def _score(self, name, model, X, Y, ceiling=None):
        ceiling = self.ceiling if ceiling is None else ceiling
        inputs = {"model": model, "X": X, "Y": Y, "cv": FOLDS, "noise_ceiling": ceiling}
        return self.store(f"{self.name}-{name}", lambda: score(**inputs), **inputs)

    def transfer(self, keep, label="transfer", selection="published"):
        """Score the features of each kept voxel on every other one: those of all texts, or of each fold's training."""
        fits, alpha = self.coef[keep], self.alpha[keep]
        if selection == "training":
            folds = self.results["Matryoshka"].estimators
            fits, alpha = [fold.coef_[keep] for fold in folds], np.array([fold.refit_alpha_[keep] for fold in folds])
            label = f"{label}-{selection}"
        inputs = {
            "X": self.X,
            "Y": self.Y[:, keep],
            "fits": fits,
            "selection": selection,
            "alpha": alpha,
            "cv": FOLDS,
            "scaled_features": [-1],  # surprisal, the last column
            "noise_ceiling": self.ceiling[keep],
        }
        return self.store(f"{self.name}-{label}", lambda: transfer_scores(**inputs, n_jobs=self.n_jobs), **inputs)


def score(model, X, Y, cv, noise_ceiling):
    """Cross-validate a model; of its fits, keep the encoders."""
    result = cross_val_voxel_scores(
        model, X, Y, cv=cv, noise_ceiling=noise_ceiling, return_predictions=True, return_estimators=True
    )
    return result._replace(estimators=[fitted["encoder"] for fitted in result.estimators])


def fit_all(encoder, X, Y):
    """Fit the augmented model to all texts, to read its weights."""
    fitted = encoder.fit(X, Y)["encoder"]
    return fitted.coef_, fitted.refit_alpha_


def make_encoder(whole_paths=False):
    """Build the published encoder, whose cross-validated paths may stop where the error has clearly turned up."""
    return make_published_encoder().set_params(early_stopping=not whole_paths)


def models_of(widths, features, encoder):
    """All models of the paper, by name: (encoder, features, whether the responses are shuffled)."""
    everything = restrict_encoder(encoder=encoder)
    models = {
        "Surprisal": (restrict_encoder([], encoder=encoder), "sae", False),
        "Matryoshka": (everything, "sae", False),
        "Dense": (everything, "activations", False),
        "Content": (restrict_encoder(surprisal=False, encoder=encoder), "sae", False),
        "Shuffled": (everything, "activations", True),
    }
    if "jumprelu" in features:
        models["JumpReLU"] = (everything, "jumprelu", False)
    bins, reported = matryoshka_models(widths, encoder=encoder), place_names(widths)
    return models | {name: (model, "sae", False) for name, model in bins.items() if name in reported}


def place_names(widths):
    """The bins, prefixes and rests that the paper scores, each with its place from the coarsest features on."""
    edges = [0, *widths]
    names = {f"{lo}-{hi}": place for (lo, hi), place in zip(pairwise(edges), PLACES, strict=False)}
    return names | {f"0-{widths[1]}": "first two", f"{widths[0]}+": "rest", f"{widths[1]}+": "rest after two"}


def for_language(models, widths):
    """The models that the paper scores in the language regions: no control, of prefixes and rests the first only."""
    bins = [f"{lo}-{hi}" for lo, hi in pairwise([0, *widths])]
    wanted = ("Surprisal", "JumpReLU", "Matryoshka", "Dense", "Content", *bins, f"{widths[0]}+")
    return {name: models[name] for name in wanted if name in models}


def load_features(configuration, texts, folder, store):
    """Features of all texts, surprisal last, with the table of what they are: of the SAE(s), and dense activations."""
    lm, layer = _given(configuration["model"]), configuration["layer"]
    saes = {"sae": configuration["sae"], "activations": (None, None), "jumprelu": configuration["jumprelu"]}
    features = {}
    for name, sae in saes.items():
        if sae is None:
            continue
        sae, sae_id = _given(sae[0]), sae[1]
        content = "activations" if name == "activations" else "sae"
        options = {"widths": configuration["widths"]} if name == "sae" else {}  # published SAEs don't say theirs
        reader = LanguageModel(lm, memory=folder / "cache")
        pipeline = make_augmented_encoder(
            reader, layer, sae, sae_id=sae_id, content=content, sae_params=options, verbose=1
        )["features"]
        features[name] = store(
            f"features-{name}",
            lambda p=pipeline: (p.fit_transform(texts), features_of(p)),
            **_origin(texts, lm, layer, sae, sae_id),
        )
    return features


class Tokens:
    """The tokens of all texts, with their features: what each feature responds to, word by word."""

    def __init__(self, words, features):
        self.words = words
        ends = [np.cumsum([len(word) for word in of_text]) for of_text in words]
        offsets = [np.column_stack([np.append(0, of_text[:-1]), of_text]) for of_text in ends]
        self.features = TokenTable.from_arrays(features, ["".join(of_text) for of_text in words], offsets)

    def of(self, feature, n_tokens=5):
        """Write the different tokens on which a feature is most active, the strongest first."""
        strongest = top_tokens(self.features, feature, n_tokens=10 * n_tokens)["token"]
        return " / ".join(list(dict.fromkeys(token.strip() or "(space)" for token in strongest))[:n_tokens])


def load_tokens(configuration, texts, folder, store):
    """Read the tokens, as they stand in the texts, with the features of the SAE."""
    lm, layer = _given(configuration["model"]), configuration["layer"]
    sae, sae_id = _given(configuration["sae"][0]), configuration["sae"][1]

    def read():
        activations = LMActivationTransformer(LanguageModel(lm, memory=folder / "cache"), layer).fit_transform(texts)
        words = [
            [_in_its_word(text, *place) for place in of_text]
            for text, of_text in zip(texts, activations.offsets, strict=True)
        ]
        return words, list(SAEProjector(sae, sae_id, level="token").fit_transform(activations))

    return Tokens(*store("features-tokens", read, **_origin(texts, lm, layer, sae, sae_id)))


def _in_its_word(text, start, end):
    """Write a token as it stands in the text, after the beginning of its word in parentheses."""
    token, before = text[start:end], text[:start]
    inside = start > 0 and not token[:1].isspace() and not before[-1].isspace()
    return f"({before.split()[-1]}){token}" if inside else token


def _origin(texts, lm, layer, sae, sae_id):
    """What features are computed from."""
    files = [_size_and_time(path) for path in (lm, sae)]
    return {"texts": texts, "model": str(lm), "layer": layer, "sae": str(sae), "sae_id": sae_id, "files": files}


def _given(source):
    return source() if callable(source) else source


def _size_and_time(source):
    """What tells another version of a local model from this one."""
    if source is None or not Path(str(source)).exists():
        return None
    path = Path(str(source))
    files = sorted(p for p in path.rglob("*") if p.is_file()) if path.is_dir() else [path]
    return [(p.name, p.stat().st_size, p.stat().st_mtime_ns) for p in files]


def at_3t(models):
    """The models that the paper scores at 3T."""
    wanted = ("Surprisal", "JumpReLU", "Matryoshka", "Dense")
    return {name: models[name] for name in wanted if name in models}


def load_3t():
    """Data with responses of regions at 3T and what is known of them; None where the files can't be had."""
    try:
        data = fetch_lepori2026_3t()
    except OSError as error:
        print(f"\nThe averages at 3T can't be had: {error}")
        return None
    return data, np.ascontiguousarray(data.betas), data.voxels


def load_voxels(name, thin=1):
    """Data of all participants, with responses and what is known of voxels; of each region, every so many-th voxel."""
    data = fetch_lepori2026(sets=name)
    chosen = np.sort(
        np.concatenate([rows[::thin] for rows in data.voxels.groupby(["participant", "region"]).indices.values()])
    )
    return data, np.ascontiguousarray(data.betas[:, chosen]), data.voxels.iloc[chosen].reset_index(drop=True)
