"""./rasd export: reports or counts by cell as a file."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from commands.console import Json, TerritoryOption, bar, emit, ready, say, the_territory
from data import exports
from data.elements import element_entries
from data.query import ReportQuery
from geo.errors import InputError


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
    with ready().connect() as conn:
        place = the_territory(conn, territory)
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
            with bar(file.name, as_json) as progress:
                rows = exports.export_reports(conn, query, format_name, file, progress=progress)
        else:
            raise InputError(f"--what takes reports or cells, not {what!r}.")
    if as_json:
        emit({"file": str(file), "what": what, "territory": place.code, "rows": rows})
    else:
        say(f"Wrote {what if rows is None else f'{rows:,} reports'} of {place.code} to {file!s}.")


def register(app: typer.Typer) -> None:
    app.command("export", epilog="Example: ./rasd export cells.geojson --territory baltimore --what cells")(
        export_command
    )
