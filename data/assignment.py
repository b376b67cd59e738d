"""Reports and areas: every report of a territory assigned anew after boundaries changed.

Reports with a point get the area of each level by exact location, and the flag for points
outside the study area. Area-precise reports follow their area's name into the new set.
Reports are read in ranges of ids as packed columns, located in numpy, and what changed
goes back by binary COPY and one UPDATE; nothing else of a report is touched.
Caveat: a refused row in quarantine is not looked at; ingesting its file again takes it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import psycopg
import shapely
from sqlalchemy import Connection, text

from data import bulk
from data.vocabulary import LEVELS, Flag, Precision
from geo.errors import StoreError
from geo.locate import INSIDE, OUTSIDE, AreaIndex, StudyArea

_RANGE = 250_000
# From this many changed reports on, if they are more than half of all, the secondary
# indexes of `report` are dropped for the update and built anew.
_BULK = 200_000
_COLUMNS = tuple(f"{level}_id" for level in LEVELS)


@dataclass(frozen=True, slots=True)
class Reassigned:
    """Reports that changed, and those that lie beyond the margin of the study area."""

    changed: int
    far: int


@dataclass(frozen=True, slots=True)
class Followed:
    """Area-precise reports that changed, and of these the ones left without any area."""

    moved: int
    lost: int


def assign_reports(
    conn: Connection,
    territory_id: int,
    areas: gpd.GeoDataFrame,
    study_area: shapely.Geometry | None,
    margin_m: float = 2000.0,
) -> Reassigned:
    """Assign all reports that have a point to the areas given; the territory's lock must be held.

    Parameters
    ----------
    areas : current areas (id, level, geometry; EPSG:4326)
    study_area : their union; None where there are none
    margin_m : metres; reports farther outside are counted (``far``), kept and flagged
    """
    # Served by ix_report_opened. Without reports there is nothing to build indexes for.
    if not conn.scalar(
        text("SELECT EXISTS (SELECT FROM report WHERE territory_id = :id)"), {"id": territory_id}
    ):
        return Reassigned(0, 0)
    indexes = {
        level: AreaIndex(rows["id"].to_numpy(np.int64), np.asarray(rows.geometry.values))
        for level in LEVELS
        if len(rows := areas[areas["level"] == level])
    }
    study = StudyArea(study_area) if study_area is not None else None
    changed = far = 0
    with _cursor(conn) as cursor:
        cursor.execute("DROP TABLE IF EXISTS moved")
        cursor.execute(
            "CREATE TEMPORARY TABLE moved (id bigint, "
            + ", ".join(f"{column} integer" for column in (*_COLUMNS, "flags"))
            + ") ON COMMIT DROP"
        )
        # Served by pk_report: its first and last id, then ranges.
        cursor.execute("SELECT min(id), max(id) FROM report")
        low, last = cursor.fetchone() or (None, None)
        while low is not None and low <= last:
            rows = _read(cursor, territory_id, low, low + _RANGE)
            low += _RANGE
            new = {
                column: indexes[level].locate(rows["lon"], rows["lat"], rows["cell"])
                if level in indexes
                else np.zeros(len(rows["id"]), dtype=np.int64)
                for level, column in zip(LEVELS, _COLUMNS, strict=True)
            }
            flags = rows["flags"] & ~int(Flag.NEAR_BOUNDARY)
            if study is not None:
                where = study.classify(rows["lon"], rows["lat"], margin_m, rows["cell"])
                flags = np.where(where == INSIDE, flags, flags | int(Flag.NEAR_BOUNDARY))
                far += int(np.count_nonzero(where == OUTSIDE))
            new["flags"] = flags
            different = np.zeros(len(flags), dtype=bool)
            for column, values in new.items():
                different |= rows[column] != values
            if different.any():
                changed += int(np.count_nonzero(different))
                new = {column: values[different] for column, values in new.items()}
                _write(cursor, rows["id"][different], new)
        if changed:
            _update(conn, cursor, changed)
        cursor.execute("DROP TABLE moved")
    return Reassigned(changed, far)


def follow_names(
    conn: Connection,
    territory_id: int,
    level: str,
    closed: Iterable[int],
    successors: Mapping[int, int],
    parents: Mapping[int, tuple[str, int]],
) -> Followed:
    """Move area-precise reports from closed areas of a level to those that carry their names.

    Parameters
    ----------
    closed : ids of the areas that ended
    successors : closed id → id of the current area with its name; where there is none, the
        report loses this area, and without any other area it is no longer located
        (precision NONE, flag NO_LOCATION)
    parents : id of a current area → level and id of its parent; fills levels that a
        report does not have yet, never replaces one
    """
    own, ended = LEVELS.index(level), frozenset(closed)
    # One scan of the territory's reports; area-precise ones share few combinations of areas.
    combinations = conn.execute(
        text(
            f"""SELECT {", ".join(_COLUMNS)} FROM report
                WHERE territory_id = :territory AND precision = :area GROUP BY {", ".join(_COLUMNS)}"""
        ),
        {"territory": territory_id, "area": int(Precision.AREA)},
    ).all()
    steps: list[tuple[list[int], list[int]]] = []
    for row in combinations:
        before = [found or 0 for found in row]
        after = list(before)
        if after[own] in ended:
            after[own] = successors.get(after[own], 0)
        for position in reversed(range(len(LEVELS))):
            if after[position] in parents:
                above, parent = parents[after[position]]
                after[LEVELS.index(above)] = after[LEVELS.index(above)] or parent
        if after != before:
            steps.append((before, after))
    if not steps:
        return Followed(0, 0)
    old = {f"old_{name}": [before[i] for before, _ in steps] for i, name in enumerate(_COLUMNS)}
    new = {f"new_{name}": [after[i] for _, after in steps] for i, name in enumerate(_COLUMNS)}
    arrays = ", ".join(f"CAST(:{name} AS integer[])" for name in (*old, *new))
    # One more scan, hashed against the combinations that change.
    outcome = conn.execute(
        text(
            f"""UPDATE report r SET {", ".join(f"{name} = NULLIF(s.new_{name}, 0)" for name in _COLUMNS)},
                  precision = CASE WHEN {_nowhere("s.new_")} THEN :none ELSE r.precision END,
                  flags = r.flags | CASE WHEN {_nowhere("s.new_")} THEN :flag ELSE 0 END
                FROM unnest({arrays}) AS s ({", ".join((*old, *new))})
                WHERE r.territory_id = :territory AND r.precision = :area
                  AND {" AND ".join(f"coalesce(r.{name}, 0) = s.old_{name}" for name in _COLUMNS)}
                RETURNING r.precision = :none"""
        ),
        {
            **old,
            **new,
            "none": int(Precision.NONE),
            "flag": int(Flag.NO_LOCATION),
            "territory": territory_id,
            "area": int(Precision.AREA),
        },
    )
    gone = [bool(lost) for lost in outcome.scalars()]
    return Followed(len(gone), sum(gone))


def _nowhere(prefix: str) -> str:
    return " AND ".join(f"{prefix}{name} = 0" for name in _COLUMNS)


def _cursor(conn: Connection) -> psycopg.Cursor:
    driver = conn.connection.driver_connection
    if not isinstance(driver, psycopg.Connection):
        raise StoreError("The store is reached through psycopg only; use a postgresql+psycopg address.")
    return driver.cursor()


def _read(cursor: psycopg.Cursor, territory_id: int, low: int, high: int) -> dict[str, npt.NDArray]:
    """Reports with a point, ids low to high: id, cell, lon, lat, area ids and flags, (n,) each.

    Each column comes as one byte string: all aggregates of one SELECT see its rows in the
    same order, and no row becomes a Python object.
    """
    numbers = {"id": "id", "cell": "coalesce(cell, 0)", "flags": "flags"}
    numbers |= {column: f"coalesce({column}, 0)" for column in _COLUMNS}
    points = {"lon": "ST_X(geom)", "lat": "ST_Y(geom)"}
    parts = [f"string_agg(int8send(({sql})::bigint), ''::bytea)" for sql in numbers.values()]
    parts += [f"string_agg(float8send(coalesce({sql}, 'NaN')), ''::bytea)" for sql in points.values()]
    # Served by pk_report.
    cursor.execute(
        f"""SELECT {", ".join(parts)} FROM report
            WHERE id >= %s AND id < %s AND territory_id = %s AND geom IS NOT NULL""",
        (low, high, territory_id),
        binary=True,
    )
    found = cursor.fetchone() or ()
    kinds = [">i8"] * len(numbers) + [">f8"] * len(points)
    return {
        name: np.frombuffer(data or b"", dtype=kind).astype(kind[1:])
        for name, data, kind in zip((*numbers, *points), found, kinds, strict=True)
    }


def _write(cursor: psycopg.Cursor, ids: npt.NDArray, values: dict[str, npt.NDArray]) -> None:
    """COPY into ``moved``: PostgreSQL's binary rows are fixed-width here, so numpy makes them."""
    fields: list[tuple[str, str]] = [("fields", ">i2"), ("id_size", ">i4"), ("id", ">i8")]
    for column in values:
        fields += [(f"{column}_size", ">i4"), (column, ">i4")]
    rows = np.zeros(len(ids), dtype=fields)
    rows["fields"], rows["id_size"], rows["id"] = len(values) + 1, 8, ids
    for column, array in values.items():
        rows[f"{column}_size"], rows[column] = 4, array
    with cursor.copy(f"COPY moved (id, {', '.join(values)}) FROM STDIN (FORMAT binary)") as copy:
        copy.write(b"PGCOPY\n\xff\r\n\x00" + bytes(8) + rows.tobytes() + b"\xff\xff")


def _update(conn: Connection, cursor: psycopg.Cursor, changed: int) -> None:
    cursor.execute("ANALYZE moved")
    rebuild = bulk.drop_indexes(conn) if changed >= _BULK else []
    assignments = ", ".join(f"{column} = NULLIF(m.{column}, 0)" for column in _COLUMNS)
    # A hash join over `moved`; served by pk_report when few reports change.
    cursor.execute(f"UPDATE report r SET {assignments}, flags = m.flags FROM moved m WHERE m.id = r.id")
    for statement in rebuild:
        conn.execute(text(statement))
