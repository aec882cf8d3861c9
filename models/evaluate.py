"""Accuracy of a network on labelled pictures, in float and in 16 bits.

``python -m models.evaluate squeezenet1_1 --weights FILE --data DIR`` classifies the pictures that ``DIR/images/labels.csv`` (or
``DIR/labels.csv``) names and prints how many have the right class first, and among the first five.
"""

import os
import sys
import time
from argparse import Namespace
from collections.abc import Callable, Sequence
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TypeVar

import numpy as np

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.progress import progress
from squeezelerator.models import importers
from squeezelerator.models.arithmetic import float_network, golden
from squeezelerator.models.arithmetic.float_network import FloatNetwork
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.models.networks import zoo
from squeezelerator.models.pictures import classes, images
from squeezelerator.models.pictures.images import Preprocessing
from squeezelerator.models.quantisation.formats import quantise, quantise_input
from squeezelerator.models.quantisation.report import report_lines
from squeezelerator.spec.network.layer import Shape

CALIBRATION_IMAGES = 16
_Net = TypeVar("_Net", FloatNetwork, QuantNetwork)


@dataclass(frozen=True)
class Accuracy:
    """How many of ``count`` pictures have their class first (``top1``) and among the first five (``top5``)."""

    top1: int
    top5: int
    count: int

    def __str__(self) -> str:
        return f"top-1 {self.top1} / top-5 {self.top5} of {self.count}"


def accuracy(ranked: Sequence[np.ndarray], labels: Sequence[int]) -> Accuracy:
    """The :class:`Accuracy` of ``ranked`` (best classes of every picture, best first) against ``labels``."""
    first = sum(int(row[0]) == label for row, label in zip(ranked, labels, strict=True))
    five = sum(label in [int(item) for item in row[:5]] for row, label in zip(ranked, labels, strict=True))
    return Accuracy(first, five, len(labels))


def rank_float(net: FloatNetwork, x: np.ndarray) -> np.ndarray:
    """The five best classes of a float network for the input ``x``."""
    return classes.top(float_network.scores(net, x))


def rank_quantised(net: QuantNetwork, x: np.ndarray) -> np.ndarray:
    """The five best classes of a quantised network for the float input ``x``, by the golden model."""
    return classes.top(golden.run(net, quantise_input(net, x))[net.table.layers[-1].name])


def rank_all(rank: Callable[[_Net, np.ndarray], np.ndarray], net: _Net,
             inputs: Sequence[np.ndarray], jobs: int | None = None, label: str = "classifying") -> list[np.ndarray]:
    """``rank(net, x)`` of all inputs, on ``jobs`` processes (as many as there are cores by default); ``label`` names the progress."""
    jobs = jobs or min(os.cpu_count() or 1, len(inputs))
    if jobs < 2 or len(inputs) < 4:
        return [rank(net, x) for x in progress(inputs, label, unit="picture")]
    with ProcessPoolExecutor(jobs, initializer=_one_thread) as pool:
        ranked = pool.map(partial(rank, net), inputs, chunksize=-(-len(inputs) // (4 * jobs)))
        return list(progress(ranked, label, unit="picture", total=len(inputs)))


def _one_thread() -> None:
    """Keep the matrix library of a worker process to one thread: the processes share the cores already."""
    try:
        from threadpoolctl import threadpool_limits
    except ImportError:
        return
    threadpool_limits(1)


def labelled_inputs(folder: str | Path, shape: Shape, preprocessing: str | Preprocessing) -> tuple[list[np.ndarray], list[int]]:
    """``(inputs, labels)`` of the pictures that ``labels.csv`` in ``folder`` (or its ``images``) names."""
    folder = Path(folder)
    if not (folder / "labels.csv").exists() and (folder / "images" / "labels.csv").exists():
        folder = folder / "images"
    rows = images.read_labels(folder / "labels.csv")
    inputs = [images.load(folder / name, shape, preprocessing) for name, _ in progress(rows, "reading", unit="picture")]
    return inputs, [label for _, label in rows]


@command("models.evaluate")
def main(arguments: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("models.evaluate"), description=(__doc__ or "").splitlines()[0])
    parser.add_argument("network", help="name of a network, a layer table (.csv) or an ONNX file")
    parser.add_argument("--weights", help="weight file (.npz, .pth, .safetensors, .net); an ONNX file brings its own")
    parser.add_argument("--data", default=os.environ.get("DATA"), help="folder with labels.csv (default: the variable DATA)")
    parser.add_argument("--preprocessing", choices=tuple(images.PREPROCESSINGS), help="default: what the weights say")
    parser.add_argument("--jobs", type=int, help="processes (default: one a core)")
    parser.add_argument("--report", action="store_true", help="print formats, SNR and saturations of every layer")
    options = parser.parse_args(arguments)
    if not options.data:
        parser.error("--data DIR is needed (or the environment variable DATA)")
    if options.jobs is not None and options.jobs < 1:
        raise OptionError(f"--jobs must be at least 1, not {options.jobs}")
    if options.network.lower().endswith(".onnx"):
        if options.weights:
            raise OptionError(f"{options.network}: an ONNX file brings its own weights, --weights cannot be used with it")
        net = importers.load_onnx(options.network)
    elif options.weights:
        net = importers.load_weights(options.weights, zoo.load(options.network))
    else:
        raise OptionError(f"{options.network}: --weights FILE is needed")
    _evaluate(net, options)
    return 0


def _evaluate(net: FloatNetwork, options: Namespace) -> None:
    preprocessing = options.preprocessing or net.preprocessing
    inputs, labels = labelled_inputs(options.data, net.table.input_shape, preprocessing)
    start = time.perf_counter()
    ranked = rank_all(rank_float, net, inputs, options.jobs, "float")
    print(f"float  {accuracy(ranked, labels)}  {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    spread = np.linspace(0, len(inputs) - 1, min(CALIBRATION_IMAGES, len(inputs))).astype(int)
    chosen = [inputs[index] for index in spread]
    quantised = quantise(net, chosen)
    print(f"calibrated on {len(chosen)} pictures in {time.perf_counter() - start:.1f} s")
    start = time.perf_counter()
    ranked = rank_all(rank_quantised, quantised, inputs, options.jobs, "16-bit")
    print(f"16-bit {accuracy(ranked, labels)}  {time.perf_counter() - start:.1f} s")
    if options.report:
        print("\n".join(report_lines(net, quantised, chosen[:4])))


if __name__ == "__main__":
    sys.exit(main())
