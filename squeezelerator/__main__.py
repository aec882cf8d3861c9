"""``python -m squeezelerator``: the console command."""

import sys

from squeezelerator.cli import main

if __name__ == "__main__":
    sys.exit(main())
