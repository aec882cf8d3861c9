"""Etherbone: records over UDP, against a server that speaks the format and loses what it is told to."""

import contextlib
import socket
import struct
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from squeezelerator.host.link import BoardError, EtherboneLink, LinkError, open_link

MEMORY, REGISTERS = 0x4000_0000, 0x8000_0000
SYSTEM = {"memory": {"base": MEMORY, "bytes": 4096}, "registers": REGISTERS}
#: LiteEth answers to its own port, so server and driver have the same port of two addresses.
HOST = "127.0.0.2"


class Server:
    """Words by address; ``lost``: numbers of the requests that never arrive; ``mute``: of those that are obeyed but not answered."""

    def __init__(self) -> None:
        self.words: dict[int, int] = {}
        self.writes: list[int] = []
        self.lost: set[int] = set()
        self.mute: set[int] = set()
        self.count = 0
        self.largest = 0
        self.socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self.socket.bind((HOST, 0))
        self.port = self.socket.getsockname()[1]
        self.thread = threading.Thread(target=self.serve, daemon=True)
        self.thread.start()

    def serve(self) -> None:
        while (packet := self.socket.recv(1 << 16)) != b"end":
            number, self.count = self.count, self.count + 1
            if number in self.lost:
                continue
            assert packet[:8] == bytes.fromhex("4e6f104400000000")
            _, enable, writes, reads = packet[8:12]
            assert enable == 15
            self.largest = max(self.largest, len(packet[12:]) // 4)
            words = struct.unpack(f">{len(packet[12:]) // 4}I", packet[12:])
            if writes:
                for i, word in enumerate(words[1 : 1 + writes]):
                    self.words[words[0] + 4 * i] = word
                    self.writes.append(words[0] + 4 * i)
                words = words[1 + writes :]
            assert len(words) == 1 + reads
            answer = struct.pack(f">BBBB{1 + reads}I", 0, 15, reads, 0, words[0], *(self.words.get(at, 0) for at in words[1:]))
            if number not in self.mute:
                self.socket.sendto(packet[:8] + answer, ("127.0.0.1", self.port))


@pytest.fixture
def server() -> Iterator[Server]:
    server = Server()
    yield server
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as end:
        end.sendto(b"end", (HOST, server.port))
    server.thread.join(5)
    server.socket.close()
    assert not server.thread.is_alive()


@pytest.fixture
def link(server: Server) -> Iterator[EtherboneLink]:
    with contextlib.closing(EtherboneLink(HOST, server.port, SYSTEM, "board", 0.4)) as link:
        yield link


def test_what_is_written_is_read_and_records_fit_the_buffer(server: Server, link: EtherboneLink) -> None:
    data = bytes(range(256))
    link.write(MEMORY + 64, data)
    assert link.read(MEMORY + 64, 256) == data
    assert server.words[MEMORY + 64] == 0x03020100
    assert server.largest <= 16


def test_what_is_lost_is_sent_again(server: Server, link: EtherboneLink) -> None:
    server.lost, server.mute = {0, 3}, {1, 5}
    link.write(MEMORY, bytes(range(96)))
    assert link.read(MEMORY, 96) == bytes(range(96))


def test_a_register_is_not_written_twice(server: Server, link: EtherboneLink) -> None:
    server.mute = {0}
    with pytest.raises(LinkError, match="board: no answer within 0.4 s"):
        link.write_word(REGISTERS + 32, 1)
    assert server.writes == [REGISTERS + 32]
    link.write_word(REGISTERS + 32, 1)  # the next try works


def test_no_board(link: EtherboneLink, server: Server) -> None:
    server.lost = set(range(100))
    with pytest.raises(LinkError, match="no answer"):
        link.read(MEMORY, 4)


def test_a_port_that_is_busy_is_one_line(link: EtherboneLink, server: Server, tmp_path: Path) -> None:
    path = tmp_path / "system.json"
    path.write_text('{"memory": {"base": 0, "bytes": 4}, "registers": 0, "csrs": {}, "initialisation": [], "fingerprint": 0, '
                    '"clock_hz": 1, "baud": 1}')
    with pytest.raises(BoardError, match="no board: Address already in use"):
        open_link(f"etherbone://{HOST}:{server.port}", path)
    with pytest.raises(BoardError, match="etherbone://HOST:PORT is what is needed"):
        open_link(f"etherbone://{HOST}", path)
