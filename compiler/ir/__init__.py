"""The compiler's intermediate representation: the graph of machine operations."""
