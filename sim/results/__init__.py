"""What runs found: comparison, tables, dumps, traces."""
