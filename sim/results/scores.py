"""What ``python -m sim`` says of a network's outputs: the best classes by name, and files of all outputs."""

import sys
from argparse import Namespace
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from squeezelerator.common.output import write_file
from squeezelerator.models.arithmetic.ports import Ports
from squeezelerator.models.pictures.classes import load_classes, top_lines
from squeezelerator.sim.engines.run import EngineError
from squeezelerator.sim.results.inputs import output_bytes, output_values

if TYPE_CHECKING:
    from squeezelerator.models.importers.onnx.host_parts import HostRun

__all__ = ["Outputs", "show_outputs"]


@dataclass(frozen=True)
class Outputs:
    """Outputs of a run: ports, the layers' int16 maps and fractional bits, what of the run was made up (``input``, ``weights``), and the
    run on the host that they belong to (``None``: there is none)."""

    ports: Ports
    maps: Mapping[str, np.ndarray]
    fracs: Mapping[str, int]
    synthetic: Sequence[str] = ()
    host: "HostRun | None" = None

    def values(self, *, raw: bool = False) -> dict[str, np.ndarray]:
        """The outputs by name; with ``raw`` as the machine leaves them."""
        found = output_values(self.ports, self.maps, self.fracs, raw=raw)
        return found if self.host is None or raw else self.host.finish(found)


def _class_names(args: Namespace, count: int) -> list[str] | None:
    """Names of ``count`` classes from the file that the options name, or from the data folder; ``None`` if there are none."""
    path = Path(args.data) / "imagenet_classes.csv" if args.data else None
    if args.classes:
        path = Path(args.classes)
    names = load_classes(path) if path is not None and (args.classes or path.exists()) else None
    if names is not None and len(names) == count:
        return names
    where = "--classes FILE names them, or --data DIR, or the variable DATA, a folder with imagenet_classes.csv"
    print(f"no names of the classes: {f'{path} has {len(names)} of {count}' if names else where}", file=sys.stderr, flush=True)
    return None


def show_outputs(args: Namespace, found: Outputs) -> None:
    """Write the outputs to ``--output``, and print the best classes of those that are vectors, unless something was made up.

    Raises
    ------
    EngineError
        If an output stayed on the chip.
    ClassError, OptionError
        If a file cannot be read or written.
    """
    for port in found.ports.outputs:
        for layer in port.layers:
            if layer not in found.maps:
                raise EngineError(f"output {port.name}: the map of layer {layer} did not leave the chip")
    if args.output:
        write_file(args.output, output_bytes(args.output, found.values(raw=args.raw)))
    if found.synthetic:
        are = "are" if len(found.synthetic) > 1 else "is" if found.synthetic[0] == "input" else "are"
        print(f"{' and '.join(found.synthetic)} {are} synthetic: the outputs mean nothing, and no scores are shown")
        return
    steps = {port.name: port.computed for port in found.ports.outputs}
    for name, value in found.values().items():
        if value.size > 1 and value.size == max(value.shape):
            _show_scores(args, name, value, steps.get(name, ()))


def _show_scores(args: Namespace, name: str, scores: np.ndarray, computed: Sequence[str]) -> None:
    after = f" (after {' and '.join(step.removeprefix('flat_') for step in computed)} on the host)" if computed else ""
    print(f"{name}: highest scores{after}")
    print("\n".join(f"  {line}" for line in top_lines(scores.reshape(-1), _class_names(args, scores.size))))
