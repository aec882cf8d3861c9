"""Reads a network's input from a file, and writes its outputs."""

import io
import zipfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from squeezelerator.models.arithmetic.golden import InputError
from squeezelerator.models.arithmetic.ports import PortError, Ports
from squeezelerator.models.pictures import images
from squeezelerator.models.pictures.arrays import SUFFIXES, read_arrays
from squeezelerator.models.quantisation.formats import to_format

__all__ = ["Expected", "check_output", "output_bytes", "output_values", "read_array", "read_input"]

def read_array(path: str | Path, name: str) -> np.ndarray:
    """The array of a ``.npy`` file, or of an ``.npz`` file the only one or the one called ``name``.

    Raises
    ------
    ArrayError, InputError
        One line: the file cannot be read, or holds other arrays.
    """
    arrays = read_arrays(path)
    if name in arrays or len(arrays) == 1:
        return arrays.get(name, next(iter(arrays.values())))
    raise InputError(f"{path}: holds {', '.join(arrays) or 'nothing'}, and no array called {name}")


@dataclass(frozen=True)
class Expected:
    """What a network takes: its ports, the shape (C, H, W) and fractional bits of its input, and how pictures become one."""

    ports: Ports
    shape: tuple[int, int, int]
    frac: int
    preprocessing: str


def read_input(path: str | Path, expected: Expected, *, raw: bool = False) -> np.ndarray:
    """The network's input from ``path``, int16 (C, H, W).

    A ``.npy`` or ``.npz`` file holds real numbers in the network's own units and layout, with or without a batch of 1; with ``raw`` int16
    in the machine's format. Anything else is read as a picture and prepared as ``expected.preprocessing`` says (see
    :mod:`models.pictures.images`).

    Raises
    ------
    InputError, ImageError, ArrayError
        One line: the file cannot be read, is no picture, or has another shape or type.
    """
    if Path(path).suffix.lower() not in SUFFIXES:
        if raw:
            raise InputError(f"{path}: --raw takes int16 numbers (.npy, .npz), not a picture")
        return to_format(images.load(path, expected.shape, expected.preprocessing), expected.frac)
    x = read_array(path, expected.ports.input.name)
    if raw != (x.dtype == np.int16):
        wanted = "int16" if raw else "real numbers"
        hint = "; int16 in the machine's own format needs --raw" if x.dtype == np.int16 else ""
        raise InputError(f"{path}: the input must be {wanted}, not {x.dtype}{hint}")
    try:
        x = expected.ports.input.prepare(x)
    except PortError as error:
        raise InputError(f"{path}: {error}") from None
    if raw:
        return x
    if not np.isfinite(x).all():
        raise InputError(f"{path}: the input contains {'NaN' if np.isnan(x).any() else 'infinity'}")
    return to_format(x, expected.frac)


def output_values(ports: Ports, maps: Mapping[str, np.ndarray], fracs: Mapping[str, int], *, raw: bool = False) -> dict[str, np.ndarray]:
    """{output: array} from the layers' int16 maps: float32 as the network's author shaped them, with what the host computes; with ``raw``
    the int16 numbers of the layers, (C, H, W)."""
    if raw:
        return {port.name: np.concatenate([maps[layer] for layer in port.layers]) for port in ports.outputs}
    real = {layer: (maps[layer] * 2.0 ** -fracs[layer]).astype(np.float32) for port in ports.outputs for layer in port.layers}
    return {port.name: port.value(real) for port in ports.outputs}


def check_output(path: str | Path, ports: Ports) -> None:
    """Raise :class:`InputError` if outputs cannot be written to a file of that name."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: outputs are written as .npy or .npz, not as {suffix or 'a file without extension'}")
    if suffix == ".npy" and len(ports.outputs) > 1:
        names = ", ".join(port.name for port in ports.outputs)
        raise InputError(f"{path}: the network has {len(ports.outputs)} outputs ({names}), which need an .npz file")


def output_bytes(path: str | Path, values: dict[str, np.ndarray]) -> bytes:
    """The file's contents: the only array (``.npy``), or all under their names (``.npz``)."""
    data = io.BytesIO()
    if Path(path).suffix.lower() == ".npz":
        # Not numpy.savez, to which names are keywords: an output may be called "file".
        with zipfile.ZipFile(data, "w") as archive:
            for name, value in values.items():
                with archive.open(f"{name}.npy", "w") as member:
                    np.lib.format.write_array(member, value, allow_pickle=False)
    else:
        np.save(data, next(iter(values.values())))
    return data.getvalue()
