"""Quantised networks from whatever a user names: one entry point for the command lines.

A network is a name, a layer table (``.csv``) or an ONNX file, which brings its own weights; weights are a quantised ``.npz``, a file
of float weights, which is calibrated and quantised here, or absent (synthetic).
"""

from dataclasses import dataclass
from pathlib import Path

from squeezelerator.models import importers
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork, load_npz
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.tensors import read_npz
from squeezelerator.models.networks import zoo
from squeezelerator.models.networks.digits import NETWORK as DIGITS
from squeezelerator.models.networks.digits import PREPROCESSING, WEIGHTS
from squeezelerator.models.pictures import images
from squeezelerator.models.quantisation.formats import noise_inputs, quantise, quantise_input
from squeezelerator.models.quantisation.report import report_lines
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.network.layer_table import LayerTable

CALIBRATION_IMAGES = 16
"""Pictures of a folder that calibration uses, spread evenly."""
REPORT_IMAGES = 4


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
    """

    quantised: QuantNetwork
    net: FloatNetwork | None = None
    preprocessing: str = ""
    calibration: tuple = ()

    def image_input(self, path):
        """A picture as the network's input, int16 (C, H, W).

        Raises
        ------
        models.pictures.images.ImageError
            If it is no picture.
        """
        return quantise_input(self.quantised, images.load(path, self.quantised.table.input_shape, self.preprocessing))

    def report(self):
        """Lines that show formats, SNR against float and saturations of every layer; empty without float weights."""
        if self.net is None:
            return []
        inputs = self.calibration[:REPORT_IMAGES] or noise_inputs(self.net.table, 2, spread_of(self.net))
        return report_lines(self.net, self.quantised, inputs)


def spread_of(net):
    """Standard deviation of noise that stands in for a float network's pictures."""
    return 64.0 if net.preprocessing == "caffe" else 1.0


def load_table(network):
    """The :class:`~spec.network.layer_table.LayerTable` of a name or a ``.csv`` file."""
    return DIGITS.table if network == DIGITS.name else zoo.load(network)


def is_quantised(path):
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


def load_source(network, weights=None, *, calibrate=None, preprocessing=None, seed=0, sparsity=0.4):
    """The :class:`Source` that command-line options describe.

    Parameters
    ----------
    network : str
        A name, a ``.csv`` layer table or an ``.onnx`` file.
    weights : path, optional
        Without it an ONNX file's own, the shipped ones of ``digits``, or synthetic ones from ``seed`` and ``sparsity``.
    calibrate : path, optional
        A folder of pictures, or one with such a folder ``images`` in it.
    preprocessing : str, optional
        By default what the weights are known to need, else ``imagenet``.

    Raises
    ------
    ValueError
        In one line that names the file, tensor, node or layer.
    OSError
        If a layer table cannot be read.
    """
    if str(network).lower().endswith(".onnx"):
        if weights:
            raise WeightError(f"{network}: an ONNX file brings its own weights, --weights {weights} cannot be used with it")
        net = importers.load_onnx(network)
    else:
        table = load_table(str(network))
        if weights is None and table == DIGITS.table:
            net = FloatNetwork(table, importers.load_weights(WEIGHTS, table).params, PREPROCESSING)
        elif weights is None:
            return Source(synthetic(table, seed, sparsity), preprocessing=preprocessing or "")
        elif is_quantised(weights):
            return Source(load_npz(table, weights), preprocessing=preprocessing or _stored(weights) or _usual(table))
        else:
            net = importers.load_weights(weights, table)
    return quantised_source(net, calibrate=calibrate, preprocessing=preprocessing)


def _stored(path):
    """The preprocessing that a quantised ``.npz`` names; empty where it names none."""
    return str(read_npz(path).get("preprocessing", ""))


def _usual(table: LayerTable):
    return PREPROCESSING if table == DIGITS.table else ""


def quantised_source(net, *, calibrate=None, preprocessing=None):
    """The :class:`Source` of a float network, calibrated on the pictures of ``calibrate`` or, without it, on noise."""
    chosen = preprocessing or net.preprocessing or _usual(net.table)
    net = FloatNetwork(net.table, net.params, chosen)
    if calibrate is None:
        return Source(quantise(net), net, chosen)
    folder = Path(calibrate)
    if (folder / "images").is_dir():
        folder = folder / "images"
    inputs = images.load_folder(folder, net.table.input_shape, chosen, limit=CALIBRATION_IMAGES)
    return Source(quantise(net, inputs), net, chosen, tuple(inputs))
