"""Brain images to arrays and back: what nilearn's maskers don't do by themselves (nilearn, nibabel)."""
