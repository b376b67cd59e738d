"""Taking a step in a report's life, as the signed-in user, and reading its history for it.

One INSERT into ``report_event``; the trigger in ``data/guard/2_events.sql`` decides whether
the step is allowed, fills in who and when, and brings the report's own columns up to date.
The caller says after which event it acts: when somebody wrote in between, nothing is
written and a Conflict says so.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from data.life import Action, Role
from data.vocabulary import Status
from geo.errors import Conflict, InputError, Refused

_UNIQUE = "23505"
_NO_RIGHT = "42501"


@dataclass(frozen=True, slots=True)
class Step:
    """One event of a report, or its opening (``seq`` 0).

    Attributes
    ----------
    at : when it happened; None when a source does not say.
    recorded_at : when the store learned of it.
    actor : name and role of who did it; None for what a source told.
    detail : keys of ``data.life.DETAILS``.
    """

    seq: int
    action: Action
    status: Status
    at: dt.datetime | None
    recorded_at: dt.datetime | None
    actor_id: int | None
    batch_id: int | None
    detail: Mapping[str, Any]


def act(
    conn: Connection,
    report_id: int,
    action: Action,
    expected_seq: int,
    detail: Mapping[str, Any] | None = None,
) -> int:
    """Append one step after event ``expected_seq`` (0: none yet); returns its own ``seq``.

    Parameters
    ----------
    conn : a transaction of ``data.access.acting``.
    detail : what the step needs and may carry (``data.life``), as JSON values.

    Raises
    ------
    Conflict : somebody else took a step first.
    Refused : the role, the area, the party or the state does not allow it.
    InputError : something that the step needs is missing or wrong.
    """
    try:
        # Within a savepoint: after a refusal the caller's transaction can go on.
        with conn.begin_nested():
            conn.execute(
                text(
                    """INSERT INTO report_event (report_id, seq, action, status, detail)
                       VALUES (:report, :seq, :action, 0, CAST(:detail AS jsonb))"""
                ),
                {
                    "report": report_id,
                    "seq": expected_seq + 1,
                    "action": int(action),
                    "detail": json.dumps(dict(detail or {}), ensure_ascii=False),
                },
            )
    except DBAPIError as error:
        raise _told(error, report_id, action) from error
    return expected_seq + 1


def _told(error: DBAPIError, report_id: int, action: Action) -> Exception:
    """What the database refused, as one of our errors; anything else stays what it is."""
    code = getattr(error.orig, "sqlstate", "") or ""
    said = str(error.orig).partition("\n")[0].removeprefix("ERROR: ").strip()
    step = action.name.lower()
    if code in ("RS409", _UNIQUE):
        return Conflict(
            f"Report {report_id} was changed by somebody else meanwhile. Nothing was written: "
            "look at what they did, then decide again."
        )
    if code in ("RS403", _NO_RIGHT):
        return Refused(f"Report {report_id}: the step {step} is not allowed here ({said}).")
    if code == "RS400":
        return InputError(f"Report {report_id}, step {step}: {said}.")
    return error


def last_seq(conn: Connection, report_id: int) -> int:
    """``seq`` of the last event of a report, 0 without one."""
    # Served by pk_report_event.
    found = conn.scalar(
        text("SELECT max(seq) FROM report_event WHERE report_id = :report"), {"report": report_id}
    )
    return int(found or 0)


def steps(conn: Connection, report_id: int) -> list[Step]:
    """The history of a report that is open to the user, its opening first; [] when it is not."""
    # Served by pk_report, pk_report_event.
    rows = conn.execute(
        text(
            """SELECT 0 AS seq, 0 AS action, :received AS status, opened_at AS at,
                      NULL::timestamptz AS recorded_at, NULL::int AS actor_id, batch_id, NULL::jsonb AS detail
               FROM report WHERE id = :report
               UNION ALL
               SELECT seq, action, status, at, recorded_at, actor_id, batch_id, detail
               FROM report_event WHERE report_id = :report ORDER BY seq"""
        ),
        {"report": report_id, "received": int(Status.RECEIVED)},
    )
    return [
        Step(
            row.seq,
            Action(row.action),
            Status(row.status),
            row.at,
            row.recorded_at,
            row.actor_id,
            row.batch_id,
            row.detail or {},
        )
        for row in rows
    ]


def names(conn: Connection, report_id: int) -> dict[int, tuple[str, Role]]:
    """Who acted on a report: principal id to name and role. Contractors and viewers get "" for names."""
    # Served by pk_report_event, pk_principal.
    rows = conn.execute(text("SELECT id, name, role FROM rasd_actors(:report)"), {"report": report_id})
    return {row.id: (row.name, Role(row.role)) for row in rows}
