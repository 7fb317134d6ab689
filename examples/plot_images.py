"""
Each planted region comes back in the maps of what was planted there
=====================================================================

Brain images in, brain maps out: four simulated runs of the whole brain in MNI space, in
which one region follows the surprisal of the sentences and two follow their content, go
through nilearn's GLM and masker into a sparse encoder, and come back as maps of scores,
of single features, and of surprisal against content.
"""

import matplotlib.pyplot as plt
import nibabel
import numpy as np
import pandas as pd
from nilearn.datasets import load_mni152_brain_mask
from nilearn.glm.first_level import FirstLevelModel, make_first_level_design_matrix
from nilearn.maskers import NiftiMasker

from sklearn_sae_encoding.betas import average_repeats, events_by_trial, trial_betas
from sklearn_sae_encoding.encoder import SparseVoxelEncoder
from sklearn_sae_encoding.masking import MaskedTargetRegressor
from sklearn_sae_encoding.metrics import cross_val_voxel_scores
from sklearn_sae_encoding.plotting import plot_score_map, plot_surprisal_content_map
from sklearn_sae_encoding.report import encoder_report

# %%
# Features
# --------
# Sixty sentences with 40 features of an SAE, few of them active at a time, and
# surprisal as the last column. Here they are drawn at random;
# ``make_augmented_encoder(...)["features"].fit_transform(texts)`` makes real ones.

rng = np.random.default_rng(0)
sentences = [f"sentence {i}" for i in range(60)]
content = rng.gamma(2.0, 0.5, size=(60, 40)) * (rng.random((60, 40)) < 0.25)
X = pd.DataFrame(content, columns=[f"sae_{i:05d}" for i in range(40)])
X["surprisal_mean"] = rng.standard_normal(60)

# %%
# Runs of scans
# -------------
# Each run presents all sentences once, in its own order. In nilearn's brain mask at 4
# mm, three balls of 12 mm respond, in percent of the mean signal: one to feature 3, one
# to feature 8, one to surprisal. All other voxels are noise.

mask_img = load_mni152_brain_mask(resolution=4)
inside = mask_img.get_fdata() > 0
positions = nibabel.affines.apply_affine(mask_img.affine, np.argwhere(inside))
planted = {
    "feature 3": ((-52, -40, 4), 3),
    "feature 8": ((-48, 26, 4), 8),
    "surprisal": ((52, -40, 8), 40),
}
balls = {
    name: np.linalg.norm(positions - centre, axis=1) < 12
    for name, (centre, _) in planted.items()
}
weights = np.zeros((41, len(positions)))
for name, (_, feature) in planted.items():
    weights[feature, balls[name]] = 2 / X.iloc[:, feature].std()

scans, events = [], []
for _ in range(4):
    order = rng.permutation(60)
    onsets = 4.0 + 5 * np.arange(60) + rng.uniform(0, 1, 60)
    events.append(
        pd.DataFrame(
            {
                "onset": onsets,
                "duration": 2.0,
                "sentence": [sentences[i] for i in order],
            }
        )
    )
    trials = events_by_trial(events[-1], stimulus="sentence")
    design = make_first_level_design_matrix(
        np.arange(0, 320, 2.0), trials, hrf_model="spm", drift_model=None
    )
    signal = design[trials["trial_type"]].to_numpy() @ (X.to_numpy()[order] @ weights)
    series = 100 + signal + rng.standard_normal(signal.shape)
    volume = np.zeros((*inside.shape, len(series)), dtype=np.float32)
    volume[inside] = series.T
    scans.append(nibabel.Nifti1Image(volume, mask_img.affine))

# %%
# From scans to one response a sentence
# -------------------------------------
# Every trial has a regressor of its own. Repeats are averaged, and how well they agree
# gives each voxel's noise ceiling. Nothing is standardised over sentences: the encoder
# does so, on training sentences only.

masker = NiftiMasker(mask_img).fit()
glm = FirstLevelModel(
    t_r=2.0, slice_time_ref=0.0, hrf_model="spm", mask_img=masker, noise_model="ols"
)
glm.fit(scans, events=[events_by_trial(run, stimulus="sentence") for run in events])
single = trial_betas(glm)
responses = average_repeats(single.betas, single.trials["stimulus"], order=sentences)

# %%
# The encoder and its maps
# ------------------------
# ``y`` may be the images or, as here, rows that are masked already; the masker turns
# every result into an image.

encoder = SparseVoxelEncoder(alphas=4, eps=0.25, cv=3, forced_features=[-1])
model = MaskedTargetRegressor(encoder, masker)
scores = cross_val_voxel_scores(model, X, responses.betas, cv=3)
model.fit(X, responses.betas)

score_img, surprisal_img = (
    model.to_img(scores.scores),
    model.surprisal_img(X, "surprisal_mean"),
)
content_img = model.content_img(X, "surprisal_mean")
weight_imgs = {feature: model.coef_img(f"sae_{feature:05d}") for feature in (3, 8)}

figure, axes = plt.subplots(
    4, 1, figsize=(7, 8), gridspec_kw={"hspace": 0.35, "top": 0.95, "bottom": 0.03}
)
slices = {"display_mode": "z", "cut_coords": [-4, 4, 12]}
plot_score_map(
    score_img, threshold=0.4, label="cross-validated r", ax=axes[0], **slices
)
for feature, ax in zip(weight_imgs, axes[1:3], strict=True):
    plot_score_map(
        weight_imgs[feature],
        threshold=1,
        label=f"weight of feature {feature}",
        ax=ax,
        **slices,
    )
plot_surprisal_content_map(
    surprisal_img, content_img, threshold=1.2, vmax=2, ax=axes[3], **slices
)
plt.show()

# %%
# Scores stand out in all three regions; each weight map shows one of them. The last map
# is the standard deviation of each part of the prediction, in percent: surprisal
# (orange) moves the right temporal region and content (blue) the two on the left.
# Single voxels elsewhere pass a threshold by chance.
#
# In numbers: of as many voxels as a region has, those highest in its map are compared
# with the region. The share of them that lie in it is then also the Dice overlap of the
# two.

map_of = {
    "feature 3": weight_imgs[3],
    "feature 8": weight_imgs[8],
    "surprisal": surprisal_img,
    "any of them": score_img,
}
balls["any of them"] = np.any(list(balls.values()), axis=0)
for region, img in map_of.items():
    values = img.get_fdata()[inside]
    voxels = balls[region]
    highest = np.argsort(-values)[: voxels.sum()]
    print(
        f"{region:11} {voxels.sum():4} voxels, Dice {voxels[highest].mean():.2f}; "
        f"median inside {np.median(values[voxels]):.2f}, "
        f"outside {np.median(values[~voxels]):.2f}"
    )

# %%
# A page for co-authors
# ---------------------
# What was done, how well it predicts and by which features, on one page that needs no
# network: ``report.save_as_html("report.html")``.

report = encoder_report(
    model,
    sentences,
    responses.betas,
    scores=scores,
    features=X,
    n_features=5,
    n_texts=2,
    threshold=0.4,
)
report

# %%
# What can go wrong
# -----------------
# Trials closer than a few seconds overlap, and single betas become noisy: look at
# ``responses.noise_ceiling`` first. A masker that standardizes or detrends sees test
# sentences, and one that smooths carries values across the edge of the mask;
# :class:`~sklearn_sae_encoding.masking.MaskedTargetRegressor` refuses to mask images
# with either. The weight maps are fitted to all sentences, so judge by the
# cross-validated map.
