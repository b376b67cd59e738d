"""./rasd audit: who signed in, changed or took out what."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Annotated

import typer

from commands.console import Json, emit, ready, say
from data import audit

DETAIL_MOST = 120  # characters of a detail in a line


def audit_command(
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many lines, the newest first.")] = 50,
    login: Annotated[str | None, typer.Option(help="Only what this user did.")] = None,
    action: Annotated[str | None, typer.Option(help=f"Only one of {', '.join(audit.ACTIONS)}.")] = None,
    since: Annotated[
        dt.datetime | None, typer.Option(formats=["%Y-%m-%d"], help="Only from this day on (UTC).")
    ] = None,
    as_json: Json = False,
) -> None:
    """The audit trail, newest first."""
    start = since.replace(tzinfo=dt.UTC) if since else None
    with ready().connect() as conn:
        found = audit.trail(conn, limit=limit, login=login, action=action, since=start)
    if as_json:
        emit({"entries": [dataclasses.asdict(entry) for entry in found]})
        return
    if not found:
        say("Nothing fits.")
        return
    for entry in found:
        detail = json.dumps(dict(entry.detail), ensure_ascii=False, default=str)
        short = detail if len(detail) <= DETAIL_MOST else f"{detail[:DETAIL_MOST]} …"
        who = f"{entry.login} ({entry.role})" if entry.role else entry.login
        say(f"{entry.at.astimezone(dt.UTC):%Y-%m-%d %H:%M:%SZ} {who}: {entry.action} {entry.object} {short}")


def register(app: typer.Typer) -> None:
    app.command("audit", epilog="Example: ./rasd audit --login sara --since 2026-01-01 --json")(audit_command)
