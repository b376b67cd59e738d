"""./rasd exposure: what reports can be measured against, and taking a set away again."""

from __future__ import annotations

import dataclasses
from typing import Annotated

import typer

from commands.console import Json, TerritoryOption, emit, ready, say, the_territory


def exposure_command(
    territory: TerritoryOption = None,
    remove: Annotated[
        str | None, typer.Option(help="Take a set away: population, buildings, road_km or water.")
    ] = None,
    as_json: Json = False,
) -> None:
    """List the exposure that is loaded for a territory: people, buildings, roads, water."""
    from data import exposures

    with ready().begin() as conn:
        place = the_territory(conn, territory)
        gone = exposures.remove_set(conn, place.id, remove) if remove is not None else None
        held = [each for each in exposures.available(conn, place.id) if each.id]
        water = exposures.current(conn, place.id, exposures.WATER)
        sets = [*held, water] if water is not None else held
    if as_json:
        removed = None if gone is None else dataclasses.asdict(gone)
        emit({"territory": place.code, "sets": [dataclasses.asdict(s) for s in sets], "removed": removed})
        return
    if remove is not None:
        say(f"Taken away: {gone.kind}, {gone.label}." if gone else f"No {remove} was loaded.", style="bold")
    for each in sets:
        mark = " (simulated)" if each.simulated else ""
        say(
            f"{each.kind:<11} {each.total:>14,.0f} {each.unit:<10} {each.cells:>8,} cells of resolution "
            f"{each.resolution:<3} {each.label}{mark}"
        )
    if not sets:
        say("Nothing is loaded; rates per km² are always possible. Load it: ./rasd ingest exposure --help")


def register(app: typer.Typer) -> None:
    app.command("exposure", epilog="Example: ./rasd exposure --territory baltimore")(exposure_command)
