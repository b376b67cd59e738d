"""./rasd campaign export: a plan as work order, workbook, map layers, routes, or folders for teams."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

import typer
from sqlalchemy import Connection

from commands.console import Json, bar, emit, ready, say
from data import campaigns
from data.analyses.rounds import with_rounds
from data.backdrops import backdrop
from data.plan import CampaignPlan, from_json
from geo.errors import InputError
from views.handouts import FORMS, export_plan

FormOption = Annotated[
    Literal["html", "xlsx", "geojson", "gpkg", "gpx", "zip"] | None,
    typer.Option("--format", help="By the file's ending when left out; zip is a folder for each team."),
]


def export_command(
    plan: Annotated[str, typer.Argument(help="Number of a saved campaign, or a plan as JSON.")],
    file: Annotated[Path, typer.Option("--out", help="The file to write.")],
    form: FormOption = None,
    language: Annotated[Literal["ar", "en"], typer.Option("--language", help="Of the words.")] = "ar",
    version: Annotated[int | None, typer.Option("--version", help="The newest when left out.")] = None,
    area: Annotated[int | None, typer.Option("--area", help="Only the area with this number.")] = None,
    title: Annotated[str | None, typer.Option("--title", help="In place of the saved title.")] = None,
    day_starts: Annotated[
        str | None, typer.Option("--day-starts", help="Such as 07:30: times of day instead of hours.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Hand out a plan. A plan without day plans gets them first."""
    chosen = form or file.suffix.lstrip(".").lower()
    if chosen not in FORMS:
        raise InputError(f"{file.name}: say what to write with --format: {', '.join(FORMS)}.")
    if not file.parent.is_dir():
        raise InputError(f"{file}: the folder does not exist; make it first.")
    with ready().connect() as conn:
        document, saved = _plan(conn, plan, version)
        if document.areas and not any(each.days for each in document.areas):
            with bar("day plans", as_json) as progress:
                document = with_rounds(conn, document, tick=progress)
        roads = backdrop(conn, document) if chosen in ("html", "zip") else None
    content = export_plan(
        document,
        chosen,
        language,
        title=(saved.title if saved else "") if title is None else title,
        campaign=saved.id if saved else None,
        version=saved.version if saved else None,
        area=area,
        day_starts=day_starts,
        roads=roads,
    )
    file.write_bytes(content)
    areas = 1 if area is not None else len(document.areas)
    if as_json:
        emit(
            {"file": str(file), "format": chosen, "language": language, "areas": areas, "bytes": len(content)}
        )
        return
    say(f"Wrote {chosen} of {areas} areas to {file!s} ({len(content) / 1000:,.0f} kB).")


def _plan(conn: Connection, plan: str, version: int | None) -> tuple[CampaignPlan, campaigns.Saved | None]:
    """A saved plan by its number, or the document in a file."""
    if plan.isdigit():
        saved = campaigns.get(conn, int(plan), version)
        return saved.plan, saved
    if version is not None:
        raise InputError("--version is for saved campaigns; a file holds one version.")
    try:
        return from_json(Path(plan).read_bytes()), None
    except OSError as error:
        raise InputError(f"{plan} cannot be read: {error.strerror}.") from None


def register(group: typer.Typer) -> None:
    group.command(
        "export", epilog="Example: ./rasd campaign export 3 --out team.zip --language ar --day-starts 07:30"
    )(export_command)
