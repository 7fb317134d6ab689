"""Texts to token activations."""

from sklearn_sae_encoding._lm.tokens import TokenActivations

__all__ = ["TokenActivations"]
