"""What a point costs: jobs, their composition, the cache, the model of area."""
