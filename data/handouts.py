"""What goes to the field as data: XLSX to fill in, GeoJSON, GeoPackage and GPX of a plan.

The sheet ``visits`` of the workbook is what ``./rasd ingest visits`` reads back as it is: a
row a site, with lists for yes and no. Columns are documented in ``docs/handouts.md``. Words
of a language are handed in; texts of the plan cannot run as formulas, and names are escaped.
Caveat: GPX routes name the sites in order; the way between them is the device's own.
"""

from __future__ import annotations

import datetime as dt
import io
import json
import tempfile
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import gpxpy.gpx
import polars as pl
import pyarrow as pa
import pyogrio.raw
import shapely
import xlsxwriter

from data.plan import CampaignPlan, Name
from data.plan_frames import Layer, date_of, layers
from data.sheets import safe_frame

Words = Callable[[str], str]
YES_NO = ("yes", "no")  # keys of the words of the lists
#: The sheet to fill in: (key of the heading, width in characters, filled in by the team).
VISIT_SHEET: tuple[tuple[str, int, bool], ...] = (
    ("campaign", 8, False),
    ("area", 7, False),
    ("team", 7, False),
    ("day", 6, False),
    ("planned_for", 12, False),
    ("order", 7, False),
    ("site", 18, False),
    ("reason", 22, False),
    ("expected", 28, False),
    ("latitude", 11, False),
    ("longitude", 11, False),
    ("date", 13, True),
    ("time", 8, True),
    ("found", 10, True),
    ("element_found", 28, True),
    ("treated", 10, True),
    ("photo", 12, True),
    ("note", 36, True),
)


@dataclass(frozen=True, slots=True)
class Stamp:
    """Which plan a hand-out is of, and what it is called; None and empty where it is not saved."""

    campaign: int | None = None
    version: int | None = None
    title: str = ""


def to_geojson(plan: CampaignPlan, stamp: Stamp) -> bytes:
    """One collection (RFC 7946); each feature says in ``layer`` what it is."""
    about = _about(plan, stamp)
    lines = []
    for layer in layers(plan, stamp.campaign, stamp.version):
        shapes = shapely.to_geojson(_rounded(layer.shapes))
        for row, shape in zip(layer.frame.iter_rows(named=True), shapes, strict=True):
            said = json.dumps({"layer": layer.name} | row, ensure_ascii=False, default=_iso)
            lines.append(f'{{"type": "Feature", "geometry": {shape}, "properties": {said}}}')
    head = json.dumps(about, ensure_ascii=False)[1:-1]
    body = ",\n".join(lines)
    return f'{{"type": "FeatureCollection", {head}, "features": [\n{body}\n]}}\n'.encode()


def to_gpkg(plan: CampaignPlan, stamp: Stamp) -> bytes:
    """A GeoPackage with a layer each; GDAL writes it to a file, which is read back."""
    with tempfile.TemporaryDirectory(prefix="rasd-") as folder:
        file = Path(folder) / "plan.gpkg"
        for layer in layers(plan, stamp.campaign, stamp.version):
            table = layer.frame.to_arrow(compat_level=pl.CompatLevel.oldest())
            wkb = pa.array(list(shapely.to_wkb(layer.shapes)), type=pa.binary())
            pyogrio.raw.write_arrow(
                table.append_column("geometry", wkb),
                file,
                layer=layer.name,
                driver="GPKG",
                geometry_name="geometry",
                geometry_type=layer.kind,
                crs="EPSG:4326",
                append=file.exists(),
                layer_metadata={key: str(value) for key, value in _about(plan, stamp).items()},
            )
        return file.read_bytes()


def to_gpx(plan: CampaignPlan, stamp: Stamp, words: Words, pick: Callable[[Name], str]) -> bytes:
    """Routes by area and day; sites without a day as waypoints; stretches as tracks."""
    gpx = gpxpy.gpx.GPX()
    gpx.creator = "Rasd"
    gpx.name = stamp.title or pick(plan.territory_name)
    if plan.simulated:
        gpx.description = words("simulated")
    for area in plan.areas:
        label = f"{words('area')} {area.number}"
        for day in area.days:
            date = date_of(plan, day.day)
            name = f"{label} · {words('team')} {area.team} · {words('day')} {day.day} · {date:%Y-%m-%d}"
            route = gpxpy.gpx.GPXRoute(name=name, number=day.day)
            ends = [area.base] if area.base else []
            turn = sorted((s for s in area.sites if s.day == day.day), key=lambda s: s.order or 0)
            for base in ends:
                route.points.append(gpxpy.gpx.GPXRoutePoint(base.lat, base.lon, name=words("base")))
            for site in turn:
                what = pick(site.element_name) or words(f"target_{site.target}")
                route.points.append(
                    gpxpy.gpx.GPXRoutePoint(
                        site.lat,
                        site.lon,
                        name=f"{site.order} · {what}",
                        description=" · ".join(
                            filter(None, (words(f"target_{site.target}"), site.reference, site.key))
                        ),
                        type=site.target,
                    )
                )
            for base in ends:
                route.points.append(gpxpy.gpx.GPXRoutePoint(base.lat, base.lon, name=words("base")))
            gpx.routes.append(route)
        for site in (s for s in area.sites if s.day is None):
            what = pick(site.element_name) or words(f"target_{site.target}")
            gpx.waypoints.append(
                gpxpy.gpx.GPXWaypoint(site.lat, site.lon, name=f"{label} · {what}", description=site.key)
            )
    for stretch in (s for s in plan.stretches if s.chosen):
        track = gpxpy.gpx.GPXTrack(name=f"{stretch.rank} · {pick(stretch.axis)} {stretch.number}")
        for part in stretch.line:
            points = [gpxpy.gpx.GPXTrackPoint(lat, lon) for lon, lat in part]
            track.segments.append(gpxpy.gpx.GPXTrackSegment(points))
        gpx.tracks.append(track)
    return str(gpx.to_xml(version="1.1")).encode()


def to_xlsx(
    plan: CampaignPlan,
    stamp: Stamp,
    words: Words,
    pick: Callable[[Name], str],
    facts: Sequence[tuple[str, str]],
    *,
    rtl: bool,
) -> bytes:
    """A workbook: the plan, its areas, its sites in order, and the sheet to fill in.

    Parameters
    ----------
    facts : label and value of each line of the first sheet.
    rtl : sheets run from right to left.
    """
    out = io.BytesIO()
    made = dt.datetime(2000, 1, 1)  # the same plan gives the same file
    with xlsxwriter.Workbook(out, {"strings_to_formulas": False, "strings_to_urls": False}) as book:
        book.set_properties({"title": stamp.title or "Rasd", "created": made})
        styles = {
            "head": book.add_format({"bold": True, "bg_color": "#E4EEE9", "text_wrap": True, "border": 1}),
            "fill": book.add_format({"bold": True, "bg_color": "#F7E3B2", "text_wrap": True, "border": 1}),
            "text": book.add_format({"text_wrap": True, "valign": "top"}),
            "date": book.add_format({"num_format": "yyyy-mm-dd"}),
            "time": book.add_format({"num_format": "hh:mm"}),
        }
        sheet = book.add_worksheet(words("sheet_plan"))
        lines = safe_frame(pl.DataFrame(list(facts), schema=["label", "value"], orient="row"))
        for row, (label, value) in enumerate(lines.iter_rows()):
            sheet.write_string(row, 0, label, styles["head"])
            sheet.write_string(row, 1, value, styles["text"])
        sheet.set_column(0, 0, 26)
        sheet.set_column(1, 1, 90)
        for layer in layers(plan, stamp.campaign, stamp.version):
            if layer.name in ("areas", "sites", "stretches"):
                _table(book, words(f"sheet_{layer.name}"), layer, styles)
        if plan.areas:
            _visits(book, plan, stamp, words, pick, styles)
        for sheet in book.worksheets():
            if rtl:
                sheet.right_to_left()
    return out.getvalue()


def _table(book: Any, title: str, layer: Layer, styles: dict[str, Any]) -> None:
    """A layer as it is, under its documented column names, without what teams fill in."""
    frame = layer.frame.select(name for name in layer.frame.columns if layer.frame[name].len())
    frame = safe_frame(
        frame.drop("visited_at", "found", "element_found", "treated", "photo", "note", strict=False)
    )
    sheet = book.add_worksheet(title)
    sheet.freeze_panes(1, 0)
    for at, name in enumerate(frame.columns):
        sheet.write_string(0, at, name, styles["head"])
        longest = max(frame[name].cast(pl.String).str.len_chars().fill_null(0).to_list(), default=0)
        sheet.set_column(at, at, min(max(len(name), longest) + 2, 40))
    for row, values in enumerate(frame.iter_rows(), 1):
        for at, value in enumerate(values):
            _write(sheet, row, at, value, styles)
    if frame.height:
        sheet.autofilter(0, 0, frame.height, frame.width - 1)


def _visits(
    book: Any,
    plan: CampaignPlan,
    stamp: Stamp,
    words: Words,
    pick: Callable[[Name], str],
    styles: dict[str, Any],
) -> None:
    """The sheet to fill in: what is known of each site, then empty cells with lists of answers."""
    rows = [
        (
            stamp.campaign,
            area.number,
            area.team,
            site.day,
            date_of(plan, site.day),
            site.order,
            site.key,
            words(f"target_{site.target}"),
            pick(site.element_name),
            round(site.lat, 6),
            round(site.lon, 6),
        )
        for area in plan.areas
        for site in area.sites
    ]
    known = [name for name, _, filled in VISIT_SHEET if not filled]
    frame = safe_frame(pl.DataFrame(rows, schema=known, orient="row", infer_schema_length=None))
    sheet = book.add_worksheet(words("sheet_visits"))
    sheet.freeze_panes(1, known.index("site") + 1)
    for at, (name, width, filled) in enumerate(VISIT_SHEET):
        sheet.write_string(0, at, words(f"column_{name}"), styles["fill" if filled else "head"])
        style = {"date": styles["date"], "time": styles["time"]}.get(name)
        sheet.set_column(at, at, width, style)
    for row, values in enumerate(frame.iter_rows(), 1):
        for at, value in enumerate(values):
            _write(sheet, row, at, value, styles)
    last = max(frame.height, 1)
    place = {name: at for at, (name, _, _) in enumerate(VISIT_SHEET)}
    answers = [words(key) for key in YES_NO]
    for name in ("found", "treated"):
        sheet.data_validation(1, place[name], last, place[name], {"validate": "list", "source": answers})
    _element_list(book, sheet, frame["expected"], place["element_found"], last, words)


def _element_list(book: Any, sheet: Any, names: pl.Series, at: int, last: int, words: Words) -> None:
    """A list of the plan's elements to choose from; another name may be typed."""
    known = sorted({name for name in names.to_list() if name})
    if not known:
        return
    lists = book.add_worksheet(words("sheet_lists"))
    lists.hide()
    for row, name in enumerate(known):
        lists.write_string(row, 0, name)
    source = f"='{words('sheet_lists')}'!$A$1:$A${len(known)}"
    sheet.data_validation(1, at, last, at, {"validate": "list", "source": source, "show_error": False})


def _write(sheet: Any, row: int, at: int, value: Any, styles: dict[str, Any]) -> None:
    if value is None:
        return
    if isinstance(value, bool):
        sheet.write_boolean(row, at, value)
    elif isinstance(value, int | float):
        sheet.write_number(row, at, value)
    elif isinstance(value, dt.date):
        sheet.write_datetime(row, at, value, styles["date"])
    else:
        sheet.write_string(row, at, str(value))


def _rounded(shapes: list[Any]) -> list[Any]:
    """Seven digits of a degree, a centimetre."""
    return list(shapely.transform(shapes, lambda xy: xy.round(7))) if shapes else []


def _iso(value: Any) -> str:
    return str(value.isoformat())


def _about(plan: CampaignPlan, stamp: Stamp) -> dict[str, Any]:
    """What a file says about itself."""
    return {
        "title": stamp.title,
        "kind": plan.kind,
        "campaign": stamp.campaign,
        "version": stamp.version,
        "territory": plan.territory,
        "territory_ar": plan.territory_name.ar,
        "territory_en": plan.territory_name.en,
        "data_version": plan.data_version,
        "simulated": plan.simulated,
    }
