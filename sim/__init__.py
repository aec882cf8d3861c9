"""Engines that run a network or a program, and what they count."""
