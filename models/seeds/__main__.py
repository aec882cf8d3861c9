"""``python -m models.seeds``: every number, table, figure and claim of the five texts, its value here, and a verdict."""

import sys
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.common.files import write_whole
from squeezelerator.models.paper.this_machine import Measurements, load_reports
from squeezelerator.models.seeds.counts import count_items
from squeezelerator.models.seeds.item import Item, Text, Verdict
from squeezelerator.models.seeds.layer_rows import layer_items
from squeezelerator.models.seeds.machine import machine_items
from squeezelerator.models.seeds.stated import stated_items

__all__ = ["items", "main", "page"]

_INTRODUCTION = (
    "# The texts that this project began with",
    "",
    "<!-- Written by `python -m models.seeds -o docs/seeds.md`. -->",
    "",
    "Every number, table, figure and claim of five texts, with its value here. *Reproduced*: equal but for the last printed digit, or for",
    "the model of the paper's machine within its stated error. *Built*: something described that the project has. *Differs*, and *quoted*:",
    "not looked into here, both with the reason. Energies are in units of one MAC. This machine's figures are those of docs/results.json.",
    "",
)


def items(measured: Measurements) -> list[Item]:
    """All items, by text and in the order of their kinds."""
    found = [*count_items(), *layer_items(), *machine_items(measured), *stated_items()]
    return sorted(found, key=lambda item: list(Text).index(item.text))


def page(found: Sequence[Item]) -> str:
    """The page, in Markdown."""
    lines = [*_INTRODUCTION, f"| text | {' | '.join(Verdict)} |", f"| --- |{' ---: |' * len(Verdict)}"]
    for text in Text:
        count = Counter(item.verdict for item in found if item.text is text)
        lines.append(f"| {text} | {' | '.join(str(count[verdict]) for verdict in Verdict)} |")
    for text in Text:
        lines += ["", f"## {text}", "", "| where | what | there | here | verdict | command |", "| --- | --- | --- | --- | --- | --- |"]
        for item in (item for item in found if item.text is text):
            verdict = f"{item.verdict}{f': {item.why}' if item.why else ''}"
            asked = f"`{item.command}`" if item.command else ""
            lines.append(f"| {item.where} | {item.says} | {item.published} | {item.here} | {verdict} | {asked} |")
    return "\n".join([*lines, ""])


@command("models.seeds")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command; returns the exit code."""
    parser = OneLineParser(prog=program_name("models.seeds"), description="The texts that this project began with, number by number.")
    parser.add_argument("--machine", metavar="FILE", help="this machine's reports, as python -m sim.survey writes them (docs/results.json)")
    parser.add_argument("-o", "--output", metavar="FILE", help="write the page there instead of to standard output")
    args = parser.parse_args(argv)
    usual = Path("docs/results.json")
    reports = [Path(args.machine)] if args.machine else [usual] * usual.is_file()
    text = page(items(load_reports(reports)))
    if args.output:
        write_whole(args.output, lambda file: file.write(text.encode()))
    else:
        print(text, end="")
    return 0


if __name__ == "__main__":
    sys.exit(main())
