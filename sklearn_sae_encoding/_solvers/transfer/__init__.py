"""The features of one target on another."""
