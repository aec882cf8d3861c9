"""Networks with numbers: quantised, float, PyTorch, and the golden model."""
