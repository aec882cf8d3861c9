"""The kinds of files that a user can give: a good one of each, and what reads it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image

from squeezelerator.compiler.api import compile_network
from squeezelerator.models import importers
from squeezelerator.models.arithmetic.quantised_network import load_npz
from squeezelerator.models.networks import zoo
from squeezelerator.models.pictures import images
from squeezelerator.models.pictures.arrays import read_arrays
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.models.tables.csv_file import read_csv, write_csv
from squeezelerator.spec.energy import read_costs, write_costs
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.program import load_program

__all__ = ["KINDS", "seeds"]

_NETWORK = "tiny_chain"


def _csv_file(path: Path) -> None:
    write_csv(zoo.get(_NETWORK), path)


def _costs_file(path: Path) -> None:
    with open(path, "w", encoding="utf-8") as file:
        write_costs(file)


def _npz_file(path: Path) -> None:
    synthetic(zoo.get(_NETWORK)).save_npz(path)


def _weights() -> dict[str, np.ndarray]:
    rng = np.random.default_rng(1)
    table = zoo.get(_NETWORK)
    found = {}
    for layer in table.layers:
        if layer.has_weights:
            found[f"{layer.name}.weight"] = rng.standard_normal(layer.weight_shape).astype(np.float32)
            found[f"{layer.name}.bias"] = rng.standard_normal(layer.c_o).astype(np.float32)
    return found


def _float_npz_file(path: Path) -> None:
    with open(path, "wb") as file:
        np.savez_compressed(file, **_weights())  # pyright: ignore[reportArgumentType] - its stubs know no names


def _safetensors_file(path: Path) -> None:
    from safetensors.numpy import save_file

    save_file(_weights(), path)


def _torch_file(path: Path) -> None:
    import torch

    torch.save({name: torch.from_numpy(value) for name, value in _weights().items()}, path)


def _npy_file(path: Path) -> None:
    with open(path, "wb") as file:
        np.save(file, np.random.default_rng(2).standard_normal((3, 20, 20)).astype(np.float32))


def _picture(path: Path) -> None:
    Image.fromarray(np.random.default_rng(3).integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(path)


def _onnx_file(path: Path) -> None:
    import onnx
    from onnx import TensorProto, helper, numpy_helper

    rng = np.random.default_rng(4)
    tensors = {"w": rng.standard_normal((4, 3, 3, 3)), "b": rng.standard_normal(4), "m": rng.standard_normal((5, 256))}
    nodes = [helper.make_node("Conv", ["x", "w", "b"], ["c"], pads=[1, 1, 1, 1], name="conv"), helper.make_node("Relu", ["c"], ["r"]),
             helper.make_node("MaxPool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]), helper.make_node("Flatten", ["p"], ["f"]),
             helper.make_node("Gemm", ["f", "m"], ["y"], transB=1)]
    graph = helper.make_graph(
        nodes, "net", [helper.make_tensor_value_info("x", TensorProto.FLOAT, (1, 3, 16, 16))],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, (1, 5))],
        [numpy_helper.from_array(value.astype(np.float32), name) for name, value in tensors.items()])
    onnx.save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


def _program_file(path: Path) -> None:
    path.write_bytes(compile_network(synthetic(zoo.get(_NETWORK)), MachineConfig(n=4)).to_bytes())


#: Kind -> (file name, what writes a good one, what reads it).
KINDS: dict[str, tuple[str, Callable[[Path], None], Callable[[Path], Any]]] = {
    "table": ("net.csv", _csv_file, read_csv),
    "costs": ("costs.csv", _costs_file, read_costs),
    "quantised": ("net.npz", _npz_file, lambda path: load_npz(zoo.get(_NETWORK), path)),
    "float": ("float.npz", _float_npz_file, lambda path: importers.load_weights(path, zoo.get(_NETWORK))),
    "safetensors": ("net.safetensors", _safetensors_file, lambda path: importers.load_weights(path, zoo.get(_NETWORK))),
    "torch": ("net.pth", _torch_file, lambda path: importers.load_weights(path, zoo.get(_NETWORK))),
    "array": ("x.npy", _npy_file, read_arrays),
    "png": ("x.png", _picture, lambda path: images.load(path, (3, 32, 32))),
    "jpeg": ("x.jpg", _picture, lambda path: images.load(path, (3, 32, 32))),
    "onnx": ("net.onnx", _onnx_file, importers.load_onnx),
    "program": ("prog.bin", _program_file, lambda path: load_program(path.read_bytes())),
}


def seeds(folder: Path) -> dict[str, bytes]:
    """A good file of every kind."""
    found = {}
    for kind, (name, write, _) in KINDS.items():
        write(folder / name)
        found[kind] = (folder / name).read_bytes()
    return found
