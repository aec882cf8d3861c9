"""The whole simulated system of a board: UARTbone, LiteDRAM with a model of its memory, the machine, and the driver that a board has."""

from pathlib import Path

import numpy as np
import pytest

from squeezelerator.boards.board_sim import main
from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.compile_options import CompileOptions
from squeezelerator.host.board import Board
from squeezelerator.host.link import BoardError
from squeezelerator.models.arithmetic import golden
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic, synthetic_input
from squeezelerator.spec.machine import MachineConfig

CFG = MachineConfig(n=2)


def test_every_stored_layer_equals_the_golden_model(system: Path) -> None:
    net = synthetic(zoo.get("tiny_all"))
    program = compile_network(net, CFG, CompileOptions(fusion=False))
    with Board.open(f"sim:{system}", timeout=20) as board:
        board.load(program)
        # Twice, with other inputs: nothing of the first run is left.
        for seed in (0, 1):
            x = synthetic_input(net.table, seed)
            found, expected = board.run(x, all_layers=True), golden.run(net, x)
            assert len(found) > 1  # conv1 leaves the chip, too
            for name, values in found.items():
                np.testing.assert_array_equal(values, expected[name], err_msg=name)
        # Two in flight: the next one is written and queued while one runs.
        inputs = [synthetic_input(net.table, seed) for seed in (0, 1, 2)]
        for x, found in zip(inputs, board.run_batch(inputs), strict=True):
            expected = golden.run(net, x)
            assert found and all(np.array_equal(values, expected[name]) for name, values in found.items())
        counters = board.counters()
        assert counters["cycles"] > 0 and counters["macs"] > 0


def test_errors_of_the_machine_come_in_words_and_the_next_run_works(system: Path) -> None:
    net = synthetic(zoo.get("tiny_all"))
    program = compile_network(net, CFG)
    x = synthetic_input(net.table, 0)
    with Board.open(f"sim:{system}", timeout=20) as board:
        board.load(program)
        base = board.system["memory"]["base"] + program.prog_offset
        first = board.link.read(base, 64)
        board.link.write(base, b"\xff" * 64)
        with pytest.raises(BoardError, match="halted: OPCODE, an instruction with an opcode that does not exist"):
            board.run(x)
        board.link.write(base, first)
        np.testing.assert_array_equal(board.run(x)["fc"], golden.run(net, x)["fc"])
        with pytest.raises(BoardError, match="had not ended after 0 s"):
            board.run(x, timeout=0)
        board.reset()
        assert board.status() == {name: int(name == "idle") for name in board.status()}


@pytest.mark.slow
def test_whole_squeezenext_on_the_simulated_board() -> None:
    assert main(["sqnxt23v5", "--board", "ulx3s", "--pe", "8"]) == 0


@pytest.mark.slow
def test_a_board_with_ddr3() -> None:
    assert main(["tiny_all", "--board", "ecpix5", "--pe", "2"]) == 0
