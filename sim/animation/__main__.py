"""The command line of ``python -m sim.animation``."""

import sys
from collections.abc import Sequence
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.output import write_file
from squeezelerator.sim.animation.example import EXAMPLE, os_case, ws_case
from squeezelerator.sim.animation.frames import frames
from squeezelerator.sim.animation.page import page
from squeezelerator.sim.animation.trace import trace

__all__ = ["main"]

#: Where the page goes unless the user says otherwise.
_PATH = "build/animation.html"


@command("sim.animation")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = OneLineParser(prog=program_name("sim.animation"), description="Show both dataflows on 2 x 2 PEs, cycle by cycle, as the RTL "
                           "runs them: a page that opens in a browser.")  # fmt: skip
    parser.add_argument("-o", "--output", metavar="FILE", help=f"the page ({_PATH})")
    args = parser.parse_args(argv)
    if args.output is None:
        Path(_PATH).parent.mkdir(parents=True, exist_ok=True)
    shown = {case.dataflow: frames(trace(case)) for case in (os_case(EXAMPLE), ws_case(EXAMPLE))}
    path = args.output or _PATH
    write_file(path, page(EXAMPLE, shown).encode())
    print(f"animation: {path} ({', '.join(f'{name} {len(found)} cycles' for name, found in shown.items())}; open it in a browser)")
    return 0


if __name__ == "__main__":
    sys.exit(main())
