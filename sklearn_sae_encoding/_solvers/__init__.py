"""Arrays in, arrays out: the solvers behind the estimators."""
