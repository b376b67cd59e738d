"""How many reports wait for a step, by state, limit, kind and place, and in which H3 cells.

The same choice as in ``data/inbox.py``, answered by the same index; counted anew for every
question, because a step changes it. Caveat: a report of a kind outside the taxonomy counts
in the total and in no element.
"""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection, text

from data.inbox import BAND, IN_ORDER, LATE, Band, InboxQuery, waiting_where
from data.maps import COARSEST, CellCounts, CellLevel, LeftOut
from data.query import parent_sql
from data.vocabulary import Status
from geo.cells import areas_km2, parents

FINEST = 10  # of the map's cells
_AREA_SAMPLE = 100  # cells whose areas are averaged


@dataclass(frozen=True, slots=True)
class Named:
    """A choice with its names and how many wait; ``key`` is a code or an id."""

    key: int | str
    name_ar: str
    name_en: str
    count: int


@dataclass(frozen=True, slots=True)
class InboxCounts:
    """How many wait. ``by_status`` and ``by_band`` in their own order, others by count."""

    total: int
    late: int
    by_status: tuple[tuple[Status, int], ...]
    by_band: tuple[tuple[Band, int], ...]
    by_group: tuple[Named, ...]
    by_element: tuple[Named, ...]
    by_municipality: tuple[Named, ...]


def counts(conn: Connection, query: InboxQuery) -> InboxCounts:
    """How many wait, by state, limit, group, element and municipality."""
    condition, params = waiting_where(conn, query)
    # Served by ix_report_waiting alone, read once for all of them.
    rows = conn.execute(
        text(
            f"""SELECT grouping(status, band, element_id, municipality_id) AS which,
                  status, band, element_id, municipality_id, count(*) AS n
                FROM (SELECT r.status, {BAND} AS band, r.element_id, r.municipality_id
                      FROM report r WHERE {condition}) q
                GROUP BY GROUPING SETS ((status), (band), (element_id), (municipality_id))"""
        ),
        params,
    ).all()
    # grouping() has a bit for each column that a row is not grouped by.
    statuses = {row.status: row.n for row in rows if row.which == 0b0111}
    bands = {row.band: row.n for row in rows if row.which == 0b1011}
    elements = {row.element_id: row.n for row in rows if row.which == 0b1101 and row.element_id is not None}
    places = {
        row.municipality_id: row.n for row in rows if row.which == 0b1110 and row.municipality_id is not None
    }
    by_group, by_element = _taxonomy(conn, elements)
    by_band = tuple((band, bands.get(place, 0)) for place, band in enumerate(Band))
    return InboxCounts(
        sum(statuses.values()),
        sum(n for band, n in by_band if band in LATE),
        tuple((status, statuses[status]) for status in IN_ORDER if status in statuses),
        by_band,
        by_group,
        by_element,
        _municipalities(conn, places),
    )


def _taxonomy(conn: Connection, counted: dict[int, int]) -> tuple[tuple[Named, ...], tuple[Named, ...]]:
    """Groups and elements by code; versions of a code are one."""
    groups: dict[str, Named] = {}
    elements: dict[str, Named] = {}
    # Served by pk_element.
    for row in conn.execute(
        text(
            "SELECT id, code, name_ar, name_en, group_code, group_ar, group_en FROM element"
            " WHERE id = ANY(:ids) ORDER BY version, id"
        ),
        {"ids": list(counted)},
    ):
        for found, key, ar, en in (
            (elements, row.code, row.name_ar, row.name_en),
            (groups, row.group_code, row.group_ar, row.group_en),
        ):
            before = found[key].count if key in found else 0
            found[key] = Named(key, ar, en, before + counted[row.id])
    return _most_first(groups), _most_first(elements)


def _municipalities(conn: Connection, counted: dict[int, int]) -> tuple[Named, ...]:
    # Served by pk_area.
    rows = conn.execute(
        text("SELECT id, name_ar, name_en FROM area WHERE id = ANY(:ids)"), {"ids": list(counted)}
    )
    return _most_first({row.id: Named(row.id, row.name_ar, row.name_en, counted[row.id]) for row in rows})


def _most_first(found: dict[Any, Named]) -> tuple[Named, ...]:
    return tuple(sorted(found.values(), key=lambda one: (-one.count, str(one.key))))


def cells(conn: Connection, query: InboxQuery) -> CellCounts:
    """Waiting reports by H3 cell, resolution 4 to 10, for the map; ``query.cell`` does not narrow.

    Reports without a point are counted in ``left_out`` and not drawn.
    """
    condition, params = waiting_where(conn, replace(query, cell=None))
    # Served by ix_report_waiting alone; three byte strings instead of a row a cell.
    row = conn.execute(
        text(
            f"""SELECT string_agg(int8send(cell), ''::bytea) FILTER (WHERE cell IS NOT NULL) AS cells,
                  string_agg(int8send(area), ''::bytea) FILTER (WHERE cell IS NOT NULL) AS areas,
                  string_agg(int8send(n), ''::bytea) FILTER (WHERE cell IS NOT NULL) AS counts,
                  coalesce(sum(n) FILTER (WHERE cell IS NULL), 0)::bigint AS nowhere,
                  coalesce(sum(n) FILTER (WHERE cell IS NULL AND area > 0), 0)::bigint AS area_only
                FROM (SELECT {parent_sql(FINEST)} AS cell, coalesce(r.municipality_id, 0)::bigint AS area,
                        count(*) AS n
                      FROM report r WHERE {condition} GROUP BY 1, 2) q"""
        ),
        params,
    ).one()
    found, areas, numbers = (
        np.frombuffer(part or b"", dtype=">i8").astype(np.int64)
        for part in (row.cells, row.areas, row.counts)
    )
    levels = {size: _level(found, areas, numbers, size) for size in range(COARSEST, FINEST + 1)}
    return CellCounts(levels, int(numbers.sum()), LeftOut(row.nowhere, 0, row.area_only))


def _level(
    found: NDArray[np.int64], areas: NDArray[np.int64], numbers: NDArray[np.int64], size: int
) -> CellLevel:
    """Pairs of cell and municipality (n,) with their counts, rolled up to cells of one size."""
    up = parents(found, size)
    order = np.lexsort((areas, up))
    up, areas, numbers = up[order], areas[order], numbers[order]
    # Equal pairs first, for the municipality with most reports decides a cell's.
    pairs = np.flatnonzero(np.r_[True, (up[1:] != up[:-1]) | (areas[1:] != areas[:-1])][: len(up)])
    if not len(pairs):
        none = np.zeros(0, dtype=np.int64)
        return CellLevel(none, none, none, float("nan"))
    up, areas, numbers = up[pairs], areas[pairs], np.add.reduceat(numbers, pairs)
    starts = np.flatnonzero(np.r_[True, up[1:] != up[:-1]])
    most = np.lexsort((-numbers, up))[starts]  # of each cell the pair with most reports
    cells_ = up[starts]
    some = cells_[:: max(1, len(cells_) // _AREA_SAMPLE)]
    return CellLevel(cells_, np.add.reduceat(numbers, starts), areas[most], float(areas_km2(some).mean()))
