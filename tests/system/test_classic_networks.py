"""Classic networks with random weights, from PyTorch or ONNX to the machine: float as its framework computes it, 16 bits at 45 dB and
with the same best class, program as golden model, RTL as both."""

import dataclasses

import numpy as np
import pytest
import torch
from support.classic_networks import NETWORKS, build
from support.foreign import import_graph, run_graph
from support.light_networks import FUNCTIONS, LIGHT, light_model
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

#: Those of ``NETWORKS`` that take seconds.
QUICK = ("lenet", "mlperf_keywords")
#: Those that run on the RTL, each with the PEs a side that suit its size, and those of them that take seconds.
ON_RTL = {"lenet": 5, "mlperf_keywords": 5, "mlperf_autoencoder": 5, "mlperf_resnet8": 5, "mlperf_mobilenet": 5, "mobilenet_v3_small": 5,
          "resnet18_narrow": 5, "yolo_tiny_narrow": 5, "resnet18": 16, "yolo_tiny": 16}  # fmt: skip
QUICK_ON_RTL = ("resnet18_narrow", "yolo_tiny_narrow")
#: SNR in dB that 16 bits keep at least.
LEAST = 45


def snr(wanted, found):
    """Signal-to-noise ratio in dB."""
    noise = np.sum((found.astype(np.float64) - wanted) ** 2)
    return 10 * np.log10(np.sum(wanted.astype(np.float64) ** 2) / noise) if noise else np.inf


@dataclasses.dataclass(frozen=True)
class Imported:
    """A float network, its input map, what its framework computes, and whether it needs a machine with functions."""

    net: float_network.FloatNetwork
    x: np.ndarray
    expected: list[np.ndarray]
    functions: bool


def from_pytorch(name):
    """A network of ``NETWORKS``."""
    module, x = build(name)
    net = importers.from_torch(module, x, name)
    with torch.no_grad():
        expected = module(x)
    expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
    return Imported(net, net.ports.input.prepare(x.numpy()), [item.numpy() for item in expected], NETWORKS[name][2])


def from_onnx(name, folder):
    """A network of ``LIGHT``."""
    model = light_model(name)
    net = import_graph(model, folder)
    x = np.random.default_rng(3).standard_normal(net.ports.input.dims).astype(np.float32)
    return Imported(net, net.ports.input.prepare(x), list(run_graph(model, x).values()), name in FUNCTIONS)


def check(found):
    """Float, 16 bits and the program for 16 x 16 PEs against each other."""
    for wanted, value in zip(found.expected, float_network.outputs(found.net, found.x).values(), strict=True):
        assert snr(wanted, value) > 80
    quantised = quantise(found.net, [found.x])
    given = quantise_input(quantised, found.x)
    maps = golden.run(quantised, given)
    values = output_values(quantised.ports, maps, {layer: quantised.frac_of(layer) for layer in maps})
    for wanted, value in zip(found.expected, values.values(), strict=True):
        assert snr(wanted, value) > LEAST
        assert wanted.argmax() == value.argmax()
    program = compile_network(quantised, MachineConfig(n=16, functions=found.functions))
    results = program.results_from(run_functional(program, program.memory(input=given)))
    assert set(program.results) <= set(results)
    for layer, value in results.items():
        np.testing.assert_array_equal(value, maps[layer], err_msg=layer)


@pytest.mark.parametrize("name", [name if name in QUICK else pytest.param(name, marks=pytest.mark.slow) for name in NETWORKS])
def test_from_pytorch_to_the_machine(name):
    check(from_pytorch(name))


@pytest.mark.slow
@pytest.mark.parametrize("name", LIGHT)
def test_from_onnx_to_the_machine(name, tmp_path):
    check(from_onnx(name, tmp_path))


@pytest.mark.parametrize("name", [name if name in QUICK_ON_RTL else pytest.param(name, marks=pytest.mark.slow) for name in ON_RTL])
def test_on_the_rtl(name):
    """Results of the golden model, cycles and counters of the cycle model."""
    found = from_pytorch(name)
    quantised = quantise(found.net, [found.x])
    given = quantise_input(quantised, found.x)
    program = compile_network(quantised, MACHINES[5] if ON_RTL[name] == 5 else MachineConfig(n=ON_RTL[name]))
    image = load_memory(program, given)
    rtl, model = run_rtl(program.cfg, RtlProgram.of(program, image), RtlOptions()), run_model(program, image)
    assert rtl.error is None
    assert (rtl.cycles, rtl.counters) == (model.cycles, model.counters)
    maps = golden.run(quantised, given)
    for tensor in program.outputs:
        np.testing.assert_array_equal(tensor.unpack(rtl.memory), maps[tensor.name], err_msg=tensor.name)
