"""Maps of the cortex that have nothing to do with each other, and the tests that are put to them."""

import numpy as np
from scipy import stats
from scipy.spatial import cKDTree

from sklearn_sae_encoding.analysis import parcel_centres, spin_places, spin_test

N_PARCELS, N_PAIRS, N_SPINS = 180, 1000, 999


def parcels_of_fsaverage5(rng):
    """Cut the left hemisphere of fsaverage5 into 180 parcels, each around a vertex far from those before."""
    from nilearn.datasets import load_fsaverage

    points = load_fsaverage("fsaverage5")["sphere"].parts["left"].coordinates.astype(float)
    points /= np.linalg.norm(points, axis=1, keepdims=True)
    chosen = [int(rng.integers(len(points)))]
    distance = np.full(len(points), np.inf)
    while len(chosen) < N_PARCELS:
        distance = np.minimum(distance, 1 - points @ points[chosen[-1]])
        chosen.append(int(distance.argmax()))
    labels = cKDTree(points[chosen]).query(points)[1] + 1
    centres, _ = parcel_centres(labels, {"left": points})
    return centres["left"]


def spins(rng, print_rates):
    """Pairs of independent smooth maps on 180 parcels: naive test, permutation of labels, spins."""
    centres = parcels_of_fsaverage5(rng)
    places = {
        how: spin_places({"left": centres}, n_spins=N_SPINS, assignment=how, random_state=0)
        for how in ("nearest", "unique")
    }
    angles = np.arccos(np.clip(centres @ centres.T, -1, 1))
    for width in (0.3, 0.6):  # radians; 30 and 60 mm on a sphere of 100 mm
        smooth = np.exp(-0.5 * (angles / width) ** 2)
        naive, labels, spun = [], [], {how: [] for how in places}
        for _ in range(N_PAIRS):
            x, y = (smooth @ rng.normal(size=(N_PARCELS, 2))).T
            naive.append(stats.pearsonr(x, y).pvalue)
            orders = np.argsort(rng.random((N_SPINS, N_PARCELS)), axis=1)
            labels.append(spin_test(x, y, orders).p_value)
            for how, drawn in places.items():
                spun[how].append(spin_test(x, y, drawn).p_value)
        print_rates(f"smooth maps ({width} rad): naive test (not offered: wrong)", naive)
        print_rates("  permutation of labels (not offered: wrong)", labels)
        for how, values in spun.items():
            print_rates(f"  spins, {how} place", values)
