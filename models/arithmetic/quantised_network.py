"""Quantised networks and the arithmetic of the machine, exactly, in integers.

Activations and weights are 16-bit two's complement, biases 32-bit. ``sat16`` clamps to -32768 ... 32767, ``>>`` is the
arithmetic shift (towards minus infinity).

Conv, FC
    ``acc = sum(w * x)`` exactly; ``v = sat16((acc + bias + half) >> shift)`` with ``half = 1 << (shift - 1)``, or 0
    where ``shift`` is 0: round to nearest, halves up. Then the activation.
Add
    ``sat16(a + b)``, then the activation; both inputs carry the same number of fractional bits.
MaxPool
    The largest of the positions inside the input.
Mul
    ``sat16((a * b + half) >> shift)``; ``b`` may be a vector of 1x1 elements.
Sigmoid, Tanh, SiLU, HardSwish, ELU, Softplus, Mish, GELU, GELUTanh, Erf, Exp, Power
    A function table: see :mod:`spec.functions.function_table`.
AvgPool
    ``sat16((sum * mult + (1 << (shift - 1))) >> shift)``; positions outside the input count as zero.
Activations
    ``none``; ``relu`` is ``max(v, 0)``; ``relu6`` is ``min(max(v, 0), clip)``; ``leaky`` is ``v`` where ``v >= 0``,
    else ``(v * slope + (1 << 14)) >> 15`` (``slope`` has 15 fractional bits: 3277 is 0.1).

An ``.npz`` file holds, for every layer NAME of the table, ``NAME.shift``, ``NAME.clip``, ``NAME.slope``, ``NAME.mult``,
``NAME.segment`` and ``NAME.frac_out`` (scalars), for Conv and FC also ``NAME.weight`` (int16, O,I/groups,Kh,Kw) and
``NAME.bias`` (int32, O), for functions ``NAME.table`` (int32, 2 x 256: slopes and offsets), and for the network
``input_frac`` (fractional bits of the input), ``synthetic`` (whether the weights were drawn at random) and, where it is
known, ``preprocessing`` (how pictures are prepared, see :mod:`models.pictures.images`).
"""

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

import numpy as np
from numpy.typing import DTypeLike

from squeezelerator.common.errors import UserError
from squeezelerator.common.files import write_whole
from squeezelerator.common.reading import read_npz_members, reading
from squeezelerator.models.arithmetic.ports import Ports
from squeezelerator.spec.functions import function_table
from squeezelerator.spec.functions.activations import SLOPE
from squeezelerator.spec.network.layer import Layer
from squeezelerator.spec.network.layer_table import LayerTable
from squeezelerator.spec.network.layer_types import Numbers

INT16_MIN, INT16_MAX = -32768, 32767
ACC_BITS = 40
MAX_SHIFT = 40
MAX_POOL_SHIFT = 31
MAX_MULT = 65535
DEFAULT_FRAC = 8
MOST_FRAC = 256
"""Fractional bits beyond which, above or below zero, no float can hold a map's numbers."""


class QuantError(UserError, ValueError):
    """Quantised weights do not fit the layer table or the machine; the message is one line."""


class AccumulatorError(QuantError):
    """A sum that may not fit the accumulators."""


@dataclass(frozen=True)
class LayerQuant:
    """The numbers of one layer; see the module's docstring for their use.

    ``weight`` is int16 (O, I/groups, Kh, Kw) and ``bias`` int32 (O), both ``None`` where the layer has no weights.
    ``clip`` is the upper end of ``relu6``, ``slope`` the factor of ``leaky`` (15 fractional bits), ``mult`` the factor
    of an average pool, ``table`` (int32, 2 x 256) and ``segment`` are the table of a function. ``frac_out`` is the number
    of fractional bits of the output; the arithmetic does not use it.
    """

    weight: np.ndarray | None = None
    bias: np.ndarray | None = None
    shift: int = 0
    clip: int = INT16_MAX
    slope: int = SLOPE.quantise(SLOPE.default, 0)
    mult: int = 0
    frac_out: int = DEFAULT_FRAC
    table: np.ndarray | None = None
    segment: int = 0

    def arrays(self) -> tuple[np.ndarray, np.ndarray]:
        """(weight, bias) of a layer that has them.

        Raises
        ------
        QuantError
            If it has not.
        """
        if self.weight is None or self.bias is None:
            raise QuantError("a layer without weights was asked for them")
        return self.weight, self.bias


def accumulator_bound(layer: Layer, lq: LayerQuant) -> int:
    """Largest magnitude that any (partial) sum of ``layer`` can reach, rounding included; 0 for MaxPool and Add.

    For Conv and FC: the maximum over the outputs of ``sum|w| * 32768 + |bias| + half``; for AvgPool the same of its
    product.
    """
    half = 1 << (lq.shift - 1) if lq.shift > 0 else 0
    if layer.has_weights:
        # In blocks of filters: a copy of a large FC layer in 64 bits would take a gigabyte.
        weight, bias = lq.arrays()
        flat = weight.reshape(layer.c_o, -1)
        step = max(1, (1 << 22) // flat.shape[1])
        sums = np.concatenate(
            [
                np.abs(flat[at : at + step].astype(np.int32)).sum(axis=1, dtype=np.int64)
                for at in range(0, layer.c_o, step)
            ]
        )
        return int((sums * -INT16_MIN + np.abs(bias.astype(np.int64))).max()) + half
    if layer.rule.numbers is Numbers.MEAN_FACTOR:
        return layer.k_w * layer.k_h * -INT16_MIN * lq.mult + half
    return 0


def pool_factor(window: int, acc_bits: int = ACC_BITS) -> tuple[int, int]:
    """``(mult, shift)`` that approximate ``1 / window`` best within the operands' widths and ``acc_bits``."""
    for shift in range(MAX_POOL_SHIFT, 0, -1):
        mult = ((1 << shift) + window // 2) // window
        if 1 <= mult <= MAX_MULT and window * -INT16_MIN * mult + (1 << (shift - 1)) < 1 << (acc_bits - 1):
            return mult, shift
    raise QuantError(f"an average over {window} elements does not fit the {acc_bits}-bit accumulator")


@dataclass(frozen=True)
class QuantNetwork:
    """A layer table with the numbers of every layer.

    Parameters
    ----------
    table : LayerTable
    quant : dict of str to LayerQuant
        One entry for every layer, by name.
    input_frac : int
        Fractional bits of the network's input.
    synthetic : bool
        Whether the weights were drawn at random rather than trained.
    ports : Ports or None
        Inputs and outputs as a file names and shapes them; ``None``: as the table does.
    preprocessing : str
        How pictures become inputs (see :mod:`models.pictures.images`); empty where that is not known.
    """

    table: LayerTable
    quant: dict[str, LayerQuant]
    input_frac: int = DEFAULT_FRAC
    synthetic: bool = False
    ports: Ports | None = None
    preprocessing: str = ""

    def frac_of(self, name: str) -> int:
        """Fractional bits of the output of layer ``name``, or of the network's input."""
        return self.quant[name].frac_out if name in self.quant else self.input_frac

    def validate(self, acc_bits: int = ACC_BITS) -> Self:
        """Check every layer's numbers and return the network.

        Raises
        ------
        QuantError
            At the first array of the wrong shape or type, number out of range, weighted sum that may overflow
            ``acc_bits`` bits, average that may overflow ACC_BITS, or Add or pool whose inputs differ in their fractional bits.
        """
        _check_frac("input_frac", self.input_frac)
        for layer in self.table.layers:
            if layer.name not in self.quant:
                raise QuantError(f"layer {layer.name}: has no quantisation")
            lq = self.quant[layer.name]
            _check_numbers(layer, lq)
            if layer.has_weights:
                _check_array(layer, "weight", lq.weight, np.int16, layer.weight_shape)
                _check_array(layer, "bias", lq.bias, np.int32, (layer.c_o,))
            elif lq.weight is not None or lq.bias is not None:
                raise QuantError(f"layer {layer.name}: {layer.type} has no weights")
            bound = accumulator_bound(layer, lq)
            # Sums of weighted layers lie in a machine's accumulators; averages are made elsewhere, at a fixed width.
            bits = acc_bits if layer.has_weights else ACC_BITS
            if bound >= 1 << (bits - 1):
                raise AccumulatorError(
                    f"layer {layer.name}: a sum can reach {bound}, which does not fit the {bits}-bit accumulator"
                )
            _check_frac(f"layer {layer.name}: frac_out", lq.frac_out)
            fracs = [self.frac_of(source) for source in layer.inputs]
            # A convolution's weights can make up for a difference, channel by channel, and a product's shift.
            if len(set(fracs)) > 1 and layer.rule.numbers not in (Numbers.WEIGHTS, Numbers.PRODUCT):
                raise QuantError(f"layer {layer.name}: inputs {', '.join(layer.inputs)} have {fracs} fractional bits")
        return self

    def save_npz(self, path: str | Path, preprocessing: str = "") -> None:
        """Write the network's numbers (not its table) to ``path``, an ``.npz`` file, whole or not at all."""
        arrays = {"input_frac": np.int64(self.input_frac), "synthetic": np.bool_(self.synthetic)}
        if preprocessing:
            arrays["preprocessing"] = np.array(preprocessing)
        for name, lq in self.quant.items():
            for field in ("weight", "bias", "table"):
                if getattr(lq, field) is not None:
                    arrays[f"{name}.{field}"] = getattr(lq, field)
            for field in _SCALARS:
                arrays[f"{name}.{field}"] = np.int64(getattr(lq, field))
        write_whole(path, lambda file: np.savez(file, **arrays))


_SCALARS = ("shift", "clip", "slope", "mult", "frac_out", "segment")


def load_npz(table: LayerTable, path: str | Path) -> QuantNetwork:
    """Read what :meth:`QuantNetwork.save_npz` wrote, for ``table``; scalars that are missing take their defaults.

    Raises
    ------
    QuantError
        If the file is no such archive, lacks weights or fits the table badly.
    """
    arrays = _read(path, table)
    quant = {layer.name: LayerQuant(**_layer_numbers(path, arrays, layer)) for layer in table.layers}
    input_frac = _scalar(path, "input_frac", arrays.get("input_frac", np.array(DEFAULT_FRAC)))
    synthetic = bool(_scalar(path, "synthetic", arrays.get("synthetic", np.array(False))))
    return QuantNetwork(table, quant, input_frac, synthetic).validate()


def _read(path: str | Path, table: LayerTable) -> dict[str, np.ndarray]:
    """The arrays of an ``.npz`` file by name, if they take about as much as the table's weights can."""
    # Each number in 8 bytes, and as much again for headers and arrays that nobody asks for.
    budget = 16 * (table.params + sum(layer.c_o + 64 + 2 * function_table.SEGMENTS for layer in table.layers)) + (1 << 20)
    with reading(path, ".npz file of weights", QuantError), open(path, "rb") as file:
        if file.read(len(np.lib.format.MAGIC_PREFIX)) == np.lib.format.MAGIC_PREFIX:
            raise QuantError(f"{path}: is one array, not an .npz file")
        file.seek(0)
        return read_npz_members(file, budget)


def _layer_numbers(path: str | Path, arrays: Mapping[str, np.ndarray], layer: Layer) -> dict[str, Any]:
    """The fields of a layer's :class:`LayerQuant`."""
    fields: dict[str, Any] = dict(_layer_arrays(path, arrays, layer))
    for field in _SCALARS:
        key = f"{layer.name}.{field}"
        if key in arrays:
            fields[field] = _scalar(path, key, arrays[key])
    if layer.rule.numbers is Numbers.MEAN_FACTOR and not fields.get("mult"):
        fields["mult"], fields["shift"] = pool_factor(layer.k_w * layer.k_h)
    return fields


def _layer_arrays(path: str | Path, arrays: Mapping[str, np.ndarray], layer: Layer) -> dict[str, np.ndarray]:
    """The arrays of a layer's :class:`LayerQuant`."""
    needed = ("weight", np.int16) if layer.has_weights else ("table", np.int32) if layer.rule.numbers is Numbers.TABLE else None
    if needed is None:
        return {}
    field, dtype = needed
    if f"{layer.name}.{field}" not in arrays:
        raise QuantError(f"{path}: has no {layer.name}.{field}")
    found = {field: _integers(path, arrays, f"{layer.name}.{field}", dtype)}
    if layer.has_weights:
        bias = f"{layer.name}.bias"
        found["bias"] = _integers(path, arrays, bias, np.int32) if bias in arrays else np.zeros(layer.c_o, np.int32)
    return found


def _scalar(path: str | Path, key: str, value: np.ndarray) -> int:
    if value.size != 1 or value.dtype.kind not in "iub":
        raise QuantError(f"{path}: {key} must be one whole number, not {value.dtype} of shape {value.shape}")
    return int(value.reshape(()))


def _integers(path: str | Path, arrays: Mapping[str, np.ndarray], key: str, dtype: DTypeLike) -> np.ndarray:
    """``arrays[key]`` as ``dtype``, refusing what that would change."""
    value = arrays[key]
    if value.dtype == dtype:
        return value
    if value.dtype.kind not in "iuf":
        raise QuantError(f"{path}: {key} must hold numbers, not {value.dtype}")
    if value.dtype.kind == "f":
        if np.isnan(value).any():
            raise QuantError(f"{path}: {key} contains NaN")
        if not np.array_equal(value, np.floor(value)):
            raise QuantError(f"{path}: {key} holds fractions, but must be whole numbers of type {np.dtype(dtype).name}")
    limits = np.iinfo(dtype)
    if value.size and not limits.min <= value.min() <= value.max() <= limits.max:
        raise QuantError(f"{path}: {key} exceeds {np.dtype(dtype).name}")
    return value.astype(dtype)


def _check_numbers(layer: Layer, lq: LayerQuant) -> None:
    mean, table = (layer.rule.numbers is numbers for numbers in (Numbers.MEAN_FACTOR, Numbers.TABLE))
    low, high = (1, MAX_POOL_SHIFT) if mean else (0, function_table.MAX_SHIFT if table else MAX_SHIFT)
    for field, least, most in (
        ("shift", low, high),
        ("clip", 0, INT16_MAX),
        ("slope", 0, INT16_MAX),
        ("mult", 1 if mean else 0, MAX_MULT),
        ("segment", 0, function_table.MAX_SEGMENT_BITS),
    ):
        if not least <= getattr(lq, field) <= most:
            raise QuantError(f"layer {layer.name}: {field} must be {least} to {most}, not {getattr(lq, field)}")
    if table:
        _check_array(layer, "table", lq.table, np.int32, (2, function_table.SEGMENTS))
        if lq.table is not None and np.abs(lq.table[0] + 0.5).max() > -INT16_MIN:
            raise QuantError(f"layer {layer.name}: the slopes of its table must have 16 bits")


def _check_frac(what: str, frac: int) -> None:
    if not -MOST_FRAC <= frac <= MOST_FRAC:
        raise QuantError(f"{what} must be {-MOST_FRAC} to {MOST_FRAC}, not {frac}")


def _check_array(layer: Layer, field: str, value: np.ndarray | None, dtype: DTypeLike, shape: tuple[int, ...] | None) -> None:
    if value is None:
        raise QuantError(f"layer {layer.name}: has no {field}")
    if value.shape != shape:
        raise QuantError(f"layer {layer.name}: {field} must have shape {shape}, not {value.shape}")
    if value.dtype.kind == "f" and np.isnan(value).any():
        raise QuantError(f"layer {layer.name}: {field} contains NaN")
    if value.dtype != dtype:
        raise QuantError(f"layer {layer.name}: {field} must be {np.dtype(dtype).name}, not {value.dtype}")
