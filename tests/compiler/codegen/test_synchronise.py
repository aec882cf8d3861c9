"""Tickets: random programs, checked against what must be ordered, worked out in the plainest way."""

import random

import pytest

from squeezelerator.compiler.api import compile_network
from squeezelerator.compiler.codegen.events import ACT, BIAS, DRAM, RF, WEIGHT
from squeezelerator.compiler.codegen.synchronise import synchronise
from squeezelerator.compiler.codegen.transfers import Step
from squeezelerator.models.networks import zoo
from squeezelerator.models.quantisation.synthetic import synthetic
from squeezelerator.spec.isa import BY_NAME, DRAIN, LOAD, POOL, STORE, UNITS
from squeezelerator.spec.machine import MachineConfig
from squeezelerator.spec.verification.verify import VerifyError, verify

CFG = MachineConfig(n=4)


def step(op, reads=(), writes=()):
    return Step(op, None, {}, (list(reads),), list(writes))


def some(rng, kind, limit, unit=1):
    low = rng.randrange(limit)
    return kind, low * unit, (low + rng.randint(1, max(1, limit // 6))) * unit


def random_steps(rng, count):
    """Steps of all units; few places, so that most have to do with each other."""
    def act(number=1):
        return [some(rng, ACT, CFG.act_rows * 5 // 6) for _ in range(number)]

    def bank():
        low = rng.randrange(2)
        return RF, low, low + 1

    make = {
        "LOAD": lambda: ([some(rng, DRAM, 60, CFG.bus_bytes)],
                         [rng.choice([*act(), some(rng, WEIGHT, 20), some(rng, BIAS, 2)])]),
        "STORE": lambda: (act(rng.randint(1, 2)), [some(rng, DRAM, 60, CFG.bus_bytes)]),
        "OS": lambda: ([*act(), some(rng, WEIGHT, 20)], [bank()]),
        "DRAIN": lambda: ([*act(rng.randrange(2)), bank(), some(rng, BIAS, 2)], act()),
        "POOL": lambda: (act(), act()),
    }  # fmt: skip
    weights = [rng.random() for _ in make]
    return [step(op, *make[op]()) for op in rng.choices(list(make), weights, k=count)]


def meet(spans, others):
    return any(a[0] == b[0] and a[1] < b[2] and b[1] < a[2] for a in spans for b in others)


def sectors(spans):
    return {s for kind, low, high in spans if kind == ACT for s in range(low // CFG.sector_rows, (high - 1) // CFG.sector_rows + 1)}


def needs(step, other):
    """{"done"}, {"written"} or nothing: how ``other``, earlier in the program, must be over when ``step`` starts."""
    unit, before = BY_NAME[step.op].unit, BY_NAME[other.op].unit
    data = meet(step.reads, other.writes)
    if unit == before:
        return {"done"} if unit in (DRAIN, POOL) and data else set()
    found = set()
    if (data or meet(step.writes, other.reads) or meet(step.writes, other.writes)
            or sectors(step.reads) & sectors(other.reads) or sectors(step.writes) & sectors(other.writes)):
        found.add("done")
    if before == STORE and meet(*([s for s in spans if s[0] == DRAM] for spans in (step.reads, other.writes))):
        found.add("written")
    return found


def known_at_start(program):
    """For each instruction the set of (how, number) that its tickets, and those before it in its queue, guarantee; a STORE that is
    "done" has read its rows."""
    numbers, latest, known = [[] for _ in UNITS], [set() for _ in UNITS], []
    for number, instruction in enumerate(program):
        now = set(latest[instruction.unit]) if instruction.unit is not None else set()
        for unit, count in instruction.tickets.items():
            last = numbers[unit][count - 1]
            now |= known[last] | {("done", earlier) for earlier in numbers[unit][:count]}
            if unit == STORE and (instruction.unit is None or instruction.fields.get("written")):
                now |= {("written", earlier) for earlier in numbers[unit][:count]}
        known.append(now)
        if instruction.unit is not None:
            numbers[instruction.unit].append(number)
            latest[instruction.unit] = now
    return known


def missing(steps, program):
    """The pairs of steps that the tickets do not order as they must, END last."""
    known, found = known_at_start(program), []
    for number, one in enumerate(steps):
        for earlier, other in enumerate(steps[:number]):
            found += [(number, earlier, how) for how in needs(one, other) if (how, earlier) not in known[number]]
    last = len(steps)
    for earlier, other in enumerate(steps):
        how = "written" if other.op == "STORE" else "done"
        if (how, earlier) not in known[last]:
            found.append((last, earlier, how))
    return found


@pytest.mark.parametrize("seed", range(60))
def test_tickets_order_everything(seed):
    rng = random.Random(seed)
    steps = random_steps(rng, rng.randint(2, 60))
    program = synchronise(steps, CFG)
    assert not missing(steps, program)
    assert all(unit != STORE or not instruction.tickets.get(STORE) for instruction in program for unit in [instruction.unit])
    # Every ``written`` is needed.
    for instruction in program:
        if instruction.fields.get("written"):
            instruction.fields["written"] = 0
            assert missing(steps, program)
            instruction.fields["written"] = 1


ROWS, OTHER, PLACE, ELSEWHERE = (ACT, 0, 4), (ACT, CFG.sector_rows, CFG.sector_rows + 4), (DRAM, 0, 64), (DRAM, 640, 704)


def last_load(*steps):
    """(STORE ticket, written) of the last step."""
    program = synchronise(list(steps), CFG)
    return program[-2].tickets.get(STORE), program[-2].fields.get("written", 0)


def test_a_load_over_rows_waits_for_their_reading():
    assert last_load(step("STORE", [ROWS], [PLACE]), step("LOAD", [ELSEWHERE], [ROWS])) == (1, 0)


def test_a_load_of_a_stored_map_waits_for_its_writing():
    assert last_load(step("STORE", [ROWS], [PLACE]), step("LOAD", [PLACE], [OTHER])) == (1, 1)


def test_what_others_know_of_a_store_is_only_that_it_has_read():
    # DRAIN waits for STORE's rows, LOAD for DRAIN's: that says nothing of DRAM.
    stored = step("STORE", [ROWS], [PLACE]), step("DRAIN", [(RF, 0, 1)], [ROWS])
    assert last_load(*stored, step("LOAD", [ELSEWHERE], [ROWS])) == (None, 0)
    assert last_load(*stored, step("LOAD", [PLACE], [ROWS])) == (1, 1)
    # LOAD knows it of the first only; it is not asked for twice.
    again = *stored, step("LOAD", [PLACE], [ROWS]), step("LOAD", [PLACE], [OTHER])
    assert last_load(*again) == (None, 0)


@pytest.mark.parametrize("rows,place,ticket", [((0, 1), (1, 0), (2, 1)), ((1, 0), (0, 1), (2, 1)), ((1, 0), (1, 0), (1, 1)),
                                               ((0, 1), (0, 0), (2, 0))])
def test_both_at_once(rows, place, ticket):
    # Which of two STOREs reads the rows, which one stores the place.
    stores = [step("STORE", [ROWS if r else OTHER], [PLACE if p else ELSEWHERE]) for r, p in zip(rows, place, strict=True)]
    assert last_load(*stores, step("LOAD", [PLACE], [ROWS])) == ticket


def test_knowledge_of_writing_is_knowledge_of_reading():
    steps = [step("STORE", [ROWS], [PLACE]), step("LOAD", [PLACE], [(WEIGHT, 0, 1)]), step("OS", [(WEIGHT, 0, 1)], [(RF, 0, 1)]),
             step("DRAIN", [(RF, 0, 1)], [ROWS])]
    assert [instruction.tickets for instruction in synchronise(steps, CFG)[1:4]] == [{STORE: 1}, {LOAD: 1}, {1: 1}]


def test_the_verifier_tells_them_apart():
    program = compile_network(synthetic(zoo.get("tiny_all")), MachineConfig(n=2, buffer_kib=1))
    verify(program)
    waiting = [i for i in program.instructions if i.unit == LOAD and STORE in i.tickets]
    reloads = [i for i in waiting if i["written"]]
    assert 3 < len(reloads) < len(waiting)
    for load in reloads:
        load.fields["written"] = 0
        with pytest.raises(VerifyError, match="may run beside store number [0-9]+, which uses the same dram"):
            verify(program)
        load.fields["written"] = 1


def test_a_ticket_never_falls_behind_half_of_its_range():
    # The machine compares 16 bits with a sign: of 32,768 or more behind it would wait for ever.
    others = [step("LOAD", [ELSEWHERE], [OTHER])] * 34_000
    result = ACT, 2 * CFG.sector_rows, 2 * CFG.sector_rows + 1
    program = synchronise([step("LOAD", [ELSEWHERE], [ROWS]), *others, step("POOL", [ROWS], [result])], CFG)
    (count,) = program[-2].tickets.values()
    assert program[-2].op == "POOL" and 34_001 - 32_768 < count < 34_001
