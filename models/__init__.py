"""Network definitions: layer tables, quantised networks, synthetic weights and PyTorch modules."""
