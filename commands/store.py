"""The store: start, stop, what it holds, and the demonstration."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer
from rich.markup import escape
from rich.table import Column, Table

from commands.console import Json, bar, emit, out, ready, say
from data import database, schema, status, territories
from data.settings import settings
from geo.errors import InputError


def up(as_json: Json = False) -> None:
    """Start the private cluster (or use DATABASE_URL) and bring the store's schema up to date."""
    engine = database.engine()
    schema.upgrade(engine)
    if settings().database_url is None:
        database.cluster().keep()
    address = engine.url.render_as_string(hide_password=True)
    if as_json:
        emit({"running": True, "database": address, "schema": schema.head()})
    else:
        say(f"The store is ready: {address}, schema {schema.head()}.")


def down(as_json: Json = False) -> None:
    """Stop the private cluster. The data stay."""
    if settings().database_url is not None:
        raise InputError("DATABASE_URL is set: that server is not Rasd's to stop.")
    database.release()
    stopped = database.cluster().stop()
    if as_json:
        emit({"stopped": stopped})
    else:
        say("The private cluster is stopped." if stopped else "The private cluster was not running.")


def show_status(as_json: Json = False) -> None:
    """What the store holds: version, territories, reports by status, areas by level, last batches."""
    with ready().connect() as conn:
        found = status.store_status(conn).to_dict()
    if as_json:
        emit(found)
        return
    say(f"Schema {found['schema_version']}, {found['postgresql']}, PostGIS {found['postgis']}")
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
    say(f"Reports by status: {counts or 'none'}")
    for batch in found["batches"]:
        say(
            f"batch {batch['id']}: {batch['file_name']}, read {batch['read']:,} = accepted "
            f"{batch['accepted']:,} + updated {batch['updated']:,} + unchanged {batch['unchanged']:,} "
            f"+ quarantined {batch['quarantined']:,}",
        )


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
            emit(written.to_dict())
        else:
            say(f"Wrote {reports:,} simulated reports to {files!s}.")
        return
    engine = ready()
    if if_empty:
        with engine.connect() as conn:
            if not territories.wants_demo(conn):
                if as_json:
                    emit({"loaded": False, "reason": "the store is not empty"})
                else:
                    say("The store holds data already: no demo is loaded.")
                return
    with bar("Simulating and loading", as_json) as progress:
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
        emit({"loaded": True, **result.to_dict()})
    else:
        say(
            f"Loaded {result.accepted:,} simulated reports of the Eastern Province in {result.seconds:.0f} s "
            f"({result.quarantined:,} dirty rows are in quarantine)."
        )


def register(app: typer.Typer) -> None:
    app.command(epilog="Example: ./rasd up")(up)
    app.command(epilog="Example: ./rasd down")(down)
    app.command("status", epilog="Example: ./rasd status --json")(show_status)
    app.command(epilog="Example: ./rasd demo --reports 200000 --seed 7")(demo)
