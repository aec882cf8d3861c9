"""Networks of other frameworks for tests: an ONNX graph in a line, and comparison of every output with onnxruntime or PyTorch."""

import numpy as np
import onnxruntime
import torch
from onnx import TensorProto, helper, numpy_helper

from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network


def graph(nodes, constants, *, shape=(1, 3, 9, 8), outputs=("y",), opset=17, kind=TensorProto.FLOAT, constant_kind=None):
    """A model of one input ``x``; ``nodes`` are (operator, inputs, outputs[, attributes])."""
    made = helper.make_graph(
        [helper.make_node(*args[:3], **(args[3] if len(args) > 3 else {})) for args in nodes], "test",
        [helper.make_tensor_value_info("x", kind, shape)],
        [helper.make_empty_tensor_value_info(name) for name in outputs],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in constants.items()],
    )  # fmt: skip
    return helper.make_model(made, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def import_graph(model, folder, **options):
    """The float network of a model, by way of a file."""
    path = folder / "net.onnx"
    path.write_bytes(model.SerializeToString())
    return importers.load_onnx(path, **options)


def run_graph(model, x):
    """{output: array} of onnxruntime."""
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3
    session = onnxruntime.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    names = [item.name for item in session.get_outputs()]
    return dict(zip(names, session.run(names, {session.get_inputs()[0].name: x}), strict=True))


def close(mine, reference, tolerance=1e-4):
    """Assert that two arrays have equal shapes and nearly equal numbers, measured by the largest."""
    assert mine.shape == reference.shape
    scale = max(float(np.abs(reference).max()), 1e-30)
    np.testing.assert_allclose(mine / scale, reference / scale, atol=tolerance, rtol=0)


def same_as_onnxruntime(model, folder, *, x=None, tolerance=1e-4, **options):
    """Import, compare all outputs on a random input, return the network."""
    net = import_graph(model, folder, **options)
    if x is None:
        x = np.random.default_rng(3).standard_normal(net.ports.input.dims).astype(np.float32)
    expected = run_graph(model, x)
    found = float_network.outputs(net, net.ports.input.prepare(x))
    assert list(found) == list(expected)
    for name, reference in expected.items():
        close(found[name], reference, tolerance)
    return net


def same_as_torch(module, shape, tolerance=1e-4):
    """Import, compare all outputs on a random input, return the network."""
    x = torch.randn(shape, generator=torch.Generator().manual_seed(2))
    net = importers.from_torch(module, x)
    with torch.no_grad():
        expected = module.eval()(x)
    expected = [expected] if isinstance(expected, torch.Tensor) else list(expected)
    found = float_network.outputs(net, net.ports.input.prepare(x.numpy()))
    assert len(found) == len(expected)
    for mine, reference in zip(found.values(), expected, strict=True):
        close(mine, reference.numpy(), tolerance)
    return net
