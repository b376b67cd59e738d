"""How long routing takes over many reports: misrouting, the queue, a change tried out, owners.

A base of simulated reports comes in through the ordinary ingest and is copied within the store
until there are enough, so that areas, elements and owners are those of the demo. Each question
is asked on the owner's connection and as an analyst under row-level security.
"""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, text

from data import bulk, database, handover, territories
from data.access import Place, acting, open_session, save_principal
from data.analyses.entities import owners
from data.analyses.misrouting import misrouted, misrouting
from data.analyses.unrouted import change, queue
from data.life import Role
from data.query import ReportQuery
from data.routing import RuleDraft
from ingest import demo

DESCRIPTION = "Misrouting, queue, a tried-out rule and owners over many reports, with and without policies"
SMALL = {"rows": 1_000}  # when only tried out
BASE = 20_000
REPEATS = 3


def run(rows: int | None = None) -> dict[str, Any]:
    """Seconds of each question over ``rows`` reports (default a million), medians of three."""
    rows = rows or 1_000_000
    engine = database.engine()
    demo.load_demo(engine, reports=min(rows, BASE), end=dt.date(2026, 6, 30))
    with engine.begin() as conn:
        place = territories.find(conn, demo.TERRITORY)
        if place is None:
            raise RuntimeError("The demo was not loaded.")
        _copy(conn, rows)
        save_principal(conn, "bench", "bench", Role.ANALYST, [Place(place.code)])
        session = open_session(conn, "bench")
    with database.engine().connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("ANALYZE report"))
    figures: dict[str, Any] = {}
    with database.connection() as conn:
        figures["rows"] = conn.scalar(text("SELECT count(*) FROM report"))
        figures |= _asked(conn, place.id, "")
    with acting(session) as conn:
        figures |= _asked(conn, place.id, "analyst_")
    return figures


def _copy(conn: Connection, rows: int) -> None:
    held = int(conn.scalar(text("SELECT count(*) FROM report")) or 1)
    rebuild = bulk.drop_indexes(conn)
    columns = ", ".join(
        conn.execute(
            text(
                """SELECT quote_ident(attname) FROM pg_attribute WHERE attrelid = 'report'::regclass
                     AND attnum > 0 AND NOT attisdropped AND attname NOT IN ('id', 'reference')"""
            )
        ).scalars()
    )
    conn.execute(
        text(
            f"""INSERT INTO report (reference, {columns})
                SELECT reference || '-' || g, {columns} FROM report, generate_series(2, :times) g"""
        ),
        {"times": rows // held},
    )
    for statement in rebuild:
        conn.execute(text(statement))


def _asked(conn: Connection, territory_id: int, prefix: str) -> dict[str, float]:
    query = ReportQuery(territory_id)
    found = misrouting(conn, query)
    questions: dict[str, Callable[[], Any]] = {
        "misrouting": lambda: misrouting(conn, query),
        "page": lambda: misrouted(conn, query, found=found),
        "queue": lambda: queue(conn, territory_id),
        "change": lambda: change(conn, territory_id, draft=RuleDraft("water", "R07")),
        "owners": lambda: owners(conn, query),
        "package": lambda: handover.package(conn, territory_id, "national_waste_centre"),
    }
    return {f"{prefix}{name}_s": _median(ask) for name, ask in questions.items()}


def _median(ask: Callable[[], Any]) -> float:
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        ask()
        times.append(time.perf_counter() - began)
    return round(statistics.median(times), 3)
