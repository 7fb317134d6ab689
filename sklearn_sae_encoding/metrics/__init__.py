"""How well voxels are predicted: voxelwise scores, noise ceilings, cross-validated voxel scores, controls."""

from sklearn_sae_encoding._notes import warn_once
from sklearn_sae_encoding.metrics._ceilings import (
    ncsnr_from_repeats,
    noise_ceiling,
    noise_ceiling_from_repeats,
    split_half_noise_ceiling,
)
from sklearn_sae_encoding.metrics._controls import shuffle_responses
from sklearn_sae_encoding.metrics._cross_val import VoxelScores, cross_val_voxel_scores
from sklearn_sae_encoding.metrics._intervals import MeanInterval, ScoreIntervals, mean_interval, voxel_score_intervals
from sklearn_sae_encoding.metrics._leaks import group_repeats
from sklearn_sae_encoding.metrics._listeners import (
    bootstrap_interval,
    explainable_variance,
    intersubject_correlation,
    listener_ceiling_interval,
    listener_noise_ceilings,
    split_half_reliability,
)
from sklearn_sae_encoding.metrics._nulls import surrogate_responses
from sklearn_sae_encoding.metrics._permutation import (
    VoxelPermutationTest,
    adjust_p_values,
    permutation_p_values,
    permutation_test_voxel_scores,
)
from sklearn_sae_encoding.metrics._recovery import SupportRecovery, support_recovery
from sklearn_sae_encoding.metrics._scorer import VoxelScorer, make_voxel_scorer
from sklearn_sae_encoding.metrics._scores import (
    fisher_mean,
    fisher_sem,
    normalize_scores,
    voxelwise_pearson,
    voxelwise_r2,
)
from sklearn_sae_encoding.metrics._table import voxel_score_table

__all__ = [
    "MeanInterval",
    "ScoreIntervals",
    "SupportRecovery",
    "VoxelPermutationTest",
    "VoxelScorer",
    "VoxelScores",
    "adjust_p_values",
    "bootstrap_interval",
    "cross_val_voxel_scores",
    "explainable_variance",
    "fisher_mean",
    "fisher_sem",
    "group_repeats",
    "intersubject_correlation",
    "listener_ceiling_interval",
    "listener_noise_ceilings",
    "make_voxel_scorer",
    "mean_interval",
    "ncsnr_from_repeats",
    "noise_ceiling",
    "noise_ceiling_from_repeats",
    "normalize_scores",
    "permutation_p_values",
    "permutation_test_voxel_scores",
    "shuffle_responses",
    "split_half_noise_ceiling",
    "split_half_reliability",
    "support_recovery",
    "surrogate_responses",
    "voxel_score_intervals",
    "voxel_score_table",
    "voxelwise_pearson",
    "voxelwise_r2",
    "warn_once",
]
