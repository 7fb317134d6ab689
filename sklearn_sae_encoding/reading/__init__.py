"""Words to reading times: tables of words, mixed models, and what features add to them."""

from sklearn_sae_encoding.reading._delta import DeltaLogLikelihood, delta_log_likelihood
from sklearn_sae_encoding.reading._exclusions import Exclusions, exclude_times
from sklearn_sae_encoding.reading._features import CategorySums, ChosenFeatures, FeatureComponents, WordFeatures
from sklearn_sae_encoding.reading._model import ReadingTimeModel
from sklearn_sae_encoding.reading._rows import join_words
from sklearn_sae_encoding.reading._spillover import add_spillover

__all__ = [
    "CategorySums",
    "ChosenFeatures",
    "DeltaLogLikelihood",
    "Exclusions",
    "FeatureComponents",
    "ReadingTimeModel",
    "WordFeatures",
    "add_spillover",
    "delta_log_likelihood",
    "exclude_times",
    "join_words",
]
