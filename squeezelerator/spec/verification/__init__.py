"""Proof that a program runs as written: what its instructions read and write, and that its tickets order it."""
