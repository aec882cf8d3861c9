"""The hardware: machine description tables (plain Python) and Amaranth components."""
