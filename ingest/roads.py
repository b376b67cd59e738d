"""Road lines into the store: any OGR source or GeoParquet, OpenStreetMap's tags understood.

Lines of several parts are taken apart, what lies outside the study area is left out, and
every row that cannot be a road is told with its number and reason; read = accepted +
outside + no road + refused. The set replaces the one before in one transaction, and a file
that gives the same roads again changes nothing. Caveat: a road that crosses the edge of
the study area is kept whole.
"""

from __future__ import annotations

import hashlib
import time
from collections import Counter
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import numpy.typing as npt
import polars as pl
import shapely
from sqlalchemy import Engine

from data import roads, schema, territories
from data.territories import Territory
from geo.errors import InputError
from geo.roads import lengths_m
from ingest.destination import known_territory
from ingest.outlines import read_outlines
from ingest.readers import file_digest
from ingest.road_tags import NO_ROAD, Tags, read_tags

Progress = Callable[[float, int], None]
Flags = npt.NDArray[np.bool_]

#: Why a row is refused, in the order in which it is looked at.
REASONS = {
    "empty": "it has no line",
    "no_line": "its shape is no line",
    "not_finite": "a coordinate is missing",
    "no_length": "all its points are one",
    "repeated": "the same line is there before",
}
_SAMPLE = 2000
_SHOWN = 5  # rows named in the notes; all are in ``faults``


@dataclass(frozen=True)
class RoadFault:
    """A row that is no road: its number in the file, from 1, and a code of ``REASONS``."""

    row: int
    reason: str


@dataclass(frozen=True)
class RoadsResult:
    """What a load of roads did. read = accepted + outside + no_road + refused, in rows.

    Attributes
    ----------
    roads : lines in the store, after those of several parts were taken apart.
    no_road : rows that their class says are none: planned roads, railways, rivers.
    classes : lines by class.
    faults : every refused row.
    unchanged : the same roads were current already, and nothing was written.
    """

    file: str
    territory: str
    label: str
    simulated: bool
    read: int
    accepted: int
    outside: int
    no_road: int
    refused: int
    roads: int
    km: float
    named: int
    classes: dict[str, int]
    faults: tuple[RoadFault, ...]
    unchanged: bool
    notes: list[str]
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; key order is the reading order."""
        faults = [fault.__dict__ for fault in self.faults]
        return dict(self.__dict__) | {"faults": faults, "seconds": round(self.seconds, 3)}


def ingest_roads(
    engine: Engine,
    path: Path | str,
    *,
    territory: str | None = None,
    label: str | None = None,
    layer: str | None = None,
    simulated: bool = False,
    progress: Progress | None = None,
) -> RoadsResult:
    """Load the roads of a territory.

    Parameters
    ----------
    path : map file with lines.
    territory : code; when left out, the only one, or the one in which the file lies.
    label : what the set is called on screen; the file's name when left out.
    layer : of a map file or zip with several.
    simulated : made up for a demonstration; only a simulated territory takes it.
    progress : called with the share done and a number of rows.

    Raises
    ------
    InputError : the file or the territory is wrong, or no road lies there; nothing is stored.
    """
    began = time.monotonic()
    path = Path(path)
    tell = progress or (lambda share, rows: None)
    outlines = read_outlines(path, layer, lines=True)
    shapes = np.asarray(outlines.frame.geometry.values, dtype=object)
    reasons = _reasons(shapes)
    usable = reasons == ""
    if not usable.any():
        raise InputError(f"{path.name} holds no road lines: of its {len(shapes):,} rows none is a line.")
    tags = read_tags(outlines.frame)
    tell(0.4, len(shapes))
    place, area = _destination(engine, path, territory, shapes[usable], simulated)
    found = _sorted(path, place, area, shapes, reasons, tags)
    tell(0.7, len(found.lines))
    notes = [*outlines.notes, *tags.notes, *found.notes()]
    name, made_up = label or path.name, simulated or place.simulated
    same = _stored(engine, path, place, found, name, made_up, notes)
    tell(1.0, len(found.lines))
    named = pl.any_horizontal(pl.col("name_ar").is_not_null(), pl.col("name_en").is_not_null())
    return RoadsResult(
        file=path.name,
        territory=place.code,
        label=name,
        simulated=made_up,
        read=found.read,
        accepted=found.accepted,
        outside=found.outside,
        no_road=found.no_road,
        refused=len(found.faults),
        roads=len(found.lines),
        km=float(found.table["length_m"].sum()) / 1000,
        named=found.table.filter(named).height,
        classes=dict(Counter(found.table["road_class"].to_list()).most_common()),
        faults=found.faults,
        unchanged=same,
        notes=notes,
        seconds=time.monotonic() - began,
    )


@dataclass(frozen=True)
class _Sorted:
    """What became of the rows of a file, and the roads that are to be stored.

    Attributes
    ----------
    table, lines : (n,) single lines. read, accepted, outside, no_road : numbers of rows.
    """

    table: pl.DataFrame
    lines: npt.NDArray[np.object_]
    faults: tuple[RoadFault, ...]
    read: int
    accepted: int
    outside: int
    no_road: int

    def notes(self) -> list[str]:
        return _notes(self.faults, self.outside, self.no_road, len(self.lines) - self.accepted)


def _destination(
    engine: Engine, path: Path, code: str | None, shapes: npt.NDArray[np.object_], simulated: bool
) -> tuple[Territory, shapely.Geometry | None]:
    """The territory that the roads belong to, and its study area."""
    middle = shapely.centroid(shapes[:: max(1, len(shapes) // _SAMPLE)])
    lon, lat = shapely.get_x(middle), shapely.get_y(middle)
    with engine.connect() as conn:
        schema.require_current(conn)
        place = known_territory(conn, path, code, lon, lat, simulated, "these roads belong")
        return place, territories.study_area(conn, place.id)


def _sorted(
    path: Path,
    place: Territory,
    area: shapely.Geometry | None,
    shapes: npt.NDArray[np.object_],
    reasons: npt.NDArray[np.object_],
    tags: Tags,
) -> _Sorted:
    """Rows into roads of the study area, and those that are left out and why."""
    usable, is_road = reasons == "", tags.road_class != NO_ROAD
    inside = np.ones(len(shapes), dtype=bool)
    if area is not None:
        shapely.prepare(area)
        inside = shapely.intersects(area, shapes)
    kept = usable & is_road & inside
    if not kept.any():
        raise InputError(
            f"{path.name}: no road of it lies in the study area of '{place.code}'. Check the file's "
            "coordinates, or name another territory with --territory."
        )
    lines, rows = _lines(shapes, np.flatnonzero(kept))
    return _Sorted(
        table=_table(tags, rows, lines),
        lines=lines,
        faults=tuple(RoadFault(int(i) + 1, str(reasons[i])) for i in np.flatnonzero(~usable)),
        read=len(shapes),
        accepted=int(kept.sum()),
        outside=int((usable & is_road & ~inside).sum()),
        no_road=int((usable & ~is_road).sum()),
    )


def _stored(
    engine: Engine,
    path: Path,
    place: Territory,
    found: _Sorted,
    label: str,
    simulated: bool,
    notes: list[str],
) -> bool:
    """Make the roads the current ones in one transaction; whether they were so already."""
    content = _content(found.table, found.lines)
    with engine.begin() as conn:
        territories.lock_territory(conn, place.id)
        if roads.is_current(conn, place.id, label, content):
            notes.append("These roads are the current ones already: nothing was changed.")
            return True
        roads.replace_set(
            conn,
            place.id,
            found.table,
            found.lines,
            label=label,
            simulated=simulated,
            file_name=path.name,
            file_digest=file_digest(path) if path.is_file() else "",
            content=content,
            read=found.read,
            accepted=found.accepted,
            notes=notes,
        )
    return False


def _reasons(shapes: npt.NDArray[np.object_]) -> npt.NDArray[np.object_]:
    """Why each row (n,) is refused: a code of ``REASONS``, or '' for a good one."""
    out = np.full(len(shapes), "", dtype=object)

    def mark(which: Flags, code: str) -> None:
        out[which & (out == "")] = code

    mark(shapely.is_missing(shapes) | shapely.is_empty(shapes), "empty")
    # A collection may hold lines beside points; what a part of it is cannot be told.
    mark(~np.isin(shapely.get_type_id(shapes), (1, 2, 5)), "no_line")
    points, owner = shapely.get_coordinates(shapes, return_index=True)
    broken = np.zeros(len(shapes), dtype=bool)
    broken[owner[~np.isfinite(points).all(axis=1)]] = True
    mark(broken, "not_finite")
    good = out == ""
    length = np.zeros(len(shapes))
    length[good] = shapely.length(shapes[good])
    mark(good & ~(length > 0), "no_length")
    rows = np.flatnonzero(out == "")
    if len(rows):
        # The same line drawn the other way is the same line too.
        keys = shapely.to_wkb(shapely.normalize(shapely.force_2d(shapes[rows])))
        seen: set[bytes] = set()
        again = [key in seen or bool(seen.add(key)) for key in keys]  # type: ignore[func-returns-value]
        out[rows[np.array(again, dtype=bool)]] = "repeated"
    return out


def _lines(
    shapes: npt.NDArray[np.object_], rows: npt.NDArray[np.int64]
) -> tuple[npt.NDArray[np.object_], npt.NDArray[np.int64]]:
    """Single lines of the rows, and the row of each; parts without length go, their row stays."""
    parts, owner = shapely.get_parts(shapely.force_2d(shapes[rows]), return_index=True)
    parts = np.asarray(parts, dtype=object)
    long = shapely.length(parts) > 0
    # A ring (closed outline kept as such) is a line like any other.
    rings = shapely.get_type_id(parts) == 2
    if rings.any():
        parts[rings] = [shapely.LineString(ring.coords) for ring in parts[rings]]
    return parts[long], rows[owner[long]]


def _table(tags: Tags, rows: npt.NDArray[np.int64], lines: npt.NDArray[np.object_]) -> pl.DataFrame:
    def column(values: npt.NDArray[np.object_]) -> pl.Series:
        return pl.Series(values[rows].tolist(), dtype=pl.String)

    return pl.DataFrame(
        {
            "name_ar": column(tags.name_ar),
            "name_en": column(tags.name_en),
            "ref": column(tags.ref),
            "road_class": column(tags.road_class),
            "source_class": column(tags.source_class),
            "direction": pl.Series(tags.direction[rows].astype(np.int16)),
            "length_m": pl.Series(lengths_m(lines)),
        }
    )


def _content(table: pl.DataFrame, lines: npt.NDArray[np.object_]) -> str:
    """Digest of what would be stored: another study area or another table of classes changes it."""
    total = hashlib.sha256()
    for key in shapely.to_wkb(lines):
        total.update(key)
    total.update(table.drop("length_m").write_csv().encode())
    return total.hexdigest()


def _notes(faults: tuple[RoadFault, ...], outside: int, no_road: int, parts: int) -> list[str]:
    notes = []
    for code, number in Counter(fault.reason for fault in faults).most_common():
        shown = [str(fault.row) for fault in faults if fault.reason == code][:_SHOWN]
        more = " …" if number > len(shown) else ""
        notes.append(f"{number:,} rows refused, {REASONS[code]}: row {', '.join(shown)}{more}.")
    if no_road:
        notes.append(f"{no_road:,} rows are no roads by their class (planned, removed, rail, water …).")
    if outside:
        notes.append(f"{outside:,} roads lie outside the study area and were left out.")
    if parts > 0:
        notes.append(f"Lines of several parts were taken apart: {parts:,} lines more than rows.")
    return notes
