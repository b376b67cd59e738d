"""How fast the store answers the Hotspots page over many reports, filters on.

Simulated reports come in through the ordinary ingest; then seeded random filters are
asked for, each as a page with nothing cached would: counts by cell at every zoom, packed
for the browser, and the figures beside the map. The first query, without any filter,
counts every report. Every answer's total is compared with a COUNT in SQL.
"""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import Connection, text

from data import columns, database, maps, summaries, territories
from data.query import ReportQuery, where
from ingest.demo import load_demo
from layers.hexpack import Level, pack

DESCRIPTION = "Map, rankings and charts over simulated reports with random filters (1,000,000 rows)"
QUERIES = 80
SEED = 20_250_701
END = dt.date(2025, 6, 30)
SMALL = None  # run small, and checked, in tests/data/test_bench_map.py


def run(rows: int | None = None, queries: int = QUERIES) -> dict[str, Any]:
    """Load ``rows`` reports, ask ``queries`` questions, and return times in milliseconds.

    p95_ms and p50_ms: the store's answer for the map. payload_mb: the largest packed
    answer, as it goes to the browser (before any compression on the way).
    """
    engine = database.engine()
    loaded = load_demo(engine, reports=rows or 1_000_000, seed=7, end=END)
    with engine.connect() as conn:
        place = territories.find(conn, loaded.territory)
        if place is None:
            raise AssertionError(f"The demo's territory {loaded.territory} is not in the store.")
        current = columns.is_current(conn, place.id)
    refresh_s = 0.0
    if not current:
        began = time.perf_counter()
        with engine.begin() as conn:
            columns.refresh(conn, place.id)
        refresh_s = time.perf_counter() - began
    times: dict[str, list[float]] = {}
    payloads: list[int] = []
    cells: list[int] = []
    with engine.connect() as conn:
        offered, choices_ms = timed(lambda: summaries.choices(conn, place.id))
        asked = random_queries(offered, place.id, queries)
    for query in asked:
        # A connection of the pool for every question, as a page takes it.
        with engine.connect() as conn:
            answer, took = timed(lambda query=query, conn=conn: maps.cell_counts(conn, query))
            times.setdefault("map", []).append(took)
            packed, took = timed(lambda answer=answer: packed_text(answer))
            times.setdefault("pack", []).append(took)
            for name, ask in beside_the_map(conn, query, answer).items():
                times.setdefault(name, []).append(timed(ask)[1])
            check(conn, query, answer)
        payloads.append(len(packed))
        cells.append(sum(len(level.cells) for level in answer.levels.values()))
    return {
        "p95_ms": p95(times["map"]),
        "p50_ms": statistics.median(times["map"]),
        "max_ms": max(times["map"]),
        "unfiltered_ms": times["map"][0],
        "payload_mb": max(payloads) / 1e6,
        "payload_p50_mb": statistics.median(payloads) / 1e6,
        "cells_max": max(cells),
        "pack_p95_ms": p95(times["pack"]),
        **{f"{name}_p95_ms": p95(taken) for name, taken in times.items() if name not in ("map", "pack")},
        "choices_ms": choices_ms,
        "queries": len(asked),
        "rows": loaded.accepted,
        "columns_kept_by_ingest": current,
        "refresh_s": refresh_s,
    }


def random_queries(offered: summaries.Choices, territory: int, number: int) -> list[ReportQuery]:
    """Seeded questions: the first without a filter, the others with one to five."""
    if offered.first is None or offered.last is None:
        raise AssertionError("The demo has no reports.")
    rng = np.random.default_rng(SEED)
    span = (offered.last - offered.first).days

    def some(choices: tuple[summaries.Choice, ...], most: int) -> tuple[Any, ...]:
        if not choices:
            return ()
        picked = rng.choice(len(choices), min(len(choices), int(rng.integers(1, most + 1))), replace=False)
        return tuple(choices[int(i)].key for i in picked)

    asked = [ReportQuery(territory)]
    while len(asked) < number:
        fields: dict[str, Any] = {}
        chance = rng.random(7)
        if chance[0] < 0.5:
            start = offered.first + dt.timedelta(int(rng.integers(0, span)))
            fields["start"] = start
            fields["end"] = start + dt.timedelta(int(rng.integers(6, 365)))
        if chance[1] < 0.3:
            fields["elements"] = some(offered.elements, 10)
        elif chance[1] < 0.5:
            fields["groups"] = some(offered.groups, 3)
        if chance[2] < 0.15:
            fields["types"] = some(offered.types, 10)
        if chance[3] < 0.3:
            fields["municipalities"] = some(offered.municipalities, 4)
        if chance[4] < 0.1:
            fields["districts"] = some(offered.districts, 10)
        if chance[5] < 0.3:
            fields["channels"] = some(offered.channels, 3)
        if chance[6] < 0.3:
            fields["statuses"] = some(offered.statuses, 4)
        if fields:
            asked.append(ReportQuery(territory, **fields))
    return asked


def beside_the_map(
    conn: Connection, query: ReportQuery, answer: maps.CellCounts
) -> dict[str, Callable[[], object]]:
    """The page's other questions for the same filters; a click on the fullest cell is one."""
    asks: dict[str, Callable[[], object]] = {
        "ranked": lambda: summaries.ranked_areas(conn, query, "municipality"),
        "monthly": lambda: summaries.monthly(conn, query),
        "headline": lambda: summaries.headline(conn, query),
    }
    level = answer.levels[min(8, max(answer.levels))]
    if len(level.cells):
        fullest = int(level.cells[level.counts.argmax()])
        asks["cell"] = lambda: maps.cell_detail(conn, query, fullest)
    return asks


def packed_text(answer: maps.CellCounts) -> str:
    """What goes to the browser."""
    return pack({r: Level(level.cells, level.counts, level.area_ids) for r, level in answer.levels.items()})


def check(conn: Connection, query: ReportQuery, answer: maps.CellCounts) -> None:
    """Every level and the total hold as many reports as SQL counts."""
    condition, params = where(conn, query, keep_default_points=True)
    counted = conn.scalar(text(f"SELECT count(*) FROM report r WHERE {condition}"), params)
    said = answer.shown + answer.left_out.total
    sums = {int(level.counts.sum()) for level in answer.levels.values()}
    if said != counted or sums != {answer.shown}:
        raise AssertionError(f"{query}: the map says {said} ({sums} in cells), SQL counts {counted}.")


def timed(ask: Callable[[], Any]) -> tuple[Any, float]:
    """An answer and the milliseconds it took."""
    began = time.perf_counter()
    answer = ask()
    return answer, (time.perf_counter() - began) * 1000


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return float(np.percentile(values, 95))
