"""Machines that the system tests share, so that each is built once."""

from squeezelerator.sim.fuzz.machines import MACHINES

__all__ = ["MACHINES"]
