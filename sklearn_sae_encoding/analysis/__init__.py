"""What the papers ask of fitted encoders, one question a module."""

from sklearn_sae_encoding.analysis.clusters import VoxelClusters, cluster_voxels
from sklearn_sae_encoding.analysis.features import count_feature_use, top_texts
from sklearn_sae_encoding.analysis.pairs import average_pairs, correlate_predictors, within_and_across
from sklearn_sae_encoding.analysis.transfer import TransferScores, transfer_scores

__all__ = [
    "TransferScores",
    "VoxelClusters",
    "average_pairs",
    "cluster_voxels",
    "correlate_predictors",
    "count_feature_use",
    "top_texts",
    "transfer_scores",
    "within_and_across",
]
