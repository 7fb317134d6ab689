"""The language model: loading, the one forward pass, caches."""
