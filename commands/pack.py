"""./rasd pack: the weekly pack of the control room, kept as it was and written to print or as a workbook."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated, Literal
from zoneinfo import ZoneInfo

import typer
from sqlalchemy import Connection

from commands.console import Json, TerritoryOption, bar, emit, ready, say, the_territory
from data import packs
from data.analyses.weekly import PackTerms, latest_week, week, weekly_pack
from data.pack import WeeklyPack, differences
from data.territories import Territory
from geo.errors import InputError
from views.packfiles import FORMS, export_pack, file_name, pictures_of

_DAY = ["%Y-%m-%d"]
_MOMENT = ["%Y-%m-%dT%H:%M:%S%z", "%Y-%m-%dT%H:%M:%S.%f%z", "%Y-%m-%dT%H:%M%z"]


def pack_command(
    territory: TerritoryOption = None,
    iso_week: Annotated[
        str | None, typer.Option("--week", help="ISO week such as 2026-W40, Monday to Sunday.")
    ] = None,
    first: Annotated[dt.datetime | None, typer.Option("--from", formats=_DAY, help="First day.")] = None,
    last: Annotated[dt.datetime | None, typer.Option("--to", formats=_DAY, help="Last day.")] = None,
    language: Annotated[Literal["ar", "en", "both"], typer.Option("--lang", help="Of the words.")] = "ar",
    folder: Annotated[
        Path | None,
        typer.Option("--out", help="Folder for the HTML and the XLSX; nothing is written without."),
    ] = None,
    anew: Annotated[
        bool, typer.Option("--anew", help="Make and keep another one with what is known now.")
    ] = False,
    known_at: Annotated[
        dt.datetime | None,
        typer.Option(
            "--known-at", formats=_MOMENT, help="As known at a moment, such as 2026-10-05T09:00+0300."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Make the kept pack again for its moment and compare.")
    ] = False,
    listing: Annotated[bool, typer.Option("--list", help="List the packs that are kept.")] = False,
    as_json: Json = False,
) -> None:
    """A pack of a period, the last working week (Sunday to Saturday) when none is named.

    The first pack of a period is kept, and handed out again as it was.
    """
    if folder is not None and not folder.is_dir():
        raise InputError(f"{folder}: the folder does not exist; make it first.")
    with ready().connect() as conn:
        place = the_territory(conn, territory)
        if listing:
            _list(conn, place, as_json)
            return
        days = _period(place, iso_week, first, last)
        pack, kept, again = _pack(conn, place, days, anew=anew, known_at=known_at, check=check, quiet=as_json)
        conn.commit()
        languages = ("ar", "en") if language == "both" else (language,)
        written = [] if folder is None else _write(conn, pack, folder, languages)
    if as_json:
        emit(_summary(pack, kept, again) | {"files": [str(file) for file in written]})
        return
    _tell(pack, kept, again)
    for file in written:
        say(f"Wrote {file!s} ({file.stat().st_size / 1000:,.0f} kB).")


def _period(
    place: Territory, iso_week: str | None, first: dt.datetime | None, last: dt.datetime | None
) -> tuple[dt.date, dt.date]:
    if iso_week is not None:
        if first or last:
            raise InputError("Say --week, or --from and --to, not both.")
        return week(iso_week)
    if first or last:
        if not (first and last):
            raise InputError("A period needs both --from and --to.")
        return first.date(), last.date()
    if place.newest_report is None:
        raise InputError(f"{place.code} has no reports yet: there is nothing to make a pack of.")
    return latest_week(place.newest_report.astimezone(ZoneInfo(place.timezone)).date())


def _pack(
    conn: Connection,
    place: Territory,
    days: tuple[dt.date, dt.date],
    *,
    anew: bool,
    known_at: dt.datetime | None,
    check: bool,
    quiet: bool,
) -> tuple[WeeklyPack, packs.Kept, tuple[str, ...] | None]:
    """The pack, as it is kept, and where one made again differs (None: not made again)."""
    kept = packs.first_kept(conn, place.id, *days)
    use = kept is not None and not anew and known_at is None
    if use and not check and kept is not None:
        return packs.get(conn, kept.id), kept, None
    if check and not use:
        raise InputError(
            "There is nothing to compare: this period has no kept pack, or another one is asked for."
        )
    moment = kept.known_at if use and kept is not None else known_at
    with bar("Making the pack", quiet) as progress:
        made = weekly_pack(conn, PackTerms(place.id, *days, known_at=moment), tick=progress)
    if use and kept is not None:
        old = packs.get(conn, kept.id)
        return old, kept, differences(old, made)
    return made, packs.keep(conn, made), None


def _write(conn: Connection, pack: WeeklyPack, folder: Path, languages: tuple[str, ...]) -> list[Path]:
    written = []
    for language in languages:
        for form in FORMS:
            file = folder / file_name(pack, form, language)
            file.write_bytes(export_pack(pack, form, language, pictures=pictures_of(conn)))
            written.append(file)
    return written


def _summary(pack: WeeklyPack, kept: packs.Kept, again: tuple[str, ...] | None) -> dict[str, object]:
    told: dict[str, object] = {
        "id": kept.id,
        "territory": pack.territory,
        "simulated": pack.simulated,
        "first": pack.first,
        "last": pack.last,
        "as_of": pack.as_of,
        "known_at": pack.known_at,
        "digest": kept.digest,
        "made_at": kept.made_at,
        "total": {one.code: one.value for one in pack.total.measures},
        "overdue": pack.overdue.reports,
        "chronic_spots": pack.chronic_spots,
        "hot": {spots.code: len(spots.cells) for spots in pack.hot.spots},
        "emerging": {spots.code: len(spots.cells) for spots in pack.emerging.spots},
        "campaigns": len(pack.campaigns),
    }
    return told if again is None else told | {"same": not again, "differs_in": again}


def _tell(pack: WeeklyPack, kept: packs.Kept, again: tuple[str, ...] | None) -> None:
    say(f"{pack.territory}, {pack.first} to {pack.last}, as known at {pack.known_at:%Y-%m-%d %H:%M} UTC.")
    say(f"Kept as pack {kept.id}, digest {kept.digest[:12]}.")
    if again is not None:
        say("Made again it is the same." if not again else f"Made again it differs in: {', '.join(again)}.")


def _list(conn: Connection, place: Territory, as_json: bool) -> None:
    found = packs.listed(conn, place.id)
    if as_json:
        emit({"packs": [{name: getattr(one, name) for name in one.__slots__} for one in found]})
        return
    for one in found:
        say(
            f"{one.id:>5}  {one.first} to {one.last}  known at {one.known_at:%Y-%m-%d %H:%M} UTC  {one.digest[:12]}"
        )
    if not found:
        say(f"No packs of {place.code} are kept yet.")


def register(app: typer.Typer) -> None:
    app.command("pack", epilog="Example: ./rasd pack --week 2026-W40 --lang both --out packs")(pack_command)
