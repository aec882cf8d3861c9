"""Puts a bitstream onto a board with openFPGALoader: ``squeezelerator flash --board ulx3s build/boards/ulx3s-pe4/top.bit``."""

import shutil
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.errors import UserError
from squeezelerator.spec.platform.boards import BOARDS, board_record

__all__ = ["FlashError", "main"]

LOADER = "openFPGALoader"


class FlashError(UserError, RuntimeError):
    """The bitstream did not get onto the board; the message is one line."""


@command("boards.flash")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("boards.flash"), description="Put a bitstream onto a board.")
    parser.add_argument("bitstream", nargs="?", metavar="FILE.bit", help="default: the only build/boards/BOARD-pe*/top.bit")
    parser.add_argument("--board", default="ulx3s", metavar="NAME", help=f"{', '.join(BOARDS)} (default ulx3s)")
    parser.add_argument("--permanent", action="store_true", help="into the flash memory: it is there after the power was off")
    args = parser.parse_args(argv)
    board = board_record(args.board)
    found = [Path(args.bitstream)] if args.bitstream else sorted(Path("build/boards").glob(f"{board.name}-pe*/top.bit"))
    if len(found) != 1:
        there = ", ".join(map(str, found)) or f"none in build/boards (make bitstream BOARD={board.name} makes one)"
        raise OptionError(f"which bitstream? There are: {there}")
    if not found[0].is_file():
        raise FlashError(f"{found[0]} is not there")
    words = [LOADER, "-b", board.loader, *(["-f"] if args.permanent else []), str(found[0])]
    if shutil.which(LOADER) is None:
        raise FlashError(f"{LOADER} is not installed; it comes with most distributions, and then this does it: {' '.join(words)}")
    try:
        subprocess.run(words, check=True)
    except subprocess.CalledProcessError as error:
        raise FlashError(f"{LOADER} failed with exit code {error.returncode}") from None
    return 0


if __name__ == "__main__":
    sys.exit(main())
