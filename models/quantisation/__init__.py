"""Post-training quantisation, synthetic weights, reports."""
