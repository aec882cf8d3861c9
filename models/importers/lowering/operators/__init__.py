"""What front ends call: a function for each kind of operator, which adds layers or returns the same elements read differently."""
