"""Bytes of a frame on the wires, and frames a second from them."""

from pathlib import Path

import pytest

from squeezelerator.boards.frames import etherbone_bytes, frame_of, main, rates, uart_bytes
from squeezelerator.compiler.api import compile_network
from squeezelerator.host.link import Link, Stream
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.machine import MachineConfig


class Counting(Stream):
    """Counts the bytes in both directions; answers with zeros."""

    def __init__(self) -> None:
        self.bytes = self.owed = 0

    def send(self, data: bytes) -> None:
        """As :class:`Stream`."""
        self.bytes += len(data)
        self.owed = 4 * data[1] if data[0] == 2 else 0

    def receive(self, seconds: float) -> bytes:
        """As :class:`Stream`."""
        del seconds
        self.bytes += self.owed
        return bytes(self.owed)

    def close(self) -> None:
        """As :class:`Stream`."""


@pytest.mark.parametrize(("written", "read"), [(4, 4), (1020, 1020), (1024, 2044), (0, 12)])
def test_bytes_of_the_uart_are_those_that_the_driver_sends(written: int, read: int) -> None:
    stream = Counting()
    link = Link(stream, "board")
    link.write(0, bytes(written))
    link.read(0, read)
    assert stream.bytes == uart_bytes(written, read)


def test_bytes_of_etherbone() -> None:
    # Twelve words a record of 16: request 8 + 4 + 4 + 48 + 8 bytes, answer 8 + 4 + 8, padded to 46 with IP and UDP; 38 and 28 around each.
    assert etherbone_bytes(48, 0) == 66 + 72 + 66 + 20
    assert etherbone_bytes(0, 4) == 2 * (66 + 20)
    assert etherbone_bytes(96, 0) == 2 * etherbone_bytes(48, 0)
    assert etherbone_bytes(96, 0, words=32) < etherbone_bytes(96, 0)


def test_the_next_input_is_sent_while_one_runs() -> None:
    assert rates(0.5, 0.5) == (1, 2)
    assert rates(0.25, 0.75) == (1, pytest.approx(4 / 3))


def test_the_command_prints_frames_a_second(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    program = compile_network(synthetic(zoo.get("tiny_all")), MachineConfig(n=2))
    (tmp_path / "prog.bin").write_bytes(program.to_bytes())
    frame = frame_of(program)
    assert frame.traffic(as_bytes=True)[0] < frame.traffic(as_bytes=False)[0]
    assert main([str(tmp_path / "prog.bin"), "--board", "ecpix5"]) == 0
    out = capsys.readouterr().out
    assert "ECPIX-5 85F, 2 x 2 PEs" in out and f"{frame.laid_out:,} bytes as it lies" in out
    rows = [line.split() for line in out.splitlines() if line.startswith(("UART", "Etherbone"))]
    # What goes as bytes is never the slower.
    for laid_out, as_bytes in (rows[:2], rows[2:]):
        assert float(laid_out[-1]) <= float(as_bytes[-1]) and float(as_bytes[-2]) <= float(as_bytes[-1])
    assert main([str(tmp_path / "nothing.bin")]) == 2
