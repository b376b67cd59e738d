"""Weekly packs as they were handed out: kept once, never changed, found again.

A pack is known by its territory and digest; making the same one again keeps nothing new. The
first pack of a period is the one that is handed out later, too: another one for the same days
is only made when it is asked for, and says what is known by then. Caveat: who keeps one is
told by the connection; row-level security lets only those who see the whole territory.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

from sqlalchemy import Connection, text

from data import territories
from data.pack import WeeklyPack, from_json
from geo.errors import InputError

_KEPT = "id, territory_id, first_day, last_day, known_at, digest, made_at"


@dataclass(frozen=True, slots=True)
class Kept:
    """A pack in a list; ``pack`` reads the document. ``made_at`` is UTC."""

    id: int
    territory_id: int
    first: dt.date
    last: dt.date
    known_at: dt.datetime
    digest: str
    made_at: dt.datetime


def keep(conn: Connection, pack: WeeklyPack) -> Kept:
    """Keep a pack, unless the same one is kept already; the caller commits.

    Raises
    ------
    InputError : its territory is not in this store.
    """
    place = territories.find(conn, pack.territory)
    if place is None:
        raise InputError(f"The pack is of the territory '{pack.territory}', which is not in this store.")
    digest = pack.digest()
    # Served by uq_pack_territory_id_digest. Signed-in users are told by their session.
    conn.execute(
        text(
            """INSERT INTO pack (territory_id, first_day, last_day, known_at, data_version, digest, document,
                 principal_id)
               VALUES (:territory, :first, :last, :known, :version, :digest, CAST(:document AS jsonb),
                 rasd_principal_id())
               ON CONFLICT (territory_id, digest) DO NOTHING"""
        ),
        {
            "territory": place.id,
            "first": pack.first,
            "last": pack.last,
            "known": pack.known_at,
            "version": place.data_version,
            "digest": digest,
            "document": pack.to_json(),
        },
    )
    row = conn.execute(
        text(f"SELECT {_KEPT} FROM pack WHERE territory_id = :territory AND digest = :digest"),
        {"territory": place.id, "digest": digest},
    ).one()
    return Kept(*row)


def first_kept(conn: Connection, territory_id: int, first: dt.date, last: dt.date) -> Kept | None:
    """The pack of a period that was kept first, or None."""
    # Served by ix_pack_territory_id.
    row = conn.execute(
        text(
            f"""SELECT {_KEPT} FROM pack
                WHERE territory_id = :territory AND first_day = :first AND last_day = :last
                ORDER BY id LIMIT 1"""
        ),
        {"territory": territory_id, "first": first, "last": last},
    ).one_or_none()
    return None if row is None else Kept(*row)


def listed(conn: Connection, territory_id: int, limit: int = 60) -> tuple[Kept, ...]:
    """Packs of a territory, the latest period first, and within one the first that was kept."""
    # Served by ix_pack_territory_id.
    rows = conn.execute(
        text(
            f"""SELECT {_KEPT} FROM pack WHERE territory_id = :territory
                ORDER BY last_day DESC, first_day DESC, id LIMIT :limit"""
        ),
        {"territory": territory_id, "limit": limit},
    )
    return tuple(Kept(*row) for row in rows)


def get(conn: Connection, pack_id: int) -> WeeklyPack:
    """The document of a kept pack.

    Raises
    ------
    InputError : there is no such pack, or it is of a newer format.
    """
    # Served by pk_pack.
    document = conn.scalar(text("SELECT document::text FROM pack WHERE id = :id"), {"id": pack_id})
    if document is None:
        raise InputError(f"There is no weekly pack {pack_id}; see ./rasd pack --list.")
    return from_json(document)
