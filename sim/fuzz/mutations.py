"""Damages programs: flipped bits, boundary values, lost, doubled and exchanged instructions, wrong waits, wrong registers, a bad memory."""

import random
from collections.abc import Callable

from squeezelerator.sim.engines.batch import BatchJob
from squeezelerator.sim.fuzz.program_builder import CODE, SIZE, SOURCE, TARGET, RandomProgram
from squeezelerator.spec.checksum import program_check
from squeezelerator.spec.isa import BY_CODE, INSTRUCTION_BYTES, UNITS, Field, Instruction
from squeezelerator.spec.machine import MachineConfig

__all__ = ["CYCLE_LIMIT", "mutant"]

#: Of every program, in units of 1,024 cycles: long enough for the watchdog to see that one is stuck.
CYCLE_LIMIT = 32
_BITS = 8 * INSTRUCTION_BYTES


class _Draft:
    """A program on its way to a job: its instructions as whole numbers, patches of its data, registers."""

    def __init__(self, program: RandomProgram, rng: random.Random) -> None:
        self.cfg, self.rng = program.cfg, rng
        self.words = [int.from_bytes(instruction.encode_unchecked(), "little") for instruction in program.instructions]
        self.patches: list[tuple[int, bytes]] = []
        self.image = program.image
        self.offset, self.mem_size = CODE, SIZE
        self.more = 0  # PROG_COUNT beyond the number of instructions

    def place(self) -> int:
        """The number of an instruction."""
        return self.rng.randrange(len(self.words))

    def set_bits(self, number: int, offset: int, width: int, value: int) -> None:
        """Put ``value`` into bits of an instruction."""
        mask = (1 << width) - 1 << offset
        self.words[number] = self.words[number] & ~mask | value << offset & mask


def _some_field(draft: _Draft) -> tuple[int, Field] | None:
    """The number of an instruction and one of its fields."""
    number = draft.place()
    op = BY_CODE.get(draft.words[number] & 0xFF)
    return (number, draft.rng.choice(op.fields)) if op and op.exists(draft.cfg) and op.fields else None


def _flip_in_field(draft: _Draft) -> None:
    found = _some_field(draft)
    if found:
        draft.words[found[0]] ^= 1 << found[1].offset + draft.rng.randrange(found[1].width)


def _flip_any(draft: _Draft) -> None:
    draft.words[draft.place()] ^= 1 << draft.rng.randrange(_BITS)


def _boundary(draft: _Draft) -> None:
    found = _some_field(draft)
    if not found:
        return
    number, field = found
    (low, high), (least, greatest) = field.limits(draft.cfg), field.span
    now = draft.words[number] >> field.offset & (1 << field.width) - 1
    rows = (draft.cfg.act_rows, draft.cfg.weight_rows, draft.cfg.bias_rows, draft.cfg.sector_rows)
    value = draft.rng.choice([low, low - 1, high, high + 1, least, greatest, 0, 1, now + 1, now - 1, now + 1, now - 1,
                              *(row - draft.rng.randrange(3) for row in rows), SIZE, SIZE - draft.cfg.bus_bytes])
    draft.set_bits(number, field.offset, field.width, value)


def _opcode(draft: _Draft) -> None:
    draft.set_bits(draft.place(), 0, 8, draft.rng.choice([0, 1, 2, 3, 4, 5, 6, 7, 8, 255]))


def _ticket(draft: _Draft) -> None:
    number, unit = draft.place(), draft.rng.randrange(len(UNITS))
    now = draft.words[number] >> 16 + 16 * unit & 0xFFFF
    draft.set_bits(number, 8 + unit, 1, draft.rng.randrange(4) != 0)
    draft.set_bits(number, 16 + 16 * unit, 16, draft.rng.choice([now + 1, now + 1, now - 1, 0, 1, 2, 32767, 32768, 60000, 65535]))


def _swap(draft: _Draft) -> None:
    first = draft.rng.randrange(max(1, len(draft.words) - 2))
    draft.words[first : first + 2] = draft.words[first : first + 2][::-1]


def _lose(draft: _Draft) -> None:
    if len(draft.words) > 1:
        del draft.words[draft.place()]


def _double(draft: _Draft) -> None:
    number = draft.place()
    draft.words.insert(draft.place(), draft.words[number])


def _data(draft: _Draft) -> None:
    """A flipped bit in what LOADs read: among other things, headers of weight streams."""
    loads = [i for i in map(_decoded, draft.words) if i is not None and i.op == "LOAD"]
    if loads:
        load = draft.rng.choice(loads)
        at = load["dram"] + draft.rng.randrange(max(1, min(4096, load["rows"] * draft.cfg.row_bytes)))
        if SOURCE <= at < TARGET:
            draft.patches.append((at, bytes([draft.image[at] ^ 1 << draft.rng.randrange(8)])))


def _decoded(word: int) -> Instruction | None:
    return Instruction.decode(word.to_bytes(INSTRUCTION_BYTES, "little")) if word & 0xFF in BY_CODE else None


def _registers(draft: _Draft) -> None:
    which, rng = draft.rng.randrange(4), draft.rng
    end = CODE + INSTRUCTION_BYTES * len(draft.words)
    if which == 0:
        draft.more = rng.choice([-1, 1, 2, 20, 1000, (1 << 24) - 1 - len(draft.words), -len(draft.words)])
    elif which == 1:
        draft.offset = rng.choice([CODE + 4, CODE + 64, SIZE, SIZE - 64, 0xFFFFFFC0, CODE | 1 << 31])
    elif which == 2:
        draft.mem_size = rng.choice([end, end - 1, end - 64, TARGET, TARGET + 512, 0, draft.cfg.bus_bytes, CODE])
    else:
        draft.mem_size = rng.randrange(SIZE + 1)


#: Kinds of damage and how often each is taken.
_DAMAGE: list[tuple[Callable[[_Draft], None], int]] = [
    (_flip_in_field, 28), (_boundary, 28), (_flip_any, 12), (_ticket, 6), (_data, 10), (_opcode, 3), (_swap, 3), (_lose, 3), (_double, 4),
    (_registers, 3),
]


def _memory(cfg: MachineConfig, rng: random.Random) -> dict[str, int]:
    """How the memory behaves."""
    found = {"latency": rng.choice([100, 100, 100, 1, 7, 30, 300]), "seed": rng.getrandbits(31)}
    if rng.randrange(3) == 0:
        found["stall"] = rng.choice([16, 64, 128, 200])
    if rng.randrange(12) == 0:
        found["read_error"] = rng.randrange(12)
    if rng.randrange(20) == 0:
        found["write_error"] = rng.randrange(6)
    return found


def mutant(program: RandomProgram, rng: random.Random) -> BatchJob:
    """``program`` with some damage, or none, on a memory with some faults, or none."""
    draft = _Draft(program, rng)
    before = list(draft.words)
    for _ in range(rng.choice([0, 1, 1, 1, 1, 1, 1, 2, 2, 3])):
        rng.choices([damage for damage, _ in _DAMAGE], [weight for _, weight in _DAMAGE])[0](draft)
    code = b"".join(word.to_bytes(INSTRUCTION_BYTES, "little") for word in draft.words)
    checked = before if rng.randrange(2) else draft.words
    check = program_check(b"".join(word.to_bytes(INSTRUCTION_BYTES, "little") for word in checked)) if rng.randrange(6) == 0 else 0
    spare = bytes(max(0, len(before) - len(draft.words)) * INSTRUCTION_BYTES)
    return BatchJob(
        image=program.image, patches=[*draft.patches, (CODE, code + spare)], mem_size=draft.mem_size, offset=draft.offset,
        count=len(draft.words) + draft.more, check=check, cycle_limit=CYCLE_LIMIT, hang_limit=4 * 1024 * CYCLE_LIMIT,
        **_memory(program.cfg, rng))
