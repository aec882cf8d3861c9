"""Rows of results and what is made of them: fronts, sensitivities, the report, replays on the RTL."""
