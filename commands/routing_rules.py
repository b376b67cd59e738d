"""./rasd routing list, add, end, defaults, queue, misrouted: the rules and what they leave open."""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict
from typing import Annotated, Any
from zoneinfo import ZoneInfo

import typer
from rich.markup import escape
from rich.table import Column, Table
from sqlalchemy import Connection, text

from commands.console import Json, TerritoryOption, emit, out, ready, say, the_territory
from data import routing, territories
from data.analyses.misrouting import misrouting
from data.analyses.unrouted import Change, change, queue, queued
from data.query import ReportQuery
from data.routing import RuleDraft
from data.vocabulary import LEVELS
from geo.errors import InputError

From = Annotated[dt.datetime | None, typer.Option("--from", formats=["%Y-%m-%d"], help="First day.")]
To = Annotated[dt.datetime | None, typer.Option("--to", formats=["%Y-%m-%d"], help="Last day.")]


def list_command(
    territory: TerritoryOption = None,
    ended: Annotated[bool, typer.Option("--ended", help="Rules of the past too.")] = False,
    as_json: Json = False,
) -> None:
    """The rules in the order in which they decide."""
    with ready().connect() as conn:
        place = the_territory(conn, territory)
        found = routing.listed(conn, place.id, ended=ended)
    if as_json:
        emit({"territory": place.code, "rules": [asdict(rule) for rule in found]})
        return
    if not found:
        say(f"There is no rule yet. Load the assumed ones: ./rasd routing defaults --territory {place.code}")
        return
    kept = [Column(name, no_wrap=True) for name in ("no.", "pri.", "for", "party", "limit", "valid")]
    table = Table(*kept[:3], Column("where", overflow="fold"), *kept[3:])
    zone = ZoneInfo(place.timezone)
    for rule in found:
        what = rule.element or (f"group {rule.group}" if rule.group else "anything")
        where = rule.area_en or rule.area_ar or "everywhere"
        limit = f"{rule.due_hours:g} h{' *' if rule.assumed else ''}" if rule.due_hours else ""
        table.add_row(
            str(rule.id),
            str(rule.priority),
            what,
            escape(where if rule.area_current else f"{where} (no current area)"),
            escape(rule.party),
            limit,
            f"{rule.valid_from.astimezone(zone):%Y-%m-%d}–"
            + (f"{rule.valid_to.astimezone(zone):%Y-%m-%d}" if rule.valid_to else ""),
        )
    out.print(table)
    say("* assumed: nobody's rule yet")


def add_command(
    party: Annotated[str, typer.Option("--party", help="Code of the responsible party.")],
    territory: TerritoryOption = None,
    element: Annotated[str | None, typer.Option("--element", help="Code, such as R04.")] = None,
    group: Annotated[str | None, typer.Option("--group", help="Code of a group, such as R.")] = None,
    area: Annotated[
        str | None, typer.Option("--area", help="Name or code of an area; everywhere when left out.")
    ] = None,
    level: Annotated[str | None, typer.Option("--level", help=f"Its level: {', '.join(LEVELS)}.")] = None,
    priority: Annotated[int, typer.Option("--priority", help="The higher goes first.")] = 0,
    due_hours: Annotated[float | None, typer.Option("--due-hours", help="Limit in hours.")] = None,
    assumed: Annotated[bool, typer.Option("--assumed", help="The limit is nobody's rule yet.")] = False,
    note: Annotated[str, typer.Option("--note", help="Why; kept with the rule.")] = "",
    since: Annotated[
        dt.datetime | None,
        typer.Option("--from", formats=["%Y-%m-%d"], help="First day on which it holds; now when left out."),
    ] = None,
    replaces: Annotated[
        int | None, typer.Option("--replaces", help="Number of a rule that ends when this one begins.")
    ] = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: Json = False,
) -> None:
    """Add a rule; says how many open reports would belong to another party."""
    with ready().begin() as conn:
        place = the_territory(conn, territory)
        begins = None if since is None else since.replace(tzinfo=ZoneInfo(place.timezone))
        draft = RuleDraft(
            party, element, group, _area(conn, place, area, level), priority, due_hours, assumed, note, begins
        )
        found = change(conn, place.id, draft=draft, ending=replaces)
        number = None if dry_run else routing.add(conn, place.id, draft, replaces=replaces)
    if as_json:
        emit({"rule": number, "change": asdict(found)})
        return
    _say_change(found)
    say("Nothing was written." if number is None else f"Rule {number} was added.", style="bold")


def end_command(
    rule: Annotated[int, typer.Argument(help="Number of the rule.")],
    territory: TerritoryOption = None,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would change.")] = False,
    as_json: Json = False,
) -> None:
    """End a rule now; it stays in the list of the past."""
    with ready().begin() as conn:
        place = the_territory(conn, territory)
        found = change(conn, place.id, ending=rule)
        if not dry_run:
            routing.end(conn, place.id, rule)
    if as_json:
        emit({"rule": rule, "ended": not dry_run, "change": asdict(found)})
        return
    _say_change(found)
    say("Nothing was written." if dry_run else f"Rule {rule} has ended.", style="bold")


def defaults_command(
    territory: TerritoryOption = None,
    since: Annotated[
        dt.datetime | None,
        typer.Option(
            "--from", formats=["%Y-%m-%d"], help="First day; that of the first report when left out."
        ),
    ] = None,
    as_json: Json = False,
) -> None:
    """Load the usual parties and the assumed rules of data/reference/routing.csv."""
    with ready().begin() as conn:
        place = the_territory(conn, territory)
        begins = None if since is None else since.replace(tzinfo=ZoneInfo(place.timezone))
        added = routing.load_defaults(conn, place.id, since=begins)
    if as_json:
        emit({"territory": place.code, "added": added})
        return
    say(
        f"{added} rules were added to {place.code}. Limits and most departments are assumed: see docs/routing.md"
    )


def queue_command(
    territory: TerritoryOption = None,
    lines: Annotated[int, typer.Option("--lines", min=1, max=200, help="Reports to list.")] = 20,
    as_json: Json = False,
) -> None:
    """Open reports that no rule decides about: outside all areas, or without a rule."""
    with ready().connect() as conn:
        place = the_territory(conn, territory)
        kinds = queue(conn, place.id)
        rows, more = queued(conn, place.id, lines=lines)
    if as_json:
        emit(
            {
                "territory": place.code,
                "reports": sum(kind.reports for kind in kinds),
                "kinds": [asdict(kind) for kind in kinds],
                "oldest": [asdict(row) for row in rows],
                "more": more,
            }
        )
        return
    if not kinds:
        say("The queue is empty: every open report has a rule.")
        return
    say(f"{sum(kind.reports for kind in kinds):,} open reports wait without a rule.", style="bold")
    for kind in kinds:
        what, where = (
            kind.element_en or "no element",
            kind.municipality_en or kind.municipality_ar or "nowhere",
        )
        say(f"  {kind.reports:>7,} {kind.reason:<10} {what}, {where}, oldest of {kind.oldest:%Y-%m-%d}")
    for row in rows:
        say(f"  {row.reference} of {row.opened:%Y-%m-%d %H:%M} ({row.reason})")


def misrouted_command(
    territory: TerritoryOption = None,
    start: From = None,
    end: To = None,
    as_json: Json = False,
) -> None:
    """Where recorded owners differ from the rules that held when the reports were opened."""
    with ready().connect() as conn:
        place = the_territory(conn, territory)
        query = ReportQuery(place.id, start=start.date() if start else None, end=end.date() if end else None)
        found = misrouting(conn, query)
    if as_json:
        said = asdict(found)
        del said["kinds"], said["moments"]
        emit({"territory": place.code} | said)
        return
    total = found.total
    say(
        f"{total.misrouted:,} of {total.compared:,} reports ({total.share:.1%}, {total.low:.1%}–{total.high:.1%}) "
        "have another owner than the rules name.",
        style="bold",
    )
    say(
        f"Not compared: {found.ownerless:,} without an owner, {found.unsorted:,} whose owner nobody has "
        f"sorted, {found.unruled:,} without a rule then. {found.coarse:,} agree only as 'the municipality'."
    )
    if not found.lines:
        return
    table = Table("municipality", "element", "misrouted", "compared", "share", "95 % interval")
    for line in found.lines[:20]:
        table.add_row(
            escape((line.municipality and line.municipality.name_en) or "–"),
            escape((line.element and line.element.name_en) or "–"),
            f"{line.share.misrouted:,}",
            f"{line.share.compared:,}",
            f"{line.share.share:.1%}",
            f"{line.share.low:.1%}–{line.share.high:.1%}",
        )
    out.print(table)


def _area(conn: Connection, place: territories.Territory, area: str | None, level: str | None) -> int | None:
    """The current area with this name or code; InputError when there is none or more than one."""
    if area is None:
        return None
    # Served by ix_area_current.
    rows = conn.execute(
        text(
            """SELECT id, level, name_en FROM area WHERE territory_id = :territory AND valid_to IS NULL
                 AND :area IN (code, name_ar, name_en) AND (CAST(:level AS text) IS NULL OR level = :level)
               ORDER BY id"""
        ),
        {"territory": place.id, "area": area, "level": level},
    ).all()
    if len(rows) != 1:
        known = ", ".join(f"{row.level} {row.id}" for row in rows) or "none"
        raise InputError(f"{area!r} is not the name or code of one area ({known}); --level tells which.")
    return int(rows[0].id)


def _say_change(found: Change) -> None:
    say(
        f"{found.moved:,} of {found.open:,} open reports would belong to another party; the new rule "
        f"would decide about {found.decided:,}."
    )
    for move in found.moves[:10]:
        say(f"  {move.reports:>7,} from {move.before or 'the queue'} to {move.after or 'the queue'}")


def register(group: typer.Typer) -> None:
    commands: tuple[tuple[str, Any, str], ...] = (
        ("list", list_command, "./rasd routing list --ended"),
        ("add", add_command, "./rasd routing add --party water --element R07 --due-hours 48 --dry-run"),
        ("end", end_command, "./rasd routing end 12 --dry-run"),
        ("defaults", defaults_command, "./rasd routing defaults --territory my-city"),
        ("queue", queue_command, "./rasd routing queue --json"),
        ("misrouted", misrouted_command, "./rasd routing misrouted --from 2026-01-01"),
    )
    for name, command, example in commands:
        group.command(name, epilog=f"Example: {example}")(command)
