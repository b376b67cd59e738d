"""What waits for whom, compared with a plain count in pandas; one report read whole; a step on many."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass
from functools import partial
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from data import cases, inbox, stepping, waiting
from data.access import Place, Session, acting
from data.actions import act, last_seq
from data.inbox import Band, InboxQuery
from data.life import Action, Role
from data.stepping import Chosen, Fate
from data.vocabulary import FINAL, Status
from geo.cells import parents
from geo.errors import InputError
from tests.data.people import add_party, everyone, sign_in, territory_code
from tests.data.reports_sample import make_sample

NOW = dt.datetime(2025, 7, 1, 9, tzinfo=dt.UTC)
FAR = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)
OPEN = tuple(int(status) for status in inbox.unended())


@dataclass
class Desk:
    """A store whose reports have limits and severities, and people of every role."""

    engine: Any
    people: dict[Role, Session]
    local: Session  # of one municipality
    territory: int
    municipality: int
    firm: int
    frame: pd.DataFrame

    def query(self, **more: Any) -> InboxQuery:
        return InboxQuery(self.territory, **{"statuses": OPEN, "now": NOW} | more)

    def chosen(self, reports: list[int]) -> list[Chosen]:
        with acting(self.people[Role.SUPERVISOR]) as conn:
            return [
                Chosen(case.id, case.reference, case.status, case.seq)
                for case in map(partial(cases.case, conn), reports)
                if case is not None
            ]


@pytest.fixture(scope="module")
def desk(module_store: Any) -> Iterator[Desk]:
    rng = np.random.default_rng(8)
    with module_store.engine.begin() as conn:
        sample = make_sample(conn, rows=400)
        frame = sample.frame[
            ["id", "reference", "status", "element", "group", "municipality_id", "opened_at"]
        ]
        frame = frame.assign(
            cell=[int(c, 16) if isinstance(c, str) else 0 for c in sample.frame["cell_text"]]
        )
        frame["severity"] = rng.choice([None, 1, 3, 5], len(frame))
        days = rng.choice([-60, -12, -2, 0.5, 2, 20], len(frame))
        frame["due"] = [None if d == 20 else NOW + dt.timedelta(days=float(d)) for d in days]
        # Three in ten of what was rejected is referred instead.
        referred = (frame["status"] == Status.REJECTED) & (rng.random(len(frame)) < 0.3)
        frame.loc[referred, "status"] = int(Status.REFERRED)
        firm = add_party(conn, sample.territory, "firm", "contractor")
        frame["agency"] = np.where(rng.random(len(frame)) < 0.3, firm, None)
        conn.execute(
            text(
                "UPDATE report SET severity = :severity, due_at = :due, status = :status, agency_id = :agency"
                " WHERE id = :id"
            ),
            [
                {key: None if pd.isna(value) else value for key, value in row.items()}
                for row in frame[["id", "severity", "due", "status", "agency"]].to_dict("records")
            ],
        )
        people = everyone(conn, sample.territory, firm)
        local = sign_in(
            conn,
            Role.INSPECTOR,
            Place(territory_code(conn, sample.territory), "municipality", "municipality 0"),
            login="local",
        )
    yield Desk(
        module_store.engine, people, local, sample.territory, sample.municipalities[0], firm,
        frame,
    )  # fmt: skip


def _in_order(frame: pd.DataFrame) -> list[int]:
    """Late first, then severity, then the nearest limit, then the oldest."""
    due = pd.to_datetime(frame["due"], utc=True)
    ranked = frame.assign(
        in_time=~(due < NOW),
        mild=-frame["severity"].fillna(0).astype(int),
        last=due.fillna(FAR),
    )
    return [int(i) for i in ranked.sort_values(["in_time", "mild", "last", "opened_at", "id"])["id"]]


def test_pages_hold_every_waiting_report_once_the_most_urgent_first(desk: Desk) -> None:
    with acting(desk.people[Role.VIEWER]) as conn:
        seen, after = [], None
        while True:
            page = inbox.listed(conn, desk.query(), after, lines=30)
            seen += page.lines
            after = page.after
            if after is None:
                break
        expected = _in_order(desk.frame[desk.frame["status"].isin(OPEN)])
        assert [line.id for line in seen] == expected
        first = seen[0]
        assert first.late_days is not None and first.late_days == pytest.approx(60)
        assert first.seq == last_seq(conn, first.id)
        with pytest.raises(InputError, match="ask for 1 to"):
            inbox.listed(conn, desk.query(), lines=0)


def test_each_filter_and_count_is_that_of_a_plain_table(desk: Desk) -> None:
    rows = desk.frame[desk.frame["status"].isin(OPEN)]
    due = pd.to_datetime(rows["due"], utc=True)
    codes = sorted(rows["element"].dropna().unique())[:2]
    cell = int(parents(np.array([rows["cell"].max()], dtype=np.int64), 6)[0])
    held = parents(rows["cell"].to_numpy(dtype=np.int64), 6) == cell
    for more, mask in (
        ({}, np.ones(len(rows), dtype=bool)),
        ({"late": True}, due < NOW),
        ({"statuses": (1, 12)}, rows["status"].isin([1, 12])),
        ({"elements": tuple(codes)}, rows["element"].isin(codes)),
        ({"groups": ("R",)}, rows["group"] == "R"),
        ({"municipalities": (desk.municipality,)}, rows["municipality_id"] == desk.municipality),
        ({"bands": (Band.NONE, Band.LATE_WEEK)}, due.isna() | (due == NOW - dt.timedelta(days=12))),
        ({"cell": cell}, held),
        ({"mine": True}, np.zeros(len(rows), dtype=bool)),
        ({"statuses": ()}, np.zeros(len(rows), dtype=bool)),
    ):
        asked, kept = desk.query(**more), rows[np.asarray(mask)]
        with acting(desk.people[Role.DIRECTOR]) as conn:
            counted = waiting.counts(conn, asked)
            listed = inbox.listed(conn, asked, lines=100)
            cells = waiting.cells(conn, asked)
        assert counted.total == len(kept), more
        assert [line.id for line in listed.lines] == _in_order(kept)[:100], more
        assert dict(counted.by_status) == {Status(k): n for k, n in kept["status"].value_counts().items()}
        assert sum(n for _, n in counted.by_band) == counted.total
        assert counted.late == int((pd.to_datetime(kept["due"], utc=True) < NOW).sum())
        assert {one.key: one.count for one in counted.by_element} == dict(kept["element"].value_counts())
        assert {one.key: one.count for one in counted.by_group} == dict(kept["group"].value_counts())
        assert {one.key: one.count for one in counted.by_municipality} == dict(
            kept["municipality_id"].value_counts()
        )
        if "cell" not in more:
            assert cells.shown == int((kept["cell"] > 0).sum()) and cells.left_out.total == int(
                (kept["cell"] == 0).sum()
            )
            for size, level in cells.levels.items():
                found = parents(kept["cell"][kept["cell"] > 0].to_numpy(dtype=np.int64), size)
                assert dict(zip(level.cells.tolist(), level.counts.tolist(), strict=True)) == dict(
                    pd.Series(found).value_counts()
                )


def test_an_inbox_holds_what_is_open_to_who_asks(desk: Desk) -> None:
    rows = desk.frame[desk.frame["status"].isin((*OPEN, int(Status.REFERRED)))]
    asked = desk.query(statuses=(*OPEN, int(Status.REFERRED)))
    for session, kept in (
        (desk.people[Role.SUPERVISOR], rows),
        (desk.local, rows[rows["municipality_id"] == desk.municipality]),
        (desk.people[Role.CONTRACTOR], rows[rows["agency"] == desk.firm]),
    ):
        with acting(session) as conn:
            assert waiting.counts(conn, asked).total == len(kept) > 0
            assert waiting.cells(conn, asked).shown == int((kept["cell"] > 0).sum())
    with acting(desk.people[Role.CONTRACTOR]) as conn:
        mine = desk.query(statuses=tuple(int(s) for s in inbox.turn_of(Role.CONTRACTOR)))
        assert {line.status for line in inbox.listed(conn, mine).lines} == {Status.REFERRED}
    assert inbox.turn_of(Role.ANALYST) == ()
    for wrong, said in (
        ({"statuses": (7,)}, "Nothing waits"),
        ({"now": NOW.replace(tzinfo=None)}, "time zone"),
    ):
        with pytest.raises(InputError, match=said):
            desk.query(**wrong)


def test_the_inbox_is_read_from_its_index_alone_also_under_row_level_security(desk: Desk) -> None:
    with desk.engine.connect().execution_options(isolation_level="AUTOCOMMIT") as conn:
        conn.execute(text("VACUUM ANALYZE report"))
    for session in (desk.local, desk.people[Role.CONTRACTOR]):
        with acting(session) as conn:
            conn.execute(text("SET LOCAL enable_seqscan = off"))
            condition, params = inbox.waiting_where(conn, desk.query(late=True, groups=("R",), cell=None))
            plan = "\n".join(
                conn.execute(
                    text(f"EXPLAIN SELECT count(*), min(r.severity) FROM report r WHERE {condition}"), params
                ).scalars()
            )
        assert "Index Only Scan using ix_report_waiting" in plan, plan


def test_a_case_tells_the_whole_report_and_nothing_that_is_closed_to_who_asks(desk: Desk) -> None:
    row = desk.frame[(desk.frame["municipality_id"] != desk.municipality) & (desk.frame["cell"] > 0)].iloc[0]
    with acting(desk.people[Role.VIEWER]) as conn:
        found = cases.case(conn, int(row["id"]))
        assert found is not None
        assert (found.reference, found.status, found.seq) == (row["reference"], Status(row["status"]), 1)
        assert [step.seq for step in found.steps] == [0, 1] and found.actors == {}
        assert cases.find(conn, f" {row['reference']} ") == (row["id"],)
        assert cases.find(conn, str(row["id"])) == (row["id"],) == (cases.by_id(conn, str(row["id"])),)
        assert cases.find(conn, "no such") == cases.find(conn, "\x00") == cases.find(conn, "9" * 30) == ()
        around = cases.nearby(conn, found, 400.0)
        assert 0 < len(around) <= cases.MOST_NEARBY and found.id not in {one.id for one in around}
        assert all(one.metres is not None and one.metres <= 400 for one in around)
        ended = [one.status in FINAL for one in around]
        assert ended == sorted(ended)
    with acting(desk.local) as conn:
        assert cases.case(conn, int(row["id"])) is None
        assert cases.find(conn, str(row["reference"])) == () == cases.find(conn, str(row["id"]))
        assert cases.mentions(conn, (int(row["id"]),)) == ()


def test_a_step_on_many_is_taken_on_each_and_tells_which_it_was_not(desk: Desk) -> None:
    received = [int(i) for i in desk.frame["id"][desk.frame["status"] == Status.RECEIVED]][:4]
    closed = int(desk.frame["id"][desk.frame["status"] == Status.CLOSED].iloc[0])
    chosen = desk.chosen([*received, closed])
    offers = stepping.offered(chosen, Role.SUPERVISOR)
    assert [one.id for one in offers[Action.REJECT]] == received
    assert [one.id for one in offers[Action.REOPEN]] == [closed]
    assert not set(offers) & stepping.SINGLE
    supervisor, call = desk.people[Role.SUPERVISOR], desk.people[Role.CALL_CENTRE]
    with acting(call) as conn:  # somebody else is first on one of them
        act(conn, received[1], Action.COMMENT, chosen[1].seq, {"note": "wait"})
    heard: list[int] = []
    outcomes = stepping.act_on_each(
        lambda: acting(supervisor), chosen, Action.REJECT, {"reason": "not in the city"}, tick=heard.append
    )
    assert [one.fate for one in outcomes] == [Fate.DONE, Fate.CONFLICT, Fate.DONE, Fate.DONE, Fate.REFUSED]
    assert heard == [1, 2, 3, 4, 5]
    again = desk.chosen([*received, closed])
    assert [one.status for one in again] == [8, 1, 8, 8, 7]
    assert [new.seq - old.seq for new, old in zip(again, chosen, strict=True)] == [1, 1, 1, 1, 0]
    wrong = stepping.act_on_each(lambda: acting(supervisor), [again[1]], Action.REJECT, {"reason": " "})
    assert wrong[0].fate is Fate.WRONG and "reason" in wrong[0].message
    with acting(call) as conn:
        mine = waiting.counts(conn, desk.query(mine=True))
        assert (mine.total, inbox.listed(conn, desk.query(mine=True)).lines[0].id) == (1, received[1])
    with pytest.raises(InputError, match="one report alone"):
        stepping.act_on_each(lambda: acting(supervisor), again, Action.TREAT, {})
