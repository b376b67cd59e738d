"""The columns of a past moment: today's where nothing came later, and unmoved by what does."""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection, text

from data import columns
from data.access import Session, acting
from data.actions import act
from data.analyses.campaigns import told_query
from data.incidents import refresh_incidents
from data.life import Action, Role
from data.past import past_columns, past_statuses
from data.query import AsOf, ReportQuery, territory_facts, where
from data.vocabulary import Flag, Status
from geo.errors import InputError
from tests.data.people import add_party, everyone
from tests.data.reports_sample import Sample, make_sample

END = dt.datetime(2025, 5, 20, 20, 59, 59, tzinfo=dt.UTC)
EVER = dt.datetime(2200, 1, 1, tzinfo=dt.UTC)


@dataclass
class City:
    store: Any
    sample: Sample
    people: dict[Role, Session]
    department: int


@pytest.fixture(scope="module")
def city(module_store: Any) -> Iterator[City]:
    with module_store.engine.begin() as conn:
        sample = make_sample(conn, rows=400)
        department = add_party(conn, sample.territory, "roads", "department")
        people = everyone(conn, sample.territory, add_party(conn, sample.territory, "firm", "contractor"))
    refresh_incidents(module_store.engine, sample.territory)
    yield City(module_store, sample, people, department)


def _frame(made: dict[str, Any]) -> pd.DataFrame:
    """Reports of columns in an order that does not hang on how they were read."""
    frame = pd.DataFrame({name: np.asarray(made[name]) for name in columns.REPORT_COLUMNS})
    for name in set(columns.RUN_COLUMNS) - {"length"}:
        frame[name] = np.repeat(np.asarray(made[name]), made["length"])
    return frame.sort_values(list(frame.columns)).reset_index(drop=True)


def _then(conn: Connection, city: City, as_of: AsOf) -> pd.DataFrame:
    return _frame(past_columns(conn, territory_facts(conn, city.sample.territory), as_of))


def test_after_everything_has_happened_a_past_moment_is_today(city: City) -> None:
    with city.store.engine.connect() as conn:
        now = columns.load(conn, city.sample.territory, [*columns.RUN_COLUMNS, *columns.REPORT_COLUMNS])
        pd.testing.assert_frame_equal(_then(conn, city, AsOf(EVER)), _frame(now.runs | now.reports))


def test_what_was_opened_or_closed_later_is_left_out(city: City) -> None:
    frame = city.sample.frame
    there = frame[frame["opened_at"] <= END]
    with city.store.engine.connect() as conn:
        facts = territory_facts(conn, city.sample.territory)
        ids, status = past_statuses(conn, facts, AsOf(END))
    assert ids.tolist() == sorted(there["id"])
    # Every report of the sample has one event, dated by its closing; without a date it counts
    # from when it was recorded, which is after the end.
    told = there.set_index("id").loc[ids, "closed_at"] <= END
    expected = np.where(told, there.set_index("id").loc[ids, "status"], int(Status.RECEIVED))
    assert status.tolist() == expected.tolist()
    assert 20 < told.sum() < len(there) - 20


def test_what_is_learned_or_done_later_changes_nothing(city: City) -> None:
    with city.store.engine.connect() as conn:
        known = conn.execute(text("SELECT clock_timestamp()")).scalar_one()
        as_of = AsOf(END, known)
        before = _then(conn, city, as_of)
        received = conn.execute(
            text(
                """SELECT id FROM report WHERE territory_id = :t AND status = 1 AND element_id IS NOT NULL
                   AND cell IS NOT NULL AND flags & :flag = 0 AND opened_at < :end ORDER BY id LIMIT 3"""
            ),
            {"t": city.sample.territory, "end": END, "flag": int(Flag.DEFAULT_POINT)},
        ).scalars()
        first, second, third = received.all()
        other = conn.scalar(
            text("SELECT max(id) FROM element WHERE id <> (SELECT element_id FROM report WHERE id = :id)"),
            {"id": first},
        )
    with acting(city.people[Role.SUPERVISOR]) as conn:
        act(conn, first, Action.CLASSIFY, 1, {"element_id": other})
        act(conn, first, Action.REJECT, 2, {"reason": "no"})
        act(conn, second, Action.ASSIGN, 1, {"agency_id": city.department, "due_at": "2020-01-01T00:00:00Z"})
    with city.store.engine.begin() as conn:
        # A late export: an older report, an older closing, a default point under known reports.
        conn.execute(
            text(
                """INSERT INTO report (territory_id, source_id, reference, opened_at, status, channel, precision,
                     content, element_id, cell, geom, batch_id, line)
                   SELECT territory_id, source_id, 'late', opened_at, 1, channel, precision, content, element_id,
                     cell, geom, batch_id, 999 FROM report WHERE id = :id"""
            ),
            {"id": third},
        )
        conn.execute(
            text(
                """INSERT INTO report_event (report_id, seq, status, batch_id, at)
                   VALUES (:id, 2, 7, :batch, '2025-05-01')"""
            ),
            {"id": third, "batch": city.sample.batch},
        )
        conn.execute(
            text(
                """INSERT INTO batch (territory_id, source_id, profile, file_name, file_digest, started_at)
                   SELECT territory_id, source_id, 'p', 'late.csv', 'l', clock_timestamp() FROM batch WHERE id = :batch"""
            ),
            {"batch": city.sample.batch},
        )
        conn.execute(
            text(
                """INSERT INTO default_point (territory_id, lon, lat, reports, kinds, batch_id)
                   SELECT territory_id, ST_X(geom), ST_Y(geom), 20, 9, (SELECT max(id) FROM batch)
                   FROM report WHERE id = :id"""
            ),
            {"id": second},
        )
        conn.execute(
            text("UPDATE report SET flags = flags | :flag WHERE id = :id"),
            {"id": second, "flag": int(Flag.DEFAULT_POINT)},
        )
        conn.execute(
            text("UPDATE territory SET data_version = data_version + 1 WHERE id = :id"),
            {"id": city.sample.territory},
        )
    with city.store.engine.connect() as conn:
        pd.testing.assert_frame_equal(_then(conn, city, as_of), before)
        query = ReportQuery(city.sample.territory, end=END.date(), as_of=as_of)
        chosen = columns.select(conn, query)[1]
        condition, params = where(conn, query)
        counted = conn.scalar(text(f"SELECT count(*) FROM report r WHERE {condition}"), params)
        assert counted == chosen.sum()
        # What is known today is another story, also of the past.
        assert not _then(conn, city, AsOf(END)).equals(before)
        assert len(_then(conn, city, AsOf(END))) == len(before) + 1


def test_a_moment_has_a_zone_and_a_plan_is_made_from_today(city: City) -> None:
    with pytest.raises(InputError, match="zone"):
        AsOf(dt.datetime(2025, 1, 1))
    query = ReportQuery(city.sample.territory, as_of=AsOf(END))
    with pytest.raises(InputError, match="past moment"):
        told_query(query)
    with city.store.engine.connect() as conn, pytest.raises(InputError, match="past moment"):
        where(conn, replace(query, statuses=(7,)))
