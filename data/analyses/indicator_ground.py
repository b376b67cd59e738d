"""Km² of the rows of an answer, and how much of them was seen: what VPI and coverage divide by.

See ``data/analyses/ground.py`` for what the ground is. Caveat: a report counts for the area
that it lies in, a cell for the area of its centre; at a boundary the two may differ.
"""

from __future__ import annotations

import threading
from collections import OrderedDict

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import text

from data.analyses.ground import Ground, visited
from data.analyses.indicator_asked import Asked, Numbers, by_row, nothing
from data.analyses.indicator_terms import Dimension
from data.analyses.measures import Span
from data.eventcolumns import as_moment
from data.lives import Standing

Ints = NDArray[np.int64]
Floats = NDArray[np.float64]
_REMEMBERED = 4
_held: OrderedDict[tuple[object, ...], tuple[Ground, Ints]] = OrderedDict()
_lock = threading.Lock()


def _chosen(asked: Asked) -> NDArray[np.bool_]:
    return asked.ground.within(asked.query.municipalities, asked.query.districts)


def km2_of(asked: Asked) -> Floats:
    """Ground of each row in km²; rows that are no areas share the whole of it."""
    ground, by, size = asked.ground, asked.query.by, len(asked.rows)
    if ground.kind == "served":
        inside = _chosen(asked)
        whole = float(ground.km2[inside].sum())
        if by not in ground.areas:
            return np.full(size + 1, whole)
        own = asked.rows.table[np.minimum(ground.areas[by][inside], len(asked.rows.table) - 1)]
        return np.append(np.bincount(own, ground.km2[inside], size), whole)
    areas = asked.rows.km2 if by in ("municipality", "district") else np.full(size, np.nan)
    narrowed = asked.query.municipalities or asked.query.districts
    whole = _areas_km2(asked) if narrowed else ground.whole
    return np.append(np.where(np.isnan(areas), np.nan if by in ground.areas else whole, areas), whole)


def _areas_km2(asked: Asked) -> float:
    """km² of the areas that a question is narrowed to."""
    ids = asked.query.districts or asked.query.municipalities
    # Served by pk_area.
    return float(
        asked.conn.execute(
            text("SELECT coalesce(sum(area_km2), 0) FROM area WHERE id = ANY(:ids)"), {"ids": list(ids)}
        ).scalar_one()
    )


def on_ground(asked: Asked, report: Ints) -> Ints:
    """Of some reports those that lie on the ground."""
    return report[_ground_of(asked, report) >= 0]


def _ground_of(asked: Asked, report: Ints) -> Ints:
    """The ground's cell of each report (k,); -1 where it lies on none."""
    found: Ints = _of_reports(asked)[report]
    return found


def _of_reports(asked: Asked) -> Ints:
    """The ground's cell of each report, (n,); found once for a reading of the lives."""
    fresh, facts = asked.lives.freshness, asked.lives.facts
    # The ground itself is in the key, so that no other can have its place in memory.
    key = (asked.conn.engine.url.render_as_string(), facts.id, facts.code, fresh, asked.query.known_at)
    with _lock:
        held = _held.get(key)
        if held is not None and held[0] is asked.ground and fresh.packed:
            _held.move_to_end(key)
            return held[1]
    made = asked.ground.positions(asked.lives.columns["place_cell"])[asked.lives.columns["place"]]
    with _lock:
        _held[key] = (asked.ground, made)
        while len(_held) > _REMEMBERED:
            _held.popitem(last=False)
    return made


def coverage(asked: Asked, standing: Standing, report: Ints, span: Span) -> Numbers | None:
    """Share of the ground where something was reported or a team was, in the period."""
    if asked.ground.kind != "served" or asked.query.by not in (*asked.ground.areas, Dimension.MONTH):
        return None
    seen = np.zeros(len(asked.ground.cells), dtype=bool)
    seen[_ground_of(asked, report)] = True
    been = visited(
        asked.conn,
        asked.lives.facts,
        asked.ground,
        as_moment(span.start),
        as_moment(span.end),
        asked.query.known_at,
    )
    seen[been] = True
    seen &= _chosen(asked)
    over, km2 = km2_of(asked), asked.ground.km2
    size = len(asked.rows)
    if asked.query.by in asked.ground.areas:
        own = asked.rows.table[
            np.minimum(asked.ground.areas[asked.query.by][seen], len(asked.rows.table) - 1)
        ]
        amount = np.append(np.bincount(own, km2[seen], size), km2[seen].sum())
    else:
        amount = np.full(size + 1, km2[seen].sum())
    value = np.divide(amount, over, out=nothing(size + 1), where=over > 0)
    unknown, zero = nothing(size + 1), np.zeros(size + 1, dtype=np.int64)
    return Numbers(value, unknown, unknown, by_row(asked, standing, report), zero, amount, over)
