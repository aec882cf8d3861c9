"""The program file: everything that running a network takes, in one checked, deterministic piece.

Layout (little endian)::

    0   8 bytes   magic "SQZLPROG"
    8   u32       version of file format and instruction set
    12  u32       fingerprint of the machine
    16  u32       number of sections
    20  u32       0
    24  u64       length of the file
    32  sections  times 24 bytes: name (8, padded with zeros), offset u64, length u64
        sections, each at a multiple of 16
        32 bytes  SHA-256 of everything before

Sections: ``config`` (JSON, the machine), ``memory`` (JSON: offsets, sizes, where inputs and outputs lie), ``quant`` (JSON: number
formats), ``layers`` (JSON, the layer table), ``code`` (instructions of 64 bytes), ``map`` (u16 an instruction: index of its layer,
65535 for none) and ``image`` (weights and biases).
"""

import dataclasses
import hashlib
import json
import struct
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.common.files import write_whole
from squeezelerator.spec.encoding import decode_program, encode_program
from squeezelerator.spec.isa import INSTRUCTION_BYTES, Instruction, IsaError
from squeezelerator.spec.machine import ISA_VERSION, ConfigError, MachineConfig
from squeezelerator.spec.network.layer import Layer
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.verification.verify import VerifyError, verify

MAGIC = b"SQZLPROG"
FORMAT_VERSION = 1
VERSION = FORMAT_VERSION << 16 | ISA_VERSION
_HEADER = struct.Struct("<8sIIIIQ")
_ENTRY = struct.Struct("<8sQQ")
_SECTIONS = ("config", "memory", "quant", "layers", "code", "map", "image")
_NO_LAYER = 0xFFFF


class ProgramError(UserError, ValueError):
    """A program that cannot be loaded; the message is one line."""


@dataclasses.dataclass(frozen=True)
class TensorMap:
    """Where and how a feature map lies in the program's memory.

    Parameters
    ----------
    name : str
        Layer, or ``"input"``.
    offset : int
        Byte offset in the program's memory.
    c, h, w : int
        Shape as the network sees it.
    frac : int
        Fractional bits.
    stored : tuple of int
        Channels, lines, columns as they lie there; differ from c, h, w only where ``phases`` are used.
    pieces : tuple of int
        Channel counts, each beginning a new channel block.
    phases, pad : tuple of int
        Space to depth (vertical, horizontal), see :class:`compiler.ir.graph.InputLayout`.
    n, row_bytes : int
        Lanes of a row, bytes of a row.
    """

    name: str
    offset: int
    c: int
    h: int
    w: int
    frac: int
    stored: tuple[int, int, int]
    pieces: tuple[int, ...]
    phases: tuple[int, int]
    pad: tuple[int, int]
    n: int
    row_bytes: int

    @property
    def blocks(self) -> int:
        """Channel blocks."""
        return sum(-(-piece // self.n) for piece in self.pieces)

    @property
    def size(self) -> int:
        """Bytes in the program's memory."""
        return self.blocks * self.stored[1] * self.stored[2] * self.row_bytes

    def _channels(self) -> Iterator[tuple[int, int, int, int]]:
        """For each piece: (first channel, channels, first block, blocks)."""
        channel = block = 0
        for piece in self.pieces:
            yield channel, piece, block, -(-piece // self.n)
            channel, block = channel + piece, block - (-piece // self.n)

    def channel_offsets(self) -> list[int]:
        """For each stored channel the bytes from a pixel's first row to its own value."""
        block_bytes = self.stored[1] * self.stored[2] * self.row_bytes
        return [(block + i // self.n) * block_bytes + 2 * (i % self.n) for _, count, block, _ in self._channels() for i in range(count)]

    def _phased(self, x: np.ndarray) -> np.ndarray:
        """int16 (C, H, W) in the stored shape."""
        (py, px), (top, left), (_, h, w) = self.phases, self.pad, self.stored
        padded = np.zeros((self.c, h * py, w * px), np.int16)
        lines, columns = min(self.h, h * py - top), min(self.w, w * px - left)
        padded[:, top : top + lines, left : left + columns] = x[:, :lines, :columns]
        split = padded.reshape(self.c, h, py, w, px)
        return split.transpose(2, 4, 0, 1, 3).reshape(self.stored)

    def pack(self, x: np.ndarray) -> bytes:
        """The bytes to be written at ``offset`` for int16 ``x`` (C, H, W).

        Raises
        ------
        ValueError
            If ``x`` has another shape or type.
        """
        if getattr(x, "shape", None) != (self.c, self.h, self.w) or x.dtype != np.int16:
            found = f"{x.dtype} {x.shape}" if hasattr(x, "shape") else type(x).__name__
            raise ValueError(f"{self.name} must be int16 {(self.c, self.h, self.w)}, not {found}")
        x = x if self.phases == (1, 1) and self.stored == x.shape and self.pad == (0, 0) else self._phased(x)
        _, h, w = self.stored
        rows = np.zeros((self.blocks, h, w, self.row_bytes // 2), "<i2")
        for channel, count, block, blocks in self._channels():
            padded = np.zeros((blocks * self.n, h, w), np.int16)
            padded[:count] = x[channel : channel + count]
            rows[block : block + blocks, :, :, : self.n] = padded.reshape(blocks, self.n, h, w).transpose(0, 2, 3, 1)
        return rows.tobytes()

    def unpack(self, memory: bytes | bytearray | memoryview) -> np.ndarray:
        """int16 (C, H, W) from the program's memory (bytes-like); only for maps without phases."""
        _, h, w = self.stored
        rows = np.frombuffer(memory, "<i2", self.size // 2, self.offset).reshape(self.blocks, h, w, self.row_bytes // 2)
        found = []
        for _, count, block, blocks in self._channels():
            some = rows[block : block + blocks, :, :, : self.n].transpose(0, 3, 1, 2)
            found.append(some.reshape(blocks * self.n, h, w)[:count])
        return np.ascontiguousarray(np.concatenate(found), dtype=np.int16)


def _json(value: object) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":")).encode()


@dataclasses.dataclass(eq=False)
class Program:
    """A compiled network.

    Parameters
    ----------
    cfg : spec.machine.MachineConfig
    network : str
    instructions : list of spec.isa.Instruction
        The last is END.
    constants_offset : int
    constants : bytes
        Weights and biases, and where they lie in the program's memory.
    prog_offset : int
        Where the instructions lie; the memory ends behind them.
    inputs, outputs : list of TensorMap
        Outputs are all layers' results that leave the chip.
    results : list of str
        Which of the outputs are the network's.
    layers : list of str
        Names of the layers, in table order.
    layer_of : list of (str or None)
        Layer of every instruction.
    table : spec.network.layer_table.LayerTable
    quantisation : dict
        ``synthetic``, ``input_frac``, ``frac_out`` by layer.
    """

    cfg: MachineConfig
    network: str
    instructions: list[Instruction]
    constants_offset: int
    constants: bytes
    prog_offset: int
    inputs: list[TensorMap]
    outputs: list[TensorMap]
    results: list[str]
    layers: list[str]
    layer_of: list[str | None]
    table: LayerTable
    quantisation: dict[str, Any]

    @classmethod
    def load(cls, data: bytes, cfg: MachineConfig | None = None) -> "Program":
        """As :func:`load_program`."""
        return load_program(data, cfg)

    @property
    def code(self) -> bytes:
        """The instructions' bytes."""
        return encode_program(self.instructions, self.cfg)

    @property
    def mem_bytes(self) -> int:
        """Size of the program's memory."""
        return self.prog_offset + INSTRUCTION_BYTES * len(self.instructions)

    @property
    def image(self) -> bytes:
        """The program's memory before it runs, inputs still zero: ``mem_bytes`` bytes."""
        return bytes(self.memory())

    def memory(self, **inputs: np.ndarray) -> bytearray:
        """A bytearray of the whole memory with ``inputs`` (by name, int16 C, H, W) in place."""
        memory = bytearray(self.mem_bytes)
        memory[self.constants_offset : self.constants_offset + len(self.constants)] = self.constants
        memory[self.prog_offset :] = self.code
        for tensor in self.inputs:
            if tensor.name in inputs:
                memory[tensor.offset : tensor.offset + tensor.size] = tensor.pack(inputs[tensor.name])
        return memory

    def results_from(self, memory: bytes | bytearray | memoryview) -> dict[str, np.ndarray]:
        """{layer: int16 (C, H, W)} of everything that left the chip."""
        return {tensor.name: tensor.unpack(memory) for tensor in self.outputs}

    def to_bytes(self) -> bytes:
        """The program file."""
        index = {name: i for i, name in enumerate(self.layers)}
        numbers = np.array([_NO_LAYER if name is None else index.get(name, _NO_LAYER) for name in self.layer_of], "<u2")
        sections = {
            "config": _json(self.cfg.as_dict()),
            "memory": _json({
                "network": self.network, "constants_offset": self.constants_offset, "prog_offset": self.prog_offset,
                "mem_bytes": self.mem_bytes, "inputs": [dataclasses.asdict(t) for t in self.inputs],
                "outputs": [dataclasses.asdict(t) for t in self.outputs], "results": self.results,
            }),
            "quant": _json(self.quantisation),
            "layers": _json({
                "name": self.table.name, "input_shape": list(self.table.input_shape),
                "layers": [dataclasses.asdict(layer) for layer in self.table.layers],
            }),
            "code": self.code, "map": numbers.tobytes(), "image": self.constants,
        }  # fmt: skip
        entries, parts = [], []
        at = _HEADER.size + _ENTRY.size * len(sections)
        for name, data in sections.items():
            fill = -at % 16
            parts.append(bytes(fill) + data)
            entries.append(_ENTRY.pack(name.encode(), at + fill, len(data)))
            at += fill + len(data)
        head = _HEADER.pack(MAGIC, VERSION, self.cfg.fingerprint, len(sections), 0, at + 32)
        body = b"".join([head, *entries, *parts])
        return body + hashlib.sha256(body).digest()

    def save(self, path: str | Path) -> None:
        """Write the program file, whole or not at all; ``python -m sim`` and :func:`load_program` read it."""
        data = self.to_bytes()
        write_whole(path, lambda file: file.write(data))


def _sections(data: bytes) -> dict[str, bytes]:
    """{name: bytes} after all checks that need no knowledge of the contents."""
    if data[: len(MAGIC)] != MAGIC[: len(data)] or not data:
        raise ProgramError("is no Squeezelerator program")
    if len(data) < _HEADER.size:
        raise ProgramError(f"truncated: {len(data)} bytes")
    _, version, _, count, _, length = _HEADER.unpack_from(data)
    if version != VERSION:
        raise ProgramError(f"made for version {version >> 16}.{version & 0xFFFF}, this is {FORMAT_VERSION}.{ISA_VERSION}")
    if len(data) != length:
        found = "truncated" if len(data) < length else "too long"
        raise ProgramError(f"{found}: {len(data)} of {length} bytes")
    if hashlib.sha256(data[:-32]).digest() != data[-32:]:
        raise ProgramError("corrupted: the checksum does not fit")
    found = {}
    for i in range(count):
        name, offset, size = _ENTRY.unpack_from(data, _HEADER.size + i * _ENTRY.size)
        found[name.rstrip(b"\0").decode("ascii")] = data[offset : offset + size]
    missing = [name for name in _SECTIONS if name not in found]
    if missing:
        raise ProgramError(f"has no section {missing[0]}")
    return found


def _tensor_map(entry: dict[str, Any]) -> TensorMap:
    values: dict[str, Any] = {key: tuple(value) if isinstance(value, list) else value for key, value in entry.items()}
    return TensorMap(**values)


def load_program(data: bytes, cfg: MachineConfig | None = None) -> Program:
    """The :class:`Program` in the bytes of a program file.

    Parameters
    ----------
    data : bytes
    cfg : spec.machine.MachineConfig or None
        The machine that is to run it; None accepts any.

    Raises
    ------
    ProgramError
        If it is no program, truncated, corrupted, of another version or for another machine; if a field of an instruction is out of
        its range, or if :func:`spec.verification.verify.verify` refuses what the instructions would do.
    """
    data = bytes(data)
    sections = _sections(data)
    try:
        config = MachineConfig(**json.loads(sections["config"]))
        memory = json.loads(sections["memory"])
        layers = json.loads(sections["layers"])
        table = LayerTable(layers["name"], tuple(layers["input_shape"]), tuple(
            Layer(**{**entry, "inputs": tuple(entry["inputs"])}) for entry in layers["layers"]))  # fmt: skip
        names = [layer.name for layer in table.layers]
        instructions = decode_program(sections["code"], config)
        numbers = np.frombuffer(sections["map"], "<u2")
        program = Program(
            cfg=config, network=memory["network"], instructions=instructions,
            constants_offset=memory["constants_offset"], constants=sections["image"], prog_offset=memory["prog_offset"],
            inputs=[_tensor_map(t) for t in memory["inputs"]], outputs=[_tensor_map(t) for t in memory["outputs"]],
            results=memory["results"], layers=names,
            layer_of=[None if i == _NO_LAYER else names[i] for i in numbers.tolist()], table=table,
            quantisation=json.loads(sections["quant"]),
        )  # fmt: skip
    except (KeyError, TypeError, IndexError, ConfigError, IsaError, ValueError) as error:
        raise ProgramError(f"its sections contradict each other: {error}") from None
    if _HEADER.unpack_from(data)[2] != config.fingerprint:
        raise ProgramError("corrupted: the machine's fingerprint does not fit its description")
    if cfg is not None and cfg.fingerprint != config.fingerprint:
        raise ProgramError(f"made for another machine: {_differences(config, cfg)}")
    try:
        verify(program)
    except VerifyError as error:
        raise ProgramError(f"is not safe to run: {error}") from None
    return program


def _differences(theirs: MachineConfig, ours: MachineConfig) -> str:
    found = dataclasses.asdict(theirs)
    return ", ".join(f"{key}={found[key]} instead of {value}" for key, value in dataclasses.asdict(ours).items() if found[key] != value)
