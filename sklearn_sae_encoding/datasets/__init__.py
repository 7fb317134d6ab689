"""Real models and data to try things on, and simulated voxels with known truth."""

from sklearn_sae_encoding.datasets._base import get_data_home
from sklearn_sae_encoding.datasets._smollm2 import load_smollm2

__all__ = ["get_data_home", "load_smollm2"]
