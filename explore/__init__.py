"""Exploration of design spaces: networks and machines are drawn from a space file, compiled, timed exactly, and compared.

A *space* (``explore.space``) names values of the parameters of a network family and of a machine; a *point* is one choice of each. What a
point costs (``explore.evaluation``) is found by *jobs*: compilations that are timed by the exact cycle model, known by their contents and
kept in a cache. ``explore.running`` chooses points and hands jobs to Dask; ``explore.results`` writes rows, fronts and reports and replays
points on the RTL. ``docs/explore.md`` is the manual.
"""
