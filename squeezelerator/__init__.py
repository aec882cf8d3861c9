"""Squeezelerator: generate, program and simulate a CNN accelerator with two dataflows.

The subpackages lie beside this folder in a checkout (``compiler``, ``models``, ``rtl``, ``sim``; symbolic links lead there) and inside
this package in a wheel. All imports name them as ``squeezelerator.compiler`` and so on, so that every module has one name.
"""

import os

# Before numpy is imported: the golden model's matrix products are small, and threads that wait for each other take ten times as long as
# one where the processor is busy. Whoever sets the variable decides.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")
