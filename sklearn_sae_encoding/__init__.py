"""Sparse encoding models from language-model features to brain responses, as scikit-learn estimators."""

__version__ = "0.1.0.dev0"
