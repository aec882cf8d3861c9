"""The compiler's command line."""

import argparse
import dataclasses
import functools
import json
import sys
from collections.abc import Sequence
from pathlib import Path

from squeezelerator.common.command_line import command, program_name
from squeezelerator.common.output import write_file, write_stdout
from squeezelerator.compiler.api import Compiled, compile_full
from squeezelerator.compiler.options import OneLineParser, OptionError, add_network_options, compile_options_of, machine_of, source_of
from squeezelerator.compiler.pipeline.stage import Compilation, Stage
from squeezelerator.compiler.pipeline.stages import STAGES, stage_names
from squeezelerator.compiler.report import disassembly, front_text, summary, text
from squeezelerator.models.networks import zoo
from squeezelerator.spec.program import ProgramError, load_program


def _parser() -> argparse.ArgumentParser:
    parser = OneLineParser(prog=program_name("compiler"), description="Compile a network into a program (to standard output or -o).")
    add_network_options(parser)
    parser.add_argument("-o", "--output", metavar="FILE", help="write the program there")
    parser.add_argument("--list", action="store_true", help="name the networks that exist")
    parser.add_argument("--report", action="store_true", help="print what was scheduled where instead of the program")
    parser.add_argument("--json", metavar="FILE", help="write the report as JSON")
    parser.add_argument("--pareto", action="store_true", help="print what the programs between the fastest and the leanest take, not the "
                        "program")  # fmt: skip
    parser.add_argument("--stages", action="store_true", help="name the stages of a compilation")
    parser.add_argument("--print-after", action="append", default=[], metavar="STAGE", choices=[*stage_names(), "all"],
                        help="print the result of a stage instead of the program; several, or all")
    parser.add_argument("--disassemble", metavar="PROG", help="print the instructions of a program file")
    return parser


def _disassemble(path: str) -> None:
    try:
        program = load_program(Path(path).read_bytes())
    except OSError as error:
        raise OptionError(f"cannot read {path}: {error.strerror}") from None
    except ProgramError as error:
        raise OptionError(f"{path}: {error}") from None
    print(disassembly(program))


def _list_stages() -> None:
    for stage in STAGES:
        print(f"{stage.name:16s} {stage.doc}")
        if stage.repair is not None:
            print(f"{'':16s} if not: {stage.repair.doc}, from {stage.repair.back_to} on")


def _print_stage(wanted: set[str], stage: Stage, compilation: Compilation) -> None:
    if wanted & {stage.name, "all"}:
        print(f"== {stage.name}: {stage.doc}\n{stage.form(compilation)}")


def _compile(args: argparse.Namespace) -> None:
    to_stdout = not (args.output or args.report or args.json or args.print_after or args.pareto)
    if to_stdout and sys.stdout.isatty():
        raise OptionError("the program is binary and standard output is a terminal; use -o FILE or redirect it")
    cfg = machine_of(args)
    source = source_of(args)
    options, wanted = dataclasses.replace(compile_options_of(args), front=args.pareto), set(args.print_after)
    compiled = compile_full(source.quantised, cfg, options, after=functools.partial(_print_stage, wanted) if wanted else None)
    _write(args, compiled)
    if source.host is not None:
        print("\n".join([*source.host.report(), "the program is the machine's part"]), file=sys.stderr, flush=True)
    _show(args, compiled, source.report())
    if to_stdout:
        write_stdout(compiled.program.to_bytes())


def _show(args: argparse.Namespace, compiled: Compiled, lines: Sequence[str]) -> None:
    """Print what the options ask for; ``lines``: the report on the network's source."""
    if args.pareto:
        print(front_text(compiled))
    if args.report:
        print(text(compiled))
        print("\n".join(["", *lines]) if lines else "", end="\n" if lines else "")


def _write(args: argparse.Namespace, compiled: Compiled) -> None:
    """Write the files that the options name."""
    data = compiled.program.to_bytes()
    if args.output:
        write_file(args.output, data)
    if args.json:
        write_file(args.json, (json.dumps(summary(compiled), indent=1) + "\n").encode())


@command("compiler")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code: 0, or 2 for an error of the user's."""
    args = _parser().parse_args(argv)
    if args.list:
        print("\n".join(zoo.names()))
    elif args.stages:
        _list_stages()
    elif args.disassemble:
        _disassemble(args.disassemble)
    else:
        _compile(args)
    return 0


if __name__ == "__main__":
    sys.exit(main())
