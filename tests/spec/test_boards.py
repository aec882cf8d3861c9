"""Boards: what a machine is there unless the user says otherwise."""

import pytest

from squeezelerator.compiler.__main__ import main
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.platform.boards import BOARDS
from squeezelerator.spec.program import load_program


@pytest.mark.parametrize("board", BOARDS.values(), ids=list(BOARDS))
def test_large_machines_have_sums_as_wide_as_block_rams_and_two_sectors(board):
    assert board.machine_defaults(4) == {} and board.machine_defaults(8) == {"acc_bits": 36, "sectors": 2} == board.machine_defaults(16)


@pytest.mark.parametrize(("options", "bits", "sectors"), [
    (["--pe", "8"], 40, 4), (["--pe", "8", "--board", "ulx3s"], 36, 2), (["--pe", "4", "--board", "ulx3s"], 40, 4),
    (["--pe", "8", "--board", "ulx3s", "--acc-bits", "38"], 38, 2), (["--pe", "8", "--board", "ulx3s", "--sectors", "4"], 36, 4),
])  # fmt: skip
def test_programs_are_for_the_boards_machine(options, bits, sectors, tmp_path):
    assert main(["tiny_chain", *options, "-o", str(tmp_path / "prog.bin")]) == 0
    n = int(options[1])
    assert load_program((tmp_path / "prog.bin").read_bytes()).cfg == MachineConfig(n=n, acc_bits=bits, sectors=sectors)


def test_sums_that_are_too_wide_name_the_option(tmp_path, capsys):
    assert main(["mobilenet", "--pe", "8", "--board", "ulx3s", "-o", str(tmp_path / "prog.bin")]) == 2
    error = capsys.readouterr().err
    assert error.count("\n") == 1 and "36-bit accumulator; a machine with wider ones (--acc-bits) runs it" in error
