"""The coverage page: one HTML file that names what is not covered."""

from collections.abc import Iterable, Sequence
from html import escape

from tests.coverage_report.python import FileCoverage, FolderRun
from tests.coverage_report.rtl import MachineCoverage
from tests.coverage_report.verilator_data import Module

__all__ = ["page", "share", "spans", "summary"]

_STYLE = """body{font:14px/1.4 system-ui,sans-serif;margin:2em auto;max-width:75em;padding:0 1em;color:#1b1b1b;background:#fff}
table{border-collapse:collapse}td,th{border-bottom:1px solid #ddd;padding:2px 10px;text-align:right;vertical-align:top;white-space:nowrap}
td:first-child,th:first-child{text-align:left}td.names{text-align:left;white-space:normal;font:12px/1.4 ui-monospace,monospace}
summary{cursor:pointer}@media(prefers-color-scheme:dark){body{color:#ddd;background:#181818}td,th{border-color:#444}}"""


def share(part: int, whole: int) -> str:
    """``part`` of ``whole`` in percent; of nothing all is covered."""
    return f"{100 * part / whole:.1f}%" if whole else "100.0%"


def spans(lines: Iterable[int]) -> str:
    """Numbers with those that follow each other taken together: ``3-5, 9``."""
    found: list[list[int]] = []
    for line in sorted(lines):
        if found and found[-1][1] == line - 1:
            found[-1][1] = line
        else:
            found.append([line, line])
    return ", ".join(str(first) if first == last else f"{first}-{last}" for first, last in found)


def _row(cells: Sequence[str], names: Sequence[str] = (), tag: str = "td") -> str:
    """A row of a table; ``names`` are its last cell."""
    text = "".join(f"<{tag}>{escape(cell)}</{tag}>" for cell in cells)
    return f'<tr>{text}<td class="names">{"<br>".join(escape(name) for name in names if name)}</td></tr>'


def _untaken(file: FileCoverage) -> str:
    arrows = [f"{begin} to {end if end > 0 else 'the end'}" for begin, end in file.untaken]
    return f"branches not taken: {', '.join(arrows)}" if arrows else ""


def _figures(files: Sequence[FileCoverage]) -> list[str]:
    statements, branches = sum(file.statements for file in files), sum(file.branches for file in files)
    return [f"{statements:,}", share(statements - sum(len(file.missing) for file in files), statements), f"{branches:,}",
            share(branches - sum(file.branches_missing for file in files), branches)]


def _python(files: Sequence[FileCoverage], runs: Sequence[FolderRun]) -> str:
    head = ["statements", "run", "branches", "taken"]
    packages = sorted({file.path.split("/")[0] for file in files})
    parts = [_row([package, *_figures([file for file in files if file.path.split("/")[0] == package])]) for package in packages]
    each = [_row([file.path, *_figures([file])], [spans(file.missing) and f"lines not run: {spans(file.missing)}", _untaken(file)])
            for file in sorted(files, key=lambda file: file.path)]
    tests = [_row([run.words, f"{run.seconds:,.0f} s", run.summary]) for run in runs]
    total = _row(["all", *_figures(files)])
    return (f"<h2>Python: lines and branches</h2><table>{_row(['package', *head], tag='th')}{''.join(parts)}{total}</table><details open>"
            f"<summary>Each file, and what of it is not covered</summary><table>{_row(['file', *head], tag='th')}{''.join(each)}"
            "</table></details><details><summary>The tests that ran</summary><table>"
            f"{_row(['tests', 'time', 'result'], tag='th')}{''.join(tests)}</table></details>")


def _module_figures(modules: Sequence[Module]) -> list[str]:
    blocks, bits = sum(len(module.blocks) for module in modules), sum(len(module.bits) for module in modules)
    run = blocks - sum(len(module.blocks_not_run) for module in modules)
    return [f"{blocks:,}", share(run, blocks), f"{bits:,}", share(bits - sum(module.bits_still for module in modules), bits)]


def _not_covered(module: Module) -> list[str]:
    signals = module.signals_still()
    return [f"bits that did not change both ways: {', '.join(signals)}" if signals else "",
            *(f"line {block.line}, {block.kind}: {block.text}" for block in module.blocks_not_run)]


def _machine(machine: MachineCoverage) -> str:
    head = ["module", "blocks", "run", "bits", "changed both ways"]
    each = "".join(_row([module.name, *_module_figures([module])], _not_covered(module)) for module in machine.modules)
    return (f"<h2>RTL, {escape(machine.title)}</h2><p>{machine.seconds:,.0f} s. Lines are those of the generated Verilog.</p><table>"
            f"{_row(head, tag='th')}{_row(['all', *_module_figures(machine.modules)])}</table><details open>"
            f"<summary>Each module, and what of it is not covered</summary><table>{_row(head, tag='th')}{each}</table></details>")


def page(files: Sequence[FileCoverage], runs: Sequence[FolderRun], machines: Sequence[MachineCoverage], seconds: float) -> str:
    """The page; a part that was not measured is not in it."""
    title = "What the tests run and move"
    parts = [_python(files, runs) if runs else "", *map(_machine, machines)]
    return (f'<!doctype html><html lang="en"><meta charset="utf-8"><title>{title}</title><style>{_STYLE}</style><h1>{title}</h1>'
            f"<p>Measured in {seconds / 60:,.1f} minutes.</p>{''.join(parts)}</html>\n")


def summary(files: Sequence[FileCoverage], machines: Sequence[MachineCoverage]) -> list[str]:
    """The totals, a line each."""
    lines = []
    if files:
        statements, run, branches, taken = _figures(files)
        lines.append(f"Python: {run} of {statements} statements, {taken} of {branches} branches")
    for machine in machines:
        blocks, run, bits, moved = _module_figures(machine.modules)
        lines.append(f"RTL, {machine.title}: {run} of {blocks} blocks, {moved} of {bits} bits")
    return lines
