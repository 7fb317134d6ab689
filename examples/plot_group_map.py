"""
A mean shows what one participant has, a group test what all share
==================================================================

Each participant's map of scores is noisy. A group map tests every voxel over
participants by flipping the signs of their maps. We plant one region in all of sixteen
participants and a strong one in a single participant, in a volume and on a surface, and
ask what the mean shows, what passes, and whether eight would have been enough.
"""

import matplotlib.pyplot as plt
import nibabel
import numpy as np
from nilearn.datasets import load_fsaverage, load_fsaverage_data, load_mni152_brain_mask
from nilearn.maskers import NiftiMasker, SurfaceMasker
from nilearn.surface import SurfaceImage
from scipy.ndimage import gaussian_filter
from scipy.sparse import coo_array, diags_array

from sklearn_sae_encoding.analysis import group_map
from sklearn_sae_encoding.plotting import plot_score_map

# %%
# Maps in a common space
# ----------------------
# What a content model gains over surprisal, say, for each participant: smooth noise of
# standard deviation 1, 2 in a temporal region of all, and 32 in a frontal region of the
# first one alone. In a volume, voxels of 6 mm; on the surface, vertices of fsaverage5.

rng = np.random.default_rng(0)
temporal, frontal = np.array([-56, -36, 4]), np.array([-46, 24, 10])


def effects(points, participant):
    near = [
        np.linalg.norm(points - place, axis=1) < 14 for place in (temporal, frontal)
    ]
    return 2.0 * near[0] + 32.0 * near[1] * (participant == 0)


mask_img = load_mni152_brain_mask(resolution=6)
voxel_masker = NiftiMasker(mask_img).fit()
inside = mask_img.get_fdata() > 0
voxels = nibabel.affines.apply_affine(mask_img.affine, np.argwhere(inside))
volumes = {}
for participant in range(16):
    noise = gaussian_filter(rng.standard_normal(inside.shape), 1)[inside]
    volumes[participant] = noise / noise.std() + effects(voxels, participant)

mesh = load_fsaverage("fsaverage5")
vertices = np.vstack([part.coordinates for part in mesh["pial"].parts.values()])
n_left = len(vertices) // 2
ones = {side: np.ones(n_left, dtype=bool) for side in ("left", "right")}
vertex_masker = SurfaceMasker(SurfaceImage(mesh["pial"], ones)).fit()
faces = mesh["pial"].parts["left"].faces  # the same in both hemispheres
edges = np.vstack([faces[:, [0, 1]], faces[:, [1, 2]], faces[:, [2, 0]]])
near = coo_array((np.ones(len(edges)), edges.T), shape=(n_left, n_left)).tocsr()
near = ((near + near.T) > 0).astype(float) + diags_array(np.ones(n_left))
near = diags_array(1 / near.sum(axis=1)) @ near  # mean of a vertex and its neighbours
surfaces = {}
for participant in range(16):
    noise = rng.standard_normal((n_left, 2))
    for _ in range(5):
        noise = near @ noise
    noise = noise.T.ravel()
    surfaces[participant] = noise / noise.std() + effects(vertices, participant)

# %%
# Eight and sixteen of them
# -------------------------
# With eight participants there are 256 flips, and all are made; of those of sixteen,
# 1,000 are drawn. A voxel has to exceed the largest t of all voxels.

results = {}
for space, maps, points in (
    ("volume", volumes, voxels),
    ("surface", surfaces, vertices),
):
    planted = effects(points, 1) > 0
    alone = (effects(points, 0) > 0) & ~planted
    for n in (8, 16):
        chosen = {participant: maps[participant] for participant in range(n)}
        result = group_map(chosen, n_flips=1000, random_state=0)
        found = result.fwe_p_values <= 0.05
        results[space, n] = result
        print(
            f"{space}, {n} participants: {found[planted].sum()} of {planted.sum()} "
            f"planted in all found, {found[alone].sum()} of {alone.sum()} planted in "
            f"one, {found[~planted & ~alone].sum()} elsewhere"
        )

# %%
# The mean of sixteen, drawn where it is above 1, and the t values that pass.

figure, axes = plt.subplots(2, 2, figsize=(8, 4.6))
figure.subplots_adjust(left=0, right=1, bottom=0.02, top=0.9, wspace=0.05, hspace=0.2)
sulcal = load_fsaverage_data(mesh="fsaverage5", data_type="sulcal")
options = {
    "volume": {"display_mode": "x", "cut_coords": [-56, -46]},
    "surface": {"surf_mesh": mesh["inflated"], "bg": sulcal},
}
maskers = {"volume": voxel_masker, "surface": vertex_masker}
for row, (space, masker) in zip(axes, maskers.items(), strict=True):
    result = results[space, 16]
    shown = {
        "mean of sixteen": result.mean,
        "t, family-wise .05": np.where(result.fwe_p_values <= 0.05, result.t, 0),
    }
    for ax, (label, values) in zip(row, shown.items(), strict=True):
        floor = 1.0 if label.startswith("mean") else 1e-3
        image = masker.inverse_transform(values)
        plot_score_map(image, threshold=floor, label=label, ax=ax, **options[space])
        ax.set_title(f"{space}: {label}", fontsize=9)
plt.show()

# %%
# The strong region of one participant stands out in the mean, and not in the test: a
# flip of that one sign turns it round. What all share is found by sixteen, four fifths
# of it, and hardly by eight, whose t values have seven degrees of freedom: the largest
# of thousands of voxels is large by chance.
#
# What can go wrong
# -----------------
# Sign flips take maps that are symmetric around zero where nothing is, such as
# differences of two models. Plain scores are not: shuffle the responses, or subtract a
# baseline. With 1,000 flips no p-value of a single voxel is below .001, too many for a
# false discovery rate over thousands of voxels; with fewer than six participants no
# flips reach .05 at all, and counts of those who pass their own test
# (``own_p_values``) say more. ``encoder_report(group=result)`` puts such maps on the
# page.
