"""Pictures that go over the link as bytes are laid out by the board as the host would lay them out."""

import dataclasses
from pathlib import Path

import numpy as np
import pytest

from squeezelerator.compiler.api import compile_network
from squeezelerator.host.board import Board
from squeezelerator.host.link import LinkError
from squeezelerator.host.memory import write_checked
from squeezelerator.host.pictures import Picture, centred_table
from squeezelerator.models.arithmetic import golden
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.unpacker import LARGEST_PICTURE
from squeezelerator.spec.program import TensorMap

CFG = MachineConfig(n=2)
RNG = np.random.default_rng(5)


def picture(tensor: TensorMap) -> Picture:
    """Random pixels, and a table in which each channel's byte has a random value of its own."""
    table = RNG.integers(-32768, 32768, (tensor.c, 256)).astype(np.int16)
    return Picture(RNG.integers(0, 256, (tensor.h, tensor.w, tensor.c)).astype(np.uint8), table)


def tensor(c: int, shape: tuple[int, int], phases: tuple[int, int], pad: tuple[int, int], lost: int) -> TensorMap:
    """A map of whose last line and column ``lost`` have no place."""
    h, w = (-(-(size + before - lost) // phase) for size, before, phase in zip(shape, pad, phases, strict=True))
    stored = c * phases[0] * phases[1], h, w
    return TensorMap("input", 0x123 * 64, c, *shape, 8, stored, (stored[0],), phases, pad, CFG.n, CFG.row_bytes)


@pytest.mark.parametrize("made", [
    tensor(3, (9, 11), (2, 2), (3, 3), 0), tensor(3, (8, 7), (1, 1), (0, 0), 0), tensor(1, (5, 6), (4, 2), (1, 2), 0),
    tensor(4, (7, 9), (2, 3), (0, 1), 1), tensor(2, (1, 1), (1, 1), (0, 0), 0), tensor(3, (6, 13), (4, 4), (5, 6), 0),
], ids=lambda made: f"{made.stored}")  # fmt: skip
def test_every_layout_equals_the_hosts(system: Path, made: TensorMap) -> None:
    program = dataclasses.replace(compile_network(synthetic(zoo.get("tiny_all")), CFG), outputs=())
    with Board.open(f"sim:{system}", timeout=20, memory_test=False) as board:
        address = board.system["memory"]["base"] + made.offset
        for _ in write_checked(board.link, address, RNG.bytes(made.size)):
            pass
        unpacker, some = board._unpacker, picture(made)
        assert not unpacker.takes(program, made, address, some)  # what is there has no padding
        board._write_input(program, made, address, some)
        assert board.link.read(address, made.size) == made.pack(some.values())
        some = picture(made)
        assert unpacker.takes(program, made, address, some)
        board._write_input(program, made, address, some)
        assert board.link.read(address, made.size) == made.pack(some.values())


def test_a_network_runs_on_pictures(system: Path) -> None:
    net = synthetic(zoo.get("tiny_all"))
    program = compile_network(net, CFG)
    place = program.inputs[0]
    table = centred_table(place.c, place.frac)
    pictures = [Picture(picture(place).pixels, table) for _ in range(5)]
    with Board.open(f"sim:{system}", timeout=20) as board:
        board.load(program)
        sent = []
        for some in pictures[:3]:
            np.testing.assert_array_equal(board.run(some)["fc"], golden.run(net, some.values())["fc"])
            sent.append(board.times.sent)
        # Laid out by the host, with the tables, without them: then the five registers and the bytes.
        size = pictures[0].pixels.size
        assert sent[0] == place.size and sent[2] == size + -size % 4 + 20 < sent[1]
        for some, found in zip(pictures, board.run_batch(pictures), strict=True):
            np.testing.assert_array_equal(found["fc"], golden.run(net, some.values())["fc"])


def test_bytes_that_are_lost_or_changed_are_noticed(system: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    made = tensor(3, (9, 11), (2, 2), (3, 3), 0)
    with Board.open(f"sim:{system}", timeout=20, memory_test=False) as board:
        address, link = board.system["memory"]["base"] + made.offset, board.link
        write = link.write
        images = board.system["images"]
        write(address, made.pack(np.zeros((made.c, made.h, made.w), np.int16)))
        # The picture, registers, a table; each once.
        for place in (images, images + LARGEST_PICTURE, images + LARGEST_PICTURE + 0x1000):
            wrong, some = [place], picture(made)

            def damage(at: int, data: bytes, wrong: list[int] = wrong) -> None:
                hit = at in wrong
                write(at, bytes([data[0] ^ 4]) + data[1:] if hit else data)
                if hit:
                    wrong.remove(at)

            monkeypatch.setattr(link, "write", damage)
            board._unpacker.write(made, address, some)
            assert not wrong
            assert link.read(address, made.size) == made.pack(some.values())
        # What never arrives is an error.
        monkeypatch.setattr(link, "write", lambda at, data: write(at, data[:-4] if at == images else data))
        with pytest.raises(LinkError, match="1 of 297 bytes of a picture did not arrive"):
            board._unpacker.write(made, address, some)
        monkeypatch.undo()

        def twice(at: int, data: bytes) -> None:
            write(at, data)
            if at == images:
                write(at, data[:40])

        # Words that come twice count once.
        monkeypatch.setattr(link, "write", twice)
        some = picture(made)
        board._unpacker.write(made, address, some)
        assert link.read(address, made.size) == made.pack(some.values())
