"""Reads a network's input from a file, and writes its outputs."""

import io
import zipfile
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from squeezelerator.models.arithmetic.golden import InputError
from squeezelerator.models.arithmetic.ports import InputPort, PortError, Ports
from squeezelerator.models.pictures import images
from squeezelerator.models.pictures.arrays import SUFFIXES, read_arrays
from squeezelerator.models.quantisation.formats import to_format

__all__ = ["Expected", "check_output", "output_bytes", "output_values", "read_array", "read_input", "read_inputs"]

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
    """What a network takes: its ports, the fractional bits of its input map, and how pictures become an input."""

    ports: Ports
    frac: int
    preprocessing: str


def read_input(given: Sequence[str | Path], expected: Expected, *, raw: bool = False) -> np.ndarray:
    """The network's input map, int16 (C, H, W), from the files that ``--input`` gives.

    Each is ``FILE`` or ``NAME=FILE``, the latter for the input of that name; one ``.npz`` may hold all of them. A ``.npy`` or ``.npz`` file
    holds real numbers in the network's own units and layout, with or without a batch of 1; with ``raw`` int16 in the machine's format.
    Anything else is read as a picture and prepared as ``expected.preprocessing`` says (see :mod:`models.pictures.images`).

    Raises
    ------
    InputError, ImageError, ArrayError
        One line: a file cannot be read, is no picture, or has another shape or type; an input is missing or given twice.
    """
    x = expected.ports.pack(read_inputs(given, expected, raw=raw))
    return x if raw else to_format(expected.ports.in_formats(x), expected.frac)


def read_inputs(given: Sequence[str | Path], expected: Expected, *, raw: bool = False) -> dict[str, np.ndarray]:
    """The inputs (C, H, W) by name, as float32 or with ``raw`` int16; files and errors as of :func:`read_input`."""
    ports = {port.name: port for port in expected.ports.inputs}
    return {name: _read_one(path, ports[name], expected, raw=raw) for name, path in _files_of(given, expected.ports).items()}


def _files_of(given: Sequence[str | Path], ports: Ports) -> dict[str, str | Path]:
    """{input: file} of what the option names."""
    names, found = [port.name for port in ports.inputs], {}
    for item in given:
        for name, path in _named(item, names, alone=len(given) == 1):
            if name in found:
                raise InputError(f"{item}: input {name} is given twice")
            found[name] = path
    missing = [name for name in names if name not in found]
    if missing:
        raise InputError(f"input {missing[0]} is missing: --input {missing[0]}=FILE; the network's inputs are {ports.input_names}")
    return found


def _named(item: str | Path, names: list[str], *, alone: bool) -> list[tuple[str, str | Path]]:
    """``(input, file)`` pairs of one ``FILE`` or ``NAME=FILE``, which is given ``alone`` or beside others."""
    name, equals, path = str(item).partition("=")
    if equals and name in names:
        return [(name, path)]
    if len(names) > 1 and not (alone and Path(item).suffix.lower() == ".npz"):
        have = f"the network has {len(names)} inputs ({', '.join(names)})"
        raise InputError(f"{item}: {have}: --input NAME=FILE for each, or one .npz")
    return [(name, item) for name in names]


def _read_one(path: str | Path, port: InputPort, expected: Expected, *, raw: bool) -> np.ndarray:
    """One input (C, H, W): float, or int16 with ``raw``."""
    if Path(path).suffix.lower() not in SUFFIXES:
        if raw:
            raise InputError(f"{path}: --raw takes int16 numbers (.npy, .npz), not a picture")
        return images.load(path, port.shape, expected.preprocessing)
    x = read_array(path, port.name)
    if raw != (x.dtype == np.int16):
        wanted = "int16" if raw else "real numbers"
        hint = "; int16 in the machine's own format needs --raw" if x.dtype == np.int16 else ""
        raise InputError(f"{path}: the input must be {wanted}, not {x.dtype}{hint}")
    try:
        x = port.prepare(x)
    except PortError as error:
        raise InputError(f"{path}: {error}") from None
    if not raw and not np.isfinite(x).all():
        raise InputError(f"{path}: the input contains {'NaN' if np.isnan(x).any() else 'infinity'}")
    return x


def output_values(ports: Ports, maps: Mapping[str, np.ndarray], fracs: Mapping[str, int], *, raw: bool = False) -> dict[str, np.ndarray]:
    """{output: array} from the layers' int16 maps: float32 as the network's author shaped them, with what the host computes; with ``raw``
    the int16 numbers of the layers, (C, H, W)."""
    if raw:
        return {port.name: np.concatenate([maps[layer] for layer in port.layers]) for port in ports.outputs}
    real = {layer: (maps[layer] * 2.0 ** -fracs[layer]).astype(np.float32) for port in ports.outputs for layer in port.layers}
    return {port.name: port.value(real) for port in ports.outputs}


def check_output(path: str | Path, outputs: Sequence[str]) -> None:
    """Raise :class:`InputError` if ``outputs`` cannot be written to a file of that name."""
    suffix = Path(path).suffix.lower()
    if suffix not in SUFFIXES:
        raise InputError(f"{path}: outputs are written as .npy or .npz, not as {suffix or 'a file without extension'}")
    if suffix == ".npy" and len(outputs) > 1:
        raise InputError(f"{path}: the network has {len(outputs)} outputs ({', '.join(outputs)}), which need an .npz file")


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
