"""The nine networks that the ``onnx`` package ships for tests of back ends, with random weights in place of their constant ones."""

from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

__all__ = ["FUNCTIONS", "LIGHT", "light_model"]

_FOLDER = Path(onnx.__file__).parent / "backend" / "test" / "data" / "light"
LIGHT = ("squeezenet", "shufflenet", "densenet121", "inception_v2", "resnet50", "vgg19", "bvlc_alexnet", "inception_v1", "zfnet512")
#: Those with local response normalisation, which needs a machine with functions.
FUNCTIONS = ("bvlc_alexnet", "inception_v1", "zfnet512")


def light_model(name: str) -> onnx.ModelProto:
    """The model with normal weights that keep the signal alive, and positive numbers wherever there is one a channel."""
    model, rng = onnx.load(_FOLDER / f"light_{name}.onnx"), np.random.default_rng(0)
    shapes = {item.name: numpy_helper.to_array(item) for item in model.graph.initializer}
    kept = []
    for node in model.graph.node:
        if node.op_type != "ConstantOfShape":
            kept.append(node)
            continue
        shape = tuple(shapes[node.input[0]].tolist())
        if len(shape) > 1:
            array = rng.standard_normal(shape, dtype=np.float32) * np.float32(np.sqrt(2 / np.prod(shape[1:])))
        else:
            array = rng.uniform(0.5, 1.5, shape).astype(np.float32)
        model.graph.initializer.append(numpy_helper.from_array(array, node.output[0]))
    del model.graph.node[:]
    model.graph.node.extend(kept)
    return model
