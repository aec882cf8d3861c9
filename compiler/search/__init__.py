"""The search for a schedule: configurations, candidates, partitions, local search."""
