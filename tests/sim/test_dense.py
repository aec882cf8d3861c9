"""``python -m sim.dense``: a network against itself without zeros."""

import numpy as np
import pytest

from squeezelerator.compiler.compile_options import CompileOptions
from squeezelerator.models.arithmetic.dense import without_zeros, zero_share
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.sim.dense import main, measure, table
from squeezelerator.spec.machine import MachineConfig


def test_without_zeros_changes_zeros_and_nothing_else():
    net = synthetic(zoo.get("tiny_all"), sparsity=0.6)
    dense = without_zeros(net)
    for name, numbers in net.quant.items():
        if numbers.weight is None:
            assert dense.quant[name] == numbers
            continue
        weight, other = numbers.weight, dense.quant[name].weight
        assert other.dtype == np.int16 and zero_share(other) == 0 < zero_share(weight)
        np.testing.assert_array_equal(other[weight != 0], weight[weight != 0])
        filled = other[weight == 0]
        assert set(filled) <= {-1, 1} and abs(int(filled.sum())) <= 1
        assert (dense.quant[name].shift, dense.quant[name].frac_out) == (numbers.shift, numbers.frac_out)


def test_more_zeros_save_more_and_dense_is_the_same():
    cfg, options = MachineConfig(n=4), CompileOptions(dataflow="os")
    few, many = (synthetic(zoo.get("tiny_all"), sparsity=share) for share in (0.2, 0.9))
    runs = [measure(net, cfg, "model", options) for net in (few, many, without_zeros(few), without_zeros(many))]
    assert not any(run.wrong for run in runs)
    assert runs[1].cycles < runs[0].cycles < runs[2].cycles == runs[3].cycles
    assert runs[1].energy < runs[0].energy < runs[2].energy
    for run in runs:
        assert sum(row.cycles["model"] for row in run.rows) == run.cycles
    text = table(many, runs[1], runs[3]).splitlines()
    assert len(text) == len(many.table.layers) + 4
    assert [line.split()[0] for line in text[2:-2]] == [layer.name for layer in many.table.layers]
    saved = [int(line.split()[-2].replace(",", "")) for line in text[2:-2] if line.endswith("%")]
    assert sum(saved) == int(text[-1].split()[-2].replace(",", "")) == runs[3].cycles - runs[1].cycles


def test_the_command(capsys):
    assert main(["tiny_all", "--pe", "4", "--sparsity", "0.8"]) == 0
    found = capsys.readouterr()
    assert "cycles dense" in found.out and "times the cycles" in found.out
    assert found.err.count("\n") == 2


@pytest.mark.parametrize(("args", "message"), [
    ([], "which network?"),
    (["nothing"], "unknown network 'nothing'"),
    (["tiny_fc", "--pe", "33"], "N must be a whole number from 2 to 32, not 33"),
    (["tiny_fc", "--weights", "none.npz"], "none.npz: cannot be read"),
    (["tiny_fc", "--energy", "none.csv"], "cannot read none.csv"),
    (["tiny_fc", "--engine", "golden"], "invalid choice: 'golden'"),
])  # fmt: skip
def test_bad_options(capsys, args, message):
    try:
        code = main(args)
    except SystemExit as stop:
        code = stop.code
    err = capsys.readouterr().err
    assert code == 2 and message in err and err.startswith("python -m sim.dense: ") and err.count("\n") == 1
