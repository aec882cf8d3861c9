"""The on-chip buffers and their bank layout."""
