"""The operator of the foreign graph that is being lowered: where its layers go, how they are named, how complaints name it."""

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any, NoReturn

import numpy as np

from squeezelerator.models.arithmetic.float_network import bad_value
from squeezelerator.models.importers.errors import WeightError
from squeezelerator.models.importers.lowering.lowering import Lowering
from squeezelerator.models.importers.lowering.value import Value
from squeezelerator.spec.network.layer import Shape


@dataclass(frozen=True, eq=False)
class OperatorContext:
    """What every lowering function is given first.

    Parameters
    ----------
    low : Lowering
        Takes the layers.
    name : str
        Of the layer that computes the operator; made unique where it is used.
    origin : str
        How complaints call the operator, such as ``node 'conv1' (Conv)``.
    """

    low: Lowering
    name: str
    origin: str

    def called(self, name: str) -> "OperatorContext":
        """The same operator, with another name for its layers."""
        return replace(self, name=name)

    def part(self, suffix: str) -> "OperatorContext":
        """The same operator, for a layer that does a part of it."""
        return self.called(f"{self.name}_{suffix}")

    def fail(self, text: str) -> NoReturn:
        """Raise the error of the operator."""
        raise WeightError(f"{self.low.title}: {self.origin}: {text}")

    def finite(self, what: str, value: Any) -> np.ndarray:
        """``value`` as a float32 array without NaN and infinity; ``what`` it is begins the complaint."""
        value = np.asarray(value)
        if value.dtype.kind not in "fiub" and value.dtype.name != "bfloat16":
            self.fail(f"{what} must hold real numbers, not {value.dtype}")
        with np.errstate(over="ignore"):
            value = value.astype(np.float32)
        if not np.isfinite(value).all():
            self.fail(f"{what} contains {bad_value(value)}")
        return value

    def open(self, value: Value) -> Value:
        """``value``, unless the host has changed it: nothing can follow that."""
        if value.host:
            done = next((step[0] for step in value.host if step[0] not in ("reshape", "transpose")), value.host[0][0])
            self.fail(f"follows a {done.removeprefix('flat_')}, which is supported at the end only")
        return value

    def add_step(self, kind: str, value: Value, out_shape: Sequence[int], **fields: Any) -> str:
        """Append a step that reads all sources of ``value``; returns its name."""
        return self.low.add_step(self.name, kind, value, out_shape, self.origin, **fields)

    def add_map(self, kind: str, value: Value, out_shape: Shape, **fields: Any) -> Value:
        """Append a step that reads all sources of ``value``; returns its output as (1, C, H, W)."""
        return Value((self.add_step(kind, value, out_shape, **fields),), out_shape, (1, *out_shape))


def with_rank(value: Value, rank: int) -> Value:
    """A whole map as an array of ``rank`` axes: a vector (1, C), a signal (1, C, W), or (1, C, H, W) for every other rank."""
    channels, _, width = value.shape
    return replace(value, dims={2: (1, channels), 3: (1, channels, width)}.get(rank, (1, *value.shape)))
