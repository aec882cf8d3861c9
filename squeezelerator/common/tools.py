"""Programs of the Python environment that run for minutes and write a log, such as synthesis, placement and routing."""

import contextlib
import re
import subprocess
import sys
from collections.abc import Callable, Sequence
from pathlib import Path

from squeezelerator.common.errors import UserError

__all__ = ["TOOLS", "ToolError", "complaint", "run_logged"]

#: Where pip puts the tools.
TOOLS = Path(sys.executable).parent
#: Seconds between looks into a tool's log.
POLL = 1.0


class ToolError(UserError, RuntimeError):
    """A tool that cannot be run; the message is one line."""


def complaint(log: Path) -> str:
    """The first error that a tool wrote into its log, after a colon, or nothing."""
    found = re.search(r"^ERROR: (.+)$", log.read_text(errors="replace"), re.M)
    return f": {found[1].strip()}" if found else ""


def run_logged(tool: Path, arguments: Sequence[str], log: Path, on_line: Callable[[str], None]) -> int:
    """Run ``tool`` in the folder of ``log``, which takes its output; ``on_line`` gets every line soon.

    Returns its exit code.

    Raises
    ------
    ToolError
        It cannot be started.
    """
    try:
        with (open(log, "w") as output, open(log, errors="replace") as written,
              subprocess.Popen([str(tool), *arguments], stdout=output, stderr=subprocess.STDOUT, cwd=log.parent) as running):
            part, ended = "", False
            try:
                while not ended:
                    with contextlib.suppress(subprocess.TimeoutExpired):
                        running.wait(POLL)
                    ended = running.returncode is not None
                    *lines, part = (part + written.read()).split("\n")
                    for line in lines:
                        on_line(line)
            finally:
                running.kill()  # after an interrupt; of no effect on one that has ended
            return running.returncode
    except OSError as error:
        # A script's first line names its interpreter, wherever that was when pip wrote it.
        moved = "if the Python environment has been moved, install it again"
        raise ToolError(f"{tool} cannot be run ({error.strerror}); {moved}") from None
