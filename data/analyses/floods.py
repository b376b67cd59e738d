"""Floods on one day, floods by one sender, and default points: all draw hot spots that are none.

A flood is a day on which one kind of report fills one cell (``geo/bursts.py``), or a sender
from whom at least a third of a cell's reports come, by more than the senders' habits
explain; a default point is where a geocoder puts what it cannot find
(``data/default_points.py``). Caveat: floods are named, not left out; an inspector's sweep
is one too, and senders are known only where a file tells them (``data/reporters.py``).
"""

from __future__ import annotations

import datetime as dt
import re
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import pandas as pd
from sqlalchemy import Connection, text

from data import columns
from data.analyses.history import FINE_LEVELS, History
from data.copying import packed
from data.query import ReportQuery, parent_sql, where
from data.reporters import has_reporters
from data.vocabulary import LEVELS, Flag
from geo.bursts import LEAST, LEVEL, bursts
from geo.cells import cells_of, centres, parents
from geo.remarks import Named

FLOOD_RESOLUTION = 9
SENDER_SHARE = 1 / 3  # of a cell's reports
_SHARED = 0.2  # of all cells: an account seen in so many is no person's


@dataclass(frozen=True, slots=True)
class Flood:
    """One kind of report that filled one place on one day.

    Attributes
    ----------
    cell : H3 index of resolution ``FLOOD_RESOLUTION``.
    place : the finest area that holds most of its reports.
    channel : code, when all of them came by one; else None.
    usual : such reports there on another day.
    """

    cell: int
    place: Named
    type_id: int
    type_name: str
    day: dt.date
    reports: int
    channel: int | None
    usual: float
    q: float


@dataclass(frozen=True, slots=True)
class SenderFlood:
    """One sender from whom a large part of a cell's reports come; who it is is not known.

    Attributes
    ----------
    cell : H3 index of resolution ``FLOOD_RESOLUTION``.
    reports, of : the sender's reports there, and all there whose sender is known.
    """

    cell: int
    place: Named
    reports: int
    of: int


@dataclass(frozen=True, slots=True)
class DefaultPlace:
    """A geocoder's default point, with its reports that fit the query."""

    lon: float
    lat: float
    place: Named
    reports: int


def floods(conn: Connection, history: History, query: ReportQuery) -> tuple[Flood, ...]:
    """Floods within the query's period, most reports first."""
    if not len(history.day):
        return ()
    place, cells = pd.factorize(parents(history.run_cells, FLOOD_RESOLUTION))
    kind, types = pd.factorize(history.type)
    length = max(history.last - history.first + 1, 2)
    group = place[history.run] * len(types) + kind
    when = history.day - history.first
    found = bursts(group, when, length)
    if not len(found.days):
        return ()
    low = (query.start - columns.as_date(0)).days if query.start else history.first
    keep = np.flatnonzero(found.days + history.first >= low)
    keys = group * length + when
    flooded = np.flatnonzero(np.isin(keys, found.groups[keep] * length + found.days[keep]))
    type_ids = types[found.groups % len(types)]
    # Served by pk_source_type.
    rows = conn.execute(
        text("SELECT id, name FROM source_type WHERE id = ANY(:ids)"),
        {"ids": [int(t) for t in np.unique(type_ids)]},
    )
    names = {row.id: row.name for row in rows}
    told, areas = [], _finest_areas(conn, history, flooded)
    for i in keep.tolist():
        own = flooded[keys[flooded] == found.groups[i] * length + found.days[i]]
        channels = np.unique(history.channel[own])
        told.append(
            Flood(
                cell=int(cells[found.groups[i] // len(types)]),
                place=areas.get(_most(history, own), Named(None, None)),
                type_id=int(type_ids[i]),
                type_name=names.get(int(type_ids[i]), ""),
                day=columns.as_date(int(found.days[i]) + history.first),
                reports=int(found.counts[i]),
                channel=int(channels[0]) if len(channels) == 1 else None,
                usual=float(found.usual[i]),
                q=float(found.q[i]),
            )
        )
    return tuple(told)


def _most(history: History, reports: npt.NDArray[np.int64]) -> int:
    """The finest area that holds most of these reports; 0 for none."""
    for level in reversed(FINE_LEVELS):
        ids = history.run_areas[level][history.run[reports]]
        counted = columns.tally(ids[ids > 0])
        if counted:
            return max(counted, key=lambda item: item[1])[0]
    return 0


def _finest_areas(conn: Connection, history: History, reports: npt.NDArray[np.int64]) -> dict[int, Named]:
    """Names of the areas that hold these reports, by id."""
    runs = np.unique(history.run[reports])
    ids = np.unique(np.concatenate([history.run_areas[level][runs] for level in FINE_LEVELS]))
    # Served by pk_area.
    rows = conn.execute(
        text("SELECT id, name_ar, name_en FROM area WHERE id = ANY(:ids)"), {"ids": ids.tolist()}
    )
    return {row.id: Named(row.name_ar, row.name_en) for row in rows}


def sender_floods(conn: Connection, query: ReportQuery) -> tuple[SenderFlood, ...]:
    """Senders who flood a cell, among the reports that fit the query, most reports first.

    The number of reports that one sender has in one cell is taken as geometric, with the
    mean of all; q is kept at LEVEL after Benjamini & Hochberg over all senders and cells.
    """
    if not has_reporters(conn):
        return ()
    condition, params = where(conn, query)
    condition += " AND r.reporter IS NOT NULL AND r.cell IS NOT NULL"
    # SQLAlchemy's names of parameters as psycopg wants them.
    condition = re.sub(r"(?<!:):(q_\w+)", r"%(\1)s", condition)
    fields = (f"int8send({parent_sql(FLOOD_RESOLUTION)})", "int8send(r.reporter)")
    parts = list(packed(conn, fields, condition, params))
    if not parts:
        return ()
    place, cells = pd.factorize(np.concatenate([part[0] for part in parts]))
    sender, senders = pd.factorize(np.concatenate([part[1] for part in parts]))
    pairs, counts = np.unique(place * len(senders) + sender, return_counts=True)
    own_place, own_sender = pairs // len(senders), pairs % len(senders)
    totals = np.bincount(own_place, weights=counts)
    shared = np.bincount(own_sender) > max(_SHARED * len(cells), 5)
    # A mean of exactly one would leave no room for chance.
    mean = max(float(counts[counts < LEAST].mean()), 1.05) if (counts < LEAST).any() else 1.05
    suspects = np.flatnonzero((counts >= LEAST) & ~shared[own_sender])
    suspects = suspects[np.lexsort((cells[own_place[suspects]], -counts[suspects]))]
    # Falling counts are rising p: the k-th of them is compared with its share of all pairs.
    q = (1 - 1 / mean) ** (counts[suspects] - 1.0) * len(pairs) / np.arange(1, len(suspects) + 1)
    large = counts[suspects] >= SENDER_SHARE * totals[own_place[suspects]]
    kept = [
        (int(cells[own_place[i]]), int(counts[i]), int(totals[own_place[i]]))
        for i in suspects[(q <= LEVEL) & large]
    ]
    lon, lat = centres([cell for cell, _, _ in kept])
    return tuple(
        SenderFlood(cell, _area_at(conn, query.territory_id, float(x), float(y)), reports, total)
        for (cell, reports, total), x, y in zip(kept, lon, lat, strict=True)
    )


def default_places(conn: Connection, query: ReportQuery) -> tuple[DefaultPlace, ...]:
    """Default points with reports that fit the query, most first."""
    # Served by pk_default_point and pk_batch; a territory has few.
    points = conn.execute(
        text(
            """SELECT d.lon, d.lat FROM default_point d JOIN batch b ON b.id = d.batch_id
               WHERE d.territory_id = :territory
                 AND (CAST(:known AS timestamptz) IS NULL OR coalesce(b.finished_at, b.started_at) <= :known)
               ORDER BY d.lon, d.lat"""
        ),
        {"territory": query.territory_id, "known": query.as_of.known if query.as_of else None},
    ).all()
    if not points:
        return ()
    condition, params = where(conn, query, keep_default_points=True)
    cells = cells_of([p.lon for p in points], [p.lat for p in points]).tolist()
    # Served by ix_report_cell.
    counted = conn.execute(
        text(
            f"""SELECT d.lon, d.lat, count(*) AS n FROM report r
                JOIN default_point d ON d.territory_id = r.territory_id
                 AND ST_X(r.geom) = d.lon AND ST_Y(r.geom) = d.lat
                WHERE {condition} AND r.cell = ANY(CAST(:cells AS bigint[])) AND r.flags & :flag <> 0
                GROUP BY d.lon, d.lat ORDER BY n DESC, d.lon, d.lat"""
        ),
        params | {"cells": cells, "flag": int(Flag.DEFAULT_POINT)},
    ).all()
    return tuple(
        DefaultPlace(row.lon, row.lat, _area_at(conn, query.territory_id, row.lon, row.lat), row.n)
        for row in counted
    )


def _area_at(conn: Connection, territory_id: int, lon: float, lat: float) -> Named:
    """The finest current area at a point."""
    # Served by the index on area.geom.
    row = conn.execute(
        text(
            """SELECT name_ar, name_en FROM area
               WHERE territory_id = :territory AND valid_to IS NULL
                 AND ST_Intersects(geom, ST_SetSRID(ST_MakePoint(:lon, :lat), 4326))
               ORDER BY array_position(CAST(:levels AS text[]), level) DESC LIMIT 1"""
        ),
        {"territory": territory_id, "lon": lon, "lat": lat, "levels": list(LEVELS)},
    ).first()
    return Named(None, None) if row is None else Named(row.name_ar, row.name_en)
