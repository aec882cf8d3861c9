"""``python -m models.compress``: the door to a command of the top layer, the only place where models reach above themselves."""

import sys

from squeezelerator.sim.compression import main

if __name__ == "__main__":
    sys.exit(main())
