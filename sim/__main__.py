"""``python -m sim``: run a network, or a compiled program, on the engines and compare them."""

import sys

from squeezelerator.sim.command import main

if __name__ == "__main__":
    sys.exit(main())
