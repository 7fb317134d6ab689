"""Words to reading times: tables of words, mixed models, and what features add to them."""

from sklearn_sae_encoding.reading._delta import DeltaLogLikelihood, delta_log_likelihood
from sklearn_sae_encoding.reading._exclusions import Exclusions, exclude_times
from sklearn_sae_encoding.reading._features import CategorySums, ChosenFeatures, FeatureComponents, WordFeatures
from sklearn_sae_encoding.reading._frequency import log_frequency
from sklearn_sae_encoding.reading._model import ReadingTimeModel
from sklearn_sae_encoding.reading._models import LanguageModelComparison, compare_language_models
from sklearn_sae_encoding.reading._rows import join_words
from sklearn_sae_encoding.reading._spillover import add_spillover
from sklearn_sae_encoding.reading._texts import RunningText, running_text
from sklearn_sae_encoding.reading._words import add_word_features, word_features, word_table

__all__ = [
    "CategorySums",
    "ChosenFeatures",
    "DeltaLogLikelihood",
    "Exclusions",
    "FeatureComponents",
    "LanguageModelComparison",
    "ReadingTimeModel",
    "RunningText",
    "WordFeatures",
    "add_spillover",
    "add_word_features",
    "compare_language_models",
    "delta_log_likelihood",
    "exclude_times",
    "join_words",
    "log_frequency",
    "running_text",
    "word_features",
    "word_table",
]
