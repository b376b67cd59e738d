"""Rows of ``incident`` and ``report_incident``: read and written whole columns at a time.

Only rows that differ from what the store holds are written, so that a few new reports cost
a few rows. Caveat: the caller holds the territory's lock and commits.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data.columns import DAY_ZERO
from data.copying import copy_frame, packed, raw_cursor
from data.vocabulary import Flag, Status

# A report that ends so says nothing of the thing it speaks of: that one is not remedied.
NO_REMEDY = frozenset({Status.REJECTED, Status.DUPLICATE, Status.REFERRED})
NO_TIME = -(1 << 63)  # as PostgreSQL sends -infinity

_MANY = 50_000  # rows from which on new statistics are worth their time
_POINT = (
    f"(r.geom IS NOT NULL AND r.cell IS NOT NULL AND r.flags & {int(Flag.DEFAULT_POINT)} = 0"
    " AND (r.element_id IS NOT NULL OR r.type_id IS NOT NULL))"
)
_BARRED = ", ".join(str(int(status)) for status in sorted(NO_REMEDY))
_REPORT_FIELDS = (
    "int8send(r.id)",
    f"int8send({_POINT}::int::bigint)",
    "int8send(coalesce(r.element_id, 0)::bigint)",
    "int8send(coalesce(r.type_id, 0)::bigint)",
    "int8send(coalesce(r.cell, 0))",
    "float8send(coalesce(ST_X(r.geom), 'NaN'))",
    "float8send(coalesce(ST_Y(r.geom), 'NaN'))",
    "timestamptz_send(r.opened_at)",
    f"""timestamptz_send(CASE WHEN r.status IN ({_BARRED}) THEN '-infinity'
          ELSE coalesce(r.closed_at, '-infinity') END)""",
    "int8send(coalesce(m.incident_id, 0))",
    "int8send(coalesce(m.place_id, 0))",
)
_INCIDENT_FIELDS = (
    "int8send(i.id)",
    "int8send(i.cell)",
    "timestamptz_send(i.first_at)",
    "timestamptz_send(i.last_at)",
    "timestamptz_send(coalesce(i.closed_at, '-infinity'))",
    "int8send(coalesce(i.element_id, 0)::bigint)",
    "int8send(coalesce(i.type_id, 0)::bigint)",
    "int8send(i.reports::bigint)",
    "float8send(i.lon)",
    "float8send(i.lat)",
)


@dataclass(frozen=True, slots=True)
class PlacedReports:
    """Reports that have a point, or had an incident; arrays (n,).

    Attributes
    ----------
    usable : has a place of its own and a kind: takes part in incidents.
    element, type : ids, 0 for none.
    opened, closed : microseconds since 2000, NO_TIME for not closed or not remedied.
    incident, place : as the store has them, 0 for none.
    """

    ids: NDArray[np.int64]
    usable: NDArray[np.bool_]
    element: NDArray[np.int64]
    type: NDArray[np.int64]
    cell: NDArray[np.int64]
    lon: NDArray[np.float64]
    lat: NDArray[np.float64]
    opened: NDArray[np.int64]
    closed: NDArray[np.int64]
    incident: NDArray[np.int64]
    place: NDArray[np.int64]


def placed_reports(
    conn: Connection, territory_id: int, tick: Callable[[float], None] | None = None
) -> PlacedReports:
    """The reports of a territory that incidents are made of, with the incidents they have now."""
    parts: list[list[NDArray[np.int64]]] = []
    for numbers in packed(
        conn,
        _REPORT_FIELDS,
        f"r.territory_id = %(territory)s AND ({_POINT} OR m.report_id IS NOT NULL)",
        {"territory": territory_id},
        # Served by pk_report and pk_report_incident, range by range.
        tables="report r LEFT JOIN report_incident m ON m.report_id = r.id",
    ):
        parts.append(numbers)
        if tick is not None:
            tick(1 - 0.7 ** len(parts))
    ids, usable, element, kind, cell, lon, lat, opened, closed, incident, place = (
        np.concatenate([np.zeros(0, np.int64), *(part[i] for part in parts)])
        for i in range(len(_REPORT_FIELDS))
    )
    return PlacedReports(
        ids=ids,
        usable=usable.astype(bool),
        element=element,
        type=kind,
        cell=cell,
        lon=lon.view(np.float64),
        lat=lat.view(np.float64),
        opened=opened,
        closed=closed,
        incident=incident,
        place=place,
    )


def incident_rows(
    ids: NDArray,
    cell: NDArray,
    first: NDArray,
    last: NDArray,
    closed: NDArray,
    element: NDArray,
    source_type: NDArray,
    reports: NDArray,
    lon: NDArray,
    lat: NDArray,
) -> pl.DataFrame:
    """Rows of ``incident`` from arrays (m,): times in microseconds since 2000, 0 for no code."""
    return pl.DataFrame(
        {
            "id": ids,
            "cell": cell,
            "first_at": _times(first),
            "last_at": _times(last),
            "closed_at": _times(closed),
            "element_id": _codes(element).cast(pl.Int16),
            "type_id": _codes(source_type).cast(pl.Int32),
            "reports": pl.Series(reports).cast(pl.Int32),
            "lon": lon,
            "lat": lat,
        }
    )


def write(
    conn: Connection,
    territory_id: int,
    reports: PlacedReports,
    incident: NDArray[np.int64],
    place: NDArray[np.int64],
    rows: pl.DataFrame,
) -> int:
    """Bring both tables to what was found.

    Parameters
    ----------
    incident, place : (n,) ids for each report, 0 for none.
    rows : as ``incident_rows`` makes them, of all incidents of the territory.

    Returns
    -------
    How many rows of either table are other ones now.
    """
    other = np.flatnonzero((incident != reports.incident) | (place != reports.place))
    # Served by pk_report_incident.
    _delete(conn, "report_incident", "report_id", reports.ids[other[reports.incident[other] != 0]])
    new = other[incident[other] != 0]
    copy_frame(
        conn,
        "report_incident",
        pl.DataFrame(
            {
                "report_id": reports.ids[new],
                "incident_id": incident[new],
                "place_id": place[new],
                "lead": reports.ids[new] == incident[new],
            }
        ),
    )
    gone = 0
    if (reports.incident != 0).any():
        before = _kept_rows(conn, territory_id)
        same = rows.join(before, on=rows.columns, how="semi", nulls_equal=True)
        left = before.join(same, on="id", how="anti")
        gone = left.height
        # Served by pk_incident.
        _delete(conn, "incident", "id", left["id"].to_numpy())
        rows = rows.join(same, on="id", how="anti")
    copy_frame(conn, "incident", rows.with_columns(pl.lit(territory_id, pl.Int16).alias("territory_id")))
    changed = len(other) + max(gone, rows.height)
    if changed >= _MANY:
        conn.execute(text("ANALYZE report_incident"))
        conn.execute(text("ANALYZE incident"))
    return changed


def _kept_rows(conn: Connection, territory_id: int) -> pl.DataFrame:
    sums = ", ".join(f"string_agg({field}, ''::bytea)" for field in _INCIDENT_FIELDS)
    with raw_cursor(conn) as cursor:
        # One scan of `incident`; all aggregates see its rows in the same order.
        cursor.execute(
            f"SELECT {sums} FROM incident i WHERE i.territory_id = %s", (territory_id,), binary=True
        )
        row = cursor.fetchone() or ()
    numbers = [np.frombuffer(data or b"", dtype=">i8").astype(np.int64) for data in row]
    return incident_rows(*numbers[:-2], *(degrees.view(np.float64) for degrees in numbers[-2:]))


def _delete(conn: Connection, table: str, key: str, ids: NDArray) -> None:
    if len(ids):
        with raw_cursor(conn) as cursor:
            cursor.execute(f"DELETE FROM {table} WHERE {key} = ANY(%s)", (ids.tolist(),))


def _times(microseconds: NDArray) -> pl.Series:
    zero = int(DAY_ZERO.astype("datetime64[us]").astype(np.int64))
    none = microseconds == NO_TIME
    at = pl.Series(np.where(none, 0, microseconds) + zero).cast(pl.Datetime("us", "UTC"))
    return at.set(pl.Series(none), None)


def _codes(ids: NDArray) -> pl.Series:
    return pl.Series(ids).set(pl.Series(ids == 0), None)
