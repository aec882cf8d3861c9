"""The description of a network that everything reads: layers, their shapes, and what is wrong with a table of them."""
