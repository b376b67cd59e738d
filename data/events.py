"""The history of a report, and the one place that derives its current status from it.

The history begins with the opening, which is ``report.opened_at``; what came after is in
``report_event``, which is only ever appended to. A report without events is "received".
The status of a report is that of its last
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

_DERIVED = f"""SELECT r.id AS report_id, coalesce(e.status, {int(Status.RECEIVED)}) AS status,
   CASE WHEN e.seq IS NULL THEN r.opened_at ELSE e.at END AS at
 FROM report r LEFT JOIN (
   SELECT DISTINCT ON (report_id) report_id, seq, status, at FROM report_event
   ORDER BY report_id, seq DESC) AS e ON e.report_id = r.id"""


@dataclass(frozen=True, slots=True)
class Event:
    """One step in a report's life.

    Attributes
    ----------
    at : when it happened; None when the source does not say.
    batch_id, file_name : the run of the ingest that brought it, and its file; None for the
        opening (``seq`` 0).
    """

    seq: int
    status: Status
    at: dt.datetime | None
    batch_id: int | None
    file_name: str | None


@dataclass(frozen=True, slots=True)
class StatusMismatch:
    """A report whose stored status is not the one its history says."""

    report_id: int
    stored: Status
    derived: Status


def derived_status_sql() -> str:
    """A SELECT of (report_id, status, at): each report's last event, else its opening."""
    return _DERIVED


def history(conn: Connection, report_id: int) -> list[Event]:
    """The events of one report, oldest first; empty when the report does not exist."""
    # Served by pk_report, pk_report_event and pk_batch.
    rows = conn.execute(
        text(
            """SELECT 0 AS seq, :received AS status, opened_at AS at, NULL AS batch_id, NULL AS file_name
               FROM report WHERE id = :report
               UNION ALL
               SELECT e.seq, e.status, e.at, e.batch_id, b.file_name
               FROM report_event e LEFT JOIN batch b ON b.id = e.batch_id
               WHERE e.report_id = :report ORDER BY seq"""
        ),
        {"report": report_id, "received": int(Status.RECEIVED)},
    )
    return [Event(row.seq, Status(row.status), row.at, row.batch_id, row.file_name) for row in rows]


def check(conn: Connection, limit: int = 1000) -> list[StatusMismatch]:
    """Reports whose stored status differs from their history, at most ``limit``."""
    # Every report once: a merge of pk_report and pk_report_event, or a hash join.
    rows = conn.execute(
        text(
            f"""SELECT r.id, r.status AS stored, d.status AS derived
                FROM report r JOIN ({_DERIVED}) d ON d.report_id = r.id
                WHERE d.status <> r.status ORDER BY r.id LIMIT :limit"""
        ),
        {"limit": limit},
    )
    return [StatusMismatch(row.id, Status(row.stored), Status(row.derived)) for row in rows]
