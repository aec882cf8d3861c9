"""Where the cycles and DRAM words of a run go, and what bounds each layer."""
