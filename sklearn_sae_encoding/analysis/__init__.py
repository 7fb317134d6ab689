"""What the papers ask of fitted encoders, one question a module."""

from sklearn_sae_encoding.analysis.agreement import (
    RaterAgreement,
    compare_raters,
    krippendorff_alpha,
    n_features_for_kappa,
)
from sklearn_sae_encoding.analysis.annotation import make_annotation_sheet, read_annotations, sample_features
from sklearn_sae_encoding.analysis.atlases import atlas_regions
from sklearn_sae_encoding.analysis.band_features import rank_band_features
from sklearn_sae_encoding.analysis.baselines import (
    BaselineComparison,
    MatchedDraws,
    compare_with_matched,
    draw_matched_features,
)
from sklearn_sae_encoding.analysis.bins import bin_firing, bin_occupancy, matryoshka_models
from sklearn_sae_encoding.analysis.by_category import CategoryEncoding, encode_by_category, summarize_categories
from sklearn_sae_encoding.analysis.categories import DEFAULT_CATEGORIES, Category
from sklearn_sae_encoding.analysis.clusters import VoxelClusters, cluster_voxels
from sklearn_sae_encoding.analysis.comparison import (
    average_participants,
    compare_models,
    mean_gain,
    paired_tests,
)
from sklearn_sae_encoding.analysis.contexts import feature_contexts
from sklearn_sae_encoding.analysis.detection import ExplanationScores, score_explanations
from sklearn_sae_encoding.analysis.dictionaries import DictionaryComparison, compare_dictionaries
from sklearn_sae_encoding.analysis.explanations import explain_features
from sklearn_sae_encoding.analysis.exports import FeatureExport, read_feature_export
from sklearn_sae_encoding.analysis.factorisation import RandomDictionary, SemiNMF
from sklearn_sae_encoding.analysis.feature_maps import (
    FeatureMapClusters,
    cluster_feature_maps,
    compare_feature_maps,
    locate_features,
    map_consistency,
)
from sklearn_sae_encoding.analysis.feature_tests import FeatureUseTest, feature_use_test
from sklearn_sae_encoding.analysis.features import (
    count_feature_use,
    feature_use_by_group,
    top_texts,
    typical_effects,
    voxels_of_feature,
)
from sklearn_sae_encoding.analysis.group_maps import GroupMap, functional_regions, group_map
from sklearn_sae_encoding.analysis.holdout import LeftOut, leave_one_participant_out
from sklearn_sae_encoding.analysis.interpretation import InterpretationCheck, check_interpretation
from sklearn_sae_encoding.analysis.kinds import Enrichment, classify_features, feature_enrichment
from sklearn_sae_encoding.analysis.labels import label_features, promoted_tokens, read_feature_labels
from sklearn_sae_encoding.analysis.languages import (
    LanguageTransfer,
    across_languages,
    feature_correspondence,
    language_shares,
    translation_retrieval,
)
from sklearn_sae_encoding.analysis.layers import LayerProfile, layer_profile
from sklearn_sae_encoding.analysis.pages import link_features
from sklearn_sae_encoding.analysis.pairs import (
    average_pairs,
    compare_regions,
    correlate_predictors,
    within_and_across,
)
from sklearn_sae_encoding.analysis.partition import partition_surprisal, surprisal_by_region, surprisal_content_models
from sklearn_sae_encoding.analysis.populations import describe_population, find_unexplained_voxels, top_tokens
from sklearn_sae_encoding.analysis.predictions import load_predicted_topography, make_prediction_table
from sklearn_sae_encoding.analysis.prevalence import PrevalenceReferences, prevalence_entropy, prevalence_references
from sklearn_sae_encoding.analysis.relabelling import LabelSensitivity, label_sensitivity, relabel_by_majority
from sklearn_sae_encoding.analysis.restricted import restrict_encoder
from sklearn_sae_encoding.analysis.spatial_nulls import SpinTest, parcel_centres, spin_places, spin_test
from sklearn_sae_encoding.analysis.stability import FeatureStability, stability_selection
from sklearn_sae_encoding.analysis.stories import score_stories
from sklearn_sae_encoding.analysis.supports import support_stability
from sklearn_sae_encoding.analysis.taxonomy import FeatureTaxonomy
from sklearn_sae_encoding.analysis.topography import (
    Convergence,
    Topography,
    category_topography,
    topography_convergence,
)
from sklearn_sae_encoding.analysis.transfer import TransferScores, transfer_scores
from sklearn_sae_encoding.analysis.variance import band_models, partition_by_region, partition_variance
from sklearn_sae_encoding.analysis.volume_nulls import MapComparison, compare_volume_maps, smooth_random_maps
from sklearn_sae_encoding.analysis.word_categories import category_agreement, category_selectivity

__all__ = [
    "DEFAULT_CATEGORIES",
    "BaselineComparison",
    "Category",
    "CategoryEncoding",
    "Convergence",
    "DictionaryComparison",
    "Enrichment",
    "ExplanationScores",
    "FeatureExport",
    "FeatureMapClusters",
    "FeatureStability",
    "FeatureTaxonomy",
    "FeatureUseTest",
    "GroupMap",
    "InterpretationCheck",
    "LabelSensitivity",
    "LanguageTransfer",
    "LayerProfile",
    "LeftOut",
    "MapComparison",
    "MatchedDraws",
    "PrevalenceReferences",
    "RandomDictionary",
    "RaterAgreement",
    "SemiNMF",
    "SpinTest",
    "Topography",
    "TransferScores",
    "VoxelClusters",
    "across_languages",
    "atlas_regions",
    "average_pairs",
    "average_participants",
    "band_models",
    "bin_firing",
    "bin_occupancy",
    "category_agreement",
    "category_selectivity",
    "category_topography",
    "check_interpretation",
    "classify_features",
    "cluster_feature_maps",
    "cluster_voxels",
    "compare_dictionaries",
    "compare_feature_maps",
    "compare_models",
    "compare_raters",
    "compare_regions",
    "compare_volume_maps",
    "compare_with_matched",
    "correlate_predictors",
    "count_feature_use",
    "describe_population",
    "draw_matched_features",
    "encode_by_category",
    "explain_features",
    "feature_contexts",
    "feature_correspondence",
    "feature_enrichment",
    "feature_use_by_group",
    "feature_use_test",
    "find_unexplained_voxels",
    "functional_regions",
    "group_map",
    "krippendorff_alpha",
    "label_features",
    "label_sensitivity",
    "language_shares",
    "layer_profile",
    "leave_one_participant_out",
    "link_features",
    "load_predicted_topography",
    "locate_features",
    "make_annotation_sheet",
    "make_prediction_table",
    "map_consistency",
    "matryoshka_models",
    "mean_gain",
    "n_features_for_kappa",
    "paired_tests",
    "parcel_centres",
    "partition_by_region",
    "partition_surprisal",
    "partition_variance",
    "prevalence_entropy",
    "prevalence_references",
    "promoted_tokens",
    "rank_band_features",
    "read_annotations",
    "read_feature_export",
    "read_feature_labels",
    "relabel_by_majority",
    "restrict_encoder",
    "sample_features",
    "score_explanations",
    "score_stories",
    "smooth_random_maps",
    "spin_places",
    "spin_test",
    "stability_selection",
    "summarize_categories",
    "support_stability",
    "surprisal_by_region",
    "surprisal_content_models",
    "top_texts",
    "top_tokens",
    "topography_convergence",
    "transfer_scores",
    "translation_retrieval",
    "typical_effects",
    "voxels_of_feature",
    "within_and_across",
]
