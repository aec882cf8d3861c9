"""Cost models, from closed formulas to the exact timing of a program."""
