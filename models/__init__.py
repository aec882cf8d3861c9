"""Network definitions: layer tables, quantised networks, synthetic weights and PyTorch modules."""

import os

# Before numpy is imported: the golden model's matrix products are small, and threads that wait for each other take ten times as long as
# one where the processor is busy. Whoever sets the variable decides.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
