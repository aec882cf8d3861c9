"""Functions of single values that the hardware knows: activations, and functions from tables."""
