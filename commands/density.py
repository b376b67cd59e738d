"""./rasd density: a smooth surface of reports per km², as GeoTIFF, image or contours."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import Annotated, Literal

import typer

from commands.console import Json, TerritoryOption, emit, ready, say, say_remarks
from commands.questions import (
    ChannelOption,
    DistrictOption,
    ElementOption,
    EndOption,
    GroupOption,
    MunicipalityOption,
    StartOption,
    StatusOption,
    TypeOption,
    question,
    write_frame,
)


def density_command(
    out: Annotated[
        Path | None,
        typer.Option(
            "--out", help="GeoTIFF (.tif), image (.png with .pgw), or classes (.geojson .gpkg .parquet)."
        ),
    ] = None,
    bandwidth: Annotated[
        float | None,
        typer.Option(
            "--bandwidth", help="Standard deviation of the kernel in metres; automatic when left out."
        ),
    ] = None,
    pixels: Annotated[int, typer.Option("--pixels", help="Pixels along the longer side, at most.")] = 1024,
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
    as_json: Json = False,
) -> None:
    """Draw where reports come from as a density in reports per km², corrected at the area's edge."""
    from data.analyses.density import DensitySettings, density
    from data.rasters import write_geotiff

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
        found = density(conn, query, DensitySettings(bandwidth, pixels))
    written = None
    if out is not None:
        ending = out.suffix.lower()
        if ending in (".tif", ".tiff"):
            write_geotiff(found, out)
        elif ending == ".png":
            from layers.density import write_png

            write_png(found.surface, found.levels, out)
        else:
            write_frame(found.to_geodataframe(), out)
        written = str(out)
    if as_json:
        emit(found.summary() | {"file": written})
        return
    say_remarks(found.remarks)
    if found.surface is not None:
        say(
            f"{found.facts.code}: {found.surface.reports:,.0f} reports, bandwidth {found.surface.bandwidth_m:,.0f} m, "
            f"at most {found.surface.values.max():,.0f} per km²",
            style="bold",
        )
    if written:
        say(f"Written: {written}")


def register(app: typer.Typer) -> None:
    app.command("density", epilog="Example: ./rasd density --element P06 --out density.tif")(density_command)
