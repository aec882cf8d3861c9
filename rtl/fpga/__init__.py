"""What is specific to an FPGA device: cells, floor plan."""
