"""What somebody filed and what they follow: their own list, and following a report.

Who follows a report wants to know what becomes of it. A duplicate is followed where it
leads: at the report that it repeats. All of it runs as the signed-in user, so a report that
has left their areas is no longer on the list.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, text

from data.duplicates import root_of
from data.life import Action
from data.vocabulary import Status


@dataclass(frozen=True, slots=True)
class OwnReport:
    """A report that the user filed or follows.

    Attributes
    ----------
    filed : filed by the user; else followed.
    status_at : when it came to its status; None while it is as it was filed.
    duplicate_of : reference of the report that it repeats, where that is open to the user.
    """

    report_id: int
    reference: str
    opened_at: dt.datetime
    status: Status
    status_at: dt.datetime | None
    due_at: dt.datetime | None
    element_ar: str | None
    element_en: str | None
    municipality_ar: str | None
    municipality_en: str | None
    duplicate_of: str | None
    filed: bool


_LIST = """
SELECT r.id, r.reference, r.opened_at, r.status, r.status_at, r.due_at, e.name_ar, e.name_en,
       a.name_ar AS place_ar, a.name_en AS place_en, o.reference AS root, m.filed
FROM ({own}) m JOIN report r ON r.id = m.report_id
LEFT JOIN element e ON e.id = r.element_id
LEFT JOIN area a ON a.id = coalesce(r.municipality_id, r.governorate_id)
LEFT JOIN report o ON o.id = r.duplicate_of
ORDER BY m.since DESC, r.id DESC LIMIT :most
"""
_FILED = f"""SELECT report_id, recorded_at AS since, true AS filed FROM report_event
 WHERE actor_id = (SELECT rasd_principal_id()) AND action = {int(Action.FILE)}
 ORDER BY recorded_at DESC LIMIT :most"""
_FOLLOWED = """SELECT report_id, since, false AS filed FROM report_follower
 WHERE principal_id = (SELECT rasd_principal_id())"""
_ONE = "SELECT id AS report_id, opened_at AS since, true AS filed FROM report WHERE reference = :reference"


def filed(conn: Connection, most: int = 20) -> tuple[OwnReport, ...]:
    """What the user filed, newest first."""
    # Served by ix_report_event_filed; names for the lines of the list only.
    return _rows(conn, _FILED, {"most": most})


def followed(conn: Connection, most: int = 20) -> tuple[OwnReport, ...]:
    """What the user follows, the last followed first."""
    # Served by ix_report_follower_principal_id.
    return _rows(conn, _FOLLOWED, {"most": most})


def _rows(conn: Connection, own: str, params: dict[str, object]) -> tuple[OwnReport, ...]:
    rows = conn.execute(text(_LIST.format(own=own)), params)
    return tuple(
        OwnReport(
            row.id,
            row.reference,
            row.opened_at,
            Status(row.status),
            row.status_at,
            row.due_at,
            row.name_ar,
            row.name_en,
            row.place_ar,
            row.place_en,
            row.root,
            row.filed,
        )
        for row in rows
    )


def find(conn: Connection, territory_id: int, reference: str) -> OwnReport | None:
    """A report that was filed here, by its reference; None when none is open to the user."""
    # Served by uq_report_source_id_reference.
    own = f"""{_ONE} AND source_id =
      (SELECT id FROM source WHERE territory_id = :territory AND code = 'rasd')"""
    found = _rows(conn, own, {"reference": reference, "territory": territory_id, "most": 1})
    return found[0] if found else None


def follow(conn: Connection, report_id: int) -> int:
    """Follow a report, or what it repeats; returns which. Again it changes nothing.

    Raises
    ------
    Refused : it is not open to the user.
    """
    root = root_of(conn, report_id)
    conn.execute(
        text(
            """INSERT INTO report_follower (report_id, principal_id)
               VALUES (:report, (SELECT rasd_principal_id())) ON CONFLICT DO NOTHING"""
        ),
        {"report": root},
    )
    return root


def unfollow(conn: Connection, report_id: int) -> None:
    """No longer follow a report, nor what repeats it."""
    # Served by pk_report_follower, ix_report_duplicate_of.
    conn.execute(
        text(
            """DELETE FROM report_follower
               WHERE principal_id = (SELECT rasd_principal_id()) AND (report_id = :report
                 OR report_id IN (SELECT id FROM report WHERE duplicate_of = :report))"""
        ),
        {"report": report_id},
    )


def follows(conn: Connection, report_id: int) -> tuple[int, bool]:
    """How many follow a report, and whether the user is one of them."""
    # Served by pk_report_follower.
    row = conn.execute(
        text(
            """SELECT count(*) AS n, coalesce(bool_or(principal_id = (SELECT rasd_principal_id())), false) AS own
               FROM report_follower WHERE report_id = :report"""
        ),
        {"report": report_id},
    ).one()
    return int(row.n), bool(row.own)
