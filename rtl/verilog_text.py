"""What generated Verilog needs before it can stand beside other designs and run in every simulator: a pass over its text."""

import re

from squeezelerator.common.errors import UserError

__all__ = ["PrefixError", "check_prefix", "prefixed", "simulated_alike", "without_empty_vectors"]

#: Every module's name begins with this word.
WORD = "squeezelerator"
#: The registers that the backend puts into a combinational process to make it run at the beginning.
_START = re.compile(r"^(\s*)reg (\\\$auto\$verilog_backend\.cc:\d+:dump_module\$\d+ ) = 0;$", re.M)


class PrefixError(UserError, ValueError):
    """A prefix that is no beginning of a Verilog identifier; the message is one line for the user."""


def simulated_alike(text: str) -> str:
    """``text`` with start registers that change at time 0 for simulators of SystemVerilog, too.

    ``always @*`` runs when something that it reads changes. In Verilog an initial value in a declaration is a change at time 0; in
    SystemVerilog it is there before any process has begun to wait, so that a process of constants never runs. A non-blocking assignment
    takes effect when all processes wait, in both.
    """
    return _START.sub(r"\1reg \2;\n\1initial \2 <= 0;", text)


def without_empty_vectors(text: str) -> str:
    """``text`` without the declarations of vectors of no bits, which nothing is connected to and some tools do not accept."""
    return re.sub(r"^\s*wire \[-1:0\] \S+ ?;\n", "", text, flags=re.M)


def check_prefix(prefix: str) -> str:
    """``prefix`` if module names may begin with it. Raises PrefixError."""
    if not re.fullmatch(r"([A-Za-z_][A-Za-z0-9_]*)?", prefix):
        raise PrefixError(f"a prefix is made of letters, digits and _ and does not begin with a digit, unlike {prefix!r}")
    return prefix


def prefixed(text: str, prefix: str) -> str:
    """``text`` with ``prefix`` in front of the name of every module."""
    return re.sub(rf"(?<![\w.$]){WORD}(?=[\w.]*)", prefix + WORD, text) if prefix else text
