"""``python -m sim.animation``: both dataflows on 2 x 2 PEs, cycle by cycle, from a trace of the RTL."""
