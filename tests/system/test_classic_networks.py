"""Classic networks with random weights, from PyTorch to the machine: float as PyTorch, 16 bits at 45 dB, program as golden model."""

import numpy as np
import pytest
import torch
from support.classic_networks import NETWORKS, build
from support.machines import MACHINES

from squeezelerator.compiler.api import compile_network
from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.quantisation.formats import quantise, quantise_input
from squeezelerator.sim.engines.functional import run_functional
from squeezelerator.sim.engines.model import run_model
from squeezelerator.sim.engines.rtl import RtlOptions, RtlProgram, run_rtl
from squeezelerator.sim.engines.run import load_memory
from squeezelerator.sim.results.inputs import output_values
from squeezelerator.spec.machine import MachineConfig

#: Those that take seconds.
QUICK = ("lenet", "mlperf_keywords")
#: SNR in dB that 16 bits keep at least. Random weights make MobileNetV2, whose narrow layers are linear, amplify whatever is rounded.
LEAST, LEAST_OF = 45, {"mobilenet_v2": 40}


def snr(wanted, found):
    """Signal-to-noise ratio in dB."""
    return 10 * np.log10(np.sum(wanted.astype(np.float64) ** 2) / np.sum((found.astype(np.float64) - wanted) ** 2))


def imported(name):
    """(float network, its input, what PyTorch makes of it)."""
    module, x = build(name)
    net = importers.from_torch(module, x, name)
    with torch.no_grad():
        expected = module(x)
    expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
    return net, net.ports.input.prepare(x.numpy()), [item.numpy() for item in expected]


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS])
def test_from_pytorch_to_the_machine(name):
    net, x, expected = imported(name)
    found = float_network.outputs(net, x)
    for wanted, value in zip(expected, found.values(), strict=True):
        assert snr(wanted, value) > 80
    quantised = quantise(net, [x])
    given = quantise_input(quantised, x)
    maps = golden.run(quantised, given)
    values = output_values(quantised.ports, maps, {layer: quantised.frac_of(layer) for layer in maps})
    for wanted, value in zip(expected, values.values(), strict=True):
        assert snr(wanted, value) > LEAST_OF.get(name, LEAST)
        assert wanted.argmax() == value.argmax()
    program = compile_network(quantised, MachineConfig(n=16, functions=NETWORKS[name][2]))
    results = program.results_from(run_functional(program, program.memory(input=given)))
    assert set(program.results) <= set(results)
    for layer, value in results.items():
        np.testing.assert_array_equal(value, maps[layer], err_msg=layer)


@pytest.mark.slow
@pytest.mark.parametrize("name", ["lenet", "mlperf_keywords", "mlperf_autoencoder", "mlperf_resnet8", "mobilenet_v3_small"])
def test_on_the_rtl(name):
    """Results of the golden model, cycles and counters of the cycle model, on 5 x 5 PEs with functions."""
    net, x, _ = imported(name)
    quantised = quantise(net, [x])
    given = quantise_input(quantised, x)
    program = compile_network(quantised, MACHINES[5])
    image = load_memory(program, given)
    rtl, model = run_rtl(program.cfg, RtlProgram.of(program, image), RtlOptions()), run_model(program, image)
    assert rtl.error is None
    assert (rtl.cycles, rtl.counters) == (model.cycles, model.counters)
    maps = golden.run(quantised, given)
    for tensor in program.outputs:
        np.testing.assert_array_equal(tensor.unpack(rtl.memory), maps[tensor.name], err_msg=tensor.name)
