"""Boundaries into the store: a file of outlines becomes the current set of one level.

Outlines are repaired, measured (overlaps and gaps in km², geodesic) and stored with every
spelling that reports may use; then all reports of the territory are assigned anew, in one
transaction. A table that assigns districts to municipalities makes both levels from one
file. Caveat: repairs, overlaps and gaps are reported and never smoothed away: who draws
the boundaries decides about them.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely
from sqlalchemy import Connection, Engine

from data import areas as area_store
from data import schema, territories
from data.vocabulary import LEVELS
from geo import boundaries
from geo.errors import InputError
from ingest.assignments import dissolved
from ingest.outlines import Columns, read_outlines, recognise, spellings_in
from ingest.readers import file_digest
from ingest.result import Fault
from ingest.text import fold_place

Progress = Callable[[float, int], None]

DEFAULT_TIMEZONE = "Asia/Riyadh"
_SAME_PLACE = 0.5  # share of ground in common from which two sets are of one territory
_LISTED = 10


@dataclass(frozen=True)
class AreasResult:
    """What a load of boundaries did. Read = accepted + refused (``faults``).

    Attributes
    ----------
    reassigned : reports whose areas or flags changed.
    dissolved : areas of the coarser level made by an assignment table, with its name.
    unchanged : the same areas were current already, and nothing was written.
    """

    file: str
    territory: str
    created: bool
    level: str
    read: int
    accepted: int
    repaired: int
    overlap_km2: float
    gap_km2: float
    reassigned: int
    unchanged: bool
    illustrative: bool
    dissolved: dict[str, int]
    notes: list[str]
    faults: list[Fault] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; key order is the reading order."""
        values = dict(self.__dict__)
        values["overlap_km2"] = round(self.overlap_km2, 6)
        values["gap_km2"] = round(self.gap_km2, 6)
        values["faults"] = [fault.to_dict() for fault in self.faults]
        return values


@dataclass(frozen=True)
class _Set:
    """Areas of one level, ready for the store, and what was found on the way."""

    areas: gpd.GeoDataFrame
    read: int
    repaired: int
    overlap_km2: float
    gap_km2: float
    notes: list[str]
    faults: list[Fault]


def ingest_areas(
    engine: Engine,
    path: Path | str,
    *,
    level: str,
    territory: str | None = None,
    territory_names: tuple[str, str] | None = None,
    timezone: str | None = None,
    name_ar: str | None = None,
    name_en: str | None = None,
    code: str | None = None,
    parent: str | None = None,
    assignment: Path | str | None = None,
    illustrative: bool = False,
    simulated: bool = False,
    layer: str | None = None,
    progress: Progress | None = None,
) -> AreasResult:
    """Load boundaries of one level and assign all reports of the territory anew.

    Parameters
    ----------
    path : any OGR source or GeoParquet, in any reference system
    level : region, amana, governorate, municipality or district
    territory : code; when not given, the territory with which the outlines share at least
        half of the ground (of either), else a new one named after the file
    territory_names : Arabic and English name of a new territory
    timezone : IANA zone of the territory (new ones: Asia/Riyadh unless given)
    name_ar, name_en, code, parent : columns of the file; recognised when not given
        (``parent`` names the area above; without it the outlines decide)
    assignment : table that assigns each area to one of the next coarser level, which is
        dissolved from them and stored too
    illustrative : derived for a demonstration: said wherever the areas are drawn
    simulated : the territory holds simulated reports
    progress : called with the share done and the number of areas

    Raises
    ------
    InputError : the file, a column, the level or the territory is wrong; nothing is stored.
    """
    path = Path(path)
    area_store.require_level(level)
    if timezone is not None:
        territories.require_timezone(timezone)

    def tell(share: float, rows: int) -> None:
        if progress is not None:
            progress(share, rows)

    outlines = read_outlines(path, layer)
    tell(0.2, len(outlines.frame))
    given = {"name_ar": name_ar, "name_en": name_en, "code": code, "parent": parent}
    notes = list(outlines.notes)
    columns = recognise(outlines.frame, level, given, notes, path.name)
    own = _prepared(outlines.frame, columns, notes, path.name)
    sets = {level: own}
    if assignment is not None:
        above = _level_above(level)
        coarse, more = dissolved(own.areas, Path(assignment), level, above)
        notes.extend(more)
        sets = {above: _measured(coarse, len(coarse), 0, [], []), level: own}
    tell(0.5, len(own.areas))
    digest = file_digest(path) if path.is_file() else ""
    with engine.begin() as conn:
        schema.require_current(conn)
        place, created = _territory(conn, path, own, territory, territory_names, timezone, simulated, notes)
        territories.lock_territory(conn, place.id)
        stale = {
            name: found
            for name, found in sets.items()
            if not area_store.is_current(conn, place.id, name, found.areas, illustrative)
        }
        reassigned = 0
        for i, (name, found) in enumerate(stale.items()):
            outcome = area_store.replace_set(
                conn,
                place.id,
                name,
                found.areas,
                file_name=path.name,
                file_digest=digest,
                illustrative=illustrative,
                read=found.read,
                repaired=found.repaired,
                overlap_km2=found.overlap_km2,
                gap_km2=found.gap_km2,
                notes=found.notes,
                assign=i == len(stale) - 1,
            )
            reassigned += outcome.reassigned
            notes.extend(_outcome_notes(outcome, name))
        if not stale:
            notes.append("These areas are the current ones already: nothing was changed.")
    tell(1.0, len(own.areas))
    return AreasResult(
        file=path.name,
        territory=place.code,
        created=created,
        level=level,
        read=own.read,
        accepted=len(own.areas),
        repaired=own.repaired,
        overlap_km2=own.overlap_km2,
        gap_km2=own.gap_km2,
        reassigned=reassigned,
        unchanged=not stale,
        illustrative=illustrative,
        dissolved={name: len(found.areas) for name, found in sets.items() if name != level},
        notes=notes,
        faults=own.faults,
    )


def _prepared(frame: gpd.GeoDataFrame, columns: Columns, notes: list[str], file_name: str) -> _Set:
    """Valid multipolygons with names, codes and folded spellings; rows without outline are refused."""
    shapes, mended, reasons = boundaries.repair(frame.geometry.values)
    usable = ~shapely.is_missing(shapes)
    faults = [_no_outline(int(i), frame.geometry.iloc[i]) for i in np.flatnonzero(~usable)]
    if not usable.any():
        kinds = sorted({str(kind) for kind in frame.geom_type.dropna().unique()}) or ["nothing"]
        raise InputError(
            f"{file_name} holds no outlines (only {', '.join(kinds)}): boundaries must be polygons. "
            "For label points, ask the source for the boundaries themselves."
        )
    if faults:
        rows = ", ".join(str(fault.line) for fault in faults[:_LISTED])
        more = f" and {len(faults) - _LISTED} more" if len(faults) > _LISTED else ""
        notes.append(
            f"{len(faults)} of {len(frame)} rows have no outline and were refused: rows {rows}{more}."
        )
    for i in np.flatnonzero(mended)[:_LISTED]:
        notes.append(f"Row {i + 1} was repaired: {reasons[i]}.")
    kept = frame[usable]
    said_ar, said_en = _texts(kept, columns.name_ar), _texts(kept, columns.name_en)
    general = [_texts(kept, column) for column in columns.spellings]
    names_ar, names_en, blank, other = [], [], 0, 0
    for i, (arabic, english) in enumerate(zip(said_ar, said_en, strict=True)):
        fallback = next((column[i] for column in general if column[i]), None)
        if not (arabic or english or fallback):
            blank += 1
            fallback = _texts(kept, columns.code)[i] or str(int(kept.index[i]) + 1)
        other += (not arabic) != (not english)
        names_ar.append(arabic or english or fallback or "")
        names_en.append(english or arabic or fallback or "")
    if columns.name_ar is None or columns.name_en is None:
        there = "Arabic" if columns.name_en is None else "English"
        notes.append(f"The file has {there} names only: they stand for both languages.")
    elif other:
        notes.append(f"{other} areas are named in one language only: that name stands for both.")
    if blank:
        notes.append(f"{blank} areas have no name: their code, or row number, stands for it.")
    parents = [[fold_place(name)] if name else [] for name in _texts(kept, columns.parent)]
    areas = gpd.GeoDataFrame(
        {
            "code": _texts(kept, columns.code),
            "ministry_code": _texts(kept, columns.ministry_code),
            "iso_code": _texts(kept, columns.iso_code),
            "name_ar": names_ar,
            "name_en": names_en,
            "folded_names": [
                _folded(
                    [arabic, english, *(s for c in columns.spellings for s in spellings_in(kept[c].iloc[i]))]
                )
                for i, (arabic, english) in enumerate(zip(names_ar, names_en, strict=True))
            ],
            "area_km2": boundaries.areas_km2(shapes[usable]),
            "parent_folded": parents,
        },
        geometry=shapes[usable],
        crs="EPSG:4326",
    )
    _note_duplicates(areas, notes)
    return _measured(areas, len(frame), int(mended.sum()), notes, faults)


def _measured(
    areas: gpd.GeoDataFrame, read: int, repaired: int, notes: list[str], faults: list[Fault]
) -> _Set:
    overlap, gap = boundaries.overlaps_km2(areas), boundaries.gaps_km2(areas)
    return _Set(areas, read, repaired, overlap, gap, notes, faults)


def _no_outline(row: int, shape: shapely.Geometry | None) -> Fault:
    kind = "nothing" if shape is None or shape.is_empty else shape.geom_type
    return Fault(
        line=row + 1,
        code="no_outline",
        column="geometry",
        value=kind,
        proposal="Give this area as a polygon.",
    )


def _texts(frame: gpd.GeoDataFrame, column: str | None) -> list[str | None]:
    """Values as trimmed text; whole numbers without '.0', empty cells as None."""
    if column is None:
        return [None] * len(frame)
    texts: list[str | None] = []
    for value in frame[column].tolist():
        if (
            value is None
            or value is pd.NA
            or value is pd.NaT
            or (isinstance(value, float) and np.isnan(value))
        ):
            texts.append(None)
            continue
        if isinstance(value, float) and value.is_integer():
            value = int(value)
        texts.append(" ".join(str(value).replace("\x00", " ").split()) or None)
    return texts


def _folded(names: Iterable[str]) -> list[str]:
    return sorted({folded for name in names if (folded := fold_place(name))})


def _note_duplicates(areas: gpd.GeoDataFrame, notes: list[str]) -> None:
    twice = areas.duplicated(["name_ar", "name_en", "code"], keep=False)
    if twice.any():
        listed = sorted({str(name) for name in areas.loc[twice, "name_en"]})
        notes.append(
            f"{int(twice.sum())} areas share name and code with another one: {_shown(listed)}. A report that "
            "gives only this name cannot be placed."
        )


def _shown(names: Sequence[str]) -> str:
    more = f" and {len(names) - _LISTED} more" if len(names) > _LISTED else ""
    return ", ".join(names[:_LISTED]) + more


def _level_above(level: str) -> str:
    position = LEVELS.index(level)
    if position == 0:
        raise InputError("There is no level above region to assign to; leave --assignment out.")
    return LEVELS[position - 1]


def _outcome_notes(outcome: area_store.AreaSetResult, level: str) -> list[str]:
    notes = []
    if outcome.closed:
        notes.append(f"{outcome.closed} areas of the level {level} ended; they are kept with their dates.")
    if outcome.orphans:
        notes.append(f"{outcome.orphans} areas of the level {level} lie in no area of the level above.")
    if outcome.far:
        notes.append(f"{outcome.far:,} reports now lie far outside the study area: kept, and flagged.")
    if outcome.lost:
        notes.append(f"{outcome.lost:,} reports were known by an area's name only, and that area is gone.")
    return notes


def _territory(
    conn: Connection,
    path: Path,
    own: _Set,
    code: str | None,
    names: tuple[str, str] | None,
    timezone: str | None,
    simulated: bool,
    notes: list[str],
) -> tuple[territories.Territory, bool]:
    """The territory named, else the one on the same ground, else a new one."""
    place = territories.find(conn, code) if code is not None else _same_ground(conn, own, simulated)
    if place is not None:
        if simulated and not place.simulated:
            raise InputError(
                f"The territory '{place.code}' holds real data, and these boundaries belong to a simulation: "
                "they are never mixed. Name another territory."
            )
        if timezone is not None and timezone != place.timezone:
            if not territories.adopt_timezone(conn, place.id, timezone):
                raise InputError(
                    f"The territory '{place.code}' has reports counted in {place.timezone}; its time zone "
                    f"cannot become {timezone}. Leave --timezone out."
                )
            notes.append(f"The territory {place.code} now counts its days in {timezone}.")
        return place, False
    alone = len(own.areas) == 1
    arabic, english = own.areas["name_ar"].iloc[0], own.areas["name_en"].iloc[0]
    if code is None:
        code = territories.slug(english) if alone else territories.slug(path)
    title = code.replace("-", " ").title()
    chosen = names or ((arabic, english) if alone else (title, title))
    zone = timezone or DEFAULT_TIMEZONE
    made = territories.create(conn, code, chosen[0], chosen[1], zone, simulated)
    notes.append(f"New territory '{made.code}' ({made.name_en}), time zone {zone}.")
    if timezone is None and _far_from_zone(own, zone):
        notes.append(
            f"{zone} is far from the sun's time at these boundaries: give the right zone with --timezone "
            "before loading reports."
        )
    return made, True


def _same_ground(conn: Connection, own: _Set, simulated: bool) -> territories.Territory | None:
    """The territory of this kind whose study area has most in common, at least half of either."""
    ground = boundaries.study_area(own.areas.geometry.values)
    best: tuple[float, territories.Territory] | None = None
    for place in territories.all_territories(conn):
        if place.simulated != simulated or place.bounds is None:
            continue
        if not shapely.box(*place.bounds).intersects(ground):
            continue
        held = territories.study_area(conn, place.id)
        if held is None:
            continue
        common = shapely.area(shapely.intersection(ground, held))
        if common / min(ground.area, held.area) >= _SAME_PLACE:
            likeness = common / (ground.area + held.area - common)
            if best is None or likeness > best[0]:
                best = (likeness, place)
    return best[1] if best else None


def _far_from_zone(own: _Set, zone: str) -> bool:
    """Whether the zone's clock is over three hours from the sun's at the middle of the areas."""
    west, _, east, _ = own.areas.total_bounds
    offset = ZoneInfo(zone).utcoffset(dt.datetime(2024, 1, 15))
    hours = offset.total_seconds() / 3600 if offset is not None else 0.0
    apart = abs(hours - (west + east) / 2 / 15)
    return min(apart, 24 - apart) > 3
