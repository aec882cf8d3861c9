"""What the tests run of the Python sources, and what programs move in the generated hardware: ``python -m tests.coverage_report``."""
