"""Files of weights, and which tensor belongs to which layer."""
