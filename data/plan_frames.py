"""A plan as tables: areas, sites, rounds and stretches, with their shapes in EPSG:4326.

What maps, sheets and notebooks read from a plan, with the columns that ``docs/handouts.md``
documents; ids are texts, because spreadsheets and map programs round long numbers. Columns
that a team fills in (``FILLED_IN``) are there and empty. Caveat: a round's line joins its
sites as the crow flies; its kilometres are those that the day plan reckoned with.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import geopandas as gpd
import polars as pl
import shapely

from data.plan import CampaignPlan, CampaignTerms, PlannedArea, Site
from geo.cells import boundaries, from_text
from geo.errors import InputError

_SAME: dict[str, Any] = {"campaign": pl.String, "version": pl.Int64, "simulated": pl.Boolean}
AREA_COLUMNS: dict[str, Any] = {
    "area": pl.Int64,
    "team": pl.Int64,
    "municipality_ar": pl.String,
    "municipality_en": pl.String,
    "districts_ar": pl.String,
    "districts_en": pl.String,
    "cells": pl.String,
    "km2": pl.Float64,
    "sites": pl.Int64,
    "days": pl.Int64,
    "first_date": pl.Date,
    "last_date": pl.Date,
    "hours": pl.Float64,
    "capacity": pl.Float64,
    "km": pl.Float64,
    "finds": pl.Float64,
    "finds_low": pl.Float64,
    "finds_high": pl.Float64,
    "weighted": pl.Float64,
    "drivers": pl.String,
    "growth": pl.Float64,
    "people": pl.Float64,
    "material": pl.String,
    "base": pl.String,
    "base_lon": pl.Float64,
    "base_lat": pl.Float64,
    "pinned": pl.Boolean,
} | _SAME
#: What a team fills in; ``./rasd ingest visits`` reads it back.
FILLED_IN: dict[str, Any] = {
    "visited_at": pl.Datetime("us"),
    "found": pl.Boolean,
    "element_found": pl.String,
    "treated": pl.Boolean,
    "photo": pl.String,
    "note": pl.String,
}
SITE_COLUMNS: dict[str, Any] = (
    {
        "area": pl.Int64,
        "team": pl.Int64,
        "day": pl.Int64,
        "planned_for": pl.Date,
        "order": pl.Int64,
        "arrive_minutes": pl.Float64,
        "site": pl.String,
        "target": pl.String,
        "element_code": pl.String,
        "element_ar": pl.String,
        "element_en": pl.String,
        "chance": pl.Float64,
        "weight": pl.Float64,
        "minutes": pl.Float64,
        "severity": pl.Int64,
        "late_days": pl.Float64,
        "assumed_limit": pl.Boolean,
        "returns": pl.Int64,
        "quantity": pl.Float64,
        "unit": pl.String,
        "reference": pl.String,
        "report_id": pl.String,
        "cell": pl.String,
        "material": pl.String,
        "lon": pl.Float64,
        "lat": pl.Float64,
    }
    | FILLED_IN
    | _SAME
)
ROUND_COLUMNS: dict[str, Any] = {
    "area": pl.Int64,
    "team": pl.Int64,
    "day": pl.Int64,
    "planned_for": pl.Date,
    "sites": pl.Int64,
    "km": pl.Float64,
    "hours": pl.Float64,
} | _SAME
STRETCH_COLUMNS: dict[str, Any] = {
    "stretch": pl.String,
    "rank": pl.Int64,
    "chosen": pl.Boolean,
    "pinned": pl.Boolean,
    "axis_ar": pl.String,
    "axis_en": pl.String,
    "number": pl.Int64,
    "road_class": pl.String,
    "municipality_ar": pl.String,
    "municipality_en": pl.String,
    "km": pl.Float64,
    "reports": pl.Int64,
    "per_km": pl.Float64,
    "per_km_low": pl.Float64,
    "per_km_high": pl.Float64,
    "per_km_shrunk": pl.Float64,
    "severity": pl.Float64,
    "trend": pl.Float64,
    "elements": pl.String,
    "work": pl.String,
    "cost_sar": pl.Float64,
    "benefit": pl.Float64,
} | _SAME


@dataclasses.dataclass(frozen=True, slots=True)
class Layer:
    """A table and the shape of each row, (n,) shapely in EPSG:4326."""

    name: str
    frame: pl.DataFrame
    shapes: list[Any]
    kind: str  # as OGR names it

    def to_geodataframe(self) -> gpd.GeoDataFrame:
        """For notebooks and maps."""
        return gpd.GeoDataFrame(self.frame.to_pandas(), geometry=self.shapes, crs="EPSG:4326")


def only_areas(plan: CampaignPlan, numbers: Iterable[int]) -> CampaignPlan:
    """The plan with some of its areas. Raises InputError for a number that it has not."""
    wanted = set(numbers)
    missing = sorted(wanted - {area.number for area in plan.areas})
    if missing:
        have = ", ".join(str(area.number) for area in plan.areas) or "none"
        raise InputError(f"The plan has no area {', '.join(map(str, missing))}; its areas are: {have}.")
    areas = tuple(a for a in plan.areas if a.number in wanted)
    return dataclasses.replace(plan, areas=areas, low=None, high=None)


def layers(plan: CampaignPlan, campaign: int | None = None, version: int | None = None) -> list[Layer]:
    """All tables of a plan that have rows; an axes plan has stretches only."""
    same = {"campaign": None if campaign is None else str(campaign), "version": version}
    same |= {"simulated": plan.simulated}
    if plan.kind == "axes":
        return [stretches(plan, same)]
    found = [areas(plan, same), sites(plan, same), rounds(plan, same)]
    return [each for each in found if each.frame.height or each.name != "rounds"]


def areas(plan: CampaignPlan, same: dict[str, Any]) -> Layer:
    """One row an area, with the outline of its cells."""
    rows = []
    for area in plan.areas:
        days = [day.day for day in area.days]
        rows.append(
            {
                "area": area.number,
                "team": area.team,
                "municipality_ar": area.municipality.ar or None,
                "municipality_en": area.municipality.en or None,
                "districts_ar": "; ".join(d.ar for d in area.districts if d.ar) or None,
                "districts_en": "; ".join(d.en for d in area.districts if d.en) or None,
                "cells": " ".join(area.cells),
                "km2": area.km2,
                "sites": len(area.sites),
                "days": len(set(days)) or None,
                "first_date": date_of(plan, min(days)) if days else None,
                "last_date": date_of(plan, max(days)) if days else None,
                "hours": area.hours,
                "capacity": area.capacity,
                "km": sum(day.km for day in area.days) if days else None,
                "finds": area.finds,
                "finds_low": area.low,
                "finds_high": area.high,
                "weighted": area.weighted,
                "drivers": "; ".join(area.drivers) or None,
                "growth": area.growth,
                "people": area.people,
                "material": _amounts(area.material),
                "base": area.base.name if area.base else None,
                "base_lon": area.base.lon if area.base else None,
                "base_lat": area.base.lat if area.base else None,
                "pinned": area.pinned,
            }
            | same
        )
    shapes = [outline(area) for area in plan.areas]
    return Layer("areas", pl.DataFrame(rows, schema=AREA_COLUMNS), shapes, "MultiPolygon")


def outline(area: PlannedArea) -> shapely.MultiPolygon:
    """The cells of an area in one piece."""
    joined = shapely.union_all(boundaries(from_text(list(area.cells))))
    parts = shapely.get_parts(joined) if shapely.get_type_id(joined) != 3 else [joined]
    return shapely.MultiPolygon(list(parts))


def sites(plan: CampaignPlan, same: dict[str, Any]) -> Layer:
    """One row a site, in order of area, day and turn."""
    pairs = [(area, site) for area in plan.areas for site in area.sites]
    rows = [_site(plan, area, site) | same for area, site in pairs]
    frame = pl.DataFrame(rows, schema=SITE_COLUMNS)
    return Layer("sites", frame, [shapely.Point(s.lon, s.lat) for _, s in pairs], "Point")


def _site(plan: CampaignPlan, area: PlannedArea, site: Site) -> dict[str, Any]:
    return {
        "area": area.number,
        "team": area.team,
        "day": site.day,
        "planned_for": date_of(plan, site.day),
        "order": site.order,
        "arrive_minutes": site.arrive,
        "site": site.key,
        "target": site.target,
        "element_code": site.element or None,
        "element_ar": site.element_name.ar or None,
        "element_en": site.element_name.en or None,
        "chance": site.chance,
        "weight": site.weight,
        "minutes": site.minutes,
        "severity": site.severity,
        "late_days": site.late_days,
        "assumed_limit": site.assumed_limit,
        "returns": site.returns,
        "quantity": site.quantity,
        "unit": site.unit or None,
        "reference": site.reference or None,
        "report_id": None if site.report_id is None else str(site.report_id),
        "cell": site.cell,
        "material": _amounts(site.material),
        "lon": site.lon,
        "lat": site.lat,
    } | dict.fromkeys(FILLED_IN)


def rounds(plan: CampaignPlan, same: dict[str, Any]) -> Layer:
    """One row a team's day in an area: base, its sites in order, base."""
    rows, shapes = [], []
    for area in plan.areas:
        for day in area.days:
            turn = sorted((s for s in area.sites if s.day == day.day), key=lambda s: s.order or 0)
            points = [(s.lon, s.lat) for s in turn]
            ends = [(area.base.lon, area.base.lat)] if area.base else []
            line = [*ends, *points, *ends]
            shapes.append(shapely.LineString(line if len(line) > 1 else line * 2))
            rows.append(
                {
                    "area": area.number,
                    "team": area.team,
                    "day": day.day,
                    "planned_for": date_of(plan, day.day),
                    "sites": day.sites,
                    "km": day.km,
                    "hours": day.hours,
                }
                | same
            )
    return Layer("rounds", pl.DataFrame(rows, schema=ROUND_COLUMNS), shapes, "LineString")


def stretches(plan: CampaignPlan, same: dict[str, Any]) -> Layer:
    """One row a stretch of road, in order of rank."""
    ranked = sorted(plan.stretches, key=lambda s: s.rank)
    rows = [
        {
            "stretch": s.key,
            "rank": s.rank,
            "chosen": s.chosen,
            "pinned": s.pinned,
            "axis_ar": s.axis.ar or None,
            "axis_en": s.axis.en or None,
            "number": s.number,
            "road_class": s.road_class,
            "municipality_ar": s.municipality.ar or None,
            "municipality_en": s.municipality.en or None,
            "km": s.km,
            "reports": s.reports,
            "per_km": s.per_km,
            "per_km_low": s.low,
            "per_km_high": s.high,
            "per_km_shrunk": s.shrunk,
            "severity": s.severity,
            "trend": s.trend,
            "elements": "; ".join(f"{part.code} {part.finds:g}" for part in s.elements) or None,
            "work": s.work,
            "cost_sar": s.cost,
            "benefit": s.benefit,
        }
        | same
        for s in ranked
    ]
    shapes = [shapely.MultiLineString([list(part) for part in s.line]) for s in ranked]
    return Layer("stretches", pl.DataFrame(rows, schema=STRETCH_COLUMNS), shapes, "MultiLineString")


def date_of(plan: CampaignPlan, day: int | None) -> Any:
    """The date of a working day, None without one."""
    if day is None or not isinstance(plan.terms, CampaignTerms):
        return None
    return plan.terms.dates[day - 1]


def _amounts(material: tuple[tuple[str, float], ...]) -> str | None:
    return "; ".join(f"{code} {amount:g}" for code, amount in material) or None
