"""Selected features with correlated stand-ins, and maps of a group in which nothing is: bounds and levels."""

import numpy as np
from scipy import sparse, stats

from sklearn_sae_encoding.analysis import feature_use_test, group_map, stability_selection
from sklearn_sae_encoding.datasets import load_demo_sae, load_sentences, load_smollm2, make_voxel_responses
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.metrics import adjust_p_values
from sklearn_sae_encoding.pipeline import make_augmented_encoder

N_TEXTS, N_FEATURES, N_VOXELS = 200, 300, 40


def selection(rng):
    """Halves at one penalty: voxels of three planted features, or none, where features correlate in groups of five."""
    for correlation in (0.0, 0.5, 0.9):
        shared = np.repeat(rng.normal(size=(N_TEXTS, N_FEATURES // 5)), 5, axis=1)
        X = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=shared.shape)
        for n_planted in (3, 0):
            weights = np.zeros((N_VOXELS, N_FEATURES))
            for row in weights:
                row[5 * rng.choice(N_FEATURES // 5, n_planted, replace=False)] = 1.0
            noise = rng.normal(size=(N_TEXTS, N_VOXELS)) * np.sqrt(max(n_planted, 1))
            stability = stability_selection(
                SparseVoxelEncoder(alphas=0.3), X, X @ weights.T + noise, n_pairs=50, random_state=0
            )
            for threshold in (0.7, 0.9):
                bound = f", bound {stability.error_bound(threshold).mean():.2f}"
                _print_selected(f"features correlated by {correlation}", stability, weights > 0, threshold, bound)


def bootstrap(rng):
    """The same by 50 bootstrap samples of an encoder that chooses its penalty."""
    for correlation in (0.0, 0.5, 0.9):
        for n_planted in (3, 0):
            X, Y, truth = _planted(rng, correlation, n_planted, N_VOXELS)
            options = {"n_pairs": 25, "resampling": "bootstrap", "random_state": 0}
            stability = stability_selection(SparseVoxelEncoder(alphas=10, cv=3), X, Y, **options)
            for threshold in (0.7, 0.9, 1.0):
                _print_selected(f"bootstrap, features correlated by {correlation}", stability, truth, threshold)


def _print_selected(title, stability, planted, threshold, bound=""):
    found = stability.selected(threshold).toarray()
    wrong = (found & ~planted).sum(axis=1).mean()
    power = f", finds {found[planted].mean():.0%} of 3 planted" if planted.any() else ", none planted"
    print(
        f"stability selection, {title}, threshold {threshold}{power}; wrong ones a voxel {wrong:.2f}{bound}", flush=True
    )


def feature_use(rng, n_voxels=100, n_maps=2):
    """Voxels of three planted features, or of none, by correlation of the features; and features of real sentences."""
    for correlation in (0.0, 0.5, 0.9):
        maps = [_planted(rng, correlation, 3, n_voxels) for _ in range(n_maps)]
        _print_found(f"features correlated by {correlation}, 3 planted", [(*one, None) for one in maps])
        if correlation == 0.9:
            fives = np.repeat(np.arange(N_FEATURES // 5), 5)
            _print_found("  groups of five tested together", [(*one, fives) for one in maps])
        nothing = [_planted(rng, correlation, 0, n_voxels // 5) for _ in range(10 * n_maps)]
        _print_found("  none planted, 20 voxels", [(*one, None) for one in nothing])
    maker = make_augmented_encoder(load_smollm2(), layer=15, sae=load_demo_sae())["features"]
    X = sparse.csr_array(maker.fit_transform(load_sentences()[:N_TEXTS]))[:, :-1]
    options = {"n_voxels": n_voxels // 2, "n_informative": 5, "min_active": 20, "noise_ceiling": 0.8}
    data = make_voxel_responses(X, random_state=0, **options)
    _print_found("SAE features of real sentences, 5 planted", [(X, data.betas, data.weights.toarray() != 0, None)])


def _planted(rng, correlation, n_planted, n_voxels):
    shared = np.repeat(rng.normal(size=(N_TEXTS, N_FEATURES // 5)), 5, axis=1)
    X = np.sqrt(correlation) * shared + np.sqrt(1 - correlation) * rng.normal(size=shared.shape)
    truth = np.zeros((n_voxels, N_FEATURES), dtype=bool)
    for row in truth:
        row[5 * rng.choice(N_FEATURES // 5, n_planted, replace=False)] = True
    return X, X @ truth.T + rng.normal(size=(N_TEXTS, n_voxels)) * np.sqrt(max(n_planted, 1)), truth


def _print_found(title, maps, level=0.1):
    """Print what share of the found pairs is false, and what share of the planted ones is found."""
    rows = {name: [] for name in ("bh", "by", "plain correlations, bh (not offered: wrong)")}
    for X, Y, truth, groups in maps:
        test = feature_use_test(SparseVoxelEncoder(alphas=10, cv=3), X, Y, groups=groups)
        if groups is not None:
            truth = np.stack([truth[:, groups == one].any(axis=1) for one in test.groups], axis=1)
        padded = np.concatenate([test.table["p_value"], np.ones(test.n_tests - len(test.table))])
        for adjust in ("bh", "by"):
            found = np.zeros(truth.shape, dtype=bool)
            passing = adjust_p_values(padded, adjust)[: len(test.table)] <= level
            found[test.table["voxel"][passing], test.table["group"][passing]] = True
            rows[adjust].append((found, truth))
        if groups is None:
            rows["plain correlations, bh (not offered: wrong)"].append((_correlated(X, Y, level), truth))
    for name, pairs in rows.items():
        if not pairs:
            continue
        false = np.mean([(found & ~truth).sum() / max(found.sum(), 1) for found, truth in pairs])
        if pairs[0][1].any():
            power = sum((found & truth).sum() for found, truth in pairs) / sum(truth.sum() for _, truth in pairs)
            n_found = np.mean([found.sum() for found, _ in pairs])
            said = f"{false:.3f} of {n_found:.0f} found are false, {power:.0%} of the planted found"
        else:
            said = f"any found in {false:.0%} of {len(pairs)} maps"
        print(f"{title}, {name}: {said}", flush=True)


def _correlated(X, Y, level):
    X = X.toarray() if sparse.issparse(X) else X
    with np.errstate(invalid="ignore"):
        x, y = ((one - one.mean(axis=0)) / one.std(axis=0) for one in (X, Y))
    r = y.T @ x / len(X)
    p = 2 * stats.t.sf(np.abs(r) * np.sqrt((len(X) - 2) / (1 - r**2)), len(X) - 2)
    return np.nan_to_num(adjust_p_values(p, "bh"), nan=1.0) <= level


def group(rng, n_maps=300):
    """Maps of 200 voxels, with noise that neighbours share: nothing there, and 20 voxels of 2 sd."""
    effect = np.where(np.arange(200) < 20, 2.0, 0.0)
    for n_participants in (6, 8, 12):
        rates = {name: [] for name in ("any", "beside", "found", "false", "found_fdr", "any_fdr")}
        for seed in range(n_maps):
            noise = np.cumsum(rng.normal(size=(n_participants, 203)), axis=1)
            noise = (noise[:, 3:] - noise[:, :-3]) / np.sqrt(3)
            options = {"n_flips": 1000, "random_state": seed}
            nothing, planted = group_map(noise, **options), group_map(noise + effect, **options)
            rates["any"].append((nothing.fwe_p_values <= 0.05).any())
            rates["any_fdr"].append((nothing.fdr_q_values <= 0.05).any())
            rates["found"].append(np.mean(planted.fwe_p_values[:20] <= 0.05))
            rates["beside"].append((planted.fwe_p_values[20:] <= 0.05).any())
            found = planted.fdr_q_values <= 0.05
            rates["false"].append(found[20:].sum() / max(found.sum(), 1))
            rates["found_fdr"].append(found[:20].mean())
        rate = {name: np.mean(values) for name, values in rates.items()}
        print(
            f"group map, {n_participants} participants: any of 200 voxels at a family-wise .05 with nothing there "
            f"{rate['any']:.1%} of {n_maps} maps, at a false discovery rate of .05 {rate['any_fdr']:.1%}\n"
            f"  beside 20 voxels of 2 sd {rate['beside']:.1%}, of which {rate['found']:.0%} are found; by the false "
            f"discovery rate {rate['found_fdr']:.0%}, and {rate['false']:.1%} of those found are false"
        )
