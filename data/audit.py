"""The audit trail: who signed in, changed or took out what, and when.

What people do on pages is written by ``record`` on their own connection, where the
database fills in who they are; commands and sign-ins are written on the owner's. Small
tables that people change (rules, targets, campaigns, users) write their own rows by a
trigger (``data/guard/3_audit.sql``), so a change cannot forget to. Steps in a report's life
are not repeated here: ``report_event`` names their actor. Caveat: whoever owns the database
can change everything in it, the trail included.
"""

from __future__ import annotations

import datetime as dt
import getpass
import json
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from data.access import Principal

#: What is written, in the order of the page's filter.
ACTIONS = (
    "sign_in",
    "sign_in_failed",
    "sign_out",
    "export",
    "insert",
    "update",
    "delete",
)


@dataclass(frozen=True, slots=True)
class Entry:
    """One line of the trail.

    Attributes
    ----------
    login, role : as they were then; of a command, the machine's user and "command".
    object : what was changed or taken out: a table, a kind of file, a login.
    """

    id: int
    at: dt.datetime
    login: str
    role: str
    action: str
    object: str
    detail: Mapping[str, Any]


def record(conn: Connection, action: str, object_: str, detail: Mapping[str, Any]) -> None:
    """Write a line as the signed-in user, in their transaction."""
    conn.execute(
        text("SELECT rasd_audit(:action, :object, CAST(:detail AS jsonb))"),
        {"action": action, "object": object_, "detail": _json(detail)},
    )


def of_principal(
    conn: Connection, principal: Principal, action: str, object_: str, detail: Mapping[str, Any]
) -> None:
    """Write a line about somebody, on the owner's connection."""
    _write(conn, principal.id, principal.login, str(principal.role), action, object_, detail)


def of_command(
    conn: Connection, action: str, object_: str, detail: Mapping[str, Any], *, login: str | None = None
) -> None:
    """Write a line about a command on the machine itself (or about nobody known), as the owner."""
    _write(
        conn, None, login or getpass.getuser(), "command" if login is None else "", action, object_, detail
    )


def _write(
    conn: Connection, principal: int | None, login: str, role: str, action: str, object_: str,
    detail: Mapping[str, Any],
) -> None:  # fmt: skip
    conn.execute(
        text(
            """INSERT INTO audit (principal_id, login, role, action, object, detail)
               VALUES (:principal, :login, :role, :action, :object, CAST(:detail AS jsonb))"""
        ),
        {
            "principal": principal,
            "login": login,
            "role": role,
            "action": action,
            "object": object_,
            "detail": _json(detail),
        },
    )


def _json(detail: Mapping[str, Any]) -> str:
    return json.dumps(dict(detail), ensure_ascii=False, default=str)


def trail(
    conn: Connection,
    *,
    limit: int = 100,
    before: int | None = None,
    login: str | None = None,
    action: str | None = None,
    since: dt.datetime | None = None,
) -> list[Entry]:
    """Lines of the trail, newest first; ``before`` is the id after which a page goes on."""
    # Served by pk_audit, backwards; a filter reads on until it has enough.
    rows = conn.execute(
        text(
            """SELECT id, at, login, role, action, object, detail FROM audit
               WHERE (CAST(:before AS bigint) IS NULL OR id < :before)
                 AND (CAST(:login AS text) IS NULL OR login = :login)
                 AND (CAST(:action AS text) IS NULL OR action = :action)
                 AND (CAST(:since AS timestamptz) IS NULL OR at >= :since)
               ORDER BY id DESC LIMIT :limit"""
        ),
        {"before": before, "login": login, "action": action, "since": since, "limit": limit},
    )
    return [Entry(r.id, r.at, r.login, r.role, r.action, r.object, r.detail) for r in rows]


@dataclass(frozen=True, slots=True)
class Person:
    """A user as the store knows them, for the list of administrators.

    Attributes
    ----------
    places : ``territory``, or ``territory/level/area``.
    seen : when they last signed in; None: never, or before the trail begins.
    """

    login: str
    name: str
    role: str
    places: tuple[str, ...]
    party: str | None
    active: bool
    simulated: bool
    seen: dt.datetime | None


def people(conn: Connection) -> list[Person]:
    """Everybody who may or might sign in, with where they may look."""
    # Served by ix_principal_area_principal_id; the newest sign-ins by one scan of the trail.
    rows = conn.execute(
        text(
            """SELECT p.login, p.name, p.role, p.active, p.simulated, y.code AS party,
                 coalesce((SELECT array_agg(concat_ws('/', t.code, a.level, a.area) ORDER BY t.code, a.area)
                           FROM principal_area a JOIN territory t ON t.id = a.territory_id
                           WHERE a.principal_id = p.id), '{}') AS places,
                 u.seen
               FROM principal p LEFT JOIN party y ON y.id = p.party_id
               LEFT JOIN (SELECT principal_id, max(at) AS seen FROM audit WHERE action = 'sign_in'
                          GROUP BY principal_id) u ON u.principal_id = p.id
               ORDER BY p.simulated, p.active DESC, p.login"""
        )
    )
    return [
        Person(r.login, r.name, r.role, tuple(r.places), r.party, r.active, r.simulated, r.seen) for r in rows
    ]
