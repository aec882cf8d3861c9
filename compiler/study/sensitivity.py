"""``python -m compiler.study.sensitivity GROUP.NAME VALUE ...``: exact cycles of networks with other values of a tuning constant.

The constants are those of :mod:`compiler.tuning`: ``partition.beam_width``, ``cost.load_way``. Weights are synthetic.
"""

import argparse
import ast
import contextlib
import dataclasses
import sys
from collections.abc import Iterator, Sequence
from typing import Any

from squeezelerator.common.command_line import OneLineParser
from squeezelerator.common.progress import print_line, progress
from squeezelerator.compiler.api import compile_full
from squeezelerator.compiler.cost.exact import exact_cycles
from squeezelerator.compiler.errors import CompileError
from squeezelerator.compiler.memory.sectors import sector_shares
from squeezelerator.compiler.tuning import GROUPS
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.machine import MachineConfig

#: (network, PEs a side) that are compiled if none is named.
CASES = (("sqnxt23v5", 16), ("sqnxt23v5", 8), ("squeezenet1_1", 16), ("tiny_darknet", 16))


def constants() -> tuple[str, ...]:
    """Names of all constants: group.name."""
    return tuple(f"{group}.{field.name}" for group, instance in GROUPS.items() for field in dataclasses.fields(instance))


@contextlib.contextmanager
def constant(name: str, value: object) -> Iterator[None]:
    """Give a constant another value for a while, in this process."""
    group, field = name.split(".")
    instance: Any = GROUPS[group]
    before = getattr(instance, field)
    object.__setattr__(instance, field, value)
    sector_shares.cache_clear()  # depends on allocation.reach
    try:
        yield
    finally:
        object.__setattr__(instance, field, before)
        sector_shares.cache_clear()


def cycles(network: str, n: int) -> int | None:
    """Exact cycles of a network, or None if it cannot be compiled."""
    cfg = MachineConfig(n=n)
    try:
        found = compile_full(synthetic(zoo.get(network)), cfg)
    except CompileError:
        return None
    return exact_cycles(cfg, found.program.instructions, [step.records for step in found.steps], found.program.prog_offset)


def _value(text: str) -> Any:
    try:
        return ast.literal_eval(text)
    except (ValueError, SyntaxError):
        raise argparse.ArgumentTypeError(f"a Python literal, not {text!r}") from None


def main(argv: Sequence[str] | None = None) -> int:
    """Print a row for each value."""
    parser = OneLineParser(prog="python -m compiler.study.sensitivity", description=__doc__)
    parser.add_argument("constant", choices=constants(), metavar="GROUP.NAME", help="of compiler.tuning, such as partition.beam_width")
    parser.add_argument("values", nargs="+", type=_value, metavar="VALUE", help="number, tuple in quotes, True or False")
    parser.add_argument("--networks", nargs="+", choices=zoo.names(), metavar="NETWORK", help="(sqnxt23v5 and three others)")
    parser.add_argument("--pe", type=int, default=16, metavar="N", help="PEs a side, for named networks (16)")
    args = parser.parse_args(argv)
    cases = [(name, args.pe) for name in args.networks or ()] or CASES
    group, field = args.constant.split(".")
    default = getattr(GROUPS[group], field)
    print(f"| {args.constant} | " + " | ".join(f"{name}, {n}x{n}" for name, n in cases) + " |\n|---|" + "--:|" * len(cases))
    for value in progress((default, *args.values), args.constant, unit="value"):
        with constant(args.constant, value):
            found = [cycles(name, n) for name, n in cases]
        mark = " (as it is)" if value == default else ""
        print_line(f"| {value}{mark} | " + " | ".join("does not fit" if count is None else str(count) for count in found) + " |")
    return 0


if __name__ == "__main__":
    sys.exit(main())
