"""./rasd photos: how many are kept, and taking away files that no report names."""

from __future__ import annotations

from typing import Annotated

import typer

from commands.console import Json, emit, ready, say
from data import photos


def show_photos(
    sweep: Annotated[bool, typer.Option("--sweep", help="Remove files that no report names.")] = False,
    hours: Annotated[float, typer.Option(min=1, help="Leave files younger than this alone.")] = 24.0,
    as_json: Json = False,
) -> None:
    """Photos of reports: rows in the store, files on the disk; --sweep removes files without a row."""
    with ready().connect() as conn:
        removed = photos.sweep(conn, hours=hours) if sweep else 0
        held = photos.holdings(conn)
    if as_json:
        emit(
            {
                "photos": held.photos,
                "bytes": held.bytes,
                "missing": list(held.missing),
                "removed": removed,
                "folder": str(photos.folder()),
            }
        )
        return
    say(f"{held.photos:,} photos, {held.bytes / 1e6:,.1f} MB, in {photos.folder()}.")
    if sweep:
        say(f"Removed {removed:,} files that no report names.")
    if held.missing:
        say(
            f"{len(held.missing):,} photos have no file, the first {held.missing[0]}: bring the folder back "
            "from the backup, it belongs to the database."
        )


def register(app: typer.Typer) -> None:
    app.command("photos", epilog="Example: ./rasd photos --sweep")(show_photos)
