"""The command line, ``./rasd``: thin wrappers over the functions that the pages call too.

Every command prints sentences for people, or one JSON object with ``--json``; progress
goes to standard error. The exit code is 0 only if what was asked was done.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeElapsedColumn
from rich.table import Column, Table
from sqlalchemy import Connection, Engine
from sqlalchemy.exc import OperationalError

from data import database, exports, quarantine, schema, status, territories
from data.elements import element_entries
from data.query import ReportQuery
from data.settings import settings
from geo.errors import InputError, RasdError

app = typer.Typer(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Rasd: reports of visual distortion into PostGIS, hot spots onto a map.",
)
ingest_app = typer.Typer(no_args_is_help=True, help="Bring files in: reports, areas.")
app.add_typer(ingest_app, name="ingest")
out = Console()
err = Console(stderr=True)

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object for machines.")]
TerritoryOption = Annotated[
    str | None,
    typer.Option(
        "--territory", help="Code of the territory; found from the data, or the only one, when left out."
    ),
]


def _say(line: str, style: str | None = None) -> None:
    """One line for people, as long as it is; whatever a file brought in it is plain text."""
    out.print(escape(line), style=style, highlight=False, soft_wrap=True)


def _emit(values: dict[str, Any]) -> None:
    print(json.dumps(values, ensure_ascii=False, indent=2, default=str))


@contextlib.contextmanager
def _bar(title: str, quiet: bool) -> Iterator[Callable[[float, int], None]]:
    """A progress bar on standard error; the callback takes (share done, rows so far)."""
    with Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("{task.fields[rows]:,} rows"),
        TimeElapsedColumn(),
        console=err,
        disable=quiet or not err.is_terminal,
        transient=True,
    ) as progress:
        task = progress.add_task(escape(title), total=1.0, rows=0)
        yield lambda share, rows: progress.update(task, completed=share, rows=rows)


def _ready() -> Engine:
    """The engine of a store with the schema of this version."""
    engine = database.engine()
    with engine.connect() as conn:
        schema.require_current(conn)
    return engine


def _the_territory(conn: Connection, code: str | None) -> territories.Territory:
    """The territory that is named, or the only one there is."""
    known = territories.all_territories(conn)
    found = [t for t in known if code is None or t.code == code]
    if len(found) == 1:
        return found[0]
    listed = ", ".join(t.code for t in known) or "none yet"
    if code is None:
        raise InputError(f"Name the territory with --territory; the store holds: {listed}.")
    raise InputError(f"There is no territory {code!r} in the store; it holds: {listed}.")


@app.command(epilog="Example: ./rasd up")
def up(as_json: Json = False) -> None:
    """Start the private cluster (or use DATABASE_URL) and bring the store's schema up to date."""
    engine = database.engine()
    schema.upgrade(engine)
    if settings().database_url is None:
        database.cluster().keep()
    address = engine.url.render_as_string(hide_password=True)
    if as_json:
        _emit({"running": True, "database": address, "schema": schema.head()})
    else:
        _say(f"The store is ready: {address}, schema {schema.head()}.")


@app.command(epilog="Example: ./rasd down")
def down(as_json: Json = False) -> None:
    """Stop the private cluster. The data stay."""
    if settings().database_url is not None:
        raise InputError("DATABASE_URL is set: that server is not Rasd's to stop.")
    database.release()
    stopped = database.cluster().stop()
    if as_json:
        _emit({"stopped": stopped})
    else:
        _say("The private cluster is stopped." if stopped else "The private cluster was not running.")


@app.command("status", epilog="Example: ./rasd status --json")
def show_status(as_json: Json = False) -> None:
    """What the store holds: version, territories, reports by status, areas by level, last batches."""
    with _ready().connect() as conn:
        found = status.store_status(conn).to_dict()
    if as_json:
        _emit(found)
        return
    _say(f"Schema {found['schema_version']}, {found['postgresql']}, PostGIS {found['postgis']}")
    table = Table(Column("territory", no_wrap=True), "reports", "newest", "areas", "data")
    for place in found["territories"]:
        areas = ", ".join(f"{n} {level}" for level, n in place["areas"].items() if n)
        table.add_row(
            escape(place["code"]),
            f"{place['reports']:,}",
            str(place["newest_report"] or "")[:10],
            areas,
            "simulated" if place["simulated"] else "real",
        )
    out.print(table)
    counts = ", ".join(f"{name} {count:,}" for name, count in found["reports_by_status"].items() if count)
    _say(f"Reports by status: {counts or 'none'}")
    for batch in found["batches"]:
        _say(
            f"batch {batch['id']}: {batch['file_name']}, read {batch['read']:,} = accepted "
            f"{batch['accepted']:,} + updated {batch['updated']:,} + unchanged {batch['unchanged']:,} "
            f"+ quarantined {batch['quarantined']:,}",
        )


@app.command(epilog="Example: ./rasd demo --reports 200000 --seed 7")
def demo(
    reports: Annotated[int, typer.Option(min=1000, max=10_000_000, help="How many reports.")] = 100_000,
    seed: Annotated[int, typer.Option(help="Seed of the simulation.")] = 940,
    months: Annotated[int, typer.Option(min=6, max=120, help="Length in months.")] = 24,
    end: Annotated[
        dt.datetime | None,
        typer.Option(formats=["%Y-%m-%d"], help="Last day; the last full month when left out."),
    ] = None,
    files: Annotated[
        Path | None, typer.Option("--files", help="Only write the files, to this folder.")
    ] = None,
    file_format: Annotated[
        str, typer.Option("--format", help="Format of the files: csv, csv.gz, csv.zst or xlsx.")
    ] = "csv",
    if_empty: Annotated[
        bool, typer.Option("--if-empty", help="Do nothing unless the store is empty.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Load simulated reports of the Eastern Province, labelled as simulated everywhere."""
    from ingest import demo as demo_ingest

    last = end.date() if end else dt.date.today().replace(day=1) - dt.timedelta(days=1)
    if files is not None:
        written = demo_ingest.write_files(
            files, reports=reports, seed=seed, months=months, end=last, format=file_format
        )
        if as_json:
            _emit(written.to_dict())
        else:
            _say(f"Wrote {reports:,} simulated reports to {files!s}.")
        return
    engine = _ready()
    if if_empty:
        with engine.connect() as conn:
            if not territories.wants_demo(conn):
                if as_json:
                    _emit({"loaded": False, "reason": "the store is not empty"})
                else:
                    _say("The store holds data already: no demo is loaded.")
                return
    with _bar("Simulating and loading", as_json) as progress:
        result = demo_ingest.load_demo(
            engine,
            reports=reports,
            seed=seed,
            months=months,
            end=last,
            format=file_format,
            progress=progress,
        )
    if as_json:
        _emit({"loaded": True, **result.to_dict()})
    else:
        _say(
            f"Loaded {result.accepted:,} simulated reports of the Eastern Province in {result.seconds:.0f} s "
            f"({result.quarantined:,} dirty rows are in quarantine)."
        )


@ingest_app.command("reports", epilog="Example: ./rasd ingest reports export.csv --dry-run")
def ingest_reports_command(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX, GeoJSON, GPKG, Shapefile, Parquet, Open311 …")],
    profile: Annotated[
        str | None, typer.Option(help="Name of a shipped profile or a YAML file; detected when left out.")
    ] = None,
    territory: TerritoryOption = None,
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of the file's wall times, for example Asia/Riyadh.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show mapping, counts and first faults; write nothing.")
    ] = False,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a GeoPackage or geodatabase.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Text encoding, when it is recognised wrongly.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Delimiter, when it is recognised wrongly.")] = None,
    keep_personal: Annotated[
        bool, typer.Option("--keep-personal", help="Keep names, phones and ids in the landed rows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring in a file of reports. The same file again changes nothing."""
    from ingest.pipeline import ingest_reports

    engine = _ready()
    with _bar(file.name, as_json) as progress:
        result = ingest_reports(
            engine,
            file,
            profile=profile,
            territory=territory,
            timezone=timezone,
            dry_run=dry_run,
            progress=progress,
            sheet=sheet,
            layer=layer,
            encoding=encoding,
            delimiter=delimiter,
            keep_personal=keep_personal,
        )
    if as_json:
        _emit(result.to_dict())
        return
    if dry_run:
        _say("Dry run: nothing was written.", style="bold")
    _say(result.profile_reason)
    for field, column in result.mapping.items():
        _say(f"  {field:12} ← {column}")
    if result.unmatched:
        _say(f"Kept in the landed row only: {', '.join(result.unmatched)}")
    if result.dropped_personal:
        _say(f"Dropped as personal: {', '.join(result.dropped_personal)}")
    for note in result.notes:
        _say(f"- {note}")
    if result.flags:
        flags = ", ".join(f"{name} {count:,}" for name, count in result.flags.items())
        _say(f"Kept with a flag: {flags}")
    for fault in result.faults:
        proposal = f" Proposal: {fault.proposal}" if fault.proposal else ""
        _say(f"line {fault.line}: {fault.code}, column {fault.column}: {fault.value!r}.{proposal}")
    _say(
        f"{result.territory}{' (simulated)' if result.simulated else ''}: read {result.read:,} = "
        f"accepted {result.accepted:,} + updated {result.updated:,} + unchanged {result.unchanged:,} + "
        f"quarantined {result.quarantined:,}; located {result.located:,}; {result.seconds:.1f} s",
        style="bold",
    )
    if result.quarantined and not dry_run:
        _say(f"See them: ./rasd quarantine --batch {result.batch}")


@ingest_app.command("areas", epilog="Example: ./rasd ingest areas districts.geojson --level district")
def ingest_areas_command(
    file: Annotated[Path, typer.Argument(help="Boundaries: any OGR source or GeoParquet.")],
    level: Annotated[str, typer.Option(help="region, amana, governorate, municipality or district.")],
    territory: TerritoryOption = None,
    territory_name_ar: Annotated[str | None, typer.Option(help="Arabic name of a new territory.")] = None,
    territory_name_en: Annotated[str | None, typer.Option(help="English name of a new territory.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone of a new territory.")] = None,
    name_ar: Annotated[str | None, typer.Option(help="Column of the Arabic names.")] = None,
    name_en: Annotated[str | None, typer.Option(help="Column of the English names.")] = None,
    code: Annotated[str | None, typer.Option(help="Column of the codes.")] = None,
    parent: Annotated[str | None, typer.Option(help="Column that names the area above.")] = None,
    assignment: Annotated[
        Path | None, typer.Option(help="Table district → municipality: dissolves districts.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the source.")] = None,
    as_json: Json = False,
) -> None:
    """Bring in boundaries of one level; all reports of the territory are assigned anew."""
    from ingest.areas import ingest_areas

    names = None
    if territory_name_ar or territory_name_en:
        names = (territory_name_ar or territory_name_en or "", territory_name_en or territory_name_ar or "")
    engine = _ready()
    with _bar(file.name, as_json) as progress:
        result = ingest_areas(
            engine,
            file,
            level=level,
            territory=territory,
            territory_names=names,
            timezone=timezone,
            name_ar=name_ar,
            name_en=name_en,
            code=code,
            parent=parent,
            assignment=assignment,
            layer=layer,
            progress=progress,
        )
    if as_json:
        _emit(result.to_dict())
        return
    for note in result.notes:
        _say(f"- {note}")
    _say(
        f"{result.territory}, {result.level}: read {result.read:,}, accepted {result.accepted:,}, "
        f"repaired {result.repaired:,}; overlaps {result.overlap_km2:.3f} km², gaps {result.gap_km2:.3f} km²; "
        f"{result.reassigned:,} reports assigned anew",
        style="bold",
    )


@app.command("quarantine", epilog="Example: ./rasd quarantine --batch 1 --export faults.xlsx")
def show_quarantine(
    batch: Annotated[int | None, typer.Option(help="Only this batch.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the rows to a .csv or .xlsx file.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also rows that were settled since.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Refused rows by reason; --export gives a file that can be corrected and ingested again."""
    with _ready().connect() as conn:
        counts = quarantine.reasons(conn, batch_id=batch, open_only=not everything)
        shown = quarantine.rows(conn, batch_id=batch, open_only=not everything, limit=limit)
        written = (
            quarantine.export(conn, export, batch_id=batch, open_only=not everything) if export else None
        )
    if as_json:
        _emit(
            {
                "reasons": {item.code: item.rows for item in counts},
                "rows": [row.to_dict() for row in shown],
                "exported": written,
                "file": str(export) if export else None,
            }
        )
        return
    table = Table("reason", "rows")
    for item in counts:
        table.add_row(item.code, f"{item.rows:,}")
    out.print(table)
    for row in shown:
        _say(f"batch {row.batch_id}, {row.file_name}, line {row.line}: {', '.join(row.reasons)}")
    if export:
        _say(f"Wrote {written:,} rows to {export!s}.")


@app.command("export", epilog="Example: ./rasd export cells.geojson --territory baltimore --what cells")
def export_command(
    file: Annotated[Path, typer.Argument(help=".csv, .geojson, .gpkg, .parquet or .xlsx")],
    territory: TerritoryOption = None,
    what: Annotated[str, typer.Option(help="reports or cells")] = "reports",
    resolution: Annotated[int, typer.Option(min=4, max=10, help="H3 resolution of cells.")] = 8,
    start: Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="First day.")] = None,
    end: Annotated[dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Last day.")] = None,
    element: Annotated[list[str] | None, typer.Option(help="Element codes; repeat the option.")] = None,
    as_json: Json = False,
) -> None:
    """Write reports or counts by cell to a file, safe to open in a spreadsheet."""
    format_name = file.suffix.lstrip(".").lower()
    with _ready().connect() as conn:
        place = _the_territory(conn, territory)
        unknown = sorted(set(element or ()) - {entry.code for entry in element_entries(conn)})
        if unknown:
            raise InputError(f"The taxonomy has no element {', '.join(unknown)}. Codes look like R04.")
        query = ReportQuery(
            place.id,
            start=start.date() if start else None,
            end=end.date() if end else None,
            elements=tuple(element or ()),
        )
        if what == "cells":
            file.write_bytes(exports.export_cells(conn, query, resolution, format_name))
            rows = None  # cells: as many as the file holds
        elif what == "reports":
            with _bar(file.name, as_json) as progress:
                rows = exports.export_reports(conn, query, format_name, file, progress=progress)
        else:
            raise InputError(f"--what takes reports or cells, not {what!r}.")
    if as_json:
        _emit({"file": str(file), "what": what, "territory": place.code, "rows": rows})
    else:
        _say(f"Wrote {what if rows is None else f'{rows:,} reports'} of {place.code} to {file!s}.")


def _fail(message: str, kind: str, code: int = 1) -> int:
    """Say what went wrong, to people and (with --json) to machines."""
    if "--json" in sys.argv:
        _emit({"error": message, "kind": kind})
    err.print(f"rasd: {escape(message)}", style="red", highlight=False, soft_wrap=True)
    return code


def main() -> int:
    """Entry point: errors that a person can mend are one sentence, never a traceback."""
    try:
        return int(app(prog_name="./rasd", standalone_mode=False) or 0)
    except RasdError as error:
        return _fail(str(error), type(error).__name__)
    except OperationalError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        return _fail(
            f"The database stopped answering ({reason}). Nothing of this command was written; run it again.",
            "StoreError",
        )
    except typer.Abort:
        return _fail("Stopped before it was done; nothing of this command was written.", "Abort", 130)
    except typer.TyperException as error:  # an option or argument that is not one
        if "--json" in sys.argv:
            _emit({"error": error.format_message(), "kind": "UsageError"})
        error.show()  # type: ignore[attr-defined]  # every click error that reaches us has it
        return error.exit_code


if __name__ == "__main__":
    sys.exit(main())
