"""A program as a C header for the driver of bare metal: ``squeezelerator c-program prog.bin -o program.h``."""

import re
import sys
from collections.abc import Iterable, Sequence

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.common.output import write_file
from squeezelerator.host.board import program_of
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.machine import ISA_VERSION
from squeezelerator.spec.program import Program, TensorMap

__all__ = ["c_program", "main"]

#: Bytes of a line of an array.
_LINE = 24


def _array(name: str, data: bytes) -> list[str]:
    lines = [", ".join(map(str, data[at : at + _LINE])) + "," for at in range(0, len(data), _LINE)]
    # C has no arrays without elements.
    return [f"static const uint8_t {name}[] = {{", *(lines or ["0,"]), "};"]


def _text(name: str) -> str:
    """``name`` as a C string; whatever C might read otherwise is written as octal numbers."""
    return '"' + "".join(chr(byte) if chr(byte).isalnum() or byte in b"_.-/ :" else f"\\{byte:03o}" for byte in name.encode()) + '"'


def _tensors(name: str, tensors: Iterable[TensorMap]) -> list[str]:
    return [f"static const struct sqz_tensor {name}[] = {{",
            *(f"  {{{_text(tensor.name)}, {tensor.offset}u, {tensor.size}u}}," for tensor in tensors), "};"]


def c_program(program: Program, name: str = "program", *, data: bool = True) -> str:
    """The text of a header that defines ``name``, a ``struct sqz_program``.

    Parameters
    ----------
    program : Program
    name : str
        A C identifier; names of the arrays begin with it.
    data : bool
        With the bytes of constants and instructions; otherwise their pointers are 0, for systems that load ``prog.bin`` some other way.

    Raises
    ------
    ValueError
        If ``name`` is no identifier.
    """
    if not re.fullmatch(r"[A-Za-z_]\w*", name, re.ASCII):
        raise ValueError(f"the name must be a C identifier, not {name!r}")
    outputs = [tensor for tensor in program.outputs if tensor.name in program.results]
    arrays = [*_array(f"{name}_constants", program.constants), *_array(f"{name}_code", program.code)] if data else []
    pointers = f"{name}_constants, {name}_code" if data else "0, 0"
    return "\n".join([
        f"/* {program.network}, compiled for {program.cfg.n} x {program.cfg.n} PEs; written by squeezelerator c-program. */",
        f"#ifndef SQUEEZELERATOR_{name.upper()}_H", f"#define SQUEEZELERATOR_{name.upper()}_H", '#include "squeezelerator.h"', "",
        *_tensors(f"{name}_inputs", program.inputs), *_tensors(f"{name}_outputs", outputs), *arrays,
        f"static const struct sqz_program {name} = {{",
        f"  {ISA_VERSION}u, {program.cfg.fingerprint}u, {program.mem_bytes}u, {program.prog_offset}u, {len(program.instructions)}u, "
        f"{program_check(program.code)}u,",
        f"  {program.constants_offset}u, {len(program.constants)}u, {pointers},",
        f"  {name}_inputs, {name}_outputs, {len(program.inputs)}u, {len(outputs)}u", "};", "#endif", "",
    ])  # fmt: skip


@command("host.c_program")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("host.c_program"), description="Write a compiled program as a C header.")
    parser.add_argument("program", metavar="PROG.bin", help="what the compiler wrote")
    parser.add_argument("-o", "--output", required=True, metavar="FILE.h")
    parser.add_argument("--name", default="program", help="of the variable (program)")
    parser.add_argument("--no-data", action="store_true", help="without constants and instructions, which are loaded some other way")
    args = parser.parse_args(argv)
    program = program_of(args.program)
    try:
        text = c_program(program, args.name, data=not args.no_data)
    except ValueError as error:
        raise OptionError(str(error)) from None
    write_file(args.output, text.encode())
    return 0


if __name__ == "__main__":
    sys.exit(main())
