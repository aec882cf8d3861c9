"""``python -m models``: list the networks, print a layer table, or compare the metaparameter study's counts."""

import sys
from argparse import ArgumentParser, Namespace
from collections.abc import Sequence

from squeezelerator.common.command_line import OneLineParser, OptionError, command, program_name
from squeezelerator.models.networks import metaparameter_study, zoo
from squeezelerator.models.networks.squeezenet import BYPASSES, Metaparameters, squeezenet
from squeezelerator.models.sources import load_table
from squeezelerator.models.tables.csv_file import COLUMNS, activation_kib, macs_thousands, params_thousands, to_rows, write_csv
from squeezelerator.spec.network.layer_table import LayerTable

_SEED_COLUMNS = COLUMNS[: COLUMNS.index("Inputs")]


def _print_columns(rows: Sequence[Sequence[str]], left: int = 1) -> None:
    """Print rows of strings in aligned columns, the first ``left`` of them flush left."""
    widths = [max(len(cell) for cell in column) for column in zip(*rows, strict=True)]
    for row in rows:
        cells = (f"{cell:{'<' if at < left else '>'}{widths[at]}}" for at, cell in enumerate(row))
        print("  ".join(cells).rstrip())


def _print_list() -> None:
    rows = [["name", "title", "layers", "weights", "trained", "MAC", "activations", "published", "remarks"]]
    for name in zoo.names():
        network = zoo.network(name)
        table = network.table
        published = f"{network.params_published}M" if network.params_published else ""
        if network.macs_published:
            published += f" {network.macs_published / 1e6:.0f}M"
        remarks = [f"inferred: {network.inferred}"] * bool(network.inferred) + [network.note] * bool(network.note)
        remarks += ["for tests"] * network.test_only
        rows.append([
            name, network.title, str(len(table.layers)), f"{table.params:,}", f"{network.trainable_params:,}",
            f"{table.macs_with_bias:,}", f"{sum(layer.out_size for layer in table.layers):,}", published,
            "; ".join(remarks),
        ])  # fmt: skip
    width = max(len(row[-1]) for row in rows)
    _print_columns([[*row[:-1], row[-1].ljust(width)] for row in rows], left=2)
    print("\nweights: of Conv and FC. trained: with biases, or two numbers per channel of batch norm.")
    print(
        "MAC: one more per output for the bias, as the papers count. activations: outputs of all layers, in elements."
    )


def _print_table(table: LayerTable) -> None:
    """The layer table as the literature prints it: thousands of parameters and MACs, KiB of 4-byte outputs."""
    rows = [[*_SEED_COLUMNS, "Inputs", "Groups", "Activation"]]
    header, *cells = to_rows(table)
    for layer, cell in zip(table.layers, cells, strict=True):
        row = dict(zip(header, cell, strict=True))
        row["S"] = row["S"] if layer.s_x == layer.s_y else f"{layer.s_x}x{layer.s_y}"
        row["Params"] = f"{params_thousands(layer):,.1f}"
        row["MAC"] = f"{macs_thousands(layer):,.0f}"
        row["Act. size"] = f"{activation_kib(layer):,.0f}"
        rows.append([row[column] for column in rows[0]])
    _print_columns(rows, left=2)
    biases = sum(layer.c_o for layer in table.layers if layer.has_weights)
    print(f"\n{table.name}: {table.params:,} weights, {biases:,} biases, {table.macs_with_bias:,} MACs with bias")


def _print_study() -> None:
    rows = [["configuration", "published", "counted", "difference", "top-1 %", "top-5 %", "why"]]
    entries = [(row, row.label) for row in metaparameter_study.rows()]
    for row, pools in metaparameter_study.pooling_rows():
        places = "; ".join("conv1" if place == 0 else f"fire module {place}" for place in pools)
        entries.append((row, f"pools {row.label}: after {places}"))
    for row, label in entries:
        rows.append([label, f"{row.published:,}", f"{row.counted:,}", f"{row.difference:+,}" if row.difference else "0",
                     f"{row.top1:.2f}", f"{row.top5:.2f}", row.why])  # fmt: skip
    width = max(len(row[-1]) for row in rows)
    _print_columns([[*row[:-1], row[-1].ljust(width)] for row in rows])
    print("\nParameters are weights and biases for 200 classes at 224x224; accuracies are quoted as published.")


def _arguments(argv: Sequence[str] | None) -> tuple[ArgumentParser, Namespace]:
    parser = OneLineParser(prog=program_name("models"), description=(__doc__ or "").replace("`", ""), allow_abbrev=False)
    parser.add_argument(
        "network", nargs="?", help="name of a network, a .csv layer table, an ONNX file, or squeezenet with the options below"
    )
    parser.add_argument("--csv", metavar="FILE", help="write the layer table to FILE instead of printing it")
    parser.add_argument(
        "--metaparameters", action="store_true", help="published and counted parameters of 22 SqueezeNets"
    )
    group = parser.add_argument_group("options of squeezenet")
    defaults = Metaparameters()
    group.add_argument("--base-e", type=int, help=f"expand filters of the first Fire module ({defaults.base_e})")
    group.add_argument("--incr-e", type=int, help=f"expand filters more after every FREQ modules ({defaults.incr_e})")
    group.add_argument("--pct-3x3", type=float, help=f"share of 3x3 among them, 0 to 1 ({defaults.pct_3x3})")
    group.add_argument("--freq", type=int, help=f"modules of equal size ({defaults.freq})")
    group.add_argument("--sr", type=float, help=f"squeeze filters for each expand filter ({defaults.sr})")
    group.add_argument("--classes", type=int, help="filters of the last convolution (1000)")
    group.add_argument("--size", type=int, help="height and width of the input (227)")
    group.add_argument("--pools", metavar="I,J,...", help="pools after conv1 (0) and Fire modules (1 to 8): 0,3,7")
    group.add_argument("--bypass", choices=BYPASSES, help="shortcuts around the Fire modules (none)")
    return parser, parser.parse_args(argv)


def _squeezenet(options: Namespace) -> LayerTable:
    meta = {name: getattr(options, name) for name in ("base_e", "incr_e", "pct_3x3", "freq", "sr")}
    rest = {name: getattr(options, name) for name in ("classes", "size", "bypass")}
    if options.pools is not None:
        try:
            rest["pool_after"] = tuple(int(place) for place in options.pools.split(",") if place)
        except ValueError:
            raise OptionError(f"--pools takes whole numbers with commas between them, not {options.pools!r}") from None
    return squeezenet(
        meta=Metaparameters(**{name: value for name, value in meta.items() if value is not None}),
        **{name: value for name, value in rest.items() if value is not None},
    )


def _of_squeezenet(options: Namespace) -> list[str]:
    """Names of the options of squeezenet that are given."""
    own = ("base_e", "incr_e", "pct_3x3", "freq", "sr", "classes", "size", "pools", "bypass")
    return [name for name in own if getattr(options, name) is not None]


def _check(options: Namespace) -> None:
    """Refuse options that do not go together."""
    given = _of_squeezenet(options)
    if given and options.network != "squeezenet":
        raise OptionError(f"--{given[0].replace('_', '-')} belongs to the network squeezenet")
    if options.metaparameters and (options.network or options.csv):
        raise OptionError("--metaparameters takes no network and no --csv")
    if options.csv and not options.network:
        raise OptionError("--csv needs a network")


def _run(options: Namespace) -> None:
    if options.metaparameters:
        _print_study()
        return
    if options.network is None:
        _print_list()
        return
    table = _squeezenet(options) if _of_squeezenet(options) else load_table(options.network)
    if options.csv:
        write_csv(table, options.csv)
    else:
        _print_table(table)


@command("models")
def main(argv: Sequence[str] | None = None) -> int:
    """Run the command line; returns the exit code."""
    options = _arguments(argv)[1]
    _check(options)
    _run(options)
    sys.stdout.flush()
    return 0


if __name__ == "__main__":
    sys.exit(main())
