"""Linear mixed models with crossed random intercepts: arrays in, arrays out."""

from sklearn_sae_encoding._solvers.mixed.design import CrossedSums, crossed_sums
from sklearn_sae_encoding._solvers.mixed.fit import MixedFit, fit_mixed
from sklearn_sae_encoding._solvers.mixed.likelihood import (
    FixedParameters,
    density_of_sums,
    level_effects,
    log_density,
)

__all__ = [
    "CrossedSums",
    "FixedParameters",
    "MixedFit",
    "crossed_sums",
    "density_of_sums",
    "fit_mixed",
    "level_effects",
    "log_density",
]
