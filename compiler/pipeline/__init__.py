"""The compilation as a list of named stages, each with a result that can be printed."""
