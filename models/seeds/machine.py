"""What the texts say of the machine: times, energies, claims, and the hardware itself."""

import functools
from collections.abc import Iterator

from squeezelerator.models.paper.evaluate import ENERGY_LIMITS, TIME_LIMITS, Evaluation
from squeezelerator.models.paper.published import CLAIMS, CONFIGURATIONS, CONV1_SHARE, LARGE, TABLE_3, Claim
from squeezelerator.models.paper.tables import fastest_cycles
from squeezelerator.models.paper.this_machine import Measurements
from squeezelerator.models.seeds.item import Item, Text, Verdict, quoted

__all__ = ["machine_items"]

_PAPER = "python -m models.paper --machine docs/results.json"
_OTHER = "another machine: this one computes groups of layers together, fetches weights of zero only where packed, and counts every cycle"
_UNMEASURED = "not measured here: python -m sim.survey measures it"


def _within(error: float, limit: float) -> Verdict:
    return Verdict.REPRODUCED if abs(error) <= limit else Verdict.DIFFERS


def _off(ratio: float) -> str:
    return f"the model of the paper's machine is off by {100 * (ratio - 1):+.0f}%"


def _table_3(evaluation: Evaluation, measured: Measurements) -> Iterator[Item]:
    """Times and energies of Table 3: by the model of the paper's machine, with this machine's in the same cell."""
    for configuration in CONFIGURATIONS:
        fastest = fastest_cycles(measured, configuration)
        for row in TABLE_3:
            here = measured.get((row.network, configuration, "auto"))
            for quantity, form, limits in (("time", "{:.2f}x", TIME_LIMITS), ("energy", "{:.1e}", ENERGY_LIMITS)):
                published = getattr(row, quantity)[configuration]
                found = getattr(evaluation, quantity)(row.network, configuration)
                machine = None if here is None or fastest is None else here.cycles / fastest if quantity == "time" else here.energy
                value = form.format(found) + ("" if machine is None else f"; this machine {form.format(machine)}")
                verdict = _within(found / published - 1, limits[1])
                why = "" if verdict is Verdict.REPRODUCED else _off(found / published)
                yield Item(
                    Text.SLIDES,
                    f"Table 3, {configuration}",
                    f"{row.title}: {quantity}",
                    form.format(published),
                    value,
                    verdict,
                    _PAPER,
                    why,
                )


def _shown(claim: Claim, ratio: float) -> str:
    return f"{100 * (1 - 1 / ratio):.0f}%" if claim.saving else f"{ratio:.2f}x"


def _value(claim: Claim, measured: Measurements, network: str) -> float | None:
    """Time or energy of a network on this machine, if it is known."""
    found = measured.get((network, LARGE, "auto"))
    return None if found is None else found.cycles if claim.quantity == "time" else found.energy


def _claim(claim: Claim, evaluation: Evaluation, measured: Measurements) -> Item:
    """A claim of the text: by the model of the paper's machine, with this machine's beside it."""

    shown = functools.partial(_shown, claim)
    model = getattr(evaluation, claim.quantity)
    ratio = model(claim.than, LARGE) / model(claim.network, LARGE)
    before, after = (_value(claim, measured, name) for name in (claim.than, claim.network))
    value = shown(ratio) + (f"; this machine {shown(before / after)}" if before and after else "")
    wanted = 1 / (1 - claim.value) if claim.saving else claim.value
    close = abs(ratio / wanted - 1) <= ENERGY_LIMITS[1]
    rows = {row.network: getattr(row, claim.quantity)[LARGE] for row in TABLE_3}
    why = (
        f"the publication's own table gives {shown(rows[claim.than] / rows[claim.network])} against this baseline, "
        "and the printed figure against v2"
        if claim.saving
        else "by the model of the paper's machine"
    )
    # The savings in the text are those against v2: they count as reproduced against their own table only.
    verdict = Verdict.REPRODUCED if close and not claim.saving else Verdict.DIFFERS
    return Item(
        Text.STORY,
        "3.3",
        claim.text,
        f"{100 * claim.value:.0f}%" if claim.saving else f"{claim.value}x",
        value,
        verdict,
        _PAPER,
        "" if verdict is Verdict.REPRODUCED else why,
    )


def _conv1(evaluation: Evaluation, measured: Measurements) -> Item:
    result, here = evaluation.results["sqnxt23", LARGE], measured.get(("sqnxt23", LARGE, "auto"))
    share = f"{100 * result.costs[0].cycles / result.cycles:.0f}%"
    if here is not None and here.layers.get("conv1"):
        share += f"; this machine {100 * here.layers['conv1'] / here.cycles:.0f}%"
    return Item(
        Text.STORY,
        "3.3",
        "share of conv1 in the time of 1.0-SqNxt-23",
        f"{100 * CONV1_SHARE:.0f}%",
        share,
        Verdict.DIFFERS,
        _PAPER,
        "no layer times are published; the model charges every layer the same time to start, which lowers the largest one's share",
    )


def _order(measured: Measurements) -> Iterator[Item]:
    """Who is faster than whom among v1 to v5, on this machine."""
    for configuration, published in (("16x16", "v1 > v2 > v3 > v4 > v5"), ("8x8", "v1 > v2 = v3 = v4 = v5")):
        cycles = {
            version: measured.get((f"sqnxt23{'' if version == 'v1' else version}", configuration, "auto"))
            for version in ("v1", "v2", "v3", "v4", "v5")
        }
        known = {version: one.cycles for version, one in cycles.items() if one is not None}
        if len(known) < len(cycles):
            yield quoted(Text.SLIDES, "Table 3", f"order of times at {configuration}", published, _UNMEASURED)
            continue
        order = " > ".join(sorted(known, key=lambda version: -known[version]))
        same = order == published
        yield Item(
            Text.SLIDES,
            "Table 3",
            f"order of times at {configuration}, on this machine",
            published,
            order,
            Verdict.REPRODUCED if same else Verdict.DIFFERS,
            "python -m sim.survey",
            ""
            if same
            else "the versions differ by a few per cent on this machine: "
            + ", ".join(f"{version} {count:,.0f}" for version, count in known.items()),
        )


def _depthwise(measured: Measurements) -> Item:
    """Depthwise convolutions keep the array from its work."""
    rates = {}
    for name in ("mobilenet", "sqnxt23v5"):
        one = measured.get((name, LARGE, "auto"))
        macs = next(row.macs for row in TABLE_3 if row.network == name)
        rates[name] = None if one is None else macs / one.cycles
    mobile, sqnxt = rates["mobilenet"], rates["sqnxt23v5"]
    if mobile is None or sqnxt is None:
        return quoted(Text.SLIDES, "discussion", "depthwise convolutions use the machine badly", "less", _UNMEASURED)
    verdict = Verdict.REPRODUCED if mobile < sqnxt else Verdict.DIFFERS
    return Item(
        Text.SLIDES,
        "discussion",
        "depthwise convolutions use the machine badly: MACs a cycle of MobileNet and v5 at 16x16",
        "less",
        f"{mobile:.0f} and {sqnxt:.0f}",
        verdict,
        "python -m sim.survey",
        "" if verdict is Verdict.REPRODUCED else _OTHER,
    )


def _figures() -> Iterator[Item]:
    for where, says in (
        ("Figure 6", "time and MACs a cycle of each layer, v1 to v5"),
        ("Figure 7", "accuracy against energy and time"),
        ("Figure 8", "time by blocks of equal input size, v1 to v5"),
    ):
        yield Item(Text.SLIDES, where, says, "figure", "drawn, with its numbers as a table", Verdict.BUILT, _PAPER)
    for where, says in (("Figure 1", "accuracy of networks"), ("Figure 2", "accuracy against operations and parameters")):
        yield quoted(Text.SLIDES, where, says, "figure", "networks outside of this project; no command draws it")


def machine_items(measured: Measurements) -> Iterator[Item]:
    """All items about time, energy and the machine; ``measured``: this machine's reports."""
    evaluation = Evaluation()
    yield from _table_3(evaluation, measured)
    yield from (_claim(claim, evaluation, measured) for claim in CLAIMS)
    yield _conv1(evaluation, measured)
    yield from _order(measured)
    yield _depthwise(measured)
    yield from _figures()
