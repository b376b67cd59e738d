"""./rasd scan: what flared up in the last weeks, as sentences, JSON or a file."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import typer
from rich.table import Column, Table

from commands.console import Json, TerritoryOption, bar, emit, out, ready, say, say_remarks
from commands.questions import (
    ChannelOption,
    DistrictOption,
    ElementOption,
    EndOption,
    GroupOption,
    MunicipalityOption,
    OutOption,
    ResolutionOption,
    StartOption,
    StatusOption,
    TypeOption,
    question,
    write_frame,
)
from data.analyses.flares import Flares, ScanSettings
from data.analyses.scans import scan

DEFAULT = ScanSettings()


def scan_command(
    territory: TerritoryOption = None,
    start: StartOption = None,
    end: EndOption = None,
    group: GroupOption = None,
    element: ElementOption = None,
    type_: TypeOption = None,
    municipality: MunicipalityOption = None,
    district: DistrictOption = None,
    channel: ChannelOption = None,
    status: StatusOption = None,
    count: Annotated[
        Literal["reports", "incidents"],
        typer.Option(help="Count reports, or incidents by their first report."),
    ] = "reports",
    max_radius: Annotated[
        float, typer.Option("--max-radius", help="Radius of the largest place tried, metres.")
    ] = DEFAULT.max_radius_m,
    max_days: Annotated[
        int, typer.Option("--max-days", help="A flare-up began at most so many days ago.")
    ] = DEFAULT.max_days,
    window: Annotated[
        int, typer.Option("--window", help="Days of history to compare with, the flare-up included.")
    ] = DEFAULT.window_days,
    permutations: Annotated[
        int, typer.Option("--permutations", help="Random rearrangements of the dates.")
    ] = DEFAULT.permutations,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the permutations.")] = DEFAULT.seed,
    level: Annotated[
        float, typer.Option("--level", help="Significant when p is at most this.")
    ] = DEFAULT.level,
    most: Annotated[int, typer.Option("--most", help="Clusters listed at most.")] = DEFAULT.most,
    by_kind: Annotated[
        bool, typer.Option(help="Compare each element (or type) with its own days only.")
    ] = DEFAULT.by_kind,
    by_weekday: Annotated[
        bool, typer.Option(help="And each weekday with its own, for rounds on fixed days.")
    ] = DEFAULT.by_weekday,
    resolution: ResolutionOption = None,
    file: OutOption = None,
    rows: Annotated[
        Literal["clusters", "cells"], typer.Option(help="One row of the file: a cluster, or a cell of one.")
    ] = "clusters",
    as_json: Json = False,
) -> None:
    """Places and days with more reports than space and time explain, up to the newest day.

    Kulldorff's space-time permutation scan. Columns of the file are described in docs/methods/scan.md.
    """
    settings = ScanSettings(
        max_radius_m=max_radius,
        max_days=max_days,
        window_days=window,
        permutations=permutations,
        seed=seed,
        resolution=resolution,
        by_kind=by_kind,
        by_weekday=by_weekday,
        level=level,
        most=most,
    )
    # A transaction: the answer is kept for the page, and for the next who asks the same.
    with ready().begin() as conn:
        query = question(
            conn,
            territory,
            start=start,
            end=end,
            groups=group,
            elements=element,
            types=type_,
            municipalities=municipality,
            districts=district,
            channels=channel,
            statuses=status,
        )
        query = dataclasses.replace(query, incidents=count == "incidents")
        with bar("Permuting the dates", as_json) as progress:
            found = scan(conn, query, settings, tick=progress)
    written = None
    if file is not None:
        written = write_frame(found.to_geodataframe() if rows == "clusters" else found.cells_frame(), file)
    if as_json:
        emit(found.summary() | ({"file": str(file), "rows": written} if file else {}))
        return
    _tell(found)
    if file is not None:
        say(f"Wrote {written:,} {rows} to {file!s}.")


def _tell(found: Flares) -> None:
    heads = ("no.", "centre", "radius m", "since", "reports", "expected", "p", "sure")
    table = Table(*(Column(head, no_wrap=True) for head in heads), box=None)
    for flare in found.flares:
        table.add_row(
            str(flare.number),
            f"{flare.lat:.3f}, {flare.lon:.3f}",
            f"{flare.radius_m:,.0f}",
            f"{flare.first}",
            f"{flare.observed:,}",
            f"{flare.expected:,.1f}",
            f"{flare.p:.3g}",
            "yes" if flare.significant else "",
        )
    if found.flares:
        out.print(table)
    number = len(found.significant)
    say(
        f"{number or 'No'} significant flare-up{'' if number == 1 else 's'} (p ≤ {found.settings.level:g}) "
        f"in the last {found.settings.max_days} days.",
        style="bold",
    )
    say_remarks(found.remarks)


def register(app: typer.Typer) -> None:
    app.command("scan", epilog="Example: ./rasd scan --element R04 --max-radius 1000 --out flared.geojson")(
        scan_command
    )
