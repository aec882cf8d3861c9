"""Whole systems: boards as records, the system on chip around the machine, its simulation and its bitstream."""
