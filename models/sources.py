"""Quantised networks from whatever a user names: one entry point for the command lines.

A network is a name, a layer table (``.csv``) or an ONNX file, which brings its own weights; weights are a quantised ``.npz``, a file
of float weights, which is calibrated and quantised here, or absent (synthetic).
"""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from squeezelerator.models import importers
from squeezelerator.models.arithmetic.float_network import FloatNetwork, bad_value
from squeezelerator.models.arithmetic.golden import InputError
from squeezelerator.models.arithmetic.ports import InputPort, PortError, Ports, default_ports
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork, load_npz
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.weights.tensors import read_npz
from squeezelerator.models.networks import zoo
from squeezelerator.models.networks.digits import NETWORK as DIGITS
from squeezelerator.models.networks.digits import PREPROCESSING, WEIGHTS
from squeezelerator.models.pictures import images
from squeezelerator.models.pictures.arrays import read_arrays
from squeezelerator.models.quantisation.formats import HEADROOM_BITS, noise_inputs, quantise
from squeezelerator.models.quantisation.report import LayerReport, layer_reports, report_lines, warning_lines
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.network.layer_table import LayerTable

if TYPE_CHECKING:
    from squeezelerator.models.importers.onnx.host_parts import HostParts

CALIBRATION_IMAGES = 16
"""Pictures of a folder that calibration uses, spread evenly."""
CALIBRATION_ARRAYS = 64
"""The same of inputs in a file."""
REPORT_IMAGES = 4


Shapes = dict[str, tuple[int, ...]]


@dataclass(frozen=True)
class GraphOptions:
    """How an ONNX file is read: the ``shapes`` of inputs that it leaves open, by name, and whether the host computes what the machine
    cannot (``host_fallback``) or the file is refused."""

    shapes: Shapes | None = None
    host_fallback: bool = False


AS_THE_FILE_SAYS = GraphOptions()


@dataclass(frozen=True)
class Source:
    """A quantised network and where it came from.

    Parameters
    ----------
    quantised : QuantNetwork
    net : FloatNetwork or None
        What was quantised; ``None`` for synthetic weights and for weights that were quantised already.
    preprocessing : str
        How pictures become inputs; see :mod:`models.pictures.images`.
    calibration : tuple of arrays
        The float inputs that calibration used; empty where noise stood in for pictures.
    host : HostParts or None
        What the host computes before and after ``quantised``; ``None``: nothing.
    """

    quantised: QuantNetwork
    net: FloatNetwork | None = None
    preprocessing: str = ""
    calibration: tuple = ()
    host: "HostParts | None" = None

    @property
    def output_names(self) -> list[str]:
        """Names of the whole network's outputs."""
        return list(self.host.outputs) if self.host else [port.name for port in self.ports.outputs]

    @property
    def ports(self) -> Ports:
        """Inputs and outputs under the names that a file or, without one, the layer table gives them."""
        table = self.quantised.table
        return self.quantised.ports or default_ports(table.input_shape, table.outputs)

    def warnings(self) -> list[str]:
        """Lines that say what an importer did not take literally, and which layers lose much in 16 bits."""
        if self.net is None:
            return []
        inputs = self.calibration[:1] or noise_inputs(self.net.table, 1, spread_of(self.net))
        return [*self.net.notes, *warning_lines(self.net, self.quantised, inputs)]

    def layer_reports(self) -> list[LayerReport]:
        """Formats, SNR against float and saturations of every layer; empty without float weights."""
        if self.net is None:
            return []
        return layer_reports(self.net, self.quantised, self._report_inputs(self.net))

    def report(self) -> list[str]:
        """The same as lines of text."""
        return report_lines(self.net, self.quantised, self._report_inputs(self.net)) if self.net is not None else []

    def _report_inputs(self, net: FloatNetwork) -> Sequence[np.ndarray]:
        return self.calibration[:REPORT_IMAGES] or noise_inputs(net.table, 2, spread_of(net))


def spread_of(net: FloatNetwork) -> float:
    """Standard deviation of noise that stands in for a float network's pictures."""
    return 64.0 if net.preprocessing == "caffe" else 1.0


def load_table(network: str, shapes: Shapes | None = None) -> LayerTable:
    """The :class:`~spec.network.layer_table.LayerTable` of a name, a ``.csv`` layer table or an ``.onnx`` file."""
    if is_onnx(network):
        return importers.load_onnx(network, shapes).table
    return DIGITS.table if network == DIGITS.name else zoo.load(network)


def is_onnx(network: str | Path) -> bool:
    """Whether a network is named by an ONNX file."""
    return str(network).lower().endswith(".onnx")


def is_quantised(path: str | Path) -> bool:
    """Whether a weight file holds quantised weights: an ``.npz`` with shifts, or with whole numbers only.

    Raises
    ------
    WeightError
        If it is an ``.npz`` that cannot be read.
    """
    if Path(path).suffix.lower() != ".npz":
        return False
    arrays = read_npz(path)
    if any(key.endswith(".shift") or key == "input_frac" for key in arrays):
        return True
    weights = [array for key, array in arrays.items() if key.endswith(".weight")]
    return bool(weights) and all(weight.dtype.kind in "iu" for weight in weights)


def load_source(network: str | Path, weights: str | Path | None = None, *, calibrate: str | Path | None = None,
                preprocessing: str | None = None, graph: GraphOptions = AS_THE_FILE_SAYS, seed: int = 0,
                sparsity: float = 0.4) -> Source:  # fmt: skip
    """The :class:`Source` that command-line options describe.

    Parameters
    ----------
    network : str
        A name, a ``.csv`` layer table or an ``.onnx`` file.
    weights : path, optional
        Without it an ONNX file's own, the shipped ones of ``digits``, or synthetic ones from ``seed`` and ``sparsity``.
    calibrate : path, optional
        A folder of pictures, or one with such a folder ``images`` in it; or a ``.npy`` or ``.npz`` file with inputs.
    preprocessing : str, optional
        By default what the weights are known to need, else ``imagenet``.
    graph : GraphOptions
        How an ONNX file is read.

    Raises
    ------
    ValueError
        In one line that names the file, tensor, node or layer.
    OSError
        If a layer table cannot be read.
    """
    if is_onnx(network):
        if weights:
            raise WeightError(f"{network}: an ONNX file brings its own weights, --weights {weights} cannot be used with it")
        net, host = _read_graph(network, graph)
    else:
        host = None
        _no_graph_options(network, graph)
        table = load_table(str(network))
        if weights is None and table == DIGITS.table:
            net = FloatNetwork(table, importers.load_weights(WEIGHTS, table).params, PREPROCESSING)
        elif weights is None:
            return Source(synthetic(table, seed, sparsity), preprocessing=preprocessing or "")
        elif is_quantised(weights):
            usual = _stored(weights) or usual_preprocessing(table)
            return Source(load_npz(table, weights), preprocessing=preprocessing or usual)
        else:
            net = importers.load_weights(weights, table)
    return quantised_source(net, calibrate=calibrate, preprocessing=preprocessing, host=host)


def _read_graph(path: str | Path, graph: GraphOptions) -> "tuple[FloatNetwork, HostParts | None]":
    """The network of an ONNX file, and what the host computes of it where that is allowed."""
    if graph.host_fallback:
        return importers.load_onnx_with_host(path, graph.shapes)
    return importers.load_onnx(path, graph.shapes), None


def _no_graph_options(network: str | Path, graph: GraphOptions) -> None:
    """Refuse options that say how an ONNX file is read."""
    if graph.host_fallback:
        raise WeightError(f"{network}: a layer table has nothing for the host to compute, --host-fallback is for ONNX files")
    if graph.shapes:
        raise WeightError(f"{network}: a layer table has the shape it has, a shape is for ONNX files")


def _stored(path: str | Path) -> str:
    """The preprocessing that a quantised ``.npz`` names; empty where it names none."""
    return str(read_npz(path).get("preprocessing", ""))


def usual_preprocessing(table: LayerTable) -> str:
    """How pictures become inputs of a network of the project's own, where that is known."""
    return PREPROCESSING if table == DIGITS.table else ""


def quantised_source(net: FloatNetwork, *, calibrate: str | Path | None = None, preprocessing: str | None = None,
                     host: "HostParts | None" = None) -> Source:  # fmt: skip
    """The :class:`Source` of a float network, calibrated on the inputs of ``calibrate`` or, without it, on noise.

    Both are inputs of the whole network: what ``host`` computes before the machine comes first.
    """
    chosen = preprocessing or net.preprocessing or usual_preprocessing(net.table)
    net = replace(net, preprocessing=chosen)
    if calibrate is None:
        if host is None:
            return Source(quantise(net), net, chosen)
        noise = [run.machine_input for run in host.noise_runs(2, spread_of(net))]
        return Source(quantise(net, noise, headroom=2 * HEADROOM_BITS), net, chosen, host=host)
    inputs = calibration_inputs(net, calibrate, host)
    return Source(quantise(net, inputs), net, chosen, tuple(inputs), host)


def calibration_inputs(net: FloatNetwork, path: str | Path, host: "HostParts | None" = None) -> list[np.ndarray]:
    """Float inputs (C, H, W) of a folder of pictures, or of an array or archive of inputs in the network's own units.

    With ``host`` they are inputs of the whole network, and what it makes of them for the machine is returned.

    Raises
    ------
    ImageError, InputError
        If there are none, or they do not fit the network.
    """
    path, ports = Path(path), host.ports if host else net.ports or default_ports(net.table.input_shape, ())
    found = _given_inputs(path, ports, net.preprocessing)
    return [host.start(ports.unpack(x)).machine_input for x in found] if host else found


def _given_inputs(path: Path, ports: Ports, preprocessing: str) -> list[np.ndarray]:
    """Input maps of a network with ``ports`` from a folder or file."""
    if path.suffix.lower() not in (".npy", ".npz"):
        folder = path / "images" if (path / "images").is_dir() else path
        return images.load_folder(folder, ports.input_shape, preprocessing, limit=CALIBRATION_IMAGES)
    arrays = read_arrays(path)
    found = _joined(path, ports, arrays) if len(ports.inputs) > 1 else [
        _prepared(path, ports.input, x) for array in arrays.values() for x in _inputs_of(path, ports.input, array)]  # fmt: skip
    if not found:
        raise InputError(f"{path}: holds no inputs")
    if len(found) <= CALIBRATION_ARRAYS:
        return found
    return [found[place * len(found) // CALIBRATION_ARRAYS] for place in range(CALIBRATION_ARRAYS)]


def _joined(path: Path, ports: Ports, arrays: dict[str, np.ndarray]) -> list[np.ndarray]:
    """Input maps of a network with several inputs from arrays under their names, each one or as many in a row as the others."""
    missing = [port.name for port in ports.inputs if port.name not in arrays]
    if missing:
        raise InputError(f"{path}: holds no array called {missing[0]}; the network's inputs are {ports.input_names}")
    rows = {port.name: [_prepared(path, port, x) for x in _inputs_of(path, port, arrays[port.name])] for port in ports.inputs}
    if len({len(row) for row in rows.values()}) > 1:
        counts = ", ".join(f"{len(row)} of {name}" for name, row in rows.items())
        raise InputError(f"{path}: as many of each input are needed, not {counts}")
    return [ports.pack(dict(zip(rows, items, strict=True))) for items in zip(*rows.values(), strict=True)]


def _inputs_of(path: Path, port: InputPort, array: np.ndarray) -> Sequence[np.ndarray]:
    """The inputs of an array that is one, or several in a row."""
    if array.ndim == len(port.dims) - 1 or array.shape == port.dims:
        return [array]
    if array.ndim != len(port.dims):
        raise InputError(f"{path}: inputs must have the shape {port.dims} or more of them in a row, not {array.shape}")
    return list(array)


def _prepared(path: Path, port: InputPort, array: np.ndarray) -> np.ndarray:
    """One input as the network reads it."""
    try:
        found = port.prepare(np.asarray(array, np.float32))
    except PortError as error:
        raise InputError(f"{path}: {error}") from None
    if not np.isfinite(found).all():
        raise InputError(f"{path}: contains {bad_value(found)}")
    return found
