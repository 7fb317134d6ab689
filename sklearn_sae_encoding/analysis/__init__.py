"""What the papers ask of fitted encoders, one question a module."""

from sklearn_sae_encoding.analysis.clusters import VoxelClusters, cluster_voxels
from sklearn_sae_encoding.analysis.features import count_feature_use, top_texts
from sklearn_sae_encoding.analysis.pairs import average_pairs, correlate_predictors, within_and_across
from sklearn_sae_encoding.analysis.populations import describe_population, find_unexplained_voxels, top_tokens
from sklearn_sae_encoding.analysis.reading import ReadingCheck, check_reading
from sklearn_sae_encoding.analysis.transfer import TransferScores, transfer_scores

__all__ = [
    "ReadingCheck",
    "TransferScores",
    "VoxelClusters",
    "average_pairs",
    "check_reading",
    "cluster_voxels",
    "correlate_predictors",
    "count_feature_use",
    "describe_population",
    "find_unexplained_voxels",
    "top_texts",
    "top_tokens",
    "transfer_scores",
    "within_and_across",
]
