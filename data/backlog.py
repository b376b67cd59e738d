"""Reports that stood open on a past day, in some cells: what a campaign of that day found waiting.

Read from the dates of the reports (opened before, not closed by then), not from their
history of statuses. Caveat: a report that was closed and opened again counts by its last closing.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from sqlalchemy import Connection, text

from data.query import ReportQuery, parent_sql, territory_facts, where
from geo.cells import resolutions
from geo.errors import InputError


@dataclass(frozen=True, slots=True)
class Waiting:
    """One report that waited; ``late_days`` past its limit, negative before it, None without one."""

    id: int
    reference: str
    lon: float
    lat: float
    cell: int
    element: str
    name_ar: str
    name_en: str
    severity: int | None
    late_days: float | None


def waiting_on(
    conn: Connection, query: ReportQuery, cells: npt.ArrayLike, day: dt.date, most: int = 1000
) -> tuple[Waiting, ...]:
    """Reports that fit the query and waited in these cells when ``day`` began, the oldest first.

    Parameters
    ----------
    cells : (k,) int64, H3 of one resolution. most : so many at most.

    Raises
    ------
    InputError : cells of several resolutions, or no such territory.
    """
    wanted = np.unique(np.asarray(cells, dtype=np.int64))
    levels = np.unique(resolutions(wanted))
    if len(levels) != 1:
        raise InputError("Reports are looked up in cells of one resolution.")
    condition, params = where(conn, query)
    parent = parent_sql(int(levels[0]))
    # Served by ix_report_opened.
    rows = conn.execute(
        text(
            f"""SELECT r.id, r.reference, ST_X(r.geom) AS lon, ST_Y(r.geom) AS lat, {parent} AS cell,
                  e.code AS element, e.name_ar, e.name_en, r.severity,
                  extract(epoch FROM z.day - r.due_at)::float8 / 86400 AS late_days
                FROM (SELECT CAST(:b_day AS timestamp) AT TIME ZONE :b_zone AS day) z
                CROSS JOIN report r JOIN element e ON e.id = r.element_id
                WHERE {condition} AND r.opened_at < z.day AND coalesce(r.closed_at >= z.day, true)
                  AND r.geom IS NOT NULL AND {parent} = ANY(:b_cells)
                ORDER BY r.opened_at, r.id LIMIT :b_most"""
        ),
        params
        | {
            "b_day": day,
            "b_zone": territory_facts(conn, query.territory_id).timezone,
            "b_cells": wanted.tolist(),
            "b_most": most,
        },
    )
    return tuple(Waiting(**row._mapping) for row in rows)
