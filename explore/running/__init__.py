"""Which points are looked at, and where their jobs run."""
