"""Ridge on few features of each target."""
