"""How fast open reports nearby are found, and that they are those of a plain search by distance.

Simulated reports come in through the ordinary ingest, as in the bench ``map``. At open
reports drawn by digest their candidates are asked for as the owner, as an inspector of the
whole territory and as one of its busiest municipality. For some of them the owner also
searches by geodesic distance alone, without cells; both must find the same reports.
"""

from __future__ import annotations

import datetime as dt
import statistics
import time
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from data import database, duplicates, territories
from data.access import Place, acting, open_session, save_principal
from data.life import Role
from data.vocabulary import FINAL, Flag
from ingest.demo import load_demo

DESCRIPTION = "Open reports of the same element near a place, with row-level security (1,000,000 rows)"
SMALL = {"rows": 2_000, "places": 20}  # when only tried out
END = dt.date(2025, 6, 30)
CHECKED = 10  # places where the plain search is made, a scan each


def run(rows: int | None = None, places: int = 300) -> dict[str, Any]:
    """Load ``rows`` reports and ask at ``places``; times in milliseconds."""
    engine = database.engine()
    loaded = load_demo(engine, reports=rows or 1_000_000, seed=7, end=END)
    with engine.begin() as conn:
        place = territories.find(conn, loaded.territory)
        if place is None:
            raise AssertionError(f"The demo's territory {loaded.territory} is not in the store.")
        spots = conn.execute(
            text(
                """SELECT id, element_id, ST_X(geom) AS lon, ST_Y(geom) AS lat FROM report
                   WHERE geom IS NOT NULL AND element_id IS NOT NULL AND status <> ALL (:final)
                     AND flags & :piled = 0
                   ORDER BY md5(reference) LIMIT :places"""
            ),
            {
                "places": places,
                "final": [int(status) for status in FINAL],
                "piled": int(Flag.DEFAULT_POINT),
            },
        ).all()
        busiest = conn.scalar(
            text(
                """SELECT a.name_en FROM report r JOIN area a ON a.id = r.municipality_id
                   GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"""
            )
        )
        looks = {"whole": Place(place.code), "part": Place(place.code, "municipality", busiest)}
        sessions = {}
        for name, look in looks.items():
            save_principal(conn, name, name, Role.INSPECTOR, [look])
            sessions[name] = open_session(conn, name)
    with engine.connect() as conn:
        owner, found = _timed(conn, place.id, spots)
        for spot in spots[:CHECKED]:
            by_cells = {
                c.report_id for c in duplicates.near(conn, place.id, spot.element_id, spot.lon, spot.lat)
            }
            if spot.id not in by_cells and len(by_cells) < 20:
                raise AssertionError(f"Report {spot.id} does not find itself.")
            if len(by_cells) < 20 and by_cells != _plainly(conn, place.id, spot):
                raise AssertionError(f"Cells and distances differ at {spot.lon}, {spot.lat}.")
    times = {"owner": owner}
    for name, session in sessions.items():
        with acting(session) as conn:
            times[name], _ = _timed(conn, place.id, spots)
    every = [took for some in times.values() for took in some]
    return {
        "p95_ms": _p95(every),
        "p50_ms": statistics.median(every),
        "max_ms": max(every),
        **{f"{name}_p95_ms": _p95(some) for name, some in times.items()},
        "candidates": found,
        "rows": loaded.accepted,
    }


def _timed(conn: Connection, territory: int, spots: Any) -> tuple[list[float], int]:
    """Milliseconds of each question after some to warm up, and candidates in all."""
    for spot in spots[:5]:
        duplicates.near(conn, territory, spot.element_id, spot.lon, spot.lat)
    times, found = [], 0
    for spot in spots:
        start = time.perf_counter()
        found += len(duplicates.near(conn, territory, spot.element_id, spot.lon, spot.lat))
        times.append(1000 * (time.perf_counter() - start))
    return times, found


def _plainly(conn: Connection, territory: int, spot: Any) -> set[int]:
    """The same by distance alone: every report of the element is looked at."""
    code = conn.scalar(text("SELECT code FROM element WHERE id = :id"), {"id": spot.element_id})
    rows = conn.execute(
        text(
            f"""SELECT id FROM report WHERE territory_id = :territory AND element_id = :element
                AND status <> ALL (:final) AND flags & {int(Flag.DEFAULT_POINT)} = 0
                AND ST_DWithin(geom::geography,
                  ST_SetSRID(ST_MakePoint(:lon, :lat), 4326)::geography, :look)"""
        ),
        {
            "territory": territory,
            "element": spot.element_id,
            "final": [int(status) for status in FINAL],
            "lon": spot.lon,
            "lat": spot.lat,
            "look": duplicates.radius_of(code).look,
        },
    )
    return {row.id for row in rows}


def _p95(times: list[float]) -> float:
    return float(np.percentile(times, 95))
