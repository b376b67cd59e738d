"""The history of a report, and the one place that derives its current status from it.

``report_event`` is only ever appended to. The status of a report is that of its last
event in the order of appending (``seq``), not of the dates: sources give dates that lie
before the opening or none at all, and the ingest already refuses rows that are older
than what the store knows. ``report.status`` is a copy for fast reading; ``check`` finds
every report whose copy differs.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, text

from data.vocabulary import Status

_DERIVED = """SELECT e.report_id, e.status, e.at FROM report_event e
 WHERE NOT EXISTS (SELECT FROM report_event l WHERE l.report_id = e.report_id AND l.seq > e.seq)"""


@dataclass(frozen=True, slots=True)
class Event:
    """One step in a report's life.

    Attributes
    ----------
    at : when it happened; None when the source does not say.
    batch_id, file_name : the run of the ingest that brought it, and its file.
    """

    seq: int
    status: Status
    at: dt.datetime | None
    batch_id: int
    file_name: str | None


@dataclass(frozen=True, slots=True)
class StatusMismatch:
    """A report whose stored status is not the one its history says; None: no history."""

    report_id: int
    stored: Status
    derived: Status | None


def derived_status_sql() -> str:
    """A SELECT of (report_id, status, at): each report's last event. Served by pk_report_event."""
    return _DERIVED


def history(conn: Connection, report_id: int) -> list[Event]:
    """The events of one report, oldest first; empty when the report does not exist."""
    # Served by pk_report_event and pk_batch.
    rows = conn.execute(
        text(
            """SELECT e.seq, e.status, e.at, e.batch_id, b.file_name
               FROM report_event e LEFT JOIN batch b ON b.id = e.batch_id
               WHERE e.report_id = :report ORDER BY e.seq"""
        ),
        {"report": report_id},
    )
    return [Event(row.seq, Status(row.status), row.at, row.batch_id, row.file_name) for row in rows]


def check(conn: Connection, limit: int = 1000) -> list[StatusMismatch]:
    """Reports whose stored status differs from their history, at most ``limit``."""
    # Every report once: a merge of pk_report and pk_report_event, or a hash join.
    rows = conn.execute(
        text(
            f"""SELECT r.id, r.status AS stored, d.status AS derived
                FROM report r LEFT JOIN ({_DERIVED}) d ON d.report_id = r.id
                WHERE d.status IS DISTINCT FROM r.status ORDER BY r.id LIMIT :limit"""
        ),
        {"limit": limit},
    )
    return [
        StatusMismatch(row.id, Status(row.stored), None if row.derived is None else Status(row.derived))
        for row in rows
    ]
