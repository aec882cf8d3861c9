"""Command-line options that name a network and a machine, shared by every command that compiles."""

import argparse

from squeezelerator.common.command_line import OneLineParser, OptionError
from squeezelerator.compiler.compile_options import CompileOptions, DataflowChoice, Effort, Objective
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.models.pictures.images import PREPROCESSINGS
from squeezelerator.models.sources import Source, load_source
from squeezelerator.spec.energy import EnergyError, read_costs
from squeezelerator.spec.machine import ConfigError, MachineConfig
from squeezelerator.spec.machine_options import add_machine_options, machine_from

__all__ = ["OneLineParser", "OptionError", "add_network_options", "compile_options_of", "machine_of", "network_of", "source_of"]


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add NETWORK and the options that describe it and the machine."""
    parser.add_argument("network", nargs="?", metavar="NETWORK", help="a network's name, a layer table (.csv) or an ONNX file")
    add_machine_options(parser)
    parser.add_argument("--dataflow", choices=list(DataflowChoice), default="auto", help="for all convolutions; auto: the faster one")
    parser.add_argument("--no-fusion", action="store_true", help="layer by layer, for comparison")
    parser.add_argument("--objective", choices=list(Objective), default="cycles", help="what the schedule is chosen for (cycles)")
    parser.add_argument("--effort", choices=list(Effort), default="normal", help="of the search for a schedule (normal)")
    parser.add_argument("--energy", metavar="FILE", help="unit costs of events (CSV: event, cost, source)")
    parser.add_argument("--weights", metavar="FILE", help="quantised .npz, or float .npz, .pth, .safetensors, .net; default: synthetic")
    parser.add_argument("--calibrate", metavar="DIR", help="pictures that choose the formats of float weights; default: noise")
    parser.add_argument("--preprocessing", choices=tuple(PREPROCESSINGS), help="of pictures; default: what the weights need")
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic weights (0)")
    parser.add_argument("--sparsity", type=float, default=0.4, metavar="SHARE", help="zeros among the synthetic weights (0.4)")


def machine_of(args: argparse.Namespace) -> MachineConfig:
    """The :class:`~spec.machine.MachineConfig` that the options describe.

    Raises
    ------
    OptionError
        If there can be no such machine.
    """
    try:
        return machine_from(args)
    except ConfigError as error:
        raise OptionError(str(error)) from None


def compile_options_of(args: argparse.Namespace) -> CompileOptions:
    """The :class:`~compiler.compile_options.CompileOptions` that the options describe.

    Raises
    ------
    OptionError
        If the file of energy costs cannot be used.
    """
    try:
        costs = read_costs(args.energy)
    except EnergyError as error:
        raise OptionError(str(error)) from None
    return CompileOptions(dataflow=args.dataflow, fusion=not args.no_fusion, objective=args.objective, effort=args.effort,
                          energy_costs=costs)


def source_of(args: argparse.Namespace) -> Source:
    """The :class:`~models.sources.Source` (quantised network and where it came from) that the options describe.

    Raises
    ------
    OptionError
        If the network is unknown, its table or its weights are unusable, or the numbers are out of range.
    """
    if args.network is None:
        raise OptionError("which network? --list names them")
    try:
        return load_source(args.network, args.weights, calibrate=args.calibrate, preprocessing=args.preprocessing,
                           seed=args.seed, sparsity=args.sparsity)
    except OSError as error:
        raise OptionError(f"cannot read {error.filename or args.network}: {error.strerror}") from None
    except ValueError as error:
        raise OptionError(str(error)) from None


def network_of(args: argparse.Namespace) -> QuantNetwork:
    """The :class:`~models.arithmetic.quantised_network.QuantNetwork` that the options describe; raises as :func:`source_of`."""
    return source_of(args).quantised
