"""./rasd trends: where it is growing, as sentences, JSON or a file; with the recording's warnings."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Literal

import typer

from commands.console import Json, TerritoryOption, bar, emit, ready, say, say_remarks
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
from data.analyses.recording import recording_warnings
from data.analyses.trends import Trends, TrendSettings, trends
from geo.trends import CODES
from views.words import short

DEFAULT = TrendSettings()
WAYS = {1: "rise", -1: "fall", 0: "show no clear trend"}


def trends_command(
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
    step: Annotated[
        Literal["auto", "month", "week"],
        typer.Option(help="Step of time; auto takes months when there are ten whole ones."),
    ] = "auto",
    resolution: ResolutionOption = None,
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, max=10, help="Rings of neighbours; chosen automatically when left out."),
    ] = None,
    level: Annotated[float, typer.Option(help="Level of hot and cold steps, after FDR.")] = DEFAULT.level,
    trend_level: Annotated[
        float, typer.Option(help="Level of a rise or a fall (Mann-Kendall).")
    ] = DEFAULT.trend_level,
    autocorrelated: Annotated[
        bool,
        typer.Option("--autocorrelated", help="Allow for a memory of earlier steps (Hamed and Rao 1998)."),
    ] = False,
    file: OutOption = None,
    as_json: Json = False,
) -> None:
    """Emerging hot spots: the history of every cell in one of 17 patterns.

    Columns of the file are described in docs/methods/trends.md.
    """
    settings = TrendSettings(
        step=None if step == "auto" else step,
        resolution=resolution,
        k=k,
        level=level,
        trend_level=trend_level,
        autocorrelated=autocorrelated,
    )
    with ready().connect() as conn:
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
        with bar("Following the cells", as_json) as progress:
            found = trends(conn, query, settings, tick=progress)
        warnings = recording_warnings(conn, query)
    written = None if file is None else write_frame(found.to_geodataframe(), file)
    if as_json:
        told = [{"code": r.code, "caution": r.caution, "values": dict(r.values)} for r in warnings]
        emit(found.summary() | {"recording": told} | ({"file": str(file), "rows": written} if file else {}))
        return
    _tell(found)
    say_remarks(warnings)
    if file is not None:
        say(f"Wrote {written:,} cells to {file!s}.")


def _tell(found: Trends) -> None:
    held, whole = found.classes(), found.history.whole
    for code in CODES:
        if code in held:
            say(f"{code:<18} {held[code]:>7,} cells")
    if found.steps:
        way = int(whole.direction(found.settings.trend_level)[0])
        by = f" by about {short(abs(found.history.whole_slope))} a {found.step}" if way else ""
        say(
            f"{found.steps} {found.step}s from {found.starts[0]}: all {int(found.counts.sum()):,} together "
            f"{WAYS[way]}{by} (p = {float(whole.p[0]):.3f}).",
            style="bold",
        )
    say_remarks(found.remarks)


def register(app: typer.Typer) -> None:
    app.command("trends", epilog="Example: ./rasd trends --element R04 --step month --out trends.gpkg")(
        trends_command
    )
