"""The graph of machine operations: what the array and the pool unit are asked to do, without tiles or addresses.

Shapes are channels, lines (height), columns (width). Kernel, stride and padding are pairs (vertical, horizontal).
"""

import dataclasses
import enum
import functools

import numpy as np
import numpy.typing as npt

from squeezelerator.spec.functions.activations import ActivationCode


class OpKind(enum.StrEnum):
    """What an operation computes."""

    CONV = "conv"
    MAX_POOL = "maxpool"
    AVG_POOL = "avgpool"
    MUL = "mul"
    LOOKUP = "lookup"


@dataclasses.dataclass(eq=False)
class Tensor:
    """A feature map as it lies in a buffer: channel blocks of up to N channels. Compared by identity.

    Parameters
    ----------
    name : str
        Unique in the graph.
    c, h, w : int
        Channels, lines, columns.
    home : str
        The map in DRAM of which this is (a slice of) the contents: a layer's name or ``"input"``.
    home_block : int
        First channel block of that slice.
    home_column : int
        First column of that slice.
    home_columns : int
        Columns of the map in DRAM; 0: as many as this has.
    """

    name: str
    c: int
    h: int
    w: int
    home: str
    home_block: int = 0
    home_column: int = 0
    home_columns: int = 0

    @property
    def dram_w(self) -> int:
        """Columns of the map in DRAM, of which this may be a strip."""
        return self.home_columns or self.w

    def blocks(self, n: int) -> int:
        """Channel blocks on a machine with N = ``n``."""
        return -(-self.c // n)

    def rows(self, n: int) -> int:
        """Buffer rows of the whole map."""
        return self.blocks(n) * self.h * self.w

    def __repr__(self) -> str:
        return f"{self.name}[{self.c}x{self.h}x{self.w}]"


@dataclasses.dataclass(eq=False)
class Op:
    """One operation of the machine. Its inputs ``parts`` are concatenated along the channels; ``residual`` is added by the drain, or
    multiplied with (a map like the result, or a vector: one line and column for all).

    A convolution may compute a slice of its layer's output channels; a pool has one part.

    Parameters
    ----------
    name : str
    layers : tuple of str
        Rows of the layer table that it computes; instructions are booked on the first.
    kind : OpKind
    weight : numpy.ndarray or None
        int16 (O, I/groups, Kh, Kw) of the whole layer.
    bias : numpy.ndarray or None
        int32 (O,) of the whole layer.
    first : int
        Channel of the layer that is the first of ``out``.
    first_in : int
        Channel of the layer's input that is the first of ``parts``.
    taps : numpy.ndarray or None
        bool (I, Kh, Kw): which weights exist in the network; space to depth adds others, which are zero. None: all.
    shift, act, parm, post_act, post_parm, mult, segment
        As in the instructions DRAIN, POOL and LOOKUP.
    table : numpy.ndarray or None
        int32 (2, 256): slopes and offsets of a function.
    """

    name: str
    layers: tuple[str, ...]
    kind: OpKind
    parts: tuple[Tensor, ...]
    out: Tensor
    kernel: tuple[int, int] = (1, 1)
    stride: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)
    groups: int = 1
    weight: npt.NDArray[np.int16] | None = None
    bias: npt.NDArray[np.int32] | None = None
    first: int = 0
    first_in: int = 0
    taps: npt.NDArray[np.bool_] | None = None
    shift: int = 0
    act: ActivationCode = ActivationCode.NONE
    parm: int = 0
    residual: Tensor | None = None
    post_act: ActivationCode = ActivationCode.NONE
    post_parm: int = 0
    mult: int = 0
    table: npt.NDArray[np.int32] | None = None
    segment: int = 0

    @property
    def positions(self) -> int:
        """Positions that the pool unit visits for each element of the result."""
        return 2 if self.kind is OpKind.MUL else self.kernel[0] * self.kernel[1]

    @property
    def broadcasts(self) -> bool:
        """Whether ``residual`` is a vector that counts for all lines and columns."""
        other = self.residual
        return other is not None and (other.h, other.w) == (1, 1) != (self.out.h, self.out.w)

    @property
    def is_conv(self) -> bool:
        """Whether the array computes it."""
        return self.kind is OpKind.CONV

    @property
    def filters(self) -> npt.NDArray[np.int16]:
        """The weights of a convolution."""
        if self.weight is None:
            raise AssertionError(f"{self.name} is no convolution")
        return self.weight

    @property
    def biases(self) -> npt.NDArray[np.int32]:
        """The biases of a convolution."""
        if self.bias is None:
            raise AssertionError(f"{self.name} is no convolution")
        return self.bias

    @property
    def is_depthwise(self) -> bool:
        """Whether each output channel needs only the input channel of the same number: pools do, and depthwise convolutions."""
        return not self.is_conv or (self.groups == self.out.c and self.filters.shape[1] == 1 and self.filters.shape[0] == self.groups)

    @functools.cached_property
    def reads(self) -> tuple[Tensor, ...]:
        """Every tensor that it reads, each once."""
        return tuple(dict.fromkeys(self.parts + ((self.residual,) if self.residual else ())))

    def lines_needed(self, tensor: Tensor, y1: int) -> int:
        """Lines 0 .. result-1 of ``tensor`` must exist before output lines below ``y1`` can be computed."""
        need = 0
        if tensor in self.parts:
            need = (y1 - 1) * self.stride[0] - self.pad[0] + self.kernel[0]
            need = 0 if need < 0 else tensor.h if need > tensor.h else need
        other = min(y1, tensor.h) if tensor is self.residual else 0
        return other if other > need else need

    def first_line(self, tensor: Tensor, y0: int) -> int:
        """Lowest line of ``tensor`` that output lines from ``y0`` on read."""
        first = tensor.h
        if tensor in self.parts:
            line = y0 * self.stride[0] - self.pad[0]
            first = 0 if line < 0 else line if line < first else first
        if tensor is self.residual:
            # A vector is needed to the last line.
            other = 0 if self.broadcasts and y0 < self.out.h else y0
            return other if other < first else first
        return first

    @functools.cached_property
    def needed(self) -> dict[Tensor, list[int]]:
        """{tensor: [lines of it that must exist before the first 0, 1, 2, ... output lines can be computed]}."""
        return {tensor: [self.lines_needed(tensor, y1) for y1 in range(self.out.h + 1)] for tensor in self.reads}

    @functools.cached_property
    def lowest(self) -> dict[Tensor, list[int]]:
        """{tensor: [lowest line of it that output lines from 0, 1, 2, ... on read]}."""
        return {tensor: [self.first_line(tensor, y0) for y0 in range(self.out.h + 1)] for tensor in self.reads}

    def __repr__(self) -> str:
        extra = f" {'*' if self.kind is OpKind.MUL else '+'} {self.residual!r}" if self.residual else ""
        return f"{self.name}: {self.out!r} = {self.kind} {self.kernel}/{self.stride} of {list(self.parts)!r}{extra}"


@dataclasses.dataclass
class InputLayout:
    """How the host lays the network's input out: in phases, so that a strided convolution gets stride 1.

    Channel ``(py * phases_x + px) * C + c``, line y, column x of the laid-out map is channel c, line
    ``y * phases_y + py - pad_y``, column ``x * phases_x + px - pad_x`` of the input; zero where that lies outside.
    """

    phases: tuple[int, int] = (1, 1)
    pad: tuple[int, int] = (0, 0)


@dataclasses.dataclass
class Graph:
    """Operations in an order in which producers stand before their readers."""

    name: str
    ops: list[Op]
    input: Tensor
    input_layout: InputLayout
    #: Names of the layers whose results the network delivers.
    outputs: tuple[str, ...]
    #: Maps of which some operation reads a slice (channels or columns) from the copy in DRAM, as a tensor of its own; and strips of maps.
    sliced: frozenset[Tensor] = frozenset()

    def producers(self) -> dict[Tensor, Op]:
        """Operation that writes each tensor (the network's input has none)."""
        return {op.out: op for op in self.ops}

    def readers(self) -> dict[Tensor, list[Op]]:
        """Operations that read each tensor, in order."""
        found: dict[Tensor, list[Op]] = {self.input: []} | {op.out: [] for op in self.ops}
        for op in self.ops:
            for tensor in op.reads:
                found.setdefault(tensor, []).append(op)
        return found

    def objects(self) -> list[object]:
        """Operations, tensors and arrays, each once."""
        found: list[object] = [self.input]
        for op in self.ops:
            found += [op, *op.reads, op.out, *(array for array in (op.weight, op.bias, op.taps, op.table) if array is not None)]
        return list({id(thing): thing for thing in found}.values())

    def __str__(self) -> str:
        return "\n".join(repr(op) for op in self.ops)
