"""Every kind of operator against onnxruntime in float, and the golden model against float."""

import numpy as np
import pytest
from support.foreign import close, import_graph, run_graph, same_as_onnxruntime
from support.foreign_cases import CASES, TOLERANCE

from squeezelerator.models.arithmetic import golden
from squeezelerator.models.quantisation.formats import quantise, quantise_input
from squeezelerator.sim.results.inputs import output_values


@pytest.mark.parametrize("name", CASES)
def test_float_and_16_bits(name, tmp_path):
    case = CASES[name]
    x = np.random.default_rng(3).standard_normal([size if isinstance(size, int) else 1 for size in case.shape])
    x = np.abs(64 * x).astype(np.uint8) if name == "codes" else x.astype(np.float16 if name == "half_precision" else np.float32)
    net = same_as_onnxruntime(case.model, tmp_path, x=x, tolerance=TOLERANCE.get(name, 1e-4))
    given = net.ports.input.prepare(x.astype(np.float32))
    quantised = quantise(net, [given])
    maps = golden.run(quantised, quantise_input(quantised, given))
    found = output_values(quantised.ports, maps, {layer: quantised.frac_of(layer) for layer in maps})
    for port, reference in run_graph(case.model, x).items():
        if name == "argmax":
            assert (found[port] == reference).mean() > 0.95
        else:
            close(found[port], reference, max(2e-3, TOLERANCE.get(name, 0)))


def test_gelu_written_with_the_error_function_is_one_layer(tmp_path):
    types = [layer.type for layer in import_graph(CASES["gelu_by_erf"].model, tmp_path).table.layers]
    assert types.count("GELU") == 1 and "Erf" not in types and "Mul" not in types
