"""
A map of smooth noise fools a naive test, and spins find it out
===============================================================

Neighbouring places of the cortex are alike. Two maps that have nothing to do with each
other then agree by chance far more often than tables of significance say. Here 300
pairs of independent smooth maps on 180 parcels of fsaverage5 are put to three tests.
"""

import matplotlib.pyplot as plt
import numpy as np
from nilearn.datasets import load_fsaverage
from nilearn.surface import SurfaceImage
from scipy import stats
from scipy.spatial import cKDTree

from sklearn_sae_encoding.analysis import parcel_centres, spin_places, spin_test
from sklearn_sae_encoding.plotting import plot_score_map

# %%
# Parcels, and maps that are smooth by themselves
# -----------------------------------------------
# The left hemisphere is cut into 180 parcels, each around a vertex far from those
# before. A map is Gaussian noise on the parcels, averaged over .6 radians of the
# sphere.

rng = np.random.default_rng(0)
mesh = load_fsaverage("fsaverage5")
points = mesh["sphere"].parts["left"].coordinates.astype(float)
points /= np.linalg.norm(points, axis=1, keepdims=True)
seeds, distance = [0], np.full(len(points), np.inf)
while len(seeds) < 180:
    distance = np.minimum(distance, 1 - points @ points[seeds[-1]])
    seeds.append(int(distance.argmax()))
labels = cKDTree(points[seeds]).query(points)[1] + 1
centres, _ = parcel_centres(labels, {"left": points})
angles = np.arccos(np.clip(centres["left"] @ centres["left"].T, -1, 1))
smooth = np.exp(-0.5 * (angles / 0.6) ** 2)

# %%
# Three tests of 300 pairs
# ------------------------
# The naive test takes parcels as independent. Permuted labels keep a map's values, but
# not its smoothness. Spins turn the whole sphere, and keep both.

spins = spin_places(centres, n_spins=499, random_state=0)
permuted = np.argsort(rng.random(spins.shape), axis=1)
p, pairs = {"naive test": [], "permuted labels": [], "spins": []}, []
for _ in range(300):
    x, y = (smooth @ rng.normal(size=(180, 2))).T
    pairs.append((x, y))
    p["naive test"].append(stats.pearsonr(x, y).pvalue)
    p["permuted labels"].append(spin_test(x, y, permuted).p_value)
    p["spins"].append(spin_test(x, y, spins).p_value)
for name, values in p.items():
    print(f"{name:16} finds {np.mean(np.array(values) <= 0.05):.0%} of pairs at .05")

# %%
# A pair that fools two of them
# -----------------------------
# Both maps are noise, drawn apart. On the right the p-values of all pairs, sorted:
# where a test is right, they follow the diagonal.

pick = int(np.argmax(np.array(p["spins"]) - 10 * np.array(p["naive test"])))
x, y = pairs[pick]
figure = plt.figure(figsize=(7.4, 3.4))
for row, (values, name) in enumerate(((x, "one map"), (y, "another"))):
    vertices = {"left": stats.zscore(values)[labels - 1]}
    ax = figure.add_axes([0, 0.5 * (1 - row), 0.42, 0.44])
    image = SurfaceImage({"left": mesh["inflated"].parts["left"]}, vertices)
    plot_score_map(image, label=name, ax=ax)
naive, spun = p["naive test"][pick], p["spins"][pick]
figure.text(
    0.02,
    0.95,
    f"r {stats.pearsonr(x, y).statistic:.2f}: naive p {naive:.0e}, spins p {spun:.2f}",
)
ax = figure.add_axes([0.58, 0.16, 0.4, 0.76])
for name, values in p.items():
    ax.plot((np.arange(300) + 0.5) / 300, np.sort(values), label=name)
ax.plot([0, 1], [0, 1], color="0.6", lw=0.8, ls="--")
ax.set(xlabel="share of pairs", ylabel="p-value, sorted")
ax.legend(frameon=False)
plt.show()

# %%
# What can go wrong
# -----------------
# A spin carries values onto the medial wall: leave these out or give each parcel
# exactly one other (``assignment="unique"``), and say which. Spins ask whether *places*
# agree; that both maps follow a third thing, such as signal that is better near the
# surface, they don't rule out. ``python benchmarks/calibration.py spins`` has the rates
# of 1,000 pairs.
