"""The ways to a system: words of its bus are read and written over a serial port or a TCP connection that stands for one.

The protocol is LiteX's UARTbone: a byte of command, a byte of length in words, the word address, the words, most significant byte first.
Nothing in it tells a lost byte: whoever writes reads back.
"""

import abc
import contextlib
import fcntl
import hashlib
import json
import os
import select
import socket
import struct
import subprocess
import tempfile
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import numpy as np

from squeezelerator.common.errors import UserError
from squeezelerator.spec.platform.unpacker import LARGEST_PICTURE

__all__ = ["BoardError", "Link", "LinkError", "Simulated", "open_link"]

#: Words of a command; a longer length does not fit its byte.
BURST_WORDS = 255
_WRITE, _READ = 1, 2
#: Head of an Etherbone packet: magic, version 1, addresses and words of 32 bits, padding.
ETHERBONE_MAGIC = bytes.fromhex("4e6f104400000000")
#: Words of a record that LiteEth buffers unless it is told otherwise, and how many of them are not data.
ETHERBONE_WORDS, ETHERBONE_HEAD = 16, 4
#: Times that a record is sent where twice does no harm.
ETHERBONE_TRIES = 4
#: Seconds after which the system forgets half a command, and a little more.
FORGET_S = 0.15
#: Seconds without a byte after which nothing more is expected.
QUIET_S = 0.05


class BoardError(UserError, RuntimeError):
    """A board that cannot be used or did something wrong; the message is one line."""


class LinkError(BoardError):
    """The way to the board is broken: no answer, closed, bytes lost."""


class Stream(abc.ABC):
    """Bytes in both directions."""

    @abc.abstractmethod
    def send(self, data: bytes) -> None:
        """Send all of ``data``. Raises OSError."""

    @abc.abstractmethod
    def receive(self, seconds: float) -> bytes:
        """What has come, at the latest after ``seconds``; empty if nothing has. Raises OSError or EOFError at the end."""

    @abc.abstractmethod
    def close(self) -> None:
        """Let go of whatever it is."""


class TcpStream(Stream):
    """A TCP connection."""

    def __init__(self, host: str, port: int, seconds: float) -> None:
        self.socket = socket.create_connection((host, port), timeout=seconds)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def send(self, data: bytes) -> None:
        """As :class:`Stream`."""
        self.socket.sendall(data)

    def receive(self, seconds: float) -> bytes:
        """As :class:`Stream`."""
        if not select.select([self.socket], [], [], seconds)[0]:
            return b""
        data = self.socket.recv(1 << 16)
        if not data:
            raise EOFError("the other side has closed the connection")
        return data

    def close(self) -> None:
        """As :class:`Stream`."""
        self.socket.close()


class SerialStream(Stream):
    """A serial port, which no other process may open meanwhile."""

    def __init__(self, device: str, baud: int) -> None:
        import serial
        self.port = serial.Serial(device, baud, timeout=0, exclusive=True)

    def send(self, data: bytes) -> None:
        """As :class:`Stream`."""
        self.port.write(data)

    def receive(self, seconds: float) -> bytes:
        """As :class:`Stream`."""
        self.port.timeout = seconds
        return self.port.read(max(1, self.port.in_waiting))

    def close(self) -> None:
        """As :class:`Stream`."""
        self.port.close()


class UdpStream(Stream):
    """Datagrams from and to a port of ``host``, by the same port of this machine's address on the way there."""

    def __init__(self, host: str, port: int) -> None:
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as way:
            way.connect((host, port))
            here = way.getsockname()[0]
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        try:
            self.socket.bind((here, port))
            self.socket.connect((host, port))
        except OSError:
            self.socket.close()
            raise

    def send(self, data: bytes) -> None:
        """As :class:`Stream`."""
        self.socket.send(data)

    def receive(self, seconds: float) -> bytes:
        """As :class:`Stream`; one datagram."""
        return self.socket.recv(1 << 16) if select.select([self.socket], [], [], seconds)[0] else b""

    def close(self) -> None:
        """As :class:`Stream`."""
        self.socket.close()


class Simulated(TcpStream):
    """A simulated system that this process has started; it ends with it."""

    def __init__(self, folder: Path, seconds: float) -> None:
        program = folder / "system"
        self.process = subprocess.Popen([str(program)], stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, text=True)
        try:
            assert self.process.stdout is not None
            words = self.process.stdout.readline().split()
            if len(words) != 2 or words[0] != "port":
                raise LinkError(f"{program} did not start")
            super().__init__("localhost", int(words[1]), seconds)
        except BaseException:
            self._end()
            raise

    def _end(self) -> None:
        self.process.kill()
        self.process.wait()
        if self.process.stdout is not None:
            self.process.stdout.close()

    def close(self) -> None:
        """As :class:`Stream`; the simulation has ended when this returns."""
        super().close()
        self._end()


class Link:
    """Words of the system's bus, over a :class:`Stream`.

    Parameters
    ----------
    stream : Stream
    name : str
        How messages call it.
    timeout : float
        Seconds within which an answer must make progress.
    """

    def __init__(self, stream: Stream, name: str, timeout: float = 2.0) -> None:
        self.stream = stream
        self.name = name
        self.timeout = timeout
        self._lock: int | None = None

    def hold(self, lock: int) -> None:
        """Keep the file with the number ``lock``, which is locked, until the link is closed."""
        self._lock = lock

    def close(self) -> None:
        """Close the stream and let others have the board."""
        with contextlib.suppress(OSError):
            self.stream.close()
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

    def _send(self, data: bytes) -> None:
        try:
            self.stream.send(data)
        except (OSError, EOFError) as error:
            raise LinkError(f"{self.name}: the link broke: {error}") from None

    def _receive(self, count: int) -> bytes:
        data = b""
        while len(data) < count:
            try:
                some = self.stream.receive(self.timeout)
            except (OSError, EOFError) as error:
                raise LinkError(f"{self.name}: the link broke: {error}") from None
            if not some:
                raise LinkError(f"{self.name}: no answer: {len(data)} of {count} bytes came within {self.timeout:g} s")
            data += some
        if len(data) > count:
            raise LinkError(f"{self.name}: {len(data) - count} bytes too many came: the link is out of step")
        return data

    def write(self, address: int, data: bytes) -> None:
        """Write ``data`` at ``address``, both multiples of 4 bytes (little endian, as memory has them)."""
        words = np.frombuffer(data, "<u4").astype(">u4")
        for first in range(0, len(words), BURST_WORDS):
            some = words[first : first + BURST_WORDS]
            self._send(struct.pack(">BBI", _WRITE, len(some), address // 4 + first) + some.tobytes())

    def read(self, address: int, count: int) -> bytes:
        """``count`` bytes from ``address``, both multiples of 4."""
        parts = []
        for first in range(0, count // 4, BURST_WORDS):
            words = min(BURST_WORDS, count // 4 - first)
            self._send(struct.pack(">BBI", _READ, words, address // 4 + first))
            parts.append(np.frombuffer(self._receive(4 * words), ">u4").astype("<u4").tobytes())
        return b"".join(parts)

    def write_word(self, address: int, value: int) -> None:
        """Write one word."""
        self.write(address, struct.pack("<I", value))

    def read_word(self, address: int) -> int:
        """Read one word."""
        return struct.unpack("<I", self.read(address, 4))[0]

    def drain(self, seconds: float = FORGET_S) -> None:
        """Wait until the system has forgotten half a command, and drop what it still sends."""
        end = time.monotonic() + seconds
        while (left := end - time.monotonic()) > 0:
            try:
                if self.stream.receive(min(left, QUIET_S)):
                    end = max(end, time.monotonic() + QUIET_S)
            except (OSError, EOFError) as error:
                raise LinkError(f"{self.name}: the link broke: {error}") from None


class EtherboneLink(Link):
    """Words of the system's bus as Etherbone records in UDP datagrams, one record each, as LiteEth takes them.

    A record of writes ends with a read of a register, whose answer says that it arrived. What is lost is sent again where twice does no
    harm: reads, and writes to the memory. A write to a register that is not answered is an error, for it may have been obeyed.

    Parameters
    ----------
    host, port : str, int
        LiteEth answers to the port it listens at, whoever asks: the same port of this machine must be free.
    system : dict
        The contents of ``system.json``; ``etherbone_words`` is the depth of the system's buffer of records.
    name, timeout
        As for :class:`Link`.
    """

    def __init__(self, host: str, port: int, system: dict[str, Any], name: str, timeout: float = 2.0) -> None:
        stream = UdpStream(host, port)
        super().__init__(stream, name, timeout)
        self._room = system.get("etherbone_words", ETHERBONE_WORDS) - ETHERBONE_HEAD
        self._registers = system["registers"]
        memory = system["memory"]
        images = system.get("images")
        #: Where a word may be written twice: the memory, and the image unpacker's window, which takes each word of a picture once.
        self._safe = [range(memory["base"], memory["base"] + memory["bytes"])]
        self._safe += [] if images is None else [range(images, images + LARGEST_PICTURE)]
        self._number = 0

    def _ask(self, writes: bytes, addresses: list[int], tries: int) -> bytes:
        """Send a record of ``writes`` (with their address, or empty) and reads; returns the words read, most significant byte first."""
        for _ in range(tries):
            # The address that the answer is written to is free to choose: it tells a late answer from the one that is waited for.
            self._number = (self._number + 1) & 0xFFFF_FFFF
            record = struct.pack(">BBBB", 0, 15, max(len(writes) // 4 - 1, 0), len(addresses)) + writes
            record += struct.pack(f">{1 + len(addresses)}I", self._number, *addresses)
            self._send(ETHERBONE_MAGIC + record)
            wanted = ETHERBONE_MAGIC[:2], struct.pack(">BI", len(addresses), self._number)
            end = time.monotonic() + self.timeout / tries
            while (left := end - time.monotonic()) > 0:
                try:
                    found = self.stream.receive(left)
                except (OSError, EOFError) as error:
                    raise LinkError(f"{self.name}: the link broke: {error}") from None
                if found[:2] == wanted[0] and found[10:11] + found[12:16] == wanted[1] and len(found) >= 16 + 4 * len(addresses):
                    return found[16 : 16 + 4 * len(addresses)]
        raise LinkError(f"{self.name}: no answer within {self.timeout:g} s")

    def write(self, address: int, data: bytes) -> None:
        """As :class:`Link`."""
        words = np.frombuffer(data, "<u4").astype(">u4")
        tries = ETHERBONE_TRIES if any(address in some for some in self._safe) else 1
        for first in range(0, len(words), self._room):
            some = words[first : first + self._room].tobytes()
            self._ask(struct.pack(">I", address + 4 * first) + some, [self._registers], tries)

    def read(self, address: int, count: int) -> bytes:
        """As :class:`Link`."""
        addresses = list(range(address, address + count, 4))
        parts = [self._ask(b"", addresses[first : first + self._room], ETHERBONE_TRIES) for first in range(0, len(addresses), self._room)]
        return np.frombuffer(b"".join(parts), ">u4").astype("<u4").tobytes()

    def drain(self, seconds: float = QUIET_S) -> None:
        """As :class:`Link`, but no command is ever half there: drops the answers that come within ``seconds`` of each other, which would
        fill the socket's buffer before one that is waited for. Late ones are known by their number."""
        super().drain(seconds)


def _lock_of(url: str) -> int:
    """The number of a locked file that stands for the board at ``url``. Raises BoardError if another process has it."""
    name = hashlib.sha256(url.encode()).hexdigest()[:16]
    path = Path(tempfile.gettempdir()) / f"squeezelerator-{os.getuid()}-{name}.lock"
    number = os.open(path, os.O_CREAT | os.O_RDWR | os.O_CLOEXEC, 0o600)
    try:
        fcntl.flock(number, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(number)
        raise BoardError(f"{url}: another process is using this board") from None
    return number


def _stream_of(url: str, system: dict[str, Any], seconds: float) -> Stream:
    parts = urlsplit(url)
    if parts.scheme == "serial":
        return SerialStream(url.removeprefix("serial://"), system["baud"])
    if parts.scheme == "socket":
        if parts.hostname is None or parts.port is None:
            raise BoardError(f"{url}: socket://HOST:PORT is what is needed")
        return TcpStream(parts.hostname, parts.port, seconds)
    return Simulated(Path(url.removeprefix("sim:")), seconds)


def _link_of(url: str, system: dict[str, Any], seconds: float) -> Link:
    parts = urlsplit(url)
    if parts.scheme != "etherbone":
        return Link(_stream_of(url, system, seconds), url, seconds)
    if parts.hostname is None or parts.port is None:
        raise BoardError(f"{url}: etherbone://HOST:PORT is what is needed")
    return EtherboneLink(parts.hostname, parts.port, system, url, seconds)


def read_system(path: Path) -> dict[str, Any]:
    """The description of a system, ``system.json``. Raises BoardError."""
    try:
        system = json.loads(path.read_text())
        for key in ("memory", "registers", "csrs", "initialisation", "fingerprint", "clock_hz", "baud"):
            if key not in system:
                raise ValueError(f"{key} is missing")
    except OSError as error:
        raise BoardError(f"{path}: {error.strerror}; make bitstream and make board-sim write it") from None
    except (ValueError, TypeError) as error:
        raise BoardError(f"{path} does not describe a system: {error}") from None
    return system


def open_link(url: str, system: str | Path | None, seconds: float = 2.0) -> tuple[Link, dict[str, Any]]:
    """The link to the board at ``url`` and its description.

    Parameters
    ----------
    url : str
        ``serial://DEVICE``, ``socket://HOST:PORT``, ``etherbone://HOST:PORT`` or ``sim:FOLDER`` (that ``make board-sim`` has filled).
    system : path or None
        The ``system.json`` of the bitstream; ``sim:`` has its own.
    seconds : float
        Time-out.

    Raises
    ------
    BoardError
    """
    scheme = urlsplit(url).scheme
    if scheme not in ("serial", "socket", "etherbone", "sim"):
        raise BoardError(f"{url}: a board is serial://DEVICE, socket://HOST:PORT, etherbone://HOST:PORT or sim:FOLDER")
    simulated = scheme == "sim"
    if system is None and not simulated:
        raise BoardError(f"{url}: which system? --system names the system.json beside the bitstream")
    found = read_system(Path(url.removeprefix("sim:")) / "system.json" if simulated else Path(str(system)))
    lock = None if simulated else _lock_of(url)
    try:
        link = _link_of(url, found, seconds)
    except BaseException as error:
        if lock is not None:
            os.close(lock)
        if isinstance(error, OSError):  # of which pyserial's error is one
            raise BoardError(f"{url}: no board: {error.strerror or error}") from None
        raise
    if lock is not None:
        link.hold(lock)
    return link, found
