"""./rasd routing parties, party, entities, handover, works: who the owners are and how they do."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from pathlib import Path
from typing import Annotated, Any

import typer
from rich.markup import escape
from rich.table import Column, Table

from commands.console import Json, TerritoryOption, emit, out, ready, say, the_territory
from data import audit, handover, parties
from data.analyses.entities import load_works, owners
from data.query import ReportQuery
from geo.errors import InputError

From = Annotated[dt.datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")]
To = Annotated[dt.datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")]


def parties_command(
    territory: TerritoryOption = None,
    kind: Annotated[str | None, typer.Option("--kind", help=f"One of {', '.join(parties.KINDS)}.")] = None,
    as_json: Json = False,
) -> None:
    """The departments, entities and contractors of a territory, with the wordings of files."""
    if kind is not None and kind not in parties.KINDS:
        raise InputError(f"{kind!r} is no kind of party; use one of {', '.join(parties.KINDS)}.")
    with ready().connect() as conn:
        place = the_territory(conn, territory)
        found = parties.listed(conn, place.id, kinds=(kind,) if kind else (), wordings=True)
    if as_json:
        emit({"territory": place.code, "parties": [asdict(one) for one in found]})
        return
    table = Table(
        Column("code", no_wrap=True),
        "kind",
        Column("name", overflow="fold"),
        Column("wordings", overflow="fold"),
    )
    for one in found:
        name = f"{one.name_en} / {one.name_ar}" if one.name_en != one.name_ar else one.name_ar
        shown = "; ".join(one.wordings[:4]) + (" …" if len(one.wordings) > 4 else "")
        table.add_row(one.code, one.kind if one.active else f"{one.kind} (past)", escape(name), escape(shown))
    out.print(table)


def party_command(
    code: Annotated[str, typer.Argument(help="Code of the party, such as water.")],
    kind: Annotated[str, typer.Option("--kind", help=f"One of {', '.join(parties.KINDS)}.")],
    name_ar: Annotated[str, typer.Option("--ar", help="Arabic name.")],
    name_en: Annotated[str, typer.Option("--en", help="English name.")],
    wording: Annotated[
        list[str] | None,
        typer.Option("--wording", help="Another wording of files; its reports come along. Repeatable."),
    ] = None,
    territory: TerritoryOption = None,
    as_json: Json = False,
) -> None:
    """Add a party or change it; wordings that files brought become its own."""
    with ready().begin() as conn:
        place = the_territory(conn, territory)
        saved = parties.save(conn, place.id, code, kind, name_ar, name_en, wordings=wording or ())
        audit.of_command(conn, "update", "party", {"code": code, "territory": place.code})
    if as_json:
        emit(asdict(saved))
        return
    say(f"Party {saved.code} ({saved.kind}): {saved.name_en} / {saved.name_ar}")


def entities_command(
    territory: TerritoryOption = None,
    start: From = None,
    end: To = None,
    kind: Annotated[
        list[str] | None, typer.Option("--kind", help="Kinds of owners; repeatable. Entities when left out.")
    ] = None,
    as_json: Json = False,
) -> None:
    """Of each entity: share handled, time to answer, open, overdue, returned, reports a kilometre of works."""
    strange = sorted(set(kind or ()) - set(parties.KINDS))
    if strange:
        raise InputError(f"{', '.join(strange)}: use kinds among {', '.join(parties.KINDS)}.")
    with ready().connect() as conn:
        place = the_territory(conn, territory)
        query = ReportQuery(place.id, start=start.date() if start else None, end=end.date() if end else None)
        found = owners(conn, query, kinds=tuple(kind or ("entity",)))
    if as_json:
        emit({"territory": place.code} | asdict(found))
        return
    if not found.owners:
        say("No report has such an owner. See the parties: ./rasd routing parties")
        return
    say(f"What is open is followed until {found.until:%Y-%m-%d %H:%M} UTC, the last that the store knows of.")
    for one in found.owners:
        median = "not reached" if one.median_days is None else f"{one.median_days:.1f} days"
        per_km = "" if one.per_km is None else f", {one.per_km:.2f} reports a km of works"
        say(f"{one.party.code} ({one.kind})", style="bold")
        say(
            f"  {one.received:,} received, {one.share:.1%} handled ({one.low:.1%}–{one.high:.1%}), median {median}; "
            f"{one.open:,} open, {one.overdue:,} overdue, {one.returned:,} returned{per_km}"
        )


def handover_command(
    entity: Annotated[str, typer.Option("--entity", help="Code of the party.")],
    folder: Annotated[Path, typer.Option("--out", help="Folder for the files.")],
    territory: TerritoryOption = None,
    as_json: Json = False,
) -> None:
    """Write what an entity needs of its open reports as GeoJSON and XLSX; marks nothing."""
    with ready().begin() as conn:
        place = the_territory(conn, territory)
        found, paths = handover.write(conn, place.id, entity, folder)
        audit.of_command(
            conn,
            "export",
            "handover",
            {"entity": entity, "reports": found.frame.height, "territory": place.code},
        )
    if as_json:
        emit({"entity": entity, "reports": found.frame.height, "files": [str(path) for path in paths]})
        return
    say(f"{found.frame.height:,} reports of {found.party.name_en}: {', '.join(map(str, paths))}")


def works_command(
    file: Annotated[Path, typer.Argument(help="CSV with the columns party, month (2026-03) and km.")],
    territory: TerritoryOption = None,
    as_json: Json = False,
) -> None:
    """Kilometres of works of entities by month, for reports a kilometre."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise InputError(f"{file} cannot be read: {error.strerror}.") from None
    with ready().begin() as conn:
        place = the_territory(conn, territory)
        rows = load_works(conn, place.id, content, file.name)
    if as_json:
        emit({"territory": place.code, "rows": rows})
        return
    say(f"{rows} months of works were loaded for {place.code}.")


def register(group: typer.Typer) -> None:
    commands: tuple[tuple[str, Any, str], ...] = (
        ("parties", parties_command, "./rasd routing parties --kind unsorted"),
        (
            "party",
            party_command,
            "./rasd routing party water --kind entity --ar 'شركة المياه الوطنية' --en 'National Water' "
            "--wording 'مصلحة المياه'",
        ),
        ("entities", entities_command, "./rasd routing entities --from 2026-01-01 --json"),
        ("handover", handover_command, "./rasd routing handover --entity water --out handover/"),
        ("works", works_command, "./rasd routing works works.csv"),
    )
    for name, command, example in commands:
        group.command(name, epilog=f"Example: {example}")(command)
