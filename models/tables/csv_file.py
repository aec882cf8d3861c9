"""Layer tables as CSV files, in the seed's columns plus ``Inputs``, ``Groups``, ``Activation`` and ``S_y``.

============== ==========================================================================================
Name, Type     as in :class:`~spec.network.layer_table.Layer`
W_i ... C_o    shapes and kernel
S              stride along x, and along y unless the column ``S_y`` says otherwise
P_w, P_h       padding before (left, top)
Repeat         1, or n in a run of rows with the same n, which then stands n times (see :func:`read_csv`)
Params         weights and one bias per filter, in thousands; not needed for reading
MAC            MACs with one more per output for the bias, in thousands; not needed for reading
Act. size      output at 4 bytes an element, in KiB; not needed for reading
Inputs         producing layers, ``;`` between them; without the column every row reads the one before it
Groups         1 where missing
Activation     ``none`` where missing
============== ==========================================================================================
"""

import csv
import os
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from squeezelerator.common.reading import first_line
from squeezelerator.spec.network.checks import MOST_LAYERS, check_numbers
from squeezelerator.spec.network.layer import NETWORK_INPUT, Layer, TableError
from squeezelerator.spec.network.layer_table import LayerTable

_MOST_DIGITS = 18
_NUMBERS = {
    "W_i": "w_i", "H_i": "h_i", "C_i": "c_i", "K_w": "k_w", "K_h": "k_h", "W_o": "w_o", "H_o": "h_o", "C_o": "c_o",
    "S": "s_x", "P_w": "p_w", "P_h": "p_h",
}  # fmt: skip
REQUIRED = ("Name", "Type", *_NUMBERS)
COLUMNS = (*REQUIRED, "Repeat", "Params", "MAC", "Act. size", "Inputs", "Groups", "Activation")


def params_thousands(layer: Layer) -> float:
    """Weights and biases in thousands, as the seed counts them."""
    return (layer.params + (layer.c_o if layer.has_weights else 0)) / 1000


def macs_thousands(layer: Layer) -> float:
    """MACs with bias in thousands."""
    return layer.macs_with_bias / 1000


def activation_kib(layer: Layer) -> float:
    """Size of the output in KiB at 4 bytes an element."""
    return layer.out_size * 4 / 1024


def _plain(number: float) -> str:
    """``number`` with at most three decimals and no needless ones."""
    return f"{number:.3f}".rstrip("0").rstrip(".")


def to_rows(table: LayerTable) -> list[list[str]]:
    """The table as a header and rows of strings; the counts keep three decimals, which for thousands is exact."""
    with_s_y = any(layer.s_y != layer.s_x for layer in table.layers)
    rows = [[*COLUMNS, *(["S_y"] if with_s_y else [])]]
    for layer in table.layers:
        row = [layer.name, layer.type, *(str(getattr(layer, field)) for field in _NUMBERS.values()), "1"]
        row += [_plain(params_thousands(layer)), _plain(macs_thousands(layer)), _plain(activation_kib(layer))]
        row += [";".join(layer.inputs), str(layer.groups), layer.activation]
        rows.append(row + ([str(layer.s_y)] if with_s_y else []))
    return rows


def write_csv(table: LayerTable, path: str | Path) -> None:
    """Write ``table`` to ``path``, whole or (if that fails) not at all.

    Raises
    ------
    OSError
        If the file cannot be written; the message is one line with its path.
    """
    path = Path(path)
    partial = path.parent / f"{path.name}.{os.getpid()}.partial"
    try:
        if path.exists() and not path.is_file():
            # A device or a pipe: there is nothing to replace, and a directory refuses by itself.
            partial = None
        with open(partial or path, "w", newline="", encoding="utf-8") as file:
            csv.writer(file, lineterminator="\n").writerows(to_rows(table))
        if partial:
            os.replace(partial, path)
    except OSError as error:
        raise OSError(f"{path}: cannot be written: {error.strerror}") from None
    finally:
        if partial:
            partial.unlink(missing_ok=True)


def _whole(where: str, column: str, text: str) -> int:
    digits = text.replace(",", "")
    if len(digits) > _MOST_DIGITS:
        raise TableError(f"{where}: {column} must be a whole number of at most {_MOST_DIGITS} characters, not one of {len(digits)}")
    try:
        return int(digits)
    except ValueError:
        raise TableError(f"{where}: {column} must be a whole number, not {text!r}") from None


def _row(where: str, record: Mapping[str, str], previous: str) -> tuple[Layer, int]:
    """A layer and its Repeat from one record; ``where`` starts the messages, ``previous`` is the default input."""
    name = record["Name"]
    if not name or name == NETWORK_INPUT or any(mark in name for mark in ";/\\\0"):
        raise TableError(f"{where}: {name!r} cannot be the name of a layer")
    numbers = {field: _whole(where, column, record[column]) for column, field in _NUMBERS.items()}
    inputs = tuple(item.strip() for item in (record.get("Inputs") or previous).split(";"))
    # What is no type or no activation the checks of the table refuse.
    fields: dict[str, Any] = {"type": record["Type"], "activation": record.get("Activation") or "none", **numbers}
    layer = Layer(
        name=name,
        inputs=inputs,
        s_y=_whole(where, "S_y", record.get("S_y") or record["S"]),
        groups=_whole(where, "Groups", record.get("Groups") or "1"),
        **fields,
    )
    return layer, _whole(where, "Repeat", record.get("Repeat") or "1")


def _check_counts(where: str, record: Mapping[str, str], layer: Layer) -> None:
    """Refuse a MAC or Params column that is off by more than the seed's rounding: one of the numbers is a slip."""
    for column, counted, step in (("Params", params_thousands(layer), 0.1), ("MAC", macs_thousands(layer), 1)):
        text = (record.get(column) or "").replace(",", "")
        if not text:
            continue
        try:
            given = float(text)
        except ValueError:
            raise TableError(f"{where}: {column} must be a number, not {text!r}") from None
        if not abs(given - counted) <= step:
            raise TableError(
                f"{where}: {column} is {text} thousand, but the shape of {layer.name} makes {_plain(counted)}"
            )


def _expand(rows: list[tuple[Layer, int]]) -> list[Layer]:
    """Layers of ``[(layer, repeat)]`` with every run of rows of the same Repeat n > 1 standing n times."""
    layers, start = [], 0
    while start < len(rows):
        repeat, end = rows[start][1], start + 1
        if repeat < 1:
            raise TableError(f"layer {rows[start][0].name}: Repeat must be at least 1, not {repeat}")
        if repeat > MOST_LAYERS:
            raise TableError(f"layer {rows[start][0].name}: Repeat must be at most {MOST_LAYERS}, not {repeat}")
        while repeat > 1 and end < len(rows) and rows[end][1] == repeat:
            end += 1
        run = [layer for layer, _ in rows[start:end]]
        if repeat > 1 and len(layers) + len(run) * repeat > MOST_LAYERS:
            raise TableError(f"layer {run[0].name}: with {repeat} times {len(run)} there are more than {MOST_LAYERS} layers")
        layers += run
        if repeat > 1:
            layers += _copies(run, repeat)
            later = {run[-1].name: _copy_name(run[-1].name, repeat)}
            rows = [*rows[:end], *((_renamed(layer, later, layer.name), count) for layer, count in rows[end:])]
        start = end
    return layers


def _copy_name(name: str, number: int) -> str:
    return name if number == 1 else f"{name}_r{number}"


def _renamed(layer: Layer, names: Mapping[str, str], name: str) -> Layer:
    return replace(layer, name=name, inputs=tuple(names.get(source, source) for source in layer.inputs))


def _copies(run: Sequence[Layer], repeat: int) -> Iterator[Layer]:
    """Copies 2 ... ``repeat`` of a run, each reading the end of the one before where the run read its predecessor."""
    first, last = run[0], run[-1]
    if first.in_shape != last.out_shape or len(first.inputs) != 1:
        raise TableError(
            f"layer {first.name}: {first.name} to {last.name} cannot be repeated {repeat} times, "
            f"because they turn {first.in_shape} into {last.out_shape}"
        )
    for number in range(2, repeat + 1):
        names = {layer.name: _copy_name(layer.name, number) for layer in run}
        names[first.inputs[0]] = _copy_name(last.name, number - 1)
        for layer in run:
            yield _renamed(layer, names, names[layer.name])


def _records(path: Path) -> list[dict[str, str]]:
    """The rows of the file; at least one, with all required columns."""
    try:
        with open(path, newline="", encoding="utf-8-sig") as file:
            records = list(csv.DictReader(file, skipinitialspace=True))
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TableError(f"{path}: cannot be read as a layer table: {first_line(error)}") from None
    if not records:
        raise TableError(f"{path}: has no rows")
    missing = [column for column in REQUIRED if column not in records[0]]
    if missing:
        raise TableError(f"{path}: column {missing[0]} is missing")
    return records


def read_csv(path: str | Path) -> LayerTable:
    """Read a layer table; its name is the file's without extension, its input shape the first row's.

    Rows with ``Repeat`` n > 1 that follow each other form one group that stands n times, each copy reading the one
    before it; the copies' names end in ``_r2`` ... ``_rn``. That needs the group's output to have the shape of its
    input.

    Raises
    ------
    TableError
        If the file cannot be read, lacks a column, or holds an inconsistent table; in one line.
    """
    path = Path(path)
    rows, previous = [], NETWORK_INPUT
    for number, record in enumerate(_records(path), start=2):
        where = f"{path.name} line {number}"
        if None in record or any(record[column] is None for column in REQUIRED):
            raise TableError(f"{where}: has {'more' if None in record else 'fewer'} cells than the header")
        record = {column: (cell or "").strip() for column, cell in record.items()}
        layer, repeat = _row(where, record, previous)
        check_numbers(layer)
        _check_counts(where, record, layer)
        rows.append((layer, repeat))
        previous = layer.name
    first = rows[0][0]
    return LayerTable(path.stem, first.in_shape, tuple(_expand(rows))).validate()
