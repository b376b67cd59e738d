"""./rasd ingest …: bring files in."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from commands.console import Json, TerritoryOption, bar, emit, ready, say
from ingest.result import IngestResult


def ingest_reports_command(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX, GeoJSON, GPKG, Shapefile, Parquet, Open311 …")],
    profile: Annotated[
        str | None, typer.Option(help="Name of a shipped profile or a YAML file; detected when left out.")
    ] = None,
    territory: TerritoryOption = None,
    timezone: Annotated[
        str | None, typer.Option(help="Time zone of the file's wall times, for example Asia/Riyadh.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show mapping, counts and first faults; write nothing.")
    ] = False,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a GeoPackage or geodatabase.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Text encoding, when it is recognised wrongly.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Delimiter, when it is recognised wrongly.")] = None,
    keep_personal: Annotated[
        bool, typer.Option("--keep-personal", help="Keep names, phones and ids in the landed rows.")
    ] = False,
    as_json: Json = False,
) -> None:
    """Bring in a file of reports. The same file again changes nothing."""
    from ingest.pipeline import ingest_reports

    engine = ready()
    with bar(file.name, as_json) as progress:
        result = ingest_reports(
            engine,
            file,
            profile=profile,
            territory=territory,
            timezone=timezone,
            dry_run=dry_run,
            progress=progress,
            sheet=sheet,
            layer=layer,
            encoding=encoding,
            delimiter=delimiter,
            keep_personal=keep_personal,
        )
    if as_json:
        emit(result.to_dict())
        return
    _say_result(result)


def _say_result(result: IngestResult) -> None:
    """What a batch did, for people."""
    if result.dry_run:
        say("Dry run: nothing was written.", style="bold")
    say(result.profile_reason)
    for field, column in result.mapping.items():
        say(f"  {field:12} ← {column}")
    if result.unmatched:
        say(f"Kept in the landed row only: {', '.join(result.unmatched)}")
    if result.dropped_personal:
        say(f"Dropped as personal: {', '.join(result.dropped_personal)}")
    for note in result.notes:
        say(f"- {note}")
    if result.flags:
        flags = ", ".join(f"{name} {count:,}" for name, count in result.flags.items())
        say(f"Kept with a flag: {flags}")
    for fault in result.faults:
        proposal = f" Proposal: {fault.proposal}" if fault.proposal else ""
        say(f"line {fault.line}: {fault.code}, column {fault.column}: {fault.value!r}.{proposal}")
    say(
        f"{result.territory}{' (simulated)' if result.simulated else ''}: read {result.read:,} = "
        f"accepted {result.accepted:,} + updated {result.updated:,} + unchanged {result.unchanged:,} + "
        f"quarantined {result.quarantined:,}; located {result.located:,}; {result.seconds:.1f} s",
        style="bold",
    )
    if result.quarantined and not result.dry_run:
        say(f"See them: ./rasd quarantine --batch {result.batch}")


def ingest_areas_command(
    file: Annotated[Path, typer.Argument(help="Boundaries: any OGR source or GeoParquet.")],
    level: Annotated[str, typer.Option(help="region, amana, governorate, municipality or district.")],
    territory: TerritoryOption = None,
    territory_name_ar: Annotated[str | None, typer.Option(help="Arabic name of a new territory.")] = None,
    territory_name_en: Annotated[str | None, typer.Option(help="English name of a new territory.")] = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone of a new territory.")] = None,
    name_ar: Annotated[str | None, typer.Option(help="Column of the Arabic names.")] = None,
    name_en: Annotated[str | None, typer.Option(help="Column of the English names.")] = None,
    code: Annotated[str | None, typer.Option(help="Column of the codes.")] = None,
    parent: Annotated[str | None, typer.Option(help="Column that names the area above.")] = None,
    assignment: Annotated[
        Path | None, typer.Option(help="Table district → municipality: dissolves districts.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the source.")] = None,
    as_json: Json = False,
) -> None:
    """Bring in boundaries of one level; all reports of the territory are assigned anew."""
    from ingest.areas import ingest_areas

    names = None
    if territory_name_ar or territory_name_en:
        names = (territory_name_ar or territory_name_en or "", territory_name_en or territory_name_ar or "")
    engine = ready()
    with bar(file.name, as_json) as progress:
        result = ingest_areas(
            engine,
            file,
            level=level,
            territory=territory,
            territory_names=names,
            timezone=timezone,
            name_ar=name_ar,
            name_en=name_en,
            code=code,
            parent=parent,
            assignment=assignment,
            layer=layer,
            progress=progress,
        )
    if as_json:
        emit(result.to_dict())
        return
    for note in result.notes:
        say(f"- {note}")
    say(
        f"{result.territory}, {result.level}: read {result.read:,}, accepted {result.accepted:,}, "
        f"repaired {result.repaired:,}; overlaps {result.overlap_km2:.3f} km², gaps {result.gap_km2:.3f} km²; "
        f"{result.reassigned:,} reports assigned anew",
        style="bold",
    )


def ingest_exposure_command(
    file: Annotated[
        Path, typer.Argument(help="Polygons, lines, points, a table of cells or points, or a GeoTIFF.")
    ],
    kind: Annotated[str, typer.Option(help="population, buildings, road_km or water.")],
    territory: TerritoryOption = None,
    column: Annotated[
        str | None, typer.Option(help="Column of the amounts; recognised when left out.")
    ] = None,
    label: Annotated[
        str | None, typer.Option(help="What it is called on screen, for example its source.")
    ] = None,
    resolution: Annotated[
        int | None, typer.Option(help="H3 resolution, at most 10; by the size of the area when left out.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the source.")] = None,
    as_json: Json = False,
) -> None:
    """Bring in what reports are measured against: people, buildings, roads, or water to leave out."""
    from ingest.exposure import ingest_exposure

    engine = ready()
    with bar(file.name, as_json) as progress:
        result = ingest_exposure(
            engine,
            file,
            kind=kind,
            territory=territory,
            column=column,
            label=label,
            resolution=resolution,
            layer=layer,
            progress=progress,
        )
    if as_json:
        emit(result.to_dict())
        return
    for note in result.notes:
        say(f"- {note}")
    say(
        f"{result.territory}{' (simulated)' if result.simulated else ''}, {result.kind}: {result.label}"
        f"{f' ({result.column})' if result.column else ''}, read as {result.form}; {result.cells:,} cells of "
        f"resolution {result.resolution}; {result.seconds:.1f} s",
        style="bold",
    )


def ingest_visits_command(
    file: Annotated[
        Path, typer.Argument(help="CSV, XLSX, GeoJSON …; a filled-in hand-out of a campaign as it is.")
    ],
    campaign: Annotated[int | None, typer.Option(help="Campaign of rows that name none.")] = None,
    territory: TerritoryOption = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone of the file's wall times.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show mapping, counts and first faults; write nothing.")
    ] = False,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook; recognised when left out.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a GeoPackage or geodatabase.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Text encoding, when it is recognised wrongly.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Delimiter, when it is recognised wrongly.")] = None,
    as_json: Json = False,
) -> None:
    """Bring in what the teams of a campaign found. The same file again changes nothing."""
    from ingest.visits import ingest_visits

    result = ingest_visits(
        ready(),
        file,
        campaign=campaign,
        territory=territory,
        timezone=timezone,
        dry_run=dry_run,
        sheet=sheet,
        layer=layer,
        encoding=encoding,
        delimiter=delimiter,
    )
    if as_json:
        emit(result.to_dict())
        return
    _say_result(result)


def ingest_histories_command(
    file: Annotated[Path, typer.Argument(help="CSV, XLSX …: one row a step of a report.")],
    source: Annotated[
        str | None, typer.Option(help="Source whose references the rows name; the only one when left out.")
    ] = None,
    territory: TerritoryOption = None,
    timezone: Annotated[str | None, typer.Option(help="Time zone of the file's wall times.")] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Show mapping, counts and first faults; write nothing.")
    ] = False,
    sheet: Annotated[str | None, typer.Option(help="Sheet of a workbook.")] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of a GeoPackage or geodatabase.")] = None,
    encoding: Annotated[
        str | None, typer.Option(help="Text encoding, when it is recognised wrongly.")
    ] = None,
    delimiter: Annotated[str | None, typer.Option(help="Delimiter, when it is recognised wrongly.")] = None,
    as_json: Json = False,
) -> None:
    """Bring in the steps that reports took. The same file again changes nothing."""
    from ingest.histories import ingest_histories

    result = ingest_histories(
        ready(),
        file,
        source=source,
        territory=territory,
        timezone=timezone,
        dry_run=dry_run,
        sheet=sheet,
        layer=layer,
        encoding=encoding,
        delimiter=delimiter,
    )
    if as_json:
        emit(result.to_dict())
        return
    _say_result(result)


def ingest_roads_command(
    file: Annotated[Path, typer.Argument(help="Road lines: any OGR source, GeoParquet, or OpenStreetMap.")],
    territory: TerritoryOption = None,
    label: Annotated[
        str | None, typer.Option(help="What they are called on screen, for example their source.")
    ] = None,
    layer: Annotated[str | None, typer.Option(help="Layer of the source.")] = None,
    as_json: Json = False,
) -> None:
    """Bring in roads: for day plans by road, and for projects along movement axes."""
    from ingest.roads import ingest_roads

    engine = ready()
    with bar(file.name, as_json) as progress:
        result = ingest_roads(engine, file, territory=territory, label=label, layer=layer, progress=progress)
    if as_json:
        emit(result.to_dict())
        return
    for note in result.notes:
        say(f"- {note}")
    classes = ", ".join(f"{name} {number:,}" for name, number in result.classes.items())
    say(f"Roads by class: {classes}; {result.named:,} of {result.roads:,} have a name.")
    say(
        f"{result.territory}{' (simulated)' if result.simulated else ''}, roads: {result.label}; read "
        f"{result.read:,} = accepted {result.accepted:,} + outside {result.outside:,} + no road "
        f"{result.no_road:,} + refused {result.refused:,}; {result.km:,.0f} km; {result.seconds:.1f} s",
        style="bold",
    )


def register(app: typer.Typer) -> None:
    from commands.ingest_open311 import ingest_open311_command

    group = typer.Typer(no_args_is_help=True, help="Bring files in: reports, areas, exposure, visits.")
    app.add_typer(group, name="ingest")
    group.command("reports", epilog="Example: ./rasd ingest reports export.csv --dry-run")(
        ingest_reports_command
    )
    group.command("visits", epilog="Example: ./rasd ingest visits filled_in.xlsx --dry-run")(
        ingest_visits_command
    )
    group.command("histories", epilog="Example: ./rasd ingest histories steps.csv --source portal --dry-run")(
        ingest_histories_command
    )
    group.command("areas", epilog="Example: ./rasd ingest areas districts.geojson --level district")(
        ingest_areas_command
    )
    group.command(
        "exposure", epilog="Example: ./rasd ingest exposure blocks.gpkg --kind population --column pop20"
    )(ingest_exposure_command)
    group.command("open311", epilog="Example: ./rasd ingest open311 https://city.example/open311/v2")(
        ingest_open311_command
    )
    group.command("roads", epilog="Example: ./rasd ingest roads streets.gpkg --territory my-city")(
        ingest_roads_command
    )
