"""./rasd incidents: what speaks of the same thing, what keeps coming back, who reports how readily."""

from __future__ import annotations

import dataclasses
from typing import Annotated, Any, Literal

import geopandas as gpd
import typer
from rich.markup import escape
from rich.table import Column, Table

from commands.console import Json, TerritoryOption, bar, emit, out, ready, say, say_remarks, the_territory
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
from data.analyses.courses import incidents_frame
from data.analyses.readiness import ReportingRates, ReportingSettings
from data.analyses.reporting import reporting_rates
from data.analyses.returning import Returning, ReturningSettings, returning
from data.incidents import IncidentRun, last_run, refresh_incidents

DEFAULT = ReturningSettings()


def incidents_command(
    territory: TerritoryOption = None,
    what: Annotated[
        Literal["incidents", "chronic", "reporting"],
        typer.Option(help="The incidents, the places where they come back, or how readily areas report."),
    ] = "incidents",
    refresh: Annotated[
        bool, typer.Option("--refresh", help="Only find the incidents anew where they are not current.")
    ] = False,
    start: StartOption = None,
    end: EndOption = None,
    group: GroupOption = None,
    element: ElementOption = None,
    type_: TypeOption = None,
    municipality: MunicipalityOption = None,
    district: DistrictOption = None,
    channel: ChannelOption = None,
    status: StatusOption = None,
    least: Annotated[
        int, typer.Option("--least", help="Returns from which on a place is a chronic spot.")
    ] = DEFAULT.least,
    suspicious_days: Annotated[
        float | None,
        typer.Option("--suspicious-days", help="A return so soon is suspicious; each element's own days."),
    ] = None,
    level: Annotated[
        Literal["district", "municipality", "cell"] | None,
        typer.Option("--level", help="Areas for reporting; the finest that is loaded when left out."),
    ] = None,
    rows: Annotated[
        Literal["spots", "cells"], typer.Option(help="One row of the file of chronic: a spot, or a cell.")
    ] = "spots",
    resolution: ResolutionOption = None,
    file: OutOption = None,
    as_json: Json = False,
) -> None:
    """Incidents, chronic spots, or rates of reporting; incidents are found first where they are not current.

    Columns of the file are described in docs/methods/incidents.md and docs/methods/reporting.md.
    """
    engine = ready()
    with engine.connect() as conn:
        place = the_territory(conn, territory)
    with bar("Finding which reports speak of the same thing", as_json) as progress:
        run = refresh_incidents(engine, place.id, tick=lambda done: progress(done, place.reports))
    if refresh and file is None and what == "incidents":
        _told(run, place.code, as_json)
        return
    frame: gpd.GeoDataFrame
    with engine.connect() as conn:
        query = question(
            conn,
            place.code,
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
        query = dataclasses.replace(query, incidents=True)
        if what == "chronic":
            back = returning(conn, query, ReturningSettings(resolution, least, suspicious_days))
            frame = back.spots_frame() if rows == "spots" else back.to_geodataframe()
            summary = back.summary()
        elif what == "reporting":
            rates = reporting_rates(conn, query, ReportingSettings(level=level))
            frame, summary = rates.to_geodataframe(), rates.summary()
        else:
            frame = incidents_frame(conn, query)
            summary = {"incidents": len(frame), "reports": int(frame["reports"].sum())}
        kept = last_run(conn, place.id)
    written = write_frame(frame, file) if file is not None else None
    if as_json:
        extra: dict[str, Any] = {"file": str(file), "rows": written} if file else {}
        emit({"territory": place.code, "what": what, "run": _plain(kept or run)} | summary | extra)
        return
    if what == "chronic":
        _tell_chronic(back)
    elif what == "reporting":
        _tell_reporting(rates)
    else:
        say(
            f"{place.code}: {summary['reports']:,} reports with a point speak of "
            f"{summary['incidents']:,} incidents.",
            style="bold",
        )
    if file is not None:
        say(f"Wrote {written:,} rows to {file!s}.")


def _plain(run: IncidentRun) -> dict[str, Any]:
    return dataclasses.asdict(run) | {"finished_at": run.finished_at.isoformat()}


def _told(run: IncidentRun, territory: str, as_json: bool) -> None:
    if as_json:
        emit({"territory": territory, "run": _plain(run)})
        return
    found = "were current already" if not run.changed else f"were found in {run.seconds:.1f} s"
    say(f"{territory}: {run.incidents:,} incidents of {run.reports:,} reports {found}.", style="bold")


def _tell_chronic(found: Returning) -> None:
    table = Table(
        Column("returns", justify="right"), "what", "suspicious", "median gap", "last return", "where"
    )
    for row in found.spots_frame().head(15).itertuples():
        gap = "" if row.median_gap_days != row.median_gap_days else f"{row.median_gap_days:,.0f} d"
        table.add_row(
            f"{row.recurrences:,}",
            escape(f"{row.name_en} {row.element}".strip()),
            f"{row.suspicious:,} of {row.judged:,}",
            gap,
            row.last_opened,
            f"{row.lat:.5f}, {row.lon:.5f}",
        )
    if len(found.spots):
        out.print(table)
    judged, suspicious = int(found.judged.sum()), int(found.suspicious.sum())
    say(
        f"{len(found.spots):,} places with at least {found.settings.least} returns; "
        f"{suspicious:,} of {judged:,} closings did not hold.",
        style="bold",
    )
    say_remarks(found.remarks)


def _tell_reporting(found: ReportingRates) -> None:
    table = Table("area", "incidents", "further", "days until the first report", "own weight")
    frame = found.to_geodataframe()
    for row in frame.head(10).itertuples():
        table.add_row(
            escape(row.name_en or row.name_ar or row.area),
            f"{row.incidents:,}",
            f"{row.further:,}",
            f"{row.delay_days:,.0f} ({row.delay_low:,.0f}-{row.delay_high:,.0f})",
            f"{100 * row.own_weight:.0f} %",
        )
    if len(frame):
        say("The slowest to report:")
        out.print(table)
    say_remarks(found.remarks)


def register(app: typer.Typer) -> None:
    app.command(
        "incidents", epilog="Example: ./rasd incidents --what chronic --element R04 --out chronic.geojson"
    )(incidents_command)
