"""Engines that run a network or a program: RTL, cycle model, golden model."""
