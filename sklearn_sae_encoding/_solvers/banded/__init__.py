"""Ridge in bands of features: kernels of sparse or dense bands, himalaya's search, solutions on all rows."""
