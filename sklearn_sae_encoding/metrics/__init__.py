"""How well voxels are predicted: voxelwise scores, noise ceilings, cross-validated voxel scores, controls."""

from sklearn_sae_encoding.metrics._ceilings import (
    ncsnr_from_repeats,
    noise_ceiling,
    noise_ceiling_from_repeats,
)
from sklearn_sae_encoding.metrics._controls import shuffle_responses
from sklearn_sae_encoding.metrics._cross_val import VoxelScores, cross_val_voxel_scores
from sklearn_sae_encoding.metrics._recovery import SupportRecovery, support_recovery
from sklearn_sae_encoding.metrics._scores import (
    fisher_mean,
    normalize_scores,
    voxelwise_pearson,
    voxelwise_r2,
)

__all__ = [
    "SupportRecovery",
    "VoxelScores",
    "cross_val_voxel_scores",
    "fisher_mean",
    "ncsnr_from_repeats",
    "noise_ceiling",
    "noise_ceiling_from_repeats",
    "normalize_scores",
    "shuffle_responses",
    "support_recovery",
    "voxelwise_pearson",
    "voxelwise_r2",
]
