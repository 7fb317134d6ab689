"""Masks of voxels to tables: are they unexplained, and does what their features say predict held-out responses?"""

import pandas as pd
from sklearn.linear_model import LinearRegression

from lepori2026.study import FOLDS
from sklearn_sae_encoding.analysis import check_interpretation, correlate_predictors, find_unexplained_voxels
from sklearn_sae_encoding.metrics import cross_val_voxel_scores

COMPONENTS = ["PC1", "PC2"]  # of the sentences, from the predecessor paper


def unexplained(study, stimuli):
    """Find the voxels that the two components don't explain: by the published rule, and by a stricter one."""
    voxels, components = study.voxels, stimuli[COMPONENTS].to_numpy()
    ncsnr = voxels["ncsnr"].to_numpy()
    published = voxels[[f"corr_Sent{component}" for component in COMPONENTS]].to_numpy(dtype=float).T
    r2 = cross_val_voxel_scores(LinearRegression(), components, study.Y, cv=FOLDS, metric="r2").scores
    computed = correlate_predictors(components, study.Y)
    masks = {
        "by metadata": find_unexplained_voxels(published, ncsnr),
        "by data": find_unexplained_voxels(computed, ncsnr),
        "and held-out R2 <= 0": find_unexplained_voxels(computed, ncsnr, component_r2=r2),
    }
    table = pd.DataFrame(masks).groupby(voxels["region"].to_numpy(), sort=False).sum()
    table.insert(0, "voxels", voxels.groupby("region", sort=False).size())
    return table, masks["by data"]


def readings(study, masks, random_state=0):
    """Test the reading of each population on held-out texts; `masks` holds (mask, how it was chosen) by name."""
    result, rows = study.results["Matryoshka"], {}
    for name, (mask, chosen_by) in masks.items():
        if not mask.any():
            continue
        check = check_interpretation(
            study.X, study.Y, result.estimators, splits=result.splits, mask=mask, exclude=-1, random_state=random_state
        )
        rows[name] = {
            "voxels": mask.sum(),
            "rho": check.rho,
            "auc": check.auc,
            "p_value": check.p_value,
            "matched_rho": check.matched_rho.mean(),
            "p_value_matched": check.p_matched,
            "chosen by": chosen_by,
        }
    return pd.DataFrame(rows.values(), index=pd.Index(rows, name="population"))
