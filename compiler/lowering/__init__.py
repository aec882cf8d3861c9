"""From layer tables to machine operations, and cuts of maps along the channels."""
