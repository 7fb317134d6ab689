"""Selected features with correlated stand-ins, and maps of a group in which nothing is: bounds and levels."""

import numpy as np

from sklearn_sae_encoding.analysis import group_map, stability_selection
from sklearn_sae_encoding.encoder import SparseVoxelEncoder

N_TEXTS, N_FEATURES, N_VOXELS = 200, 300, 40


def selection(rng):
    """Voxels of three planted features, or of none, where features come in correlated groups of five."""
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
                found = stability.selected(threshold).toarray()
                wrong = (found & (weights == 0)).sum(axis=1).mean()
                power = f", finds {found[weights > 0].mean():.0%} of 3 planted" if n_planted else ", none planted"
                print(
                    f"stability selection, features correlated by {correlation}, threshold {threshold}{power}; wrong "
                    f"ones a voxel {wrong:.2f}, bound {stability.error_bound(threshold).mean():.2f}"
                )


def group(rng, n_maps=300):
    """Maps of 200 voxels, with noise that neighbours share: nothing there, and 20 voxels of 2 sd."""
    effect = np.where(np.arange(200) < 20, 2.0, 0.0)
    for n_participants in (6, 8):
        nothing, beside, found = [], [], []
        for seed in range(n_maps):
            noise = np.cumsum(rng.normal(size=(n_participants, 203)), axis=1)
            noise = (noise[:, 3:] - noise[:, :-3]) / np.sqrt(3)
            options = {"n_flips": 256, "random_state": seed}
            nothing.append((group_map(noise, **options).fwe_p_values <= 0.05).any())
            p = group_map(noise + effect, **options).fwe_p_values
            found.append(np.mean(p[:20] <= 0.05))
            beside.append((p[20:] <= 0.05).any())
        print(
            f"group map, {n_participants} participants: any of 200 voxels at a family-wise .05 with nothing there "
            f"{np.mean(nothing):.1%} of {n_maps} maps\n"
            f"  beside 20 voxels of 2 sd {np.mean(beside):.1%}, of which {np.mean(found):.0%} are found"
        )
