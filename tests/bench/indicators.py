"""How fast the Indicators page is answered over many reports, and what row-level security costs.

Simulated reports with their histories come in through the ordinary ingest and are packed once;
then seeded random questions are asked, each on a connection of its own: a month by
municipality, department, element …, or twelve months as a course, some narrowed. No answer is
kept, and no number of one. What the process holds, as that of the pages does, is the columns
once fetched, the order of limits, the ground's cell of each report, and for the last sixteen
moments how all reports stood: a question whose moment was asked before finds it made. Every answer's number of reports is compared with a COUNT in SQL. The
same questions are asked by a director of the whole territory (packed columns), by a
supervisor of one municipality and by a contractor (the tables, under row-level security: the
first question reads them, later ones find them read).
"""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections.abc import Callable
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from data import database, eventcolumns, lives, territories
from data.access import Place, Session, acting, open_session, save_principal
from data.analyses.indicators import (
    Dimension,
    Indicator,
    IndicatorQuery,
    IndicatorResult,
    indicators,
    month_query,
)
from data.life import Role
from data.query import territory_facts
from ingest.demo import load_demo

DESCRIPTION = "Indicators of random months and rows, and the cost of row-level security (1,000,000 rows)"
QUERIES = 64
SMALL = {"rows": 2_000, "queries": 8}  # when only tried out
SEED = 20_261_126
END = dt.date(2026, 10, 31)


def run(rows: int | None = None, queries: int = QUERIES) -> dict[str, Any]:
    """Load ``rows`` reports, ask ``queries`` questions, and return times in milliseconds.

    p95_ms, p50_ms: an answer for a director, warm; cpu_…: work of this process alone, which
    says more where the machine has other things to do. rls_ratio: the same questions by the
    director and by the owner, to whom row-level security does not apply (p50 over p50).
    rls_read_ratio: one municipality's tables read by its supervisor, and by the owner who
    names the municipality; rls_warm_ratio: questions on what was read so.
    """
    engine = database.engine()
    loaded = load_demo(engine, reports=rows or 1_000_000, seed=7, end=END)
    with engine.connect() as conn:
        place = territories.find(conn, loaded.territory)
        if place is None:
            raise AssertionError(f"The demo's territory {loaded.territory} is not in the store.")
        events = conn.execute(text("SELECT count(*) FROM report_event")).scalar_one()
    began = time.perf_counter()
    lives.refresh(engine, place.id)
    refresh_s = time.perf_counter() - began
    asked = random_questions(engine, place.id, queries)
    people, area = principals(engine, place.id, place.code)
    with engine.connect() as conn:
        indicators(conn, asked[0])  # the ground is found once
    owner, director, work = [], [], []
    for query in asked:
        # In turn, so that whatever else the machine does weighs on both.
        answer, took = timed(lambda query=query: as_owner(engine, query))
        owner.append(took)
        before = time.process_time()
        same, took = timed(lambda query=query: as_person(people["director"], query))
        director.append(took)
        work.append((time.process_time() - before) * 1000)
        check(engine, query, answer)
        if (answer.whole, answer.rows) != (same.whole, same.rows):
            raise AssertionError(f"{query}: the director and the owner are told different numbers.")
    by_kind = {
        f"{kind}_p50_ms": statistics.median(
            took
            for query, took in zip(asked, director, strict=True)
            if (query.by is Dimension.MONTH) == month
        )
        for kind, month in (("month_course", True), ("single_month", False))
    }
    return {
        "p95_ms": float(np.percentile(director, 95)),
        "p50_ms": statistics.median(director),
        "max_ms": max(director),
        "cpu_p95_ms": float(np.percentile(work, 95)),
        "cpu_p50_ms": statistics.median(work),
        **by_kind,
        "rls_ratio": statistics.median(director) / statistics.median(owner),
        **restricted(engine, place.id, people, area, asked),
        "refresh_s": refresh_s,
        "queries": len(asked),
        "rows": loaded.accepted,
        "events": events,
    }


def random_questions(engine: Engine, territory: int, number: int) -> list[IndicatorQuery]:
    """Seeded questions over all dimensions, one in eight a course of twelve months."""
    rng = np.random.default_rng(SEED)
    with engine.connect() as conn:
        areas = conn.execute(
            text("SELECT id FROM area WHERE level = 'municipality' AND valid_to IS NULL ORDER BY id")
        ).scalars().all()  # fmt: skip
        groups = conn.execute(text("SELECT DISTINCT group_code FROM element ORDER BY 1")).scalars().all()
    dimensions = list(Dimension)
    asked = []
    for place in range(number):
        by = dimensions[place % len(dimensions)]
        month = dt.date(2025 + int(rng.integers(0, 2)), int(rng.integers(1, 11)), 1)
        narrowed: dict[str, Any] = {}
        if rng.random() < 0.3:
            narrowed["municipalities"] = tuple(int(one) for one in rng.choice(areas, 3, replace=False))
        if rng.random() < 0.3:
            narrowed["groups"] = tuple(str(one) for one in rng.choice(groups, 2, replace=False))
        if by is Dimension.MONTH:
            asked.append(
                IndicatorQuery(territory, by, dt.date(2025, 11, 1), dt.date(2026, 10, 31), **narrowed)
            )
        else:
            asked.append(month_query(territory, month, by, **narrowed))
    return asked


def principals(engine: Engine, territory: int, code: str) -> tuple[dict[str, Session], int]:
    """A director, a supervisor of a municipality of middling size, a contractor; and that municipality."""
    with engine.begin() as conn:
        sizes = conn.execute(
            text(
                """SELECT a.id, a.name_en FROM report r JOIN area a ON a.id = r.municipality_id
                   WHERE r.territory_id = :territory GROUP BY a.id, a.name_en ORDER BY count(*)"""
            ),
            {"territory": territory},
        ).all()
        area = sizes[len(sizes) * 3 // 4]
        firm = conn.scalar(
            text("SELECT contractor_id FROM report WHERE contractor_id IS NOT NULL ORDER BY id LIMIT 1")
        )
        save_principal(conn, "director", "director", Role.DIRECTOR, [Place(code)])
        save_principal(
            conn, "supervisor", "supervisor", Role.SUPERVISOR, [Place(code, "municipality", area.name_en)]
        )
        save_principal(conn, "firm", "firm", Role.CONTRACTOR, [Place(code)], party_id=firm)
        people = {login: open_session(conn, login) for login in ("director", "supervisor", "firm")}
    return people, area.id


def restricted(
    engine: Engine, territory: int, people: dict[str, Session], area: int, asked: list[IndicatorQuery]
) -> dict[str, Any]:
    """What people of a part wait for: the first question, which reads the tables, and later ones."""
    found: dict[str, Any] = {}
    with engine.connect() as conn:
        facts = territory_facts(conn, territory)
        # Once without looking at the clock: both then find the pages in memory.
        eventcolumns.read(conn, facts, municipality=area)
        columns, without = timed(lambda: eventcolumns.read(conn, facts, municipality=area))
    for name in ("supervisor", "firm"):
        with acting(people[name]) as conn:
            seen, took = timed(lambda conn=conn: eventcolumns.read(conn, facts))
        found[f"{name}_read_ms"], found[f"{name}_reports"] = took, len(seen["id"])
        later = []
        for query in asked[:16]:
            if not query.municipalities:
                later.append(timed(lambda query=query, name=name: as_person(people[name], query))[1])
        found[f"{name}_p50_ms"] = statistics.median(later[1:])
    if found["supervisor_reports"] != len(columns["id"]):
        raise AssertionError("The supervisor sees other reports than those of the municipality.")
    return found | {"rls_read_ratio": found["supervisor_read_ms"] / without}


def as_owner(engine: Engine, query: IndicatorQuery) -> IndicatorResult:
    """An answer without row-level security."""
    with engine.connect() as conn:
        return indicators(conn, query)


def as_person(session: Session, query: IndicatorQuery) -> IndicatorResult:
    """An answer for a signed-in user."""
    with acting(session) as conn:
        return indicators(conn, query)


def check(engine: Engine, query: IndicatorQuery, answer: IndicatorResult) -> None:
    """As many reports were received as SQL counts."""
    condition = ["r.territory_id = :territory", "r.opened_at >= :start", "r.opened_at < :end"]
    if query.municipalities:
        condition.append("r.municipality_id = ANY(:municipalities)")
    if query.groups:
        condition.append("r.element_id IN (SELECT id FROM element WHERE group_code = ANY(:groups))")
    kinds = {Dimension.DEPARTMENT: "<> 'entity'", Dimension.ENTITY: "= 'entity'"}
    if query.by in kinds:
        none = " OR r.agency_id IS NULL" if query.by is Dimension.DEPARTMENT else ""
        condition.append(
            f"(r.agency_id IN (SELECT id FROM party WHERE kind {kinds[query.by]}){none})"
        )  # fmt: skip
    zone = dt.timezone(dt.timedelta(hours=3))
    with engine.connect() as conn:
        counted = count(
            conn,
            " AND ".join(condition),
            {
                "territory": query.territory_id,
                "start": dt.datetime.combine(query.start, dt.time(), zone),
                "end": dt.datetime.combine(query.end + dt.timedelta(days=1), dt.time(), zone),
                "municipalities": list(query.municipalities),
                "groups": list(query.groups),
            },
        )
    reading = answer.whole.reading(Indicator.RECEIVED)
    if reading is None or reading.count != counted:
        raise AssertionError(f"{query}: {reading} received, SQL counts {counted}.")


def count(conn: Connection, condition: str, params: dict[str, Any]) -> int:
    """Reports that fit."""
    return int(conn.execute(text(f"SELECT count(*) FROM report r WHERE {condition}"), params).scalar_one())


def timed(ask: Callable[[], Any]) -> tuple[Any, float]:
    """An answer and the milliseconds it took."""
    began = time.perf_counter()
    answer = ask()
    return answer, (time.perf_counter() - began) * 1000
