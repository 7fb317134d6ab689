"""A fitted model and its scores to one page that a co-author can open."""

from sklearn_sae_encoding.report._report import encoder_report

__all__ = ["encoder_report"]
