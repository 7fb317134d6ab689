"""What BandedRidgeEncoder does between scikit-learn and the solvers."""
