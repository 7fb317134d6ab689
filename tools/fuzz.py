"""Random problems against witnesses, for longer than the tests may take.

    python tools/fuzz.py --minutes 20 --seed 0
    python tools/fuzz.py --only encoder --number 123 --seed 0    # one problem again

Three kinds of problems take turns, each as long as the others:

- ``encoder``: SparseVoxelEncoder against LassoCV or ElasticNetCV on the same penalties and folds, and its solution
  against Lasso or ElasticNet by the objective;
- ``model``: a random language model of a family that the guide names: what its blocks read and add sums up to what they
  give, a text has the same rows alone and in any batch, surprisal is that of the model's own logits, and no generator
  of random numbers moves;
- ``saved``: a saved encoder with a byte changed or its end cut off predicts the same, or is refused with
  SavedEncoderError.

Prints each problem that fails, then a summary; exits with 1 if any failed.
"""

import argparse
import random
import sys
import tempfile
import time
import traceback
import warnings
from pathlib import Path

import numpy as np
from scipy import sparse
from sklearn.exceptions import ConvergenceWarning
from sklearn.linear_model import ElasticNet, ElasticNetCV
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.persistence import SavedEncoderError, load_encoder, save_encoder

TESTS = Path(__file__).resolve().parent.parent / "tests"
EXACT = {"tol": 1e-10, "max_iter": 50_000}
DTYPES = ("int8", "int32", "float32", "float64")
FORMS = ("C", "F", "csr", "csc", "coo")
LETTERS = "aaeeiinorst THE.,;!'\n\t\u00a0éß中文ñ👍0123"


def features_of(rng):
    """Features of any kind, as they are given and in double precision; and whether a solution on them is unique."""
    n_samples, n_features = int(rng.integers(8, 100)), int(rng.integers(1, 120))
    dtype = rng.choice(DTYPES)
    counts = dtype.startswith("int") or rng.random() < 0.2
    if counts:
        X = rng.poisson(rng.uniform(0.1, 3), (n_samples, n_features)).astype(float)
    else:
        X = rng.normal(size=(n_samples, n_features))
        if rng.random() < 0.4:  # correlated through a few directions
            rank = int(rng.integers(1, 6))
            X += 3 * rng.normal(size=(n_samples, rank)) @ rng.normal(size=(rank, n_features))
    if rng.random() < 0.3 and n_features > 2:
        X[:, 1] = X[:, 0]
    if rng.random() < 0.3:
        X[:, rng.integers(n_features)] = rng.integers(0, 3)
    if rng.random() < 0.3 and not counts:
        X *= 10.0 ** rng.uniform(-6, 6)
    if rng.random() < 0.3 and dtype != "int8":
        X[:, rng.random(n_features) < 0.5] += np.round(10 ** rng.uniform(0, 6)) * (dtype != "float32")
    X = X.astype(dtype)
    form = rng.choice(FORMS)
    given = np.asarray(X, order=form) if form in "CF" else getattr(sparse, f"{form}_array")(X)
    return given, X.astype(float), not counts and n_features < 0.4 * n_samples


def targets_of(X, rng):
    n_voxels = int(rng.integers(1, 4))
    spread = X.std(axis=0)
    standard = (X - X.mean(axis=0)) / np.where(spread > 0, spread, 1.0)
    weights = rng.normal(size=(X.shape[1], n_voxels)) * (rng.random((X.shape[1], n_voxels)) < 0.3)
    Y = standard @ weights + rng.uniform(0.1, 3) * rng.normal(size=(len(X), n_voxels)) + rng.normal()
    return Y * 10.0 ** rng.uniform(-3, 3)


def folds_of(n_samples, rng):
    folds = []
    for _ in range(int(rng.integers(2, 5))):
        order, n_test = rng.permutation(n_samples), int(rng.integers(1, n_samples // 2))
        folds.append((order[n_test:], order[:n_test]))
    return folds


def encoder(rng):
    given, X, unique = features_of(rng)
    Y, cv = targets_of(X, rng), folds_of(len(X), rng)
    options = {
        "l1_ratio": float(rng.choice([1.0, 1.0, 0.9, 0.5])),
        "positive": bool(rng.random() < 0.2),
        "fit_intercept": bool(rng.random() < 0.8),
    }
    found = SparseVoxelEncoder(
        int(rng.integers(2, 20)),
        cv=cv,
        eps=10 ** rng.uniform(-3, -0.5),
        early_stopping=False,
        standardize_targets=False,
        tol=1e-7,
        **options,
    ).fit(given, Y)
    centred = X - X.mean(axis=0) if options["fit_intercept"] else X  # scikit-learn loses digits far from zero
    for voxel, y in enumerate(Y.T):
        known = converged(ElasticNetCV(alphas=found.alphas_[voxel], cv=cv, **options, **EXACT), centred, y)
        if known is not None and unique:
            np.testing.assert_allclose(
                found.cv_mse_path_[voxel], known.mse_path_, rtol=1e-4, atol=1e-6 * y.var(), err_msg="errors of folds"
            )
        alpha = found.alpha_[voxel]
        known = converged(ElasticNet(alpha, **options, **EXACT), centred, y)
        if known is not None:
            ours = objective(found.predict(given).reshape(Y.shape)[:, voxel], found.coef_.toarray()[voxel], y, alpha)
            theirs = objective(known.predict(centred), known.coef_, y, alpha)
            ours, theirs = (one(options["l1_ratio"]) for one in (ours, theirs))
            assert ours <= theirs + 1e-5 * (y @ y) / len(y), f"objective {ours} where scikit-learn has {theirs}"


def objective(predicted, weights, y, alpha):
    def value(l1_ratio):
        penalty = l1_ratio * np.abs(weights).sum() + 0.5 * (1 - l1_ratio) * (weights @ weights)
        return 0.5 * np.mean((y - predicted) ** 2) + alpha * penalty

    return value


def converged(witness, X, y):
    """Fit scikit-learn's; None where it says that it did not converge."""
    with warnings.catch_warnings():
        warnings.simplefilter("error", ConvergenceWarning)
        try:
            return witness.fit(X, y)
        except ConvergenceWarning:
            return None


def text_of(rng, longest):
    letters = [LETTERS[i] for i in rng.integers(0, len(LETTERS), int(rng.integers(1, longest)))]
    text = "".join(letters)
    return text if text.strip() else text + "a"


def model(rng):
    import torch
    from tiny_models import D_MODEL, FAMILIES, N_LAYERS, OTHER_FAMILIES, tiny_model, tiny_tokenizer

    from sklearn_sae_encoding._lm.sites import hook_name
    from sklearn_sae_encoding.activations import LMActivationTransformer
    from sklearn_sae_encoding.language_model import LanguageModel, forget_texts
    from sklearn_sae_encoding.surprisal import SurprisalTransformer

    family = rng.choice([*FAMILIES, *OTHER_FAMILIES])
    network, tokenizer = tiny_model(family, seed=int(rng.integers(2**31))), tiny_tokenizer()
    texts = [text_of(rng, int(rng.choice([4, 20, 40]))) for _ in range(int(rng.integers(2, 8)))]
    layer = int(rng.integers(N_LAYERS))
    hooks = [hook_name(layer, site) for site in ("resid_pre", "attn_out", "mlp_out", "resid_post")]

    def run(some, batch_tokens):
        forget_texts()
        lm = LanguageModel(network, tokenizer=tokenizer, batch_tokens=batch_tokens)
        return LMActivationTransformer(lm, hooks).fit_transform(some), SurprisalTransformer(lm).fit_transform(some)

    before = generators(torch)
    together, surprisal = run(texts, int(rng.choice([1, 30, 200, 2000])))
    one = int(rng.integers(len(texts)))
    alone, of_one = run([texts[one]], 2000)
    assert generators(torch) == before, f"{family}: a generator of random numbers moved"
    parts = together.concatenated().reshape(-1, 4, D_MODEL)
    size = np.abs(parts).max()
    np.testing.assert_allclose(
        parts[:, :3].sum(axis=1), parts[:, 3], atol=1e-4 * size, err_msg=f"{family}: sums of sites"
    )
    np.testing.assert_allclose(together[one], alone[0], atol=1e-4 * size, err_msg=f"{family}: alone and in a batch")
    ids = tokenizer(texts[one], add_special_tokens=False)["input_ids"]
    with torch.no_grad():
        logits = network(torch.tensor([[0, *ids]])).logits[0, :-1].double()
    expected = -logits.log_softmax(-1)[torch.arange(len(ids)), ids].mean().item()
    for value in (surprisal[one, 0], of_one[0, 0]):
        np.testing.assert_allclose(value, expected, rtol=1e-4, err_msg=f"{family}: surprisal")


def generators(torch):
    return (
        random.getstate(), str(np.random.get_state()), torch.get_rng_state().numpy().tobytes()  # noqa: NPY002
    )  # fmt: skip


def saved(rng):
    n_features = int(rng.integers(1, 30))
    X = rng.normal(size=(40, n_features))
    Y = X[:, :1] + rng.normal(size=(40, int(rng.integers(1, 6))))
    encoder = SparseVoxelEncoder(5, refit=rng.choice([None, "ridge"]), screening=rng.choice([None, n_features]))
    chosen = encoder if rng.random() < 0.5 else make_pipeline(StandardScaler(), encoder)
    expected = chosen.fit(X, Y).predict(X)
    with tempfile.TemporaryDirectory() as folder:
        folder = Path(folder) / "encoder"
        save_encoder(chosen, folder, X=X)
        files = sorted(folder.iterdir())
        for _ in range(20):
            path = files[rng.integers(len(files))]
            whole = path.read_bytes()
            place = int(rng.integers(len(whole)))
            changed = whole[:place] + bytes([whole[place] ^ int(rng.integers(1, 256))]) + whole[place + 1 :]
            path.write_bytes(changed if rng.random() < 0.8 else whole[:place])
            try:
                np.testing.assert_array_equal(load_encoder(folder).predict(X), expected)
            except SavedEncoderError:
                pass
            finally:
                path.write_bytes(whole)


KINDS = {"encoder": encoder, "model": model, "saved": saved}


def attempt(kind, seed, number):
    """Solve one problem; gives what went wrong, or None."""
    rng = np.random.default_rng([seed, list(KINDS).index(kind), number])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        try:
            KINDS[kind](rng)
        except Exception:
            return traceback.format_exc(limit=-3)
    return None


def main(arguments=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--minutes", type=float, default=20.0)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--only", choices=list(KINDS), help="problems of this kind alone")
    parser.add_argument("--number", type=int, help="this problem alone")
    args = parser.parse_args(arguments)
    if args.number is not None and args.only is None:
        parser.error("--number is that of a problem of one kind: name it by --only")
    sys.path.insert(0, str(TESTS))
    kinds = [args.only] if args.only else list(KINDS)
    spent, done, failed = dict.fromkeys(kinds, 0.0), dict.fromkeys(kinds, 0), {kind: [] for kind in kinds}
    while sum(spent.values()) < 60 * args.minutes:
        kind = min(kinds, key=spent.get)
        number = done[kind] if args.number is None else args.number
        start = time.perf_counter()
        error = attempt(kind, args.seed, number)
        spent[kind] += time.perf_counter() - start
        done[kind] += 1
        if error:
            failed[kind].append(number)
            print(f"--- {kind}, seed {args.seed}, number {number}\n{error}", flush=True)
        if args.number is not None:
            break
    for kind in kinds:
        numbers = f": {failed[kind][:20]}" if failed[kind] else ""
        print(f"{kind:8} {done[kind]:6} problems in {spent[kind]:5.0f} s, {len(failed[kind])} failed{numbers}")
    return int(any(failed.values()))


if __name__ == "__main__":
    sys.exit(main())
