"""./rasd ingest open311: reports from another city system's GeoReport v2 server."""

from __future__ import annotations

import datetime as dt
from typing import Annotated
from zoneinfo import ZoneInfo

import typer

from commands.console import Json, TerritoryOption, bar, emit, err, ready, say
from geo.errors import InputError


def ingest_open311_command(
    url: Annotated[str, typer.Argument(help="Up to the version: https://city.example/open311/v2")],
    jurisdiction: Annotated[
        str | None, typer.Option(help="jurisdiction_id, where a server serves several.")
    ] = None,
    since: Annotated[
        str | None,
        typer.Option(
            help="First day or moment (2026-01-31); else where the last pull ended, or 90 days ago."
        ),
    ] = None,
    territory: TerritoryOption = None,
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of --since and of times without one; Asia/Riyadh.")
    ] = None,
    refresh: Annotated[bool, typer.Option(help="Ask again for the requests that are still open.")] = True,
    pause: Annotated[float, typer.Option(min=0.0, help="Seconds between two requests.")] = 1.0,
    as_json: Json = False,
) -> None:
    """Read what is new on an Open311 server. Run again it goes on, also after a crash."""
    from ingest.open311 import pull
    from ingest.open311_http import Fetcher, Manners, checked_address

    engine = ready()
    begin = None if since is None else _moment(since, timezone)
    base = checked_address(url)
    fetcher = Fetcher(base, Manners(pause=pause), say=lambda told: err.print(f"{base}: {told}", markup=False))
    with bar(base, as_json) as progress:
        result = pull(
            engine,
            base,
            jurisdiction=jurisdiction,
            territory=territory,
            since=begin,
            timezone=timezone,
            refresh=refresh,
            progress=progress,
            fetcher=fetcher,
        )
    if as_json:
        emit(result.to_dict())
        return
    for note in result.notes:
        say(f"- {note}")
    say(
        f"{result.territory or 'no reports'}: read {result.read:,} = accepted {result.accepted:,} + updated "
        f"{result.updated:,} + unchanged {result.unchanged:,} + quarantined {result.quarantined:,}; "
        f"{result.refreshed:,} open ones asked for again, {result.gone:,} of them gone; "
        f"{result.requests:,} requests to the server, read until {result.through:%Y-%m-%d %H:%M} UTC",
        style="bold",
    )


def _moment(text: str, timezone: str | None) -> dt.datetime:
    from data.territories import require_timezone

    zone = timezone or "Asia/Riyadh"
    require_timezone(zone)
    try:
        when = dt.datetime.fromisoformat(text)
    except ValueError:
        raise InputError(f"--since {text!r} is no day; write it as 2026-01-31.") from None
    return when if when.tzinfo else when.replace(tzinfo=ZoneInfo(zone))
