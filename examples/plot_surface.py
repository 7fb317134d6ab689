"""
Surprisal and content part on the surface where they were planted
=================================================================

The same estimator on the cortical surface: vertices of fsaverage5 instead of voxels. One patch of the left hemisphere
follows the surprisal of the texts, another one their content, and the maps tell them apart.
"""

import matplotlib.pyplot as plt
import numpy as np
from nilearn.datasets import load_fsaverage, load_fsaverage_data
from nilearn.maskers import SurfaceMasker
from nilearn.plotting import plot_surf_stat_map
from nilearn.surface import SurfaceImage
from scipy import sparse

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores

# %%
# Responses on a mesh
# -------------------
# A surface image holds one column a text for each hemisphere. Features are drawn at random, 40 of an SAE and surprisal.
# Two patches of 15 mm on the left respond; everything else is noise.

rng = np.random.default_rng(0)
content = rng.gamma(2.0, 0.5, size=(80, 40)) * (rng.random((80, 40)) < 0.25)
surprisal = rng.standard_normal(80)
X = sparse.csr_array(np.column_stack([content, surprisal]))

mesh = load_fsaverage("fsaverage5")
points = mesh["pial"].parts["left"].coordinates
frontal = np.linalg.norm(points - [-50, 25, 8], axis=1) < 15
temporal = np.linalg.norm(points - [-60, -35, 5], axis=1) < 15

left, right = rng.standard_normal((2, len(points), 80), dtype=np.float32)
left[frontal] += (1.5 * surprisal).astype(np.float32)
left[temporal] += (1.5 * content[:, 5] / content[:, 5].std()).astype(np.float32)
imgs = SurfaceImage(mesh["pial"], {"left": left, "right": right})

# %%
# The encoder and its maps
# ------------------------
# ``SurfaceMasker`` takes the place of ``NiftiMasker``; a mask of both patches and their surroundings, 40 mm around the
# temporal one and 30 mm around the frontal one, keeps the example quick.

near = (np.linalg.norm(points - [-60, -35, 5], axis=1) < 40) | (np.linalg.norm(points - [-50, 25, 8], axis=1) < 30)
mask_img = SurfaceImage(mesh["pial"], {"left": near, "right": np.zeros(len(points), dtype=bool)})
encoder = SparseVoxelEncoder(alphas=5, eps=0.2, cv=3, forced_features=[-1])
model = MaskedTargetRegressor(encoder, SurfaceMasker(mask_img).fit())
scores = cross_val_voxel_scores(model, X, imgs, cv=4).scores
model.fit(X, imgs)

# %%
# Content moves the temporal patch, surprisal the frontal one, and both predict texts that the model has not seen.

maps = {
    "cross-validated r": (model.to_img(scores), 0.4),
    "due to surprisal (sd)": (model.surprisal_img(X), 0.75),
    "due to content (sd)": (model.content_img(X), 0.75),
}
relief = load_fsaverage_data(mesh="fsaverage5", data_type="sulcal")
figure, axes = plt.subplots(1, 3, figsize=(9, 2.6), subplot_kw={"projection": "3d"})
figure.subplots_adjust(left=0, right=0.95, bottom=0, top=0.9, wspace=0.15)
for ax, (title, (img, threshold)) in zip(axes, maps.items(), strict=True):
    plot_surf_stat_map(stat_map=img, surf_mesh=mesh["inflated"], bg_map=relief, hemi="left", view="lateral", axes=ax,
                       threshold=threshold, cmap="YlOrRd", vmin=0, symmetric_cbar=False)  # fmt: skip
    ax.set_title(title, fontsize="medium")
plt.show()

for title, (img, _) in maps.items():
    values = img.data.parts["left"].ravel()
    others = near & ~frontal & ~temporal
    medians = [f"{np.nanmedian(values[patch]):.2f}" for patch in (frontal, temporal, others)]
    print(f"{title:24} frontal {medians[0]}, temporal {medians[1]}, elsewhere {medians[2]}")

# %%
# What can go wrong
# -----------------
# Vertices sampled from one voxel carry the same response: count voxels, not vertices, before testing anything. The
# contributions are standard deviations of fitted predictions, so noise alone gives some (see "elsewhere"); the
# cross-validated map says which to trust.
