"""What can be explored: the space file, its axes and constraints, families of networks, points."""
