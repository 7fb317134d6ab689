"""Sparse autoencoders: loading, training and encoding, by way of sae-lens."""
