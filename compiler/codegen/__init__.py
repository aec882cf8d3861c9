"""From a schedule to synchronised, verified instructions."""
