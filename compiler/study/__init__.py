"""Measurements of the compiler itself, for ``docs/compiler.md``: how good its estimates are, and what its constants are worth."""
