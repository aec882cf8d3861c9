"""Rows as a file: CSV or Parquet, one row a point, the same columns in both."""

import csv
import io
import json
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from squeezelerator.common.command_line import OptionError
from squeezelerator.common.files import write_whole
from squeezelerator.explore.evaluation.point import METRICS, Row
from squeezelerator.explore.space.axes import Value
from squeezelerator.explore.space.space import Space

__all__ = ["FORMATS", "columns", "text_of", "write_rows"]

FORMATS = ("csv", "parquet")


def text_of(value: Value | float) -> str:
    """A value as files, tables and command lines have it: ``2-4-14-1`` for several numbers."""
    if isinstance(value, tuple):
        return "-".join(map(str, value))
    return json.dumps(value) if isinstance(value, bool) else f"{value:.10g}" if isinstance(value, float) else str(value)


def columns(space: Space) -> tuple[str, ...]:
    """Names of the columns."""
    return ("point", *(one.name for one in space.axes), *METRICS, "reason")


def _record(space: Space, row: Row) -> dict[str, Any]:
    values = {one.name: text_of(row.values[one.name]) if isinstance(row.values[one.name], tuple) else row.values[one.name]
              for one in space.axes}  # fmt: skip
    return {"point": row.number, **values, **{name: row.metrics.get(name) for name in METRICS}, "reason": row.reason}


def _csv(space: Space, rows: Sequence[Row]) -> bytes:
    file = io.StringIO()
    writer = csv.DictWriter(file, columns(space), lineterminator="\n")
    writer.writeheader()
    for row in rows:
        record = _record(space, row)
        writer.writerow({name: "" if value is None else text_of(value) for name, value in record.items()})
    return file.getvalue().encode()


def _parquet(space: Space, rows: Sequence[Row]) -> bytes:
    import pyarrow
    from pyarrow import parquet

    records = [_record(space, row) for row in rows]
    made: dict[str, Any] = {}
    for name in columns(space):
        values = [record[name] for record in records]
        # One type a column: numbers that may be whole or not are floats, whatever the first row has.
        mixed = {type(value) for value in values if value is not None} == {int, float} or name in ("edp", "energy")
        made[name] = pyarrow.array(values, pyarrow.float64()) if mixed else pyarrow.array(values)
    sink = io.BytesIO()
    parquet.write_table(pyarrow.table(made), sink)
    return sink.getvalue()


def write_rows(path: str | Path, space: Space, rows: Sequence[Row]) -> None:
    """Write rows to ``path``, whole or not at all; its name ends in ``.csv`` or ``.parquet``."""
    data = _parquet(space, rows) if str(path).endswith(".parquet") else _csv(space, rows)
    try:
        write_whole(path, lambda file: file.write(data))
    except OSError as error:
        raise OptionError(f"cannot write {path}: {error.strerror}") from None
