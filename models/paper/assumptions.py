"""Everything that the model of the paper's machine assumes beyond the sources, in one place.

No number here was chosen by minimising the error against table 3. Two kinds are not independent of it all the same:
"analysis" numbers are round figures that others read off the published times, and "inferred" switches are choices
between two structures of which one fits the published energies. Those that the analysis of the published table
suggested say so, and ``ALTERNATIVES`` names for each what else one could assume; ``python -m models.paper`` writes the
effect of every alternative on the errors to ``assumptions.csv``.
"""

from dataclasses import dataclass, field, replace

from squeezelerator.models.paper.published import LARGE, SMALL


@dataclass(frozen=True, kw_only=True)
class Assumptions:
    """Parameters of the model of the paper's machine.

    Parameters
    ----------
    zero_share : float
        Share of zero weights, which OS skips. Source: the paper, 40%.
    partial_sums : int
        Partial sums that a PE holds in OS. Analysis: the paper says "several filters".
    dram_words : int
        Words of 16 bits between DRAM and chip in a cycle. Analysis: 16 bytes a cycle.
    layer_overhead : int
        Cycles to start and finish a layer. Analysis; no source.
    strided_load : bool
        Whether OS loads all pixels under a strided kernel, ``stride**2`` for each PE. Analysis.
    ws_load_exposed : bool
        Whether the N cycles that bring new weights into the array wait for no other work. Analysis.
    os_weights_each_block : bool
        Whether OS streams a layer's weights from DRAM once for every block of N x N outputs (or once for the layer).
        Inferred: published on-chip energies grow as 1/N**2 in OS layers, which on-chip accesses cannot explain.
    ws_refetch : bool
        Whether WS layers of which neither input nor weights fit the buffer fetch the cheaper of the two again.
        Inferred from the size of the buffer: 32 KB is less than most layers of MobileNet.
    buffer_share : float
        Share of the global buffer that may hold the resident operand. Upper limit: all of it.
    operands_from_rf : bool
        Whether the operand that a PE keeps (the pixel in OS, the weight in WS) is read from the register file for each
        MAC. Inferred: no, it lies in an operand register, and the register file holds partial sums.
    count_fills : bool
        Whether a word from or to DRAM costs a buffer access as well. Eyeriss's method counts what a level is read for,
        not fills.
    """

    zero_share: float = 0.4
    partial_sums: int = 8
    dram_words: int = 8
    layer_overhead: int = 1200
    strided_load: bool = True
    ws_load_exposed: bool = True
    os_weights_each_block: bool = True
    ws_refetch: bool = True
    buffer_share: float = 1.0
    operands_from_rf: bool = False
    count_fills: bool = False

    @property
    def density(self) -> float:
        """Share of weights that are not zero."""
        return 1 - self.zero_share


@dataclass(frozen=True, kw_only=True)
class Machine:
    """A configuration of the paper's machine: ``n`` PEs a side and ``buffer_words`` 16-bit words of global buffer."""

    n: int
    buffer_words: int
    assumptions: Assumptions = field(default_factory=Assumptions)


def machine(configuration: str, assumptions: Assumptions | None = None) -> Machine:
    """The :class:`Machine` of ``8x8`` (32 KB) or ``16x16`` (128 KB)."""
    n, kib = {SMALL: (8, 32), LARGE: (16, 128)}[configuration]
    return Machine(n=n, buffer_words=kib * 1024 // 2, assumptions=assumptions or Assumptions())


@dataclass(frozen=True)
class Alternative:
    """What else could be assumed: the field, the other value, and where the default comes from."""

    field: str
    value: object
    source: str

    def apply(self, assumptions: Assumptions) -> Assumptions:
        """``assumptions`` with this alternative."""
        return replace(assumptions, **{self.field: self.value})


_PAPER, _ANALYSIS, _INFERRED = "paper", "analysis of the published times", "inferred from the published energies"

ALTERNATIVES = (
    Alternative("zero_share", 0.0, _PAPER),
    Alternative("zero_share", 0.5, _PAPER),
    Alternative("partial_sums", 4, _ANALYSIS),
    Alternative("partial_sums", 16, _ANALYSIS),
    Alternative("dram_words", 4, _ANALYSIS),
    Alternative("dram_words", 16, _ANALYSIS),
    Alternative("layer_overhead", 0, _ANALYSIS),
    Alternative("layer_overhead", 600, _ANALYSIS),
    Alternative("layer_overhead", 1800, _ANALYSIS),
    Alternative("strided_load", False, _ANALYSIS),
    Alternative("ws_load_exposed", False, _ANALYSIS),
    Alternative("os_weights_each_block", False, _INFERRED),
    Alternative("ws_refetch", False, _INFERRED),
    Alternative("buffer_share", 0.75, "upper limit"),
    Alternative("buffer_share", 0.5, "upper limit"),
    Alternative("operands_from_rf", True, _INFERRED),
    Alternative("count_fills", True, "method of Eyeriss (ISCA 2016)"),
)

STRUCTURE = (
    "Conv and FC layers only: pools, sums and activations take neither time nor energy.",
    "Every layer reads its input from DRAM and writes its output there.",
    "A layer runs in the dataflow that needs fewer array cycles, and takes the longer of those and its DRAM transfers.",
    "Zero weights cross DRAM like the others; OS skips them in the array, WS does not.",
    (
        "WS streams the pixels once for each kernel position and each group of N input and N output channels; "
        "partial sums enter and leave the global buffer for each such pass."
    ),
    "OS moves pixels between neighbours from one kernel position to the next, and results over half the array.",
    "In OS a broadcast weight costs one buffer access for the whole array.",
)
"""Assumptions without a number."""
