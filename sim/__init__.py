"""Engines that run a network or a program, and what they count."""

import models  # noqa: F401 - before numpy: sets its threads
