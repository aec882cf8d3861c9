"""Command-line options that name a network and a machine, shared by every command that compiles."""

import argparse
import sys

from squeezelerator.common.command_line import OneLineParser, OptionError
from squeezelerator.compiler.compile_options import CompileOptions, DataflowChoice, Effort, Objective
from squeezelerator.compiler.tuning import CONFIGS
from squeezelerator.models.arithmetic.quantised_network import QuantNetwork
from squeezelerator.models.importers.errors import NodesRefused, OutputRefused
from squeezelerator.models.pictures.images import PREPROCESSINGS, ImageError, changed
from squeezelerator.models.sources import GraphOptions, Source, load_source
from squeezelerator.spec.energy import EnergyError, read_costs
from squeezelerator.spec.machine import ConfigError, MachineConfig
from squeezelerator.spec.machine_options import add_machine_options, machine_from
from squeezelerator.spec.platform.boards import BOARDS, board_record
from squeezelerator.spec.platform.memory import MEMORIES, REFERENCE, DramProfile, memory_of

__all__ = [
    "OneLineParser", "OptionError", "add_network_options", "add_picture_options", "compile_options_of", "machine_of", "memory_option",
    "network_of",
    "preprocessing_of", "shapes_of", "source_of",
]


def add_network_options(parser: argparse.ArgumentParser) -> None:
    """Add NETWORK and the options that describe it and the machine."""
    parser.add_argument("network", nargs="?", metavar="NETWORK", help="a network's name, a layer table (.csv) or an ONNX file")
    add_machine_options(parser)
    parser.add_argument("--board", choices=tuple(BOARDS), metavar="NAME", help=f"board that the program is for, whose memory it suits: "
                        f"{', '.join(BOARDS)}")  # fmt: skip
    parser.add_argument("--memory", metavar="NAME", help=f"memory behind the port: {', '.join(MEMORIES)}, with "
                        "changes like sdr16,latency=30 (the board's, or reference)")  # fmt: skip
    parser.add_argument("--dataflow", choices=list(DataflowChoice), default="auto", help="for all convolutions; auto: the faster one")
    parser.add_argument("--no-fusion", action="store_true", help="layer by layer, for comparison")
    parser.add_argument("--objective", choices=list(Objective), default="cycles", help="what the schedule is chosen for (cycles)")
    parser.add_argument("--energy-weight", type=float, metavar="W", help="with the objective energy: cycles that a unit of energy "
                        f"counts as ({CONFIGS.energy_weight})")  # fmt: skip
    parser.add_argument("--max-cycles", type=int, metavar="C", help="the program must not take more cycles")
    parser.add_argument("--max-words", type=int, metavar="W", help="the program must not move more DRAM words")
    parser.add_argument("--effort", choices=list(Effort), default="normal", help="of the search for a schedule (normal)")
    parser.add_argument("--energy", metavar="FILE", help="unit costs of events (CSV: event, cost, source)")
    parser.add_argument("--weights", metavar="FILE", help="quantised .npz, or float .npz, .pth, .safetensors, .net; default: synthetic")
    parser.add_argument("--calibrate", metavar="PATH", help="folder of pictures, or .npy, .npz of inputs, that choose the formats of float "
                        "weights; default: noise")  # fmt: skip
    add_picture_options(parser)
    parser.add_argument("--host-fallback", action="store_true",
                        help="of an ONNX file, let the host compute what the machine cannot, before or after all that it can")
    parser.add_argument("--shape", metavar="NAME=1,C,H,W", action="append",
                        help="shape of an ONNX file's input where the file leaves it open")  # fmt: skip
    parser.add_argument("--seed", type=int, default=0, help="of the synthetic weights (0)")
    parser.add_argument("--sparsity", type=float, default=0.4, metavar="SHARE", help="zeros among the synthetic weights (0.4)")


def add_picture_options(parser: argparse.ArgumentParser) -> None:
    """Add the options that say how pictures become inputs: ``(value / scale - mean) / std``."""
    parser.add_argument("--preprocessing", choices=tuple(PREPROCESSINGS), help="of pictures; default: what the weights need")
    parser.add_argument("--mean", metavar="M[,M,M]", help="subtracted from the scaled pixels, one number or one a channel")
    parser.add_argument("--std", metavar="S[,S,S]", help="what they are divided by then")
    parser.add_argument("--scale", metavar="S", help="what pixels 0 ... 255 are divided by first")


def preprocessing_of(args: argparse.Namespace, usual: str = "") -> str | None:
    """The preparation of pictures that the options name, with ``usual`` under numbers of the user's own; ``None`` if they name none.

    Raises
    ------
    OptionError
        If the numbers are none.
    """
    if args.mean is None and args.std is None and args.scale is None:
        return args.preprocessing
    try:
        return changed(args.preprocessing or usual, scale=args.scale, mean=args.mean, std=args.std)
    except ImageError as error:
        raise OptionError(str(error)) from None


def shapes_of(args: argparse.Namespace) -> dict[str, tuple[int, ...]]:
    """The shapes of inputs that the options give, by name.

    Raises
    ------
    OptionError
        If one is none.
    """
    found = {}
    for text in args.shape or ():
        name, _, sizes = text.rpartition("=")
        numbers = sizes.split(",")
        if not name or not all(number.strip().isdigit() and int(number) > 0 for number in numbers):
            raise OptionError(f"--shape takes NAME=1,C,H,W with whole numbers above 0, not {text!r}")
        found[name] = tuple(int(number) for number in numbers)
    return found


def machine_of(args: argparse.Namespace) -> MachineConfig:
    """The :class:`~spec.machine.MachineConfig` that the options describe.

    Raises
    ------
    OptionError
        If there can be no such machine.
    """
    try:
        return machine_from(args, board_record(args.board).machine_defaults(args.pe) if args.board else {})
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
                          energy_costs=costs, memory=memory_option(args), energy_weight=args.energy_weight, max_cycles=args.max_cycles,
                          max_words=args.max_words)


def memory_option(args: argparse.Namespace) -> DramProfile:
    """The memory that the options name: ``--memory``, or the board's, or the reference memory; raises UnknownMemory."""
    if args.memory is not None:
        return memory_of(args.memory)
    return board_record(args.board).memory_timing if args.board else REFERENCE


def source_of(args: argparse.Namespace) -> Source:
    """The :class:`~models.sources.Source` (quantised network and where it came from) that the options describe.

    What was not taken literally, or loses much in 16 bits, is said on standard error.

    Raises
    ------
    OptionError
        If the network is unknown, its table or its weights are unusable, or the numbers are out of range.
    """
    if args.network is None:
        raise OptionError("which network? --list names them")
    try:
        source = load_source(args.network, args.weights, calibrate=args.calibrate, preprocessing=preprocessing_of(args),
                             graph=GraphOptions(shapes_of(args), args.host_fallback), seed=args.seed, sparsity=args.sparsity)
        for line in source.warnings():
            print(f"warning: {line}", file=sys.stderr, flush=True)
        return source
    except OSError as error:
        raise OptionError(f"cannot read {error.filename or args.network}: {error.strerror}") from None
    except (NodesRefused, OutputRefused) as error:
        raise OptionError(f"{error}; with --host-fallback the host computes what the machine cannot") from None
    except ValueError as error:
        raise OptionError(str(error)) from None


def network_of(args: argparse.Namespace) -> QuantNetwork:
    """The :class:`~models.arithmetic.quantised_network.QuantNetwork` that the options describe; raises as :func:`source_of`."""
    return source_of(args).quantised
