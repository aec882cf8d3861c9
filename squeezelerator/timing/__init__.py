"""Exact timing of the machine, without its data."""
