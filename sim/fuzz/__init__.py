"""Random and damaged programs on the RTL, and damaged files for the readers: ``python -m sim.fuzz``."""
