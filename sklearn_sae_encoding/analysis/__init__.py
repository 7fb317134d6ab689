"""What the papers ask of fitted encoders, one question a module."""

from sklearn_sae_encoding.analysis.features import count_feature_use, top_texts

__all__ = ["count_feature_use", "top_texts"]
