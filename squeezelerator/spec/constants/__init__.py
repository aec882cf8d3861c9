"""Constants that the hardware and its timing model share."""
