"""Files of named tensors (``.npz``, ``.pth``, ``.pt``, ``.safetensors``) as numpy arrays."""

import json
import pickle
import zipfile
import zlib
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from squeezelerator.common.reading import NotNumbersError, read_npz_members
from squeezelerator.common.reading import first_line as _line
from squeezelerator.models.arithmetic.float_network import bad_value
from squeezelerator.models.importers.errors import WeightError

if TYPE_CHECKING:
    import torch

_WRAPPERS = ("state_dict", "model_state_dict", "model")
"""Keys under which checkpoints keep the state dict."""


def read_npz(path: str | Path) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file, by name.

    Raises
    ------
    WeightError
        If it cannot be read, is none or is damaged, or holds objects.
    """
    try:
        with open(path, "rb") as file:
            if not zipfile.is_zipfile(file):
                file.seek(0)
                one = file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX
                raise WeightError(f"{path}: is {'one array, not an' if one else 'no'} .npz file of named tensors")
            file.seek(0)
            return read_npz_members(file)
    except WeightError:
        raise
    except OSError as error:
        raise WeightError(f"{path}: cannot be read: {error.strerror or _line(error)}") from None
    except NotNumbersError as error:
        raise WeightError(f"{path}: tensor {error.name} is no array of numbers") from None
    except (EOFError, KeyError, NotImplementedError, ValueError, zipfile.BadZipFile, zlib.error) as error:
        raise WeightError(f"{path}: is a damaged .npz file: {_line(error)}") from None


def _from_safetensors(path: str | Path) -> dict[str, np.ndarray]:
    from safetensors import SafetensorError
    from safetensors.numpy import load_file

    try:
        return load_file(path)
    except SafetensorError as error:
        raise WeightError(f"{path}: is no .safetensors file: {_line(error)}") from None
    except TypeError as error:
        raise WeightError(f"{path}: holds a tensor of a type that numpy does not have: {_line(error)}") from None


def _unreadable(tensor: "torch.Tensor") -> str:
    """What keeps a tensor from being read as plain numbers; empty if nothing does."""
    if tensor.is_meta:
        return "on the meta device, without numbers"
    if tensor.is_quantized:
        return "quantised"
    # Sparse tensors have layouts of their own.
    return "" if str(tensor.layout) == "torch.strided" else "sparse"


def _from_torch(path: str | Path) -> dict[str, np.ndarray]:
    import torch

    try:
        # Only tensors and plain containers: a pickle of anything else could run code.
        content = torch.load(path, map_location="cpu", weights_only=True)
    except (pickle.UnpicklingError, RuntimeError, EOFError, KeyError, AttributeError, IndexError, TypeError, UnicodeDecodeError) as error:
        if "GLOBAL" in str(error):
            raise WeightError(f"{path}: holds Python objects, which are not read; save the module's state_dict()") from None
        raise WeightError(f"{path}: is no file that PyTorch wrote, or a damaged one") from None
    for key in _WRAPPERS:
        if isinstance(content, dict) and isinstance(content.get(key), dict):
            content = content[key]
    if not isinstance(content, dict) or not content:
        raise WeightError(f"{path}: is no PyTorch state dict, but {type(content).__name__}")
    tensors = {}
    for key, value in content.items():
        if not isinstance(value, torch.Tensor):
            raise WeightError(f"{path}: {key} is no tensor, but {type(value).__name__}")
        if kind := _unreadable(value):
            raise WeightError(f"{path}: tensor {key} is {kind}; dense tensors of plain numbers are read")
        # A parameter may want gradients, which numpy has no place for.
        tensors[key] = (value.detach().float() if value.is_floating_point() else value.detach()).numpy()
    return tensors


_READERS = {".npz": read_npz, ".safetensors": _from_safetensors, ".pth": _from_torch, ".pt": _from_torch}
SUFFIXES = tuple(_READERS)
"""Extensions of the files that :func:`read_tensors` knows."""


def read_tensors(path: str | Path) -> dict[str, np.ndarray]:
    """All tensors of a file, by name.

    Raises
    ------
    WeightError
        If the file cannot be read, is of another kind than its extension says, holds no tensors, or a tensor contains NaN or
        infinity.
    """
    path = Path(path)
    tensors = _read(path)
    if not tensors:
        raise WeightError(f"{path}: holds no tensors")
    for name, value in tensors.items():
        _check_numbers(f"{path}: tensor {name}", value)
    return tensors


def _read(path: Path) -> dict[str, np.ndarray]:
    try:
        return _READERS[path.suffix.lower()](path)
    except WeightError:
        raise
    except OSError as error:
        raise WeightError(f"{path}: cannot be read: {error.strerror or _line(error)}") from None
    except (EOFError, json.JSONDecodeError) as error:
        raise WeightError(f"{path}: cannot be read: {_line(error)}") from None
    except ValueError as error:
        raise WeightError(f"{path}: is no {path.suffix} file of weights: {_line(error)}") from None


def _check_numbers(what: str, value: np.ndarray) -> None:
    if value.dtype.kind not in "fiub":
        raise WeightError(f"{what} must hold numbers, not {value.dtype}")
    if value.dtype.kind == "f" and not np.isfinite(value).all():
        raise WeightError(f"{what} contains {bad_value(value)}")
    if value.dtype.kind == "f" and np.abs(value).max(initial=0) > np.finfo(np.float32).max:
        raise WeightError(f"{what} contains numbers that exceed float32")
