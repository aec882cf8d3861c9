"""Random programs of LOAD and STORE, and what they leave in memory."""

import numpy as np

from squeezelerator.spec.isa import LOAD, STORE, Instruction

#: Memory of these programs: what is loaded, what is stored to, instructions.
SOURCE, TARGET, CODE, SIZE = 0, 0x20000, 0x50000, 0x60000


def random_copies(cfg, rng, count):
    """``count`` LOADs and STOREs in any order with random tickets, then END.

    LOAD fills the first sector of the activation buffer while STORE reads the second, so that any order is free of conflicts; data
    dependencies are left to :func:`ordered_copies`.
    """
    program, done = [], {LOAD: 0, STORE: 0}
    for _ in range(count):
        unit = rng.choice([LOAD, STORE])
        rows, lines = rng.choice([1, 2, 3, 5, 17, 40]), rng.choice([1, 1, 2, 3, 7])
        if rows * lines > cfg.sector_rows:
            rows, lines = 1, 2
        beats = rows * cfg.row_beats
        fields = {
            "rows": rows, "lines": lines, "row": 0 if unit == LOAD else cfg.sector_rows, "row_pitch": rows,
            "dram": (SOURCE if unit == LOAD else TARGET) + rng.randrange(0x4000 // cfg.bus_bytes) * cfg.bus_bytes,
            "dram_pitch": (beats + rng.randrange(40)) * cfg.bus_bytes,
        }
        tickets = {u: rng.randint(max(0, done[u] - 3), done[u]) for u in (LOAD, STORE) if done[u] and rng.random() < 0.4}
        if unit == LOAD:
            fields["written"] = int(rng.random() < 0.3)
        program.append(Instruction("LOAD" if unit == LOAD else "STORE", fields, tickets))
        done[unit] += 1
    program.append(Instruction("END", {}, dict(done)))
    return program


def ordered_copies(cfg, rng, count):
    """``count`` pairs of a LOAD and the STORE of the same rows, each pair in a place of its own."""
    program = []
    at = 0
    for number in range(count):
        rows, lines = rng.choice([1, 2, 5, 9]), rng.choice([1, 2, 3])
        if (at + rows * lines) > cfg.act_rows:
            at = 0
        line_bytes = rows * cfg.row_bytes
        common = {"rows": rows, "lines": lines, "row": at, "row_pitch": rows}
        tickets = {STORE: number} if number else {}
        program.append(Instruction("LOAD", {
            **common, "dram": SOURCE + rng.randrange(0x1000) * cfg.bus_bytes, "dram_pitch": line_bytes}, tickets))
        program.append(Instruction("STORE", {
            **common, "dram": TARGET + number * 0x800, "dram_pitch": line_bytes}, {LOAD: number + 1}))
        at += rows * lines
    program.append(Instruction("END", {}, {STORE: count}))
    return program


def copies_of_copies(cfg, rng, count):
    """``count`` pairs of a LOAD and a STORE that move the same rows through the same place in the buffer; each LOAD reads what the STORE
    before has stored. Lines are short, so that rows are read far ahead of their bursts."""
    program = []
    for number in range(count):
        lines, pitch = rng.randrange(6, 16), cfg.row_bytes * rng.choice([1, 2])
        common = {"row": 0, "rows": 1, "lines": lines, "row_pitch": 1, "dram_pitch": pitch}
        source = TARGET + (number - 1) * 0x800 if number else SOURCE
        tickets = {STORE: number} if number else {}
        program.append(Instruction("LOAD", {**common, "dram": source, "written": 1}, tickets))
        program.append(Instruction("STORE", {**common, "dram": TARGET + number * 0x800}, {LOAD: number + 1}))
    program.append(Instruction("END", {}, {STORE: count}))
    return program


def image_of(program, *, offset=CODE, seed=0, size=SIZE):
    """Random memory with the program in it."""
    memory = bytearray(np.random.default_rng(seed).integers(0, 256, size, dtype=np.uint8).tobytes())
    code = b"".join(instr.encode_unchecked() for instr in program)
    memory[offset : offset + len(code)] = code
    return bytes(memory)


def execute(cfg, program, memory):
    """Memory after the program, one instruction after the other; the padding of rows is stored as zeros."""
    memory = bytearray(memory)
    buffer = np.zeros((cfg.act_rows, cfg.n), np.int16)
    for instr in program[:-1]:
        for line in range(instr["lines"]):
            row, at = instr["row"] + line * instr["row_pitch"], instr["dram"] + line * instr["dram_pitch"]
            size = instr["rows"] * cfg.row_bytes
            if instr.op == "LOAD":
                words = np.frombuffer(memory[at : at + size], np.int16).reshape(instr["rows"], -1)
                buffer[row : row + instr["rows"]] = words[:, : cfg.n]
            else:
                words = np.zeros((instr["rows"], cfg.row_bytes // 2), np.int16)
                words[:, : cfg.n] = buffer[row : row + instr["rows"]]
                memory[at : at + size] = words.tobytes()
    return bytes(memory)
