"""
Surprisal and content part on the surface where they were planted
=================================================================

The same estimator on the cortical surface: vertices of fsaverage5 instead of voxels.
One patch of the left hemisphere follows the surprisal of the texts, another one their
content, and the maps tell them apart.
"""

import matplotlib.pyplot as plt
import numpy as np
from nilearn.datasets import load_fsaverage, load_fsaverage_data
from nilearn.maskers import SurfaceMasker
from nilearn.surface import SurfaceImage
from scipy import sparse

from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.plotting import plot_score_map, plot_surprisal_content_map

# %%
# Responses on a mesh
# -------------------
# A surface image holds one column a text for each hemisphere. Features are drawn at
# random, 40 of an SAE and surprisal. Two patches of 15 mm on the left respond;
# everything else is noise.

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
# ``SurfaceMasker`` takes the place of ``NiftiMasker``, here with all vertices of both
# hemispheres.

mask_img = SurfaceImage(
    mesh["pial"], {side: np.ones(len(points), dtype=bool) for side in ("left", "right")}
)
encoder = SparseVoxelEncoder(alphas=4, eps=0.25, cv=3, forced_features=[-1])
model = MaskedTargetRegressor(encoder, SurfaceMasker(mask_img))
scores = cross_val_voxel_scores(model, X, imgs, cv=3).scores
model.fit(X, imgs)

# %%
# Content (blue) moves the temporal patch, surprisal (orange) the frontal one, and both
# predict texts that the model has not seen.

maps = {
    "cross-validated r": model.to_img(scores),
    "surprisal's part (sd)": model.surprisal_img(X, -1),
    "content's part (sd)": model.content_img(X, -1),
}
figure, axes = plt.subplots(1, 2, figsize=(7.4, 2.6))
figure.subplots_adjust(left=0, right=1, bottom=0.02, top=0.95, wspace=0.05)
inflated = {
    "surf_mesh": mesh["inflated"],
    "bg": load_fsaverage_data(mesh="fsaverage5", data_type="sulcal"),
}
score_img, *parts = maps.values()
plot_score_map(
    score_img, threshold=0.5, label="cross-validated r", ax=axes[0], **inflated
)
plot_surprisal_content_map(*parts, threshold=0.75, ax=axes[1], **inflated)
plt.show()

# %%
# In numbers: of as many vertices as respond, the share of those highest in a map that
# are among them, which is the Dice overlap of the two, and the medians of the map.

nowhere = np.zeros_like(frontal)
responding = [frontal | temporal, frontal, temporal]
for (title, img), patch in zip(maps.items(), responding, strict=True):
    values = np.concatenate(
        [img.data.parts[side].ravel() for side in ("left", "right")]
    )
    inside = np.concatenate([patch, nowhere])
    highest = np.argsort(-values)[: inside.sum()]
    print(
        f"{title:22} {inside.sum():4} vertices, Dice {inside[highest].mean():.2f}; "
        f"median inside {np.median(values[inside]):.2f}, "
        f"outside {np.median(values[~inside]):.2f}"
    )

# %%
# What can go wrong
# -----------------
# Vertices sampled from one voxel carry the same response: count voxels, not vertices,
# before testing anything. The contributions are standard deviations of fitted
# predictions, so noise alone gives some (see "outside"); the cross-validated map says
# which to trust.
