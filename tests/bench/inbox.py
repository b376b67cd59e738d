"""How fast the inbox answers over many reports, for every role, and what row-level security costs.

Simulated reports come in through the ordinary ingest, as in the bench ``map``. Then every
role asks for its inbox, with the whole territory and (where it takes steps) with three
municipalities, a contractor and an owner with their own reports: a page of the list, a
later page, the counts, the cells of the map, with seeded random filters. For the ratio the
same question is asked on the owner's connection, without policies, narrowed by its own
filter to what the user may see; the two answers must be equal.
"""

from __future__ import annotations

import datetime as dt
import statistics
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from sqlalchemy import Connection, Engine, text

from data import database, inbox, territories, waiting
from data.access import Place, Session, acting, open_session, save_principal
from data.inbox import Band, InboxQuery
from data.life import Role
from data.territories import Territory
from ingest.demo import load_demo

DESCRIPTION = (
    "Inbox of every role over simulated reports, and the cost of row-level security (1,000,000 rows)"
)
SMALL = {"rows": 2_000, "queries": 2}  # when only tried out
SEED = 20_250_702
END = dt.date(2025, 6, 30)
NOW = dt.datetime(2025, 7, 1, 6, tzinfo=dt.UTC)
QUERIES = 8
REPEATS = 3
PLACES = 3


@dataclass(frozen=True)
class Asker:
    """Somebody who asks; ``narrowed`` is the filter that shows the owner the same, None for none."""

    name: str
    session: Session
    narrowed: dict[str, Any] | None


def run(rows: int | None = None, queries: int = QUERIES) -> dict[str, Any]:
    """Load ``rows`` reports, ask as everybody, and return times in milliseconds.

    p95_ms: of all single questions of all roles. rls_ratio: time of the same questions with
    row-level security over without. first_page_p95_ms: everything that the page asks on its
    first run, one after the other.
    """
    engine = database.engine()
    loaded = load_demo(engine, reports=rows or 1_000_000, seed=7, end=END)
    with engine.connect() as conn:
        place = territories.find(conn, loaded.territory)
    if place is None:
        raise AssertionError(f"The demo's territory {loaded.territory} is not in the store.")
    askers = people(engine, place)
    times: dict[str, list[float]] = {}
    with_policies, without, pages, seen = 0.0, 0.0, [], []
    for asker in askers:
        asked = questions(engine, place, asker, queries)
        first = []
        for at, query in enumerate(asked):
            guarded, plain, answers = ask(engine, asker, query)
            with_policies += sum(took for name, took in guarded.items() if name in plain)
            without += sum(plain.values())
            for name, took in guarded.items():
                times.setdefault(name, []).append(took)
                times.setdefault(f"role {asker.name}", []).append(took)
            if at == 0:
                first = [2 * guarded["counts"], guarded["list"], guarded["cells"]]
                seen.append(answers)
        pages.append(sum(first))
    questions_ms = [took for name, some in times.items() if name.startswith("role ") for took in some]
    return {
        "p95_ms": p95(questions_ms),
        "p50_ms": statistics.median(questions_ms),
        "max_ms": max(questions_ms),
        "rls_ratio": with_policies / without,
        "first_page_p95_ms": p95(pages),
        **{f"{name}_p95_ms": p95(some) for name, some in times.items() if not name.startswith("role ")},
        **{f"{name[5:]}_p95_ms": p95(some) for name, some in times.items() if name.startswith("role ")},
        "waiting_max": max(seen),
        "questions": len(questions_ms),
        "rows": loaded.accepted,
    }


def people(engine: Engine, place: Territory) -> list[Asker]:
    """Every role with the whole territory, those that take steps with three municipalities, two parties."""
    whole = Place(place.code)
    found: list[Asker] = []
    with engine.begin() as conn:
        busiest = conn.execute(
            text(
                """SELECT a.id, a.name_en FROM report r JOIN area a ON a.id = r.municipality_id
                   WHERE r.territory_id = :territory AND a.level = 'municipality'
                   GROUP BY 1, 2 ORDER BY count(*) DESC LIMIT :places"""
            ),
            {"territory": place.id, "places": PLACES},
        ).all()
        parties = {
            column: conn.scalar(
                text(
                    f"""SELECT {column} FROM report WHERE territory_id = :territory AND {column} IS NOT NULL
                        GROUP BY 1 ORDER BY count(*) DESC LIMIT 1"""
                ),
                {"territory": place.id},
            )
            for column in ("contractor_id", "agency_id")
        }

        def add(
            name: str, role: Role, places: list[Place], narrowed: dict[str, Any] | None, party: Any = None
        ) -> None:
            save_principal(conn, name, name, role, places, party_id=party)
            found.append(Asker(name, open_session(conn, name), narrowed))

        for role in Role:
            if role is not Role.CONTRACTOR:
                add(str(role), role, [whole], {})
            if role is not Role.CONTRACTOR and inbox.turn_of(role):
                some = [Place(place.code, "municipality", row.name_en) for row in busiest]
                add(f"{role}_part", role, some, {"municipalities": tuple(row.id for row in busiest)})
        for column, party in parties.items():
            if party is not None:
                add(column.removesuffix("_id"), Role.CONTRACTOR, [whole], None, party)
    return found


def questions(engine: Engine, place: Territory, asker: Asker, number: int) -> list[InboxQuery]:
    """What waits for the role without a filter, all that is open, then some with filters."""
    role = asker.session.principal.role
    rng = np.random.default_rng(SEED)
    turn, open_ = (tuple(int(s) for s in some) for some in (inbox.turn_of(role), inbox.unended()))
    base = InboxQuery(place.id, turn or open_, NOW)
    asked = [base, replace(base, statuses=open_)]
    with acting(asker.session) as conn:
        there = waiting.counts(conn, asked[1])
    elements = [str(one.key) for one in there.by_element]
    while len(asked) < number:
        chance, more = rng.random(4), {}
        if chance[0] < 0.4:
            more["late"] = True
        if chance[1] < 0.5 and elements:
            more["elements"] = tuple(rng.choice(elements, min(3, len(elements)), replace=False).tolist())
        if chance[2] < 0.4:
            more["bands"] = tuple(list(Band)[: int(rng.integers(1, 6))])
        if chance[3] < 0.5:
            more["statuses"] = open_
        asked.append(replace(base, **more))
    return asked


def ask(engine: Engine, asker: Asker, query: InboxQuery) -> tuple[dict[str, float], dict[str, float], int]:
    """Times of one query's questions with policies and without, best of three, and how many wait."""
    plain_query = None if asker.narrowed is None else replace(query, **asker.narrowed)
    guarded: dict[str, list[float]] = {}
    plain: dict[str, list[float]] = {}
    total = 0
    for _ in range(REPEATS):
        with acting(asker.session) as conn:
            mine = _asked(conn, query, guarded)
        total = mine["counts"].total
        if plain_query is not None:
            with engine.connect() as conn:
                others = _asked(conn, plain_query, plain)
            if any(_told(mine[name]) != _told(others[name]) for name in others):
                raise AssertionError(f"{asker.name}, {query}: row-level security shows something else.")
    return *({name: min(some) for name, some in part.items()} for part in (guarded, plain)), total  # type: ignore[return-value]


def _asked(conn: Connection, query: InboxQuery, times: dict[str, list[float]]) -> dict[str, Any]:
    """A page, the next one, counts and cells."""
    answers: dict[str, Any] = {}

    def timed(name: str, work: Callable[[], Any]) -> None:
        began = time.perf_counter()
        answers[name] = work()
        times.setdefault(name, []).append((time.perf_counter() - began) * 1000)

    timed("counts", lambda: waiting.counts(conn, query))
    timed("list", lambda: inbox.listed(conn, query))
    after = answers["list"].after
    if after is not None:
        timed("next", lambda: inbox.listed(conn, query, after))
    timed("cells", lambda: waiting.cells(conn, query))
    return answers


def _told(answer: Any) -> Any:
    """An answer as something that compares."""
    if isinstance(answer, waiting.CellCounts):
        return answer.shown, answer.left_out, [level.counts.tolist() for level in answer.levels.values()]
    return answer


def p95(values: list[float]) -> float:
    """The value that 95 of 100 do not exceed."""
    return float(np.percentile(values, 95))
