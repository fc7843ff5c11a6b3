"""The files of the series: the same lines in Parquet and in CSV, each of which gives the other back."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import pyarrow as pa
import pyarrow.csv as pc
import pyarrow.parquet as pq

from labeling.errors import ConfigError
from labeling.files.atomic import replacing
from pipelines.nightly.series import FIGURES, FORMAT, SCHEMA, Row
from pipelines.nightly.site import Site


def table_of(rows: Iterable[Row]) -> pa.Table:
    """Return lines as a table."""
    return pa.Table.from_pylist([row.record() for row in rows], SCHEMA)


def rows_of(table: pa.Table) -> list[Row]:
    """Return the lines of a table; ConfigError where it has none of this form, or one scene twice."""
    if not table.schema.equals(SCHEMA):
        raise ConfigError("its columns are others")
    rows = []
    for record in table.to_pylist():
        if record.pop("format") != FORMAT:
            raise ConfigError("its lines are of another version")
        figures = {name: record.pop(name) for name in FIGURES.names}
        if record["state"] not in ("good", "failed", "vanished"):
            raise ConfigError(f"a scene is {record['state']!r}, which none can be")
        rows.append(Row(**record, figures=figures))
    if len({(row.scene, row.place) for row in rows}) != len(rows):
        raise ConfigError("it has a scene twice")
    return rows


def write_series(site: Site, rows: Iterable[Row]) -> None:
    """Write the series in both forms, each whole or not at all, where anything in it is new."""
    table = table_of(rows)
    with replacing(site.csv) as temporary:
        pc.write_csv(table, temporary)
    # Last: where both are there and differ, this is the older, and the next night makes it anew.
    with replacing(site.series) as temporary:
        pq.write_table(table, temporary)


def read_series(site: Site) -> tuple[list[Row], str]:
    """Return the series and, where one of its files had to be made good by the other, what was wrong.

    Without any file it is empty. ConfigError where neither can be read, or it is of another version.
    """
    if not site.series.exists() and not site.csv.exists():
        return [], ""
    rows, problem = _read(site.series, pq.read_table)
    if not problem:
        return rows, ""
    rows, other = _read(site.csv, _read_csv)
    if other:
        raise ConfigError(
            f"the series cannot be read: {problem} {other} Bring one of the two back from a copy; or move "
            "both away, and the next night makes a line for every scene that is there, but for none that "
            "vanished."
        )
    return rows, f"{problem} The series is made anew from {site.csv.name}, which is whole."


def _read(file: Path, read: Callable[[Path], pa.Table]) -> tuple[list[Row], str]:
    """Return the lines in a file, and what is wrong with it: a sentence, else ""."""
    try:
        return rows_of(read(file)), ""
    except FileNotFoundError:
        return [], f"{file} is not there."
    except ConfigError as error:
        return [], f"{file} is no series that this version reads: {error}."
    # What is damaged may be text, numbers, or names that no column has.
    except (pa.ArrowException, OSError, ValueError, LookupError, TypeError) as error:
        reason = str(error).partition("\n")[0].rstrip(".")
        return [], f"{file} cannot be read: {reason}."


def _read_csv(file: Path) -> pa.Table:
    kinds = {field.name: field.type for field in SCHEMA}
    table = pc.read_csv(
        file,
        parse_options=pc.ParseOptions(newlines_in_values=True),
        convert_options=pc.ConvertOptions(
            column_types=kinds, strings_can_be_null=True, quoted_strings_can_be_null=False, null_values=[""]
        ),
    )
    if table.column_names != SCHEMA.names:
        raise ConfigError("its columns are others")
    # Only what is null in a column that has none is refused by this.
    return pa.Table.from_pylist(table.to_pylist(), SCHEMA).cast(SCHEMA)
