"""How a convolution is mapped to the array: array tiles and weight streams."""
