"""Draining and post-processing of partial sums, and pooling."""
