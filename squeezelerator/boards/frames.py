"""Frames a second of a program on a board, the link included: bytes of a frame over the link's rate, cycles by the cycle model.

What a link's two ends need besides (operating system, waiting for answers) is not in it: only a board can show that.
"""

import dataclasses
import sys
from collections.abc import Callable, Sequence

from squeezelerator.boards.soc import BAUD
from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.host.board import program_of
from squeezelerator.host.link import BURST_WORDS, ETHERBONE_HEAD, ETHERBONE_WORDS
from squeezelerator.sim.engines.model import count_program
from squeezelerator.spec.platform.boards import BOARDS, board_record
from squeezelerator.spec.program import Program

__all__ = ["Frame", "etherbone_bytes", "frame_of", "main", "rates", "uart_bytes"]

#: Bits of a byte on a UART; bytes of a command's head.
UART_BITS, UART_HEAD = 10, 6
#: Bytes beside a datagram's contents: preamble, MAC, checksum, gap, IP, UDP; an Etherbone packet's and record's heads.
DATAGRAM = 8 + 14 + 4 + 12 + 20 + 8
ETHERBONE_HEADS = 8 + 4
#: The least contents of an Ethernet packet, IP and UDP taken off.
LEAST = 46 - 20 - 8
ETHERNET_BITS_A_SECOND = 1e9
#: Words that are written for a picture besides its bytes, and to start a job; of the checksums (one twice); of a look at STATUS and JOBS.
PICTURE_WORDS, START_WORDS, CHECK_WORDS, POLL_WORDS = 5, 7, 4, 2


def uart_bytes(written: int, read: int) -> int:
    """Bytes on the wires of a UART, both directions, to write and read so many bytes of the bus."""
    commands = -(-written // (4 * BURST_WORDS)) - (-read // (4 * BURST_WORDS))
    return written + read + commands * UART_HEAD


def etherbone_bytes(written: int, read: int, words: int = ETHERBONE_WORDS) -> int:
    """Bytes on the wires of Ethernet, both directions, gaps included, with a buffer of ``words`` words a record."""
    room = words - ETHERBONE_HEAD
    total = 0
    for count, writes in ((written // 4, True), (read // 4, False)):
        for first in range(0, count, room):
            some = min(room, count - first)
            request, answer = (4 + 4 * some + 4 + 4, 4 + 4) if writes else (4 + 4 * some, 4 + 4 * some)
            total += sum(DATAGRAM + max(LEAST, ETHERBONE_HEADS + size) for size in (request, answer))
    return total


@dataclasses.dataclass(frozen=True)
class Frame:
    """Bytes of one frame: an input as it lies in the memory, its picture's bytes in whole words, the results."""

    laid_out: int
    picture: int
    results: int

    def traffic(self, *, as_bytes: bool) -> tuple[int, int]:
        """Bytes written to and read from the bus; an input that the host lays out is read back."""
        written = self.picture + 4 * PICTURE_WORDS if as_bytes else self.laid_out
        checks = 4 * CHECK_WORDS if as_bytes else self.laid_out
        return written + 4 * START_WORDS, checks + 4 * POLL_WORDS + self.results


def frame_of(program: Program) -> Frame:
    """The bytes of a program's frame."""
    pictures = (tensor.c * tensor.h * tensor.w for tensor in program.inputs)
    return Frame(sum(tensor.size for tensor in program.inputs), sum(-(-size // 4) * 4 for size in pictures),
                 sum(tensor.size for tensor in program.outputs if tensor.name in program.results))


def rates(link_s: float, run_s: float) -> tuple[float, float]:
    """Frames a second, one after the other, and with the next input sent while one runs."""
    return 1 / (link_s + run_s), 1 / max(link_s, run_s)


@command("boards.frames")
def main(argv: Sequence[str] | None = None) -> int:
    """Command line; returns the exit code."""
    parser = OneLineParser(prog=program_name("boards.frames"), description="Frames a second of a program on a board, link included.")
    parser.add_argument("program", metavar="PROG.bin", help="what the compiler wrote")
    parser.add_argument("--board", default="ulx3s", metavar="NAME", help=f"{', '.join(BOARDS)} (default ulx3s)")
    parser.add_argument("--freq", type=float, metavar="MHZ", help="system clock (default: the board's)")
    args = parser.parse_args(argv)
    board, program = board_record(args.board), program_of(args.program)
    frame, hertz = frame_of(program), 1e6 * (args.freq or board.clock_mhz)
    cycles = count_program(program, dram=board.memory_timing)["cycles"]
    print(f"{board.title}, {program.cfg.n} x {program.cfg.n} PEs: {cycles:,} cycles by the cycle model, {hertz / cycles:.2f} frames a "
          f"second at {hertz / 1e6:g} MHz without the link")
    print(f"a frame: {frame.laid_out:,} bytes as it lies in the memory, {frame.picture:,} as a picture; {frame.results:,} bytes of results")
    print(f"{'by bytes over rate, not measured':44}{'on the wires':>14}{'link, s':>10}{'a second':>10}{'overlapped':>12}")
    links: tuple[tuple[str, Callable[[int, int], int], float], ...] = (
        (f"UART, {BAUD:,} baud", uart_bytes, BAUD / UART_BITS),
        ("Etherbone, 1 Gbit/s", etherbone_bytes, ETHERNET_BITS_A_SECOND / 8),
    )  # fmt: skip
    for name, wires, rate in links:
        for as_bytes in (False, True):
            count = wires(*frame.traffic(as_bytes=as_bytes))
            alone, overlapped = rates(count / rate, cycles / hertz)
            what = f"{name}, {'bytes, laid out there' if as_bytes else 'laid out by the host'}"
            print(f"{what:44}{count:14,}{count / rate:10.4f}{alone:10.2f}{overlapped:12.2f}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
