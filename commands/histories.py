"""./rasd histories and ./rasd life: what happened to reports, and what may happen to them."""

from __future__ import annotations

import datetime as dt
from pathlib import Path
from typing import Annotated

import typer

from commands.console import Json, TerritoryOption, emit, ready, say, the_territory
from geo.errors import InputError


def show_histories(
    reference: Annotated[
        str | None, typer.Argument(help="Reference of a report, for its history; none for all territories.")
    ] = None,
    at: Annotated[
        dt.datetime | None,
        typer.Option(
            "--at", formats=["%Y-%m-%d", "%Y-%m-%dT%H:%M"], help="Where it stood then; territory's time."
        ),
    ] = None,
    impossible: Annotated[bool, typer.Option("--impossible", help="Steps that life cannot take.")] = False,
    export: Annotated[
        Path | None, typer.Option(help="Write the impossible steps to a .csv or .xlsx file.")
    ] = None,
    territory: TerritoryOption = None,
    limit: Annotated[int, typer.Option(min=1, help="Steps to show.")] = 20,
    as_json: Json = False,
) -> None:
    """A report's history, where it stood at a moment, or the steps that cannot be."""
    if (reference is None) == (not impossible and export is None):
        raise InputError("Name a report by its reference, or ask for --impossible: one of the two.")
    if reference is not None:
        _one(reference, at, territory, as_json)
        return
    from data.impossible import count_reports, impossible_steps, write_steps

    with ready().connect() as conn:
        place = the_territory(conn, territory).id if territory else None
        shown = impossible_steps(conn, place, limit)
        written = write_steps(conn, export, place) if export else None
        reports = count_reports(conn)
    if as_json:
        steps = [step.to_dict() for step in shown]
        emit(
            {"reports": reports, "steps": steps, "exported": written, "file": str(export) if export else None}
        )
        return
    say(f"{reports:,} reports have a step that life cannot take (docs/life-cycle.md).", style="bold")
    for step in shown:
        why = "before its opening" if step.kind == "early" else f"after {step.before.name.lower()}"
        say(
            f"{step.reference} ({step.territory}): {step.status.name.lower()} {why}, {step.at:%Y-%m-%d %H:%M} UTC, {step.file}"
        )
    if export:
        say(f"Wrote {written:,} steps to {export!s}.")


def _one(reference: str, at: dt.datetime | None, territory: str | None, as_json: bool) -> None:
    from zoneinfo import ZoneInfo

    from data.actions import steps
    from data.replay import find_report, standing_steps, state

    with ready().connect() as conn:
        place = the_territory(conn, territory)
        zone = ZoneInfo(place.timezone)
        number = find_report(conn, place.id, reference)
        history = steps(conn, number)
        standing = standing_steps(history)
        stood = state(conn, number, at.replace(tzinfo=zone)) if at else None
    if as_json:
        emit(
            {
                "report": number,
                "reference": reference,
                "steps": [
                    {
                        "seq": step.seq,
                        "action": step.action.name.lower(),
                        "status": step.status.name.lower(),
                        "at": step.at.isoformat() if step.at else None,
                        "recorded_at": step.recorded_at.isoformat() if step.recorded_at else None,
                        "stands": step in standing,
                        "detail": dict(step.detail),
                    }
                    for step in history
                ],
                "at": at.isoformat() if at else None,
                "stood": stood.status.name.lower() if stood else None,
            }
        )
        return
    for step in standing:
        when = f"{step.at.astimezone(zone):%Y-%m-%d %H:%M}" if step.at else "no date"
        say(f"{step.seq:3} {when:16} {step.status.name.lower():15} {step.action.name.lower()}")
    if at:
        said = (
            "was not there yet" if stood is None else f"was {stood.status.name.lower()} (event {stood.seq})"
        )
        say(f"At {at:%Y-%m-%d %H:%M} the report {said}.", style="bold")


def show_life(
    write: Annotated[
        Path | None,
        typer.Option("--write", help="Write the table of steps to this file (docs/life-cycle.md)."),
    ] = None,
    as_json: Json = False,
) -> None:
    """The life of a report: every step, from where to where, who may take it, what it needs."""
    from commands.life_table import life_cycle, life_rows

    if write is not None:
        write.write_text(life_cycle(), encoding="utf-8")
    if as_json:
        emit({"steps": life_rows(), "written": str(write) if write else None})
    elif write is not None:
        say(f"Wrote {write!s}.")
    else:
        say(life_cycle())


def register(app: typer.Typer) -> None:
    app.command("histories", epilog="Example: ./rasd histories --impossible --export steps.xlsx")(
        show_histories
    )
    app.command("life", epilog="Example: ./rasd life --write docs/life-cycle.md")(show_life)
