"""``python -m models.paper``: write the paper's tables and figures, published and reproduced."""

import sys
from collections.abc import Sequence
from pathlib import Path

from squeezelerator.common.command_line import OneLineParser, command, program_name
from squeezelerator.models.paper import tables
from squeezelerator.models.paper.evaluate import ENERGY_LIMITS, TIME_LIMITS, Evaluation
from squeezelerator.models.paper.report import write_page
from squeezelerator.models.paper.tables import Table
from squeezelerator.models.paper.this_machine import Measurements, load_reports


def write_all(folder: Path, measured: Measurements | None = None) -> tuple[Evaluation, Table]:
    """Write every file into ``folder``.

    Parameters
    ----------
    folder : pathlib.Path
        Created where it does not exist.
    measured : dict
        :class:`~models.paper.this_machine.Measurement` by (network, configuration, dataflow) for this machine's
        columns.

    Returns
    -------
    tuple
        The :class:`~models.paper.evaluate.Evaluation` and the claims' :class:`~models.paper.tables.Table`.
    """
    # Here and not above: loading matplotlib takes longer than everything else that --help needs.
    from squeezelerator.models.paper.figures import draw

    measured = measured or {}
    evaluation = Evaluation()
    folder.mkdir(parents=True, exist_ok=True)
    claims = tables.claims_table(evaluation, measured)
    shown = (
        tables.simulated_table(evaluation, measured), tables.hybrid_table(evaluation, measured), claims,
        *tables.accuracy_tables(),
    )  # fmt: skip
    assumptions = tables.assumptions_table(evaluation)
    data = (
        tables.layers_table(evaluation),
        tables.spectrum_table(evaluation, measured),
        tables.blocks_table(evaluation),
    )
    for table in (*shown, assumptions, *data):
        table.write(folder)
    write_page(folder, shown, assumptions, draw(evaluation, measured, folder), measured)
    return evaluation, claims


@command("models.paper")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    parser = OneLineParser(
        prog=program_name("models.paper"), description=(__doc__ or "").replace("`", ""), allow_abbrev=False
    )
    parser.add_argument("--out", metavar="DIR", default="build/paper", help="folder for the files (build/paper)")
    parser.add_argument(
        "--machine",
        metavar="FILE.json",
        nargs="+",
        default=[],
        help="reports of python -m sim --json, for this machine's columns",
    )
    options = parser.parse_args(argv)
    folder = Path(options.out)
    evaluation, claims = write_all(folder, load_reports(options.machine))
    met = True
    for quantity, limits in (("time", TIME_LIMITS), ("energy", ENERGY_LIMITS)):
        found = evaluation.summary(quantity)
        met &= all(value <= limit for value, limit in zip(found, limits, strict=True))
        print(f"table 3 {quantity}: mean error {100 * found[0]:.2f}%, largest {100 * found[1]:.1f}%")
    for row in claims.rows:
        print(
            f"{row[0]}: claimed {row[1]}, published table {row[2] or '-'}, reproduced {row[3]}, "
            f"this machine {row[4] or '-'}"
        )
    print(f"written to {folder}/index.html")
    if not met:
        print(f"{parser.prog}: the errors exceed their limits", file=sys.stderr)
    return 0 if met else 1


if __name__ == "__main__":
    sys.exit(main())
