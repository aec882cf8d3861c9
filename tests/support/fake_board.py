"""A board in Python behind a TCP port: UARTbone, memory, the machine's registers; does wrong what it is told to."""

import dataclasses
import socket
import struct
import threading

from squeezelerator.spec.machine import ISA_VERSION, MachineConfig
from squeezelerator.spec.registers import ID_VALUE, REGISTERS, offset_of

__all__ = ["FakeBoard", "Wrong", "description"]

MEMORY, MACHINE, CSRS = 0x4000_0000, 0x8000_0000, 0xF000_0000
MEMORY_BYTES = 1 << 20


@dataclasses.dataclass
class Wrong:
    """``drop``: number of the byte that never arrives; ``die``: bytes after which the connection closes; ``stuck``: bit of every word of
    the memory that reads 1; ``end``: STATUS after a start, None: the program never ends; ``silent``: no answer to anything."""

    drop: int | None = None
    die: int | None = None
    stuck: int = 0
    end: int | None = 0
    silent: bool = False


def description(cfg: MachineConfig) -> dict:
    names = ("dfii_control", "dfii_pi0_command", "dfii_pi0_command_issue", "dfii_pi0_address", "dfii_pi0_baddress")
    return {"fingerprint": cfg.fingerprint, "machine": cfg.as_dict(), "clock_hz": 1e6, "baud": 2_000_000, "registers": MACHINE,
            "csrs": {f"sdram_{name}": CSRS + 4 * i for i, name in enumerate(names)},
            "memory": {"base": MEMORY, "bytes": MEMORY_BYTES, "kind": "SDR"},
            "initialisation": [{"what": "clock", "control": 14, "address": 0, "bank": 0, "cycles": 1}]}  # fmt: skip


def _bit(register, name):
    return 1 << next(f.lsb for r in REGISTERS if r.name == register for f in r.fields if f.name == name)


class FakeBoard:
    """Serves one connection after the other until it is closed."""

    def __init__(self, cfg, wrong=None, ident=ID_VALUE):
        self.wrong = wrong or Wrong()
        self.memory = bytearray(MEMORY_BYTES)
        self.idle = _bit("STATUS", "idle")
        self.registers = {offset_of("ID"): ident, offset_of("VERSION"): ISA_VERSION, offset_of("FINGERPRINT"): cfg.fingerprint,
                          offset_of("STATUS"): self.idle}  # fmt: skip
        self.aborts = 0
        self.starts: list[int] = []  # where each job's memory begins
        self.received = 0
        self.listener = socket.create_server(("localhost", 0))
        self.url = f"socket://localhost:{self.listener.getsockname()[1]}"
        self.thread = threading.Thread(target=self._serve, daemon=True)
        self.thread.start()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.listener.shutdown(socket.SHUT_RDWR)
        self.listener.close()
        self.thread.join(5)

    def _serve(self):
        while True:
            try:
                peer = self.listener.accept()[0]
            except OSError:
                return
            with peer:
                # Half a command is forgotten after a while, as the UARTbone does.
                peer.settimeout(0.1)
                self._talk(peer)

    def _take(self, peer, count):
        data = b""
        while len(data) < count:
            some = peer.recv(count - len(data))
            if not some or (self.wrong.die is not None and self.received >= self.wrong.die):
                raise EOFError
            first, self.received = self.received, self.received + len(some)
            if self.wrong.drop is not None and first <= self.wrong.drop < self.received:
                some = some[: self.wrong.drop - first] + some[self.wrong.drop - first + 1 :]
            data += some
        return data

    def _talk(self, peer):
        while True:
            try:
                kind, words, address = struct.unpack(">BBI", self._take(peer, 6))
                if kind == 1:
                    for i, value in enumerate(struct.unpack(f">{words}I", self._take(peer, 4 * words))):
                        self._write(4 * (address + i), value)
                elif kind == 2 and not self.wrong.silent:
                    peer.sendall(struct.pack(f">{words}I", *(self._read(4 * (address + i)) for i in range(words))))
            except TimeoutError:
                continue
            except (EOFError, OSError):
                return

    def _write(self, address, value):
        if MEMORY <= address < MEMORY + MEMORY_BYTES:
            self.memory[address - MEMORY : address - MEMORY + 4] = struct.pack("<I", value)
        elif MACHINE <= address < MACHINE + 0x1000 and address != MACHINE + offset_of("CTRL"):
            self.registers[address - MACHINE] = value
        elif address == MACHINE + offset_of("CTRL"):
            if value & _bit("CTRL", "abort"):
                self.aborts += 1
                self.registers[offset_of("STATUS")] = self.idle | _bit("STATUS", "aborted")
            elif value & _bit("CTRL", "start"):
                self.registers[offset_of("STATUS")] = _bit("STATUS", "busy") if self.wrong.end is None else self.wrong.end | self.idle
                self.registers[offset_of("JOBS")] = (self.registers.get(offset_of("JOBS"), 0) + (self.wrong.end is not None)) & 0xFFFF
                self.starts.append(self.registers[offset_of("MEM_BASE_LO")] - MEMORY)

    def _read(self, address):
        if MEMORY <= address < MEMORY + MEMORY_BYTES:
            return struct.unpack_from("<I", self.memory, address - MEMORY)[0] | self.wrong.stuck
        return self.registers.get(address - MACHINE, 0)
