"""Tables and figures of the reproduction: what the paper printed, and the same from scores of this library."""
