"""The history of a report, and the status that is derived from it."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import insert, text

from data import events
from data.events import StatusMismatch
from data.models import ReportEvent
from data.vocabulary import Status
from tests.data.reports_sample import make_sample


def test_the_derived_status_is_the_stored_one_for_every_report(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=200)
        conn.execute(text("DELETE FROM report WHERE territory_id = :t"), {"t": sample.other})
        derived = {row.report_id: row.status for row in conn.execute(text(events.derived_status_sql()))}
        assert derived == dict(zip(sample.frame["id"], sample.frame["status"], strict=True))
        assert events.check(conn) == []


def test_the_last_event_that_was_appended_counts_even_with_an_earlier_date_or_none(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=60)
        report = int(sample.frame["id"].iloc[3])
        for seq, status, at in (
            (2, Status.CLOSED, dt.datetime(2001, 1, 1, tzinfo=dt.UTC)),
            (3, Status.REOPENED, None),
        ):
            conn.execute(
                insert(ReportEvent).values(
                    report_id=report, seq=seq, status=int(status), batch_id=sample.batch, at=at
                )
            )
            derived = conn.scalar(
                text(f"SELECT status FROM ({events.derived_status_sql()}) d WHERE report_id = :r"),
                {"r": report},
            )
            assert derived == status


def test_a_status_that_its_history_does_not_support_is_found(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=60)
        conn.execute(text("DELETE FROM report WHERE territory_id = :t"), {"t": sample.other})
        settled = sample.frame[sample.frame["status"] != Status.RECEIVED]
        changed, bare = (int(i) for i in settled["id"].iloc[[1, 2]])
        true = Status(int(settled["status"].iloc[1]))
        conn.execute(text("UPDATE report SET status = 13 WHERE id = :r"), {"r": changed})
        conn.execute(text("DELETE FROM report_event WHERE report_id = :r"), {"r": bare})
        stored = Status(int(settled["status"].iloc[2]))
        assert events.check(conn) == [
            StatusMismatch(changed, Status.DRAFT, true),
            StatusMismatch(bare, stored, Status.RECEIVED),
        ]
        assert len(events.check(conn, limit=1)) == 1


def test_a_history_is_in_order_and_names_the_files_that_brought_it(store: Any) -> None:
    with store.engine.begin() as conn:
        sample = make_sample(conn, rows=60)
        first = sample.frame.iloc[0]
        found = events.history(conn, int(first["id"]))
        assert [(event.seq, event.status) for event in found] == [(0, Status.RECEIVED), (1, first["status"])]
        assert found[0].at == first["opened_at"]
        assert [event.file_name for event in found] == [None, "f.csv"]
        assert events.history(conn, -1) == []
