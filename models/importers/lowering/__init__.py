"""What both importers lower to: values, steps, windows, phases, folding."""
