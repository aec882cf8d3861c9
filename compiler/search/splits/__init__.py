"""Splits made before the search: along the channels, for a pool or for better tilings, and along the width where a line does not fit."""
