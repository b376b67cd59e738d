"""./rasd hotspots: where it is more than chance, as sentences, JSON or a file."""

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
from data.analyses.hotspots import HotspotResult, HotspotSettings, hotspots
from views.words import Words, short

DEFAULT = HotspotSettings()
RATES = {
    "population": "exposure.per_population",
    "buildings": "exposure.per_buildings",
    "road_km": "exposure.per_road_km",
    "area": "exposure.per_area",
}


def hotspots_command(
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
    resolution: ResolutionOption = None,
    k: Annotated[
        int | None,
        typer.Option("--k", min=1, max=10, help="Rings of neighbours; chosen automatically when left out."),
    ] = None,
    method: Annotated[
        Literal["gi", "moran"],
        typer.Option(help="Gi* hot and cold spots, or Local Moran clusters and outliers."),
    ] = "gi",
    exposure: Annotated[
        str | None,
        typer.Option("--exposure", help="Rates instead of counts: population, buildings, road_km or area."),
    ] = None,
    exceeds: Annotated[
        float | None,
        typer.Option("--exceeds", help="Rate whose chance to be exceeded is told; twice the overall rate."),
    ] = None,
    null: Annotated[
        Literal["exact", "normal"],
        typer.Option(help="Where p of Gi* comes from; normal, as in ArcGIS, is too generous with counts."),
    ] = DEFAULT.null,
    corrected: Annotated[
        bool, typer.Option("--corrected", help="Incidents as if all places reported as readily.")
    ] = False,
    draws: Annotated[
        int, typer.Option("--permutations", help="Permutations of Local Moran.")
    ] = DEFAULT.draws,
    seed: Annotated[int, typer.Option("--seed", help="Seed of the permutations.")] = DEFAULT.seed,
    file: OutOption = None,
    as_json: Json = False,
) -> None:
    """Hot and cold spots: places that are high or low together by more than chance.

    Columns of the file are described in docs/methods/hotspots.md.
    """
    settings = HotspotSettings(
        resolution=resolution,
        k=k,
        method=method,
        exposure=exposure,
        exceeds=exceeds,
        null=null,
        corrected=corrected,
        draws=draws,
        seed=seed,
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
        with bar("Comparing neighbourhoods", as_json) as progress:
            found = hotspots(conn, query, settings, tick=progress)
    written = None if file is None else write_frame(found.to_geodataframe(), file)
    if as_json:
        emit(found.summary() | ({"file": str(file), "rows": written} if file else {}))
        return
    _tell(found)
    if file is not None:
        say(f"Wrote {written:,} cells to {file!s}.")


def _tell(found: HotspotResult) -> None:
    summary, words = found.summary(), Words("en")
    hot, unit = summary["hot"], summary["unit"]
    for code, cells in found.class_counts().items():
        say(f"{code:<10} {cells:>7,} cells")
    say(
        f"{hot['cells']:,} of {len(found.cells):,} cells are surely high: {hot['area_percent']:.1f} % of the "
        f"area ({short(hot['km2'])} km²) with {hot['count_percent']:.1f} % of {summary['count']:,} {unit}.",
        style="bold",
    )
    if found.rates is not None:
        say(f"Overall: {short(found.rates.overall)} {words(RATES[found.rates.kind])}.")
    say_remarks(found.remarks)


def register(app: typer.Typer) -> None:
    app.command(
        "hotspots", epilog="Example: ./rasd hotspots --element R04 --exposure population --out hot.geojson"
    )(hotspots_command)
