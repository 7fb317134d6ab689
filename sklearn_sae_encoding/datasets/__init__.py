"""Real models and data to try things on, and simulated voxels with known truth."""
