"""./rasd quarantine: refused rows, and a file of them that can be corrected."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer
from rich.table import Table

from commands.console import Json, emit, out, ready, say
from data import quarantine


def show_quarantine(
    batch: Annotated[int | None, typer.Option(help="Only this batch.")] = None,
    export: Annotated[Path | None, typer.Option(help="Write the rows to a .csv or .xlsx file.")] = None,
    everything: Annotated[bool, typer.Option("--all", help="Also rows that were settled since.")] = False,
    limit: Annotated[int, typer.Option(min=1, help="Rows to show.")] = 20,
    as_json: Json = False,
) -> None:
    """Refused rows by reason; --export gives a file that can be corrected and ingested again."""
    with ready().connect() as conn:
        counts = quarantine.reasons(conn, batch_id=batch, open_only=not everything)
        shown = quarantine.rows(conn, batch_id=batch, open_only=not everything, limit=limit)
        written = (
            quarantine.export(conn, export, batch_id=batch, open_only=not everything) if export else None
        )
    if as_json:
        emit(
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
        say(f"batch {row.batch_id}, {row.file_name}, line {row.line}: {', '.join(row.reasons)}")
    if export:
        say(f"Wrote {written:,} rows to {export!s}.")


def register(app: typer.Typer) -> None:
    app.command("quarantine", epilog="Example: ./rasd quarantine --batch 1 --export faults.xlsx")(
        show_quarantine
    )
