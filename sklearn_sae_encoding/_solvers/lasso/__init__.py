"""Lasso and elastic net for many targets, each along its own path."""
