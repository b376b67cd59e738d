"""Steps of a report's life as signed-in people, on a real database with its policies."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import pytest
from sqlalchemy import text
from sqlalchemy.exc import ProgrammingError

from data import events
from data.access import Place, Session, acting, close_session
from data.actions import act, last_seq, names, steps
from data.life import TRANSITIONS, Action, Role, allowed, may_follow, waiting_for
from data.vocabulary import FINAL, Status
from geo.errors import Conflict, InputError, Refused
from tests.data.people import add_party, everyone, sign_in, territory_code
from tests.data.reports_sample import make_sample


@dataclass
class Office:
    """A small store with people of every role."""

    store: Any
    people: dict[Role, Session]
    territory: int
    code: str
    roads: int
    contractor: int
    entity: int
    element: int
    received: list[int]
    municipalities: list[int]


@pytest.fixture
def office(store: Any) -> Iterator[Office]:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=120)
        received = [int(i) for i in sample.frame["id"][sample.frame["status"] == Status.RECEIVED]]
        conn.execute(text("DELETE FROM report_event WHERE report_id = ANY(:ids)"), {"ids": received})
        roads, contractor, entity = (
            add_party(conn, sample.territory, code, kind)
            for code, kind in (("roads", "department"), ("firm", "contractor"), ("water", "entity"))
        )
        people = everyone(conn, sample.territory, contractor)
        code = territory_code(conn, sample.territory)
        element = int(conn.scalar(text("SELECT min(id) FROM element")))
    yield Office(
        store, people, sample.territory, code, roads, contractor, entity, element, received,
        sample.municipalities,
    )  # fmt: skip


def _photo(office: Office, role: Role, report: int, digest: str = "ab" * 32) -> str:
    with acting(office.people[role]) as conn:
        conn.execute(
            text(
                """INSERT INTO photo (digest, report_id, mime, width, height, bytes, principal_id)
                   VALUES (:digest, :report, 'image/jpeg', 4, 3, 100, rasd_principal_id())"""
            ),
            {"digest": digest, "report": report},
        )
    return digest


def _do(office: Office, role: Role, report: int, action: Action, seq: int, **detail: Any) -> int:
    with acting(office.people[role]) as conn:
        return act(conn, report, action, seq, detail)


def test_a_report_goes_through_all_roles_to_its_closing_after_one_rejection(office: Office) -> None:
    report = office.received[0]
    seq = _do(office, Role.CALL_CENTRE, report, Action.CLASSIFY, 0, element_id=office.element)
    seq = _do(office, Role.SUPERVISOR, report, Action.ASSIGN, seq, agency_id=office.roads)
    seq = _do(office, Role.INSPECTOR, report, Action.INSPECT, seq, severity=4, quantity=2.5)
    seq = _do(office, Role.SUPERVISOR, report, Action.DISPATCH, seq, contractor_id=office.contractor)
    photo = _photo(office, Role.CONTRACTOR, report)
    for outcome, reason in ((Action.FAIL, {"reason": "الحفرة ما زالت"}), (Action.PASS, {})):
        seq = _do(office, Role.CONTRACTOR, report, Action.TREAT, seq, quantity=2.5, photos=[photo])
        seq = _do(office, Role.INSPECTOR, report, Action.SUBMIT, seq)
        seq = _do(office, Role.QUALITY, report, outcome, seq, **reason)
    with acting(office.people[Role.DIRECTOR]) as conn:
        history = steps(conn, report)
        assert [step.status for step in history] == [
            Status.RECEIVED, Status.CLASSIFIED, Status.ASSIGNED, Status.INSPECTED, Status.IN_PROGRESS,
            Status.TREATED, Status.QUALITY_REVIEW, Status.IN_PROGRESS,
            Status.TREATED, Status.QUALITY_REVIEW, Status.CLOSED,
        ]  # fmt: skip
        row = conn.execute(
            text(
                "SELECT status, severity, quantity, agency_id, contractor_id, element_id, closed_at, status_at"
                " FROM report WHERE id = :id"
            ),
            {"id": report},
        ).one()
        assert names(conn, report)[history[1].actor_id or 0] == ("call_centre@test", Role.CALL_CENTRE)
    assert (row.status, row.severity, row.quantity) == (Status.CLOSED, 4, 2.5)
    assert (row.agency_id, row.contractor_id) == (office.roads, office.contractor)
    assert row.element_id == office.element
    assert row.closed_at == row.status_at == history[-1].at
    with office.store.engine.connect() as conn:
        assert events.check(conn) == []


def test_the_second_of_two_writers_gets_a_conflict_and_nothing_is_overwritten(office: Office) -> None:
    report = office.received[0]
    with acting(office.people[Role.CALL_CENTRE]) as conn:
        seen = last_seq(conn, report)
    _do(office, Role.INSPECTOR, report, Action.REJECT, seen, reason="no")
    with pytest.raises(Conflict, match="somebody else"):
        _do(office, Role.CALL_CENTRE, report, Action.CLASSIFY, seen, element_id=office.element)
    with acting(office.people[Role.VIEWER]) as conn:
        assert [step.action for step in steps(conn, report)] == [Action.IMPORTED, Action.REJECT]
        assert names(conn, report) == {office.people[Role.INSPECTOR].principal.id: ("", Role.INSPECTOR)}


@pytest.mark.parametrize(
    ("detail", "said"),
    [
        ({}, "reason: is needed"),
        ({"reason": "  "}, "reason: is needed"),
        ({"reason": 7}, "reason: is a text"),
        ({"reason": "x", "element_id": 1}, "element_id: is not part of this step"),
        ({"reason": "x", "photos": ["ff"]}, "photos: one of them is not stored"),
        ({"reason": "x", "photos": "ff"}, "photos: is a list"),
    ],
)
def test_a_step_says_what_it_lacks(office: Office, detail: dict[str, Any], said: str) -> None:
    with pytest.raises(InputError, match=said):
        _do(office, Role.INSPECTOR, office.received[0], Action.REJECT, 0, **detail)


def test_a_duplicate_takes_its_own_duplicates_and_followers_along_and_gives_them_back(office: Office) -> None:
    first, second, third = office.received[:3]
    with acting(office.people[Role.INSPECTOR]) as conn:
        conn.execute(
            text("INSERT INTO report_follower (report_id, principal_id) VALUES (:r, rasd_principal_id())"),
            {"r": second},
        )
    _do(office, Role.INSPECTOR, third, Action.DUPLICATE, 0, of=second)
    _do(office, Role.INSPECTOR, second, Action.DUPLICATE, 0, of=first)
    with pytest.raises(InputError, match="is a duplicate itself"):
        _do(office, Role.INSPECTOR, first, Action.DUPLICATE, 0, of=second)

    def links() -> tuple[list[Any], list[Any]]:
        with office.store.engine.connect() as conn:
            rows = conn.execute(
                text("SELECT duplicate_of FROM report WHERE id = ANY(:ids) ORDER BY id"),
                {"ids": [first, second, third]},
            ).scalars()
            return list(rows), list(conn.execute(text("SELECT report_id FROM report_follower")).scalars())

    assert links() == ([None, first, first], [first])
    _do(office, Role.INSPECTOR, second, Action.REOPEN, 1, reason="another hole")
    assert links() == ([None, None, second], [second])  # as it was said at first


def test_a_contractor_acts_on_its_own_reports_only(office: Office) -> None:
    report = office.received[0]
    with acting(office.people[Role.CONTRACTOR]) as conn:
        assert conn.scalar(text("SELECT count(*) FROM report")) == 0
        with pytest.raises(Refused):
            act(conn, report, Action.COMMENT, 0, {"note": "mine?"})


def test_a_person_of_one_area_sees_and_touches_only_that(office: Office) -> None:
    with office.store.engine.begin() as conn:
        inside = conn.scalar(
            text("SELECT count(*) FROM report WHERE municipality_id = :m"), {"m": office.municipalities[0]}
        )
        other = conn.scalar(
            text("SELECT min(id) FROM report WHERE municipality_id = :m AND status = 1"),
            {"m": office.municipalities[1]},
        )
        local = sign_in(
            conn, Role.INSPECTOR, Place(office.code, "municipality", "municipality 0"), login="local"
        )
    with acting(local) as conn:
        assert conn.scalar(text("SELECT count(*) FROM report")) == inside > 0
        assert conn.scalar(text("SELECT count(*) FROM report_column")) == 0
        with pytest.raises(Refused):
            act(conn, other, Action.REJECT, 0, {"reason": "not mine"})


def test_neither_role_nor_user_can_be_claimed_without_the_session(office: Office) -> None:
    viewer = office.people[Role.VIEWER]
    with acting(viewer) as conn:
        for statement in (
            "UPDATE report SET status = 7",
            "DELETE FROM report_event",
            "SELECT reporter FROM report",
            "SELECT * FROM app_session",
            "SELECT * FROM report_contact",
            "INSERT INTO audit (login, role, action, object) VALUES ('x', 'x', 'x', 'x')",
            "SET SESSION AUTHORIZATION rasd",
            "SELECT rasd_link_duplicate(1, 2)",
        ):
            with pytest.raises(ProgrammingError, match=r"permission denied"), conn.begin_nested():
                conn.execute(text(statement))
        # Another role can be taken, but it opens nothing: the token is a viewer's.
        conn.execute(text("SET LOCAL ROLE rasd_administrator"))
        assert conn.scalar(text("SELECT count(*) FROM report")) == 0
        conn.execute(text("RESET ROLE"))
        with pytest.raises(ProgrammingError, match="permission denied"), conn.begin_nested():
            conn.execute(text("SELECT count(*) FROM report"))
    with office.store.engine.begin() as conn:
        close_session(conn, viewer)
    with pytest.raises(Refused, match="has ended"), acting(viewer):
        pass


def test_whose_turn_it_is_and_what_may_follow() -> None:
    assert set().union(*map(waiting_for, Role)) == set(Status) - (FINAL - {Status.REFERRED})
    for role in Role:
        for status in waiting_for(role):
            assert any(t.action is not Action.COMMENT for t in allowed(status, role)), (role, status)
    for step in TRANSITIONS:
        for source in step.sources:
            assert may_follow(source, step.target or source), step
    assert not may_follow(Status.CLOSED, Status.TREATED)
    assert not may_follow(Status.IN_PROGRESS, Status.RECEIVED)
    assert may_follow(Status.RECEIVED, Status.CLOSED)
    assert may_follow(Status.IN_PROGRESS, Status.REJECTED)
    assert not may_follow(Status.TREATED, Status.REJECTED)
