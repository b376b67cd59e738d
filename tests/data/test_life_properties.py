"""Random lives on a real database: whatever people do, the history and the report agree.

Steps are drawn at random, allowed and not, by random roles, through ``data.actions.act``. A
model in plain Python says what should come of each; the database decides.
"""

from __future__ import annotations

import datetime as dt
import itertools
import random
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import polars as pl
import pytest
from sqlalchemy import text

from data import events, territories
from data.access import Session, acting
from data.actions import act
from data.histories import FOLLOWS, store_steps
from data.history_steps import HISTORY_SCHEMA
from data.life import BY_ACTION, Action, Role, allowed
from data.past import past_statuses
from data.query import AsOf, territory_facts
from data.replay import states
from data.vocabulary import FINAL, Status
from geo.errors import Conflict, InputError, Refused
from geo.replay import counting_from, status_at
from tests.data.people import add_party, everyone
from tests.data.reports_sample import make_sample

REPORTS = 10
TRIES = 320


@dataclass
class Model:
    """What a report should be."""

    status: Status = Status.RECEIVED
    seq: int = 0
    agency: int | None = None
    contractor: int | None = None
    duplicate_of: int | None = None
    history: list[Status] = field(default_factory=list)


@dataclass
class Office:
    store: Any
    people: dict[Role, Session]
    territory: int
    parties: dict[str, int]
    element: int
    reports: list[int]


@pytest.fixture(scope="module")
def office(module_store: Any) -> Iterator[Office]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn, rows=80)
        conn.execute(text("DELETE FROM report WHERE territory_id = :t"), {"t": sample.other})
        reports = [int(i) for i in sample.frame["id"][sample.frame["status"] == Status.RECEIVED]][:REPORTS]
        conn.execute(text("DELETE FROM report_event WHERE report_id = ANY(:ids)"), {"ids": reports})
        parties = {
            kind: add_party(conn, sample.territory, kind, kind)
            for kind in ("department", "contractor", "entity")
        }
        people = everyone(conn, sample.territory, parties["contractor"])
        element = int(conn.scalar(text("SELECT min(id) FROM element")))
        # One picture a report: the digest says which.
        for report in reports:
            conn.execute(
                text(
                    """INSERT INTO photo (digest, report_id, mime, width, height, bytes)
                       VALUES (:digest, :report, 'image/jpeg', 4, 3, 100)"""
                ),
                {"digest": f"{report:064x}", "report": report},
            )
    yield Office(module_store, people, sample.territory, parties, element, reports)


def _detail(
    office: Office, rng: random.Random, action: Action, report: int, models: dict[int, Model]
) -> dict:
    """What the step needs, and some of what it may carry."""
    firm = office.parties["contractor"]
    roots = [r for r, model in models.items() if r != report and model.duplicate_of is None]
    values = {
        "element_id": office.element,
        "severity": rng.randint(1, 5),
        "quantity": rng.choice([1, 2.5]),
        # The one contractor stands for the entity too, when a report is referred to its party.
        "agency_id": office.parties["entity" if action is Action.REFER else "department"],
        "contractor_id": firm,
        "of": rng.choice(roots) if roots else report,
        "reason": "سبب",
        "note": "ملاحظة",
        "violation": "V-1",
        "photos": [f"{report:064x}"],
        "due_at": "2027-01-01T00:00:00+03:00",
    }
    step = BY_ACTION[action]
    offered = [key for key in step.offers if key != "rule_id" and rng.random() < 0.3]
    return {key: values[key] for key in (*step.needs, *offered)}


def _may(office: Office, model: Model, role: Role, action: Action, detail: dict, report: int) -> bool:
    step = BY_ACTION[action]
    if action is Action.FILE or model.status not in step.sources or role not in step.roles:
        return False
    if role is Role.CONTRACTOR:
        # A contractor sees only its own reports, as contractor or as the one responsible.
        own = office.parties["contractor"]
        if own not in (model.agency, model.contractor):
            return False
        return step.party is None or getattr(model, step.party.removesuffix("_id")) == own
    return not (action is Action.DUPLICATE and detail["of"] == report)


def _taken(models: dict[int, Model], report: int, action: Action, detail: dict) -> None:
    model, step = models[report], BY_ACTION[action]
    model.seq += 1
    model.status = step.target if step.target is not None else model.status
    model.history.append(model.status)
    model.agency = detail.get("agency_id", model.agency)
    model.contractor = detail.get("contractor_id", model.contractor)
    if action is Action.DUPLICATE:
        model.duplicate_of = detail["of"]
        for other in models.values():
            if other.duplicate_of == report:
                other.duplicate_of = detail["of"]
    elif action is Action.REOPEN:
        model.duplicate_of = None


def test_random_steps_by_random_roles_keep_history_report_and_replay_in_agreement(office: Office) -> None:
    rng = random.Random(940)
    models = {report: Model() for report in office.reports}
    with office.store.engine.connect() as conn:
        before = conn.scalar(text("SELECT count(*) FROM report"))
        others = _by_status(conn, office.reports)
    outcomes: Counter[str] = Counter()
    moments: list[tuple[dt.datetime, dict[int, Status]]] = []
    for n in range(TRIES):
        report = rng.choice(office.reports)
        model = models[report]
        role, action = rng.choice(list(Role)), rng.choice([a for a in Action if a is not Action.IMPORTED])
        if rng.random() < 0.75:  # mostly something that could be right, or lives stay short
            pairs = [
                (r, t.action)
                for r in Role
                for t in allowed(model.status, r)
                if t.action is not Action.COMMENT
            ]
            role, action = rng.choice(pairs) if pairs else (role, action)
        detail = _detail(office, rng, action, report, models)
        may = _may(office, model, role, action, detail, report)
        if model.seq and rng.random() < 0.05:
            # Somebody who has not seen the last step: refused, whatever else they may do.
            with acting(office.people[role]) as conn, pytest.raises((Conflict, Refused)):
                act(conn, report, action, model.seq - 1, detail)
            outcomes["late"] += 1
            continue
        try:
            with acting(office.people[role]) as conn:
                seq = act(conn, report, action, model.seq, detail)
        except (Refused, InputError) as error:
            assert not may, (role, action, model, error)
            outcomes["refused"] += 1
        else:
            assert may, (role, action, model)
            _taken(models, report, action, detail)
            assert seq == model.seq
            outcomes["taken"] += 1
        if n % 80 == 79:
            with office.store.engine.connect() as conn:
                now = conn.scalar(text("SELECT clock_timestamp()"))
            moments.append((now, {r: m.status for r, m in models.items()}))
    assert outcomes["taken"] > 100 and outcomes["refused"] > 40 and outcomes["late"] > 5, outcomes
    with office.store.engine.connect() as conn:
        _agrees(conn, office, models)
        assert conn.scalar(text("SELECT count(*) FROM report")) == before
        # Nobody else's report moved, and the counts by status add up.
        counts = _by_status(conn, [])
        assert counts == others + Counter(int(m.status) for m in models.values())
        # Any past moment is told as it was, asked for in either way, and by the packed columns.
        facts = territory_facts(conn, office.territory)
        for moment, then in moments:
            for known in (None, moment):
                found = states(conn, moment, reports=office.reports, known=known)
                assert dict(found.select("report_id", "status").iter_rows()) == then
                ids, statuses = past_statuses(conn, facts, AsOf(moment, known))
                assert then.items() <= dict(zip(ids.tolist(), statuses.tolist(), strict=True)).items()


def test_a_history_that_comes_later_leaves_what_was_decided_here(office: Office) -> None:
    """Steps of before the first step taken here: told with all that follows, which stays as it is."""
    with office.store.engine.begin() as conn:
        rows = conn.execute(
            text(
                "SELECT id, opened_at, status, closed_at, agency_id FROM report WHERE id = ANY(:ids) ORDER BY id"
            ),
            {"ids": office.reports},
        ).all()
        batch = conn.scalar(text("SELECT min(id) FROM batch"))
        told = conn.scalar(
            text("SELECT count(*) FROM report_event WHERE report_id = ANY(:ids)"), {"ids": office.reports}
        )
        steps = pl.DataFrame(
            [
                {
                    "line": i,
                    "report_id": row.id,
                    "status": int(status),
                    "action": 0,
                    "at": row.opened_at + dt.timedelta(hours=h),
                }
                for i, row in enumerate(rows)
                for h, status in ((1, Status.UNDER_REVIEW), (2, Status.ASSIGNED))
            ],
            schema={
                name: kind
                for name, kind in HISTORY_SCHEMA.items()
                if name in ("line", "report_id", "status", "action", "at")
            },
        ).with_columns(
            pl.lit(None, kind).alias(name)
            for name, kind in HISTORY_SCHEMA.items()
            if name not in ("line", "report_id", "status", "action", "at")
        )
        territories.lock_territory(conn, office.territory)
        counts = store_steps(conn, office.territory, batch, steps)
        assert (counts.accepted, counts.unchanged) == (2 * len(rows), 0)
        assert counts.again == told
        assert store_steps(conn, office.territory, batch, steps).accepted == 0
        assert events.check(conn) == []
        for row in rows:
            now = states(conn, dt.datetime.now(dt.UTC), reports=[row.id]).row(0, named=True)
            early = states(conn, row.opened_at + dt.timedelta(hours=3), reports=[row.id]).row(0, named=True)
            assert early["status"] == Status.ASSIGNED
            assert (now["status"], now["agency_id"]) == (row.status, row.agency_id)


def _by_status(conn: Any, without: list[int]) -> Counter[int]:
    rows = conn.execute(
        text("SELECT status, count(*) AS n FROM report WHERE id <> ALL(CAST(:ids AS bigint[])) GROUP BY 1"),
        {"ids": without},
    )
    return Counter({row.status: row.n for row in rows})


def _agrees(conn: Any, office: Office, models: dict[int, Model]) -> None:
    """Status = derived = replay, in SQL and on arrays; ``seq`` without gaps; columns as the model says."""
    assert events.check(conn) == []
    rows = conn.execute(
        text(
            """SELECT id, status, closed_at, status_at, agency_id, contractor_id, duplicate_of FROM report
               WHERE id = ANY(:ids)"""
        ),
        {"ids": office.reports},
    ).all()
    for row in rows:
        model = models[row.id]
        assert (row.status, row.agency_id, row.contractor_id, row.duplicate_of) == (
            model.status, model.agency, model.contractor, model.duplicate_of,
        )  # fmt: skip
        assert (row.closed_at is not None) == (model.status in FINAL)
    told = conn.execute(
        text(
            "SELECT report_id, seq, status, at, recorded_at FROM report_event WHERE report_id = ANY(:ids) ORDER BY 1, 2"
        ),
        {"ids": office.reports},
    ).all()
    index = {report: i for i, report in enumerate(sorted(office.reports))}
    report = np.array([index[row.report_id] for row in told])
    status = np.array([row.status for row in told], dtype=np.int8)
    at, recorded = (
        np.array([getattr(row, name).replace(tzinfo=None) for row in told], dtype="datetime64[us]")
        for name in ("at", "recorded_at")
    )
    now = conn.scalar(text("SELECT clock_timestamp()"))
    found = status_at(
        report, status, counting_from(at, recorded), len(index), np.datetime64(now.replace(tzinfo=None)), 1
    )
    replayed = dict(
        states(conn, now, territory_id=office.territory).select("report_id", "status").iter_rows()
    )
    for number, i in index.items():
        model = models[number]
        own = [(row.seq, row.status) for row in told if row.report_id == number]
        assert own == list(enumerate(model.history, start=1))
        assert found[i] == replayed[number] == model.status
        steps = [Status.RECEIVED, *model.history]
        assert all(FOLLOWS[a, b] for a, b in itertools.pairwise(steps))


def test_of_writers_who_saw_the_same_history_one_wins_and_the_others_are_told(office: Office) -> None:
    report = office.reports[0]
    with office.store.engine.connect() as conn:
        seen = conn.scalar(
            text("SELECT coalesce(max(seq), 0) FROM report_event WHERE report_id = :r"), {"r": report}
        )
    roles = (Role.INSPECTOR, Role.SUPERVISOR, Role.CALL_CENTRE, Role.QUALITY)

    def write(role: Role) -> str:
        try:
            with acting(office.people[role]) as conn:
                act(conn, report, Action.COMMENT, seen, {"note": role})
        except Conflict:
            return "conflict"
        return "won"

    with ThreadPoolExecutor(len(roles)) as pool:
        outcomes = Counter(pool.map(write, roles))
    assert outcomes == {"won": 1, "conflict": 3}
    with office.store.engine.connect() as conn:
        assert (
            conn.scalar(text("SELECT max(seq) FROM report_event WHERE report_id = :r"), {"r": report})
            == seen + 1
        )


def test_what_a_step_replaced_is_told_for_moments_before_it(office: Office) -> None:
    report = office.reports[1]
    with office.store.engine.begin() as conn:
        conn.execute(text("DELETE FROM report_event WHERE report_id = :r"), {"r": report})
        conn.execute(
            text(
                "UPDATE report SET status = 1, closed_at = NULL, duplicate_of = NULL, agency_id = NULL WHERE id = :r"
            ),
            {"r": report},
        )
    moments = []
    for seq, party in enumerate(("department", "entity")):
        with office.store.engine.connect() as conn:
            moments.append(conn.scalar(text("SELECT clock_timestamp()")))
        with acting(office.people[Role.SUPERVISOR]) as conn:
            act(conn, report, Action.ASSIGN, seq, {"agency_id": office.parties[party]})
    with office.store.engine.connect() as conn:
        moments.append(conn.scalar(text("SELECT clock_timestamp()")))
        found = [states(conn, moment, reports=[report]).row(0, named=True)["agency_id"] for moment in moments]
        with pytest.raises(InputError, match="time zone"):
            states(conn, dt.datetime(2026, 1, 1), reports=[report])
    assert found == [None, office.parties["department"], office.parties["entity"]]
