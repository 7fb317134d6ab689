"""Results to figures: matplotlib axes in and out.

Every function takes plain arrays, tables or images, draws into the axes it is given (or into a new figure of column
width) and returns the axes. Colours are told apart by colour-blind readers, and text follows matplotlib's settings.
"""

from sklearn_sae_encoding.plotting._clusters import plot_cluster_map
from sklearn_sae_encoding.plotting._confusion import plot_confusion
from sklearn_sae_encoding.plotting._features import plot_feature_heatmap, plot_prevalence_entropy
from sklearn_sae_encoding.plotting._maps import plot_difference_map, plot_score_map, plot_surprisal_content_map
from sklearn_sae_encoding.plotting._path import plot_regularization_path
from sklearn_sae_encoding.plotting._reading import (
    plot_coefficients,
    plot_log_likelihood_gains,
    plot_perplexity_gains,
)
from sklearn_sae_encoding.plotting._scores import plot_region_scores, plot_score_histogram, plot_score_scatter
from sklearn_sae_encoding.plotting._stories import plot_lags, plot_time_course
from sklearn_sae_encoding.plotting._tokens import plot_token_heatmap
from sklearn_sae_encoding.plotting._transfer import plot_transfer_matrix

__all__ = [
    "plot_cluster_map",
    "plot_coefficients",
    "plot_confusion",
    "plot_difference_map",
    "plot_feature_heatmap",
    "plot_lags",
    "plot_log_likelihood_gains",
    "plot_perplexity_gains",
    "plot_prevalence_entropy",
    "plot_region_scores",
    "plot_regularization_path",
    "plot_score_histogram",
    "plot_score_map",
    "plot_score_scatter",
    "plot_surprisal_content_map",
    "plot_time_course",
    "plot_token_heatmap",
    "plot_transfer_matrix",
]
