"""``python -m models.importers``: the table of operators in ``docs/operators.md``, from the importers' own tables."""

import sys
from collections.abc import Sequence

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.output import write_file

_UNITS = {
    "array": "PE array", "pool": "POOL", "drain": "drain of the array", "view": "none", "host": "host", "constant": "while reading",
}  # fmt: skip

_HEAD = """# Operators

What the importers understand, written by `python -m models.importers -o docs/operators.md` from the tables that they work with.

An ONNX graph may have several inputs: they lie in the machine's one input map one after the other along the channels, smaller ones with
zeros to their right and below. Each has a fixed-point format of its own where weights read it: the host multiplies it by a power of two,
and the weights make up for that. Modules with several inputs take an example of each: `from_torch(module, (picture, numbers))`.

Every network has a batch of 1: a dynamic, unnamed or larger batch in a file is taken as 1. Other dynamic sizes are given by
`--shape NAME=1,C,H,W`. Inputs are maps (1, C, H, W), also with the channels last (1, H, W, C), signals (1, C, L) or vectors (1, C).
Nodes that no output depends on are ignored, and what depends on constants alone is computed while the file is read. All nodes that cannot
be lowered are named in one message.

Padding, slices, reshapes and permutations are views: they cost nothing where the next layer can read its channels in that order with
padding around (a convolution without groups reads channels in any order). Where it cannot, the view becomes a map by a convolution with
weights of 1.

What runs on the host runs after the last layer, on the outputs that `python -m sim --output` writes; nothing can follow it.

With `--host-fallback` (ONNX files) the host computes whatever the machine cannot, with onnxruntime where that is installed, else with the
`onnx` package's reference evaluator. There is one program for the machine: each node that it cannot compute takes all that leads to it, or
all that follows from it, to the host, whichever has fewer multiplications; also of a node in the middle of the graph. The run reports
which nodes, how many MACs and which transfers that means; inputs, outputs and calibration are those of the whole graph. A program that
the compiler writes is the machine's part alone, with the names of the arrays that lead into and out of it.

Limits of a layer are no limits of a network: strides above 4 (made up of factors 2 and 3, unless a convolution reads the input or there is
one position only) and pooling windows above 31 become several layers, and padding of any size and asymmetry a kernel with zeros.
"""


def operators_page() -> str:
    """The text of ``docs/operators.md``."""
    # Imported late: the command line's help works without onnx and torch.
    from squeezelerator.models.importers.onnx.graph import SUPPORTED
    from squeezelerator.models.importers.operator_table import OPERATORS
    from squeezelerator.models.importers.torch.graph import SUPPORTED as SUPPORTED_ATEN
    from squeezelerator.models.importers.torch.operator_table import OPERATORS as ATEN_OPERATORS

    lines = [_HEAD, "## ONNX", "", "| operator | unit | lowered to | supported |", "|---|---|---|---|"]
    for name in SUPPORTED:
        entry = OPERATORS[name]
        lines.append(f"| {name} | {_UNITS[entry.unit]} | {entry.how} | {entry.limits or 'all of it'} |")
    lines += ["", "## PyTorch", "", "ATen operators as `torch.export` gives them.", ""]
    lines += ["| operator | lowered as the ONNX operator | unit |", "|---|---|---|"]
    for name in SUPPORTED_ATEN:
        like = ATEN_OPERATORS[name].like
        lines.append(f"| {name} | {like} | {_UNITS[OPERATORS[like].unit]} |")
    return "\n".join(lines) + "\n"


@command("models.importers")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = OneLineParser(prog=program_name("models.importers"), description="Print the operators that networks from files may have.")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the page there")
    options = parser.parse_args(argv)
    if options.output:
        write_file(options.output, operators_page().encode())
    else:
        print(operators_page(), end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
