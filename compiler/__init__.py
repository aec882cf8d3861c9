"""Compiler: from a quantised network to a program for one Squeezelerator.

A compilation is a list of stages (:mod:`compiler.pipeline.stages`; ``python -m compiler --stages``). Its heart is a search for a schedule:
which operations run together as a group, in steps of how many lines, and what stays on chip (:mod:`compiler.search`). The subpackages, each
using only those before it: ``ir`` (graphs, schedules, buffers), ``mapping`` (weight streams, array tiles), ``lowering``, ``cost``,
``fusion`` (groups), ``memory`` (allocation), ``codegen``, ``search``, ``pipeline``. ``docs/compiler.md`` describes the control flow, the
cost models and the tuning constants; ``docs/glossary.md`` explains the words.
"""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from collections.abc import Sequence

    import torch

    from squeezelerator.spec.machine import MachineConfig
    from squeezelerator.spec.network.layer_table import LayerTable
    from squeezelerator.spec.program import Program

__all__ = ["from_torch"]


def from_torch(module: torch.nn.Module, example_input: torch.Tensor | Sequence[torch.Tensor], *, cfg: MachineConfig | None = None,
               calibrate: str | Path | None = None, preprocessing: str | None = None,
               **options: Any) -> Program:  # fmt: skip
    """Compile a ``torch.nn.Module`` through ``torch.export``: ``from_torch(module, example, pe=8).save("net.bin")``.

    Parameters
    ----------
    module : torch.nn.Module
    example_input : torch.Tensor, or a sequence of them
        Of shape (1, C, H, W), (1, C, L) or (1, C); of a module with several inputs one for each.
    cfg : spec.machine.MachineConfig
        The machine; by default one of the ``options``.
    calibrate : path
        A folder of pictures that choose the number formats; by default noise does.
    preprocessing : str
        Of those pictures, see :mod:`models.pictures.images`.
    options
        ``pe`` (PEs a side, by default 16) and other parameters of the machine by their names in ``MachineConfig``, where there is no
        ``cfg``; it has functions if the network needs them and nothing else is said. All others: of
        :func:`compiler.api.compile_network`.

    Returns
    -------
    spec.program.Program

    Raises
    ------
    ValueError
        In one line: an operator that is not supported, with its node, a machine that cannot be built, or a network that it cannot run.
    """
    from squeezelerator.compiler.api import compile_network
    from squeezelerator.models.importers import from_torch as read
    from squeezelerator.models.sources import quantised_source

    source = quantised_source(read(module, example_input), calibrate=calibrate, preprocessing=preprocessing)
    return compile_network(source.quantised, cfg or _machine(source.quantised.table, options), **options)


def _machine(table: LayerTable, options: dict[str, Any]) -> MachineConfig:
    """The machine that ``options`` describe for a network; its parameters are taken out of them."""
    from squeezelerator.spec.machine import MachineConfig

    names = {field.name for field in dataclasses.fields(MachineConfig)} - {"n"}
    chosen = {name: options.pop(name) for name in names & options.keys()}
    functions = any(layer.rule.needs_functions for layer in table.layers)
    return MachineConfig(**{"n": options.pop("pe", 16), "functions": functions} | chosen)
