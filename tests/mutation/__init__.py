"""Mutations of the sources and the tests that are to notice them: ``python -m tests.mutation``."""
