"""Mutations of what compares schedules, and of the oracle of damaged programs."""

from tests.mutation.mutation import of

__all__ = ["MUTATIONS"]

_SCORES = "tests/compiler/search/test_scores.py -k 'sum_a_product or front_has'"
_CAMPAIGN = "tests/sim/fuzz/test_campaign.py::test_damaged_programs_do_what_the_models_say"
_ORACLE = f"{_CAMPAIGN}[2] {_CAMPAIGN}[5]"

MUTATIONS = [
    *of("compiler/search/scores.py", _SCORES,
        ("return self.energy * self.cycles", "return self.energy + self.cycles"),
        ("return self.cycles is not None or self.words is not None", "return self.cycles is not None"),
        ("return max((taken / most - 1 for", "return max((taken / most for"),
        ("return max((taken / most - 1 for", "return min((taken / most - 1 for"),
        ("if most is not None and taken > most)", "if most is not None and taken >= most)",
         "at the bound itself the excess is 0 either way"),
        ("return math.inf", "return scores.edp"),
        ("(scores.words // self.bus_words)", "scores.words"),
        ("self.weights.energy * scores.onchip if", "self.weights.energy * scores.energy if"),
        ("scores.energy < kept[-1].energy", "scores.energy <= kept[-1].energy"),
        ("key=lambda one: (one.cycles, one.energy, one.words)", "key=lambda one: (one.energy, one.cycles, one.words)")),
    *of("sim/fuzz/oracle/fetch.py", _ORACLE,
        ("if job.count == 0:", "if job.count < 0:"),
        ("if number == self._job.count:", "if number > self._job.count:"),
        ("if refused(instruction, self._cfg):", "if False:"),
        ("if job.offset % INSTRUCTION_BYTES:", "if job.offset % 8:")),
    *of("sim/fuzz/oracle/order.py", _ORACLE,
        ("    return one.known[unit] >= other.number", "    return one.known[unit] > other.number"),
        ("return bool((a.read | a.written) & b.written or a.written & b.read)", "return False"),
        ("return unit in (DRAIN, POOL) and bool(a.written & b.read)", "return bool(a.written & b.read)")),
    *of("sim/fuzz/oracle/progress.py", _ORACLE,
        ("self.counts[WRITTEN] += unit == STORE", "pass"),
        ("self.errors.add(RtlError(\"ROW\", \"load\", number - 1))", "self.errors.add(RtlError(\"ROW\", \"load\", number))"),
        ("self.ports |= {1 << STORE} if bad_row else set()", "pass"),
        ("return sum(1 << unit for unit, queue in enumerate(self.queues) if queue)",
         "return sum(1 << unit for unit, queue in enumerate(self.queues))"),
        ("& 0xFFFF < HALF for unit, count", "& 0xFFFF <= HALF + HALF for unit, count")),
    *of("sim/fuzz/oracle/transfers.py", _ORACLE,
        ("if int(last.max()) >= rows:", "if int(last.max()) > rows:"),
        ("% 65536 + f[\"rows\"] - 1", "% 65536 + f[\"rows\"]")),
    *of("sim/fuzz/oracle/verdict.py", _ORACLE,
        ("marked[start : start + f[\"rows\"] * progress.cfg.row_bytes] = True", "marked[start : start + progress.cfg.row_bytes] = True"),
        ("errors |= conflicts(started)", "pass"),
        ("errors |= {RtlError(\"READ\", \"fetch\", ANY), RtlError(\"READ\", \"load\", ANY)}",
         "errors |= {RtlError(\"READ\", \"load\", ANY)}"),
        ("if job.check and (not last or program_check(progress.code) != job.check):",
         "if job.check and program_check(progress.code) != job.check:")),
]
