"""The node tests that the ``onnx`` package ships: which the importer understands, and what the golden model makes of them.

``python tests/support/node_cases.py`` writes docs/node-tests.md.
"""

import sys
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import numpy_helper

from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.onnx.graph import CODES_AS_NUMBERS, SUPPORTED
from squeezelerator.models.quantisation.formats import quantise, quantise_input
from squeezelerator.sim.results.inputs import output_values

PAGE = Path(__file__).parents[2] / "docs" / "node-tests.md"
_DATA = Path(onnx.__file__).parent / "backend" / "test" / "data"
#: Whose inputs are all maps; of other operators only the first is, and the others are constants.
_MAPS = ("Add", "Concat", "Div", "Max", "Mean", "Min", "Mul", "Pow", "Sub", "Sum")
#: Of the largest number of an output. Function tables follow a curve closely where inputs are frequent, and less so at the ends.
_FLOAT, _SIXTEEN = 2e-4, 5e-3


@dataclass(frozen=True)
class NodeCase:
    """A model whose constants are constants, its other inputs and its outputs by name."""

    name: str
    model: onnx.ModelProto
    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]

    @property
    def operators(self) -> str:
        """The operators of the graph."""
        return " ".join(sorted({node.op_type for node in self.model.graph.node}))

    def outcome(self, folder: Path) -> str:
        """Why the importer refuses it, without the file's name; empty if the float and the 16-bit network compute what they must.

        Raises
        ------
        AssertionError
            If one of them computes anything else.
        """
        path = folder / "node.onnx"
        path.write_bytes(self.model.SerializeToString())
        try:
            net = importers.load_onnx(path)
        except WeightError as error:
            text = str(error)
            assert text.startswith(f"{path}: ") and "\n" not in text, text
            return text.removeprefix(f"{path}: ").split("; supported are ")[0]
        if any(CODES_AS_NUMBERS in note for note in net.notes):
            return net.notes[-1]
        x = net.ports.pack({port.name: _first(self.inputs[port.name], port.dims) for port in net.ports.inputs}).astype(np.float32)
        self._check(float_network.outputs(net, x), _FLOAT)
        quantised = quantise(net, [x])
        maps = golden.run(quantised, quantise_input(quantised, x))
        self._check(output_values(quantised.ports, maps, {layer: quantised.frac_of(layer) for layer in maps}), _SIXTEEN)
        return ""

    def _check(self, found: dict[str, np.ndarray], tolerance: float) -> None:
        assert list(found) == list(self.outputs), f"{self.name}: outputs {list(found)}"
        for name, array in found.items():
            wanted = _first(self.outputs[name], array.shape).astype(np.float32)
            largest = float(np.abs(wanted).max(initial=1e-30))
            np.testing.assert_allclose(array / largest, wanted / largest, atol=tolerance, rtol=0, err_msg=f"{self.name}: {name}")


def _first(array: np.ndarray, shape: tuple[int, ...]) -> np.ndarray:
    """The first of a batch, where ``shape`` has a batch of 1."""
    return array[:1] if array.ndim == len(shape) and array.ndim and array.shape[0] > shape[0] else array


def node_cases() -> Iterator[NodeCase]:
    """Every node test, and every layer exported by PyTorch, whose operators the importer knows and whose tensors are numbers."""
    from onnx.backend.test.case.node import collect_testcases

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for item in collect_testcases():
            if "_expanded" not in item.name:
                yield from _case(item.name.removeprefix("test_"), item.model, *item.data_sets[0])
    for folder in sorted((_DATA / "pytorch-converted").iterdir()):
        model = onnx.load(folder / "model.onnx")
        arrays = [[_tensor(path) for path in sorted((folder / "test_data_set_0").glob(f"{kind}_*.pb"))] for kind in ("input", "output")]
        yield from _case(folder.name.removeprefix("test_"), model, arrays[0], arrays[1])


def _tensor(path: Path) -> np.ndarray:
    tensor = onnx.TensorProto()
    tensor.ParseFromString(path.read_bytes())
    return numpy_helper.to_array(tensor)


def _case(name: str, model: onnx.ModelProto, inputs: list, outputs: list) -> Iterator[NodeCase]:
    operators = [node.op_type for node in model.graph.node]
    numbers = all(isinstance(item, np.ndarray | np.generic) and np.asarray(item).dtype.kind in "fiub" for item in (*inputs, *outputs))
    if not numbers or not set(operators) <= set(SUPPORTED):
        return
    copy = onnx.ModelProto()
    copy.CopyFrom(model)
    graph, stored = copy.graph, {tensor.name for tensor in copy.graph.initializer}
    free = [item for item in graph.input if item.name not in stored]
    given = {item.name: np.asarray(array) for item, array in zip(free, inputs, strict=True)}
    maps = free if len(operators) > 1 or operators[0] in _MAPS else free[:1]
    names = {item.name for item in maps}
    graph.initializer.extend(numpy_helper.from_array(array, item) for item, array in given.items() if item not in names)
    expected = {item.name: np.asarray(array) for item, array in zip(graph.output, outputs, strict=True)}
    found = {item: array for item, array in given.items() if item in names}
    if _elementwise(copy, found, expected):
        # A vector without a batch: it gets one.
        found, expected = ({item: array[None] for item, array in part.items()} for part in (found, expected))
        for item in (*maps, *graph.output):
            item.type.tensor_type.shape.dim.insert(0, onnx.TensorShapeProto.Dimension(dim_value=1))
    yield NodeCase(name, copy, found, expected)


def _elementwise(model: onnx.ModelProto, inputs: dict[str, np.ndarray], outputs: dict[str, np.ndarray]) -> bool:
    """Whether a graph makes vectors of vectors of the same size, without naming an axis."""
    shapes = {array.shape for array in (*inputs.values(), *outputs.values())}
    named = any(item.name == "axis" for node in model.graph.node for item in node.attribute)
    return len(shapes) == 1 and len(next(iter(shapes))) == 1 and not named


HEAD = """# The node tests of the onnx package

What becomes of every node test of `onnx.backend.test` (those whose operators are all in [operators.md](operators.md), without the
expansions of functions) and of the layers that PyTorch exported for it. *Computed*: the imported network computes the expected outputs in
float, and the golden model computes them in 16 bits. *Refused*: the import ends with the line that stands here (for codes as outputs it
only says so). A batch in the file is taken as 1, so of larger ones the first is compared; vectors without a batch get one.

This page is written by `PYTHONPATH=tests python tests/support/node_cases.py` and compared by a test.
"""


def page(outcomes: dict[str, list[tuple[str, str]]]) -> str:
    """The text of docs/node-tests.md; ``outcomes`` are (test, reason of refusal or nothing) by operator."""
    known = [reason for rows in outcomes.values() for _, reason in rows]
    lines = [HEAD, f"{known.count('')} of {len(known)} are computed.", "", "## Computed", "", "| operators | tests |", "|---|---|"]
    computed = {operators: [name for name, reason in rows if not reason] for operators, rows in sorted(outcomes.items())}
    lines += [f"| {operators} | {', '.join(names)} |" for operators, names in computed.items() if names]
    lines += ["", "## Refused", "", "| test | operators | line |", "|---|---|---|"]
    lines += [f"| {name} | {operators} | {reason} |" for operators, rows in sorted(outcomes.items()) for name, reason in rows if reason]
    return "\n".join(lines) + "\n"


def all_outcomes(folder: Path) -> dict[str, list[tuple[str, str]]]:
    """What :func:`page` takes."""
    outcomes: dict[str, list[tuple[str, str]]] = {}
    for case in node_cases():
        outcomes.setdefault(case.operators, []).append((case.name, case.outcome(folder)))
    return outcomes


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        PAGE.write_text(page(all_outcomes(Path(place))))
    sys.exit(0)
