"""Layer tables: the description of a network's shapes."""
