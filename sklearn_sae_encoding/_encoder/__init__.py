"""What SparseVoxelEncoder does between scikit-learn and the solvers."""
