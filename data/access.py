"""Who is signed in, and the connection on which row-level security holds for them.

A principal is a row of ``principal`` with one role, a party if bound to one, and the areas
where it may look. ``open_session`` makes a token that the database knows by its digest;
``acting`` opens a transaction as ``rasd_app``, takes the role and shows the token. What
rows and steps are open is decided in the database (``data/rights.py``, ``data/guard``), not
here. Caveat: how somebody proves who they are is not here either (``views/access.py``).
"""

from __future__ import annotations

import contextlib
import datetime as dt
import hashlib
import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from data.database import app_engine
from data.life import Role
from data.rights import database_role
from geo.errors import InputError, Refused

SESSION_HOURS = 12.0


@dataclass(frozen=True, slots=True)
class Place:
    """Where a principal may look: a whole territory, or one area of it.

    Attributes
    ----------
    territory : ``territory.code``.
    level, area : level of ``data.vocabulary.LEVELS`` with the area's code or name; None
        for the whole territory.
    """

    territory: str
    level: str | None = None
    area: str | None = None


@dataclass(frozen=True, slots=True)
class Principal:
    """Somebody who may sign in.

    Attributes
    ----------
    places : where they may look; () is nowhere.
    party_id : the party whose reports they see; None for all of their places.
    simulated : made for a demonstration.
    """

    id: int
    login: str
    name: str
    role: Role
    party_id: int | None
    places: tuple[Place, ...]
    simulated: bool = False

    @property
    def scope(self) -> str:
        """A digest of what is open to them: equal scopes may share cached answers."""
        whole = repr((self.role is Role.CONTRACTOR, self.party_id, sorted(map(repr, self.places))))
        return hashlib.sha256(whole.encode()).hexdigest()[:16]

    def whole(self, territory: str) -> bool:
        """Whether every report of a territory is open to them."""
        return self.party_id is None and Place(territory) in self.places


@dataclass(frozen=True, slots=True)
class Session:
    """A signed-in principal. Keep the token in memory only: whoever has it is them."""

    principal: Principal
    token: str
    expires_at: dt.datetime

    def __repr__(self) -> str:
        return f"Session({self.principal.login!r}, until {self.expires_at:%Y-%m-%d %H:%M})"


def save_principal(
    conn: Connection,
    login: str,
    name: str,
    role: Role,
    places: Sequence[Place],
    *,
    party_id: int | None = None,
    simulated: bool = False,
) -> int:
    """Make or change a principal on the owner's connection; returns its id.

    Sessions of a principal whose role, party or places changed are ended.

    Raises
    ------
    InputError : a territory does not exist, or a contractor has no party.
    """
    if role is Role.CONTRACTOR and party_id is None:
        raise InputError(f"{login}: a contractor or entity needs the party whose reports it sees.")
    before = find_principal(conn, login)
    ids: dict[str, int] = {row.code: row.id for row in conn.execute(text("SELECT id, code FROM territory"))}
    unknown = sorted({place.territory for place in places} - set(ids))
    if unknown:
        raise InputError(
            f"{login}: there is no territory {', '.join(unknown)} in the store: see ./rasd status."
        )
    principal: int = conn.execute(
        text(
            """INSERT INTO principal (login, name, role, party_id, simulated)
               VALUES (:login, :name, :role, :party, :simulated)
               ON CONFLICT (login) DO UPDATE SET name = excluded.name, role = excluded.role,
                 party_id = excluded.party_id, simulated = excluded.simulated, active = true
               RETURNING id"""
        ),
        {"login": login, "name": name, "role": str(role), "party": party_id, "simulated": simulated},
    ).scalar_one()
    wanted = tuple(dict.fromkeys(places))
    if before is not None and (before.role, before.party_id, set(before.places)) == (
        role,
        party_id,
        set(wanted),
    ):
        return principal
    # Served by ix_principal_area_principal_id, ix_app_session_principal_id.
    conn.execute(text("DELETE FROM principal_area WHERE principal_id = :id"), {"id": principal})
    conn.execute(text("DELETE FROM app_session WHERE principal_id = :id"), {"id": principal})
    for place in wanted:
        conn.execute(
            text(
                "INSERT INTO principal_area (principal_id, territory_id, level, area)"
                " VALUES (:id, :territory, :level, :area)"
            ),
            {
                "id": principal,
                "territory": ids[place.territory],
                "level": place.level,
                "area": place.area,
            },
        )
    return principal


def find_principal(conn: Connection, login: str) -> Principal | None:
    """The active principal with this login, or None. On the owner's connection."""
    # Served by uq_principal_login.
    row = conn.execute(
        text(
            "SELECT id, login, name, role, party_id, simulated FROM principal WHERE login = :login AND active"
        ),
        {"login": login},
    ).one_or_none()
    if row is None:
        return None
    # Served by ix_principal_area_principal_id.
    places = conn.execute(
        text(
            """SELECT t.code, p.level, p.area FROM principal_area p JOIN territory t ON t.id = p.territory_id
               WHERE p.principal_id = :id ORDER BY t.code, p.level, p.area"""
        ),
        {"id": row.id},
    )
    return Principal(
        row.id,
        row.login,
        row.name,
        Role(row.role),
        row.party_id,
        tuple(Place(place.code, place.level, place.area) for place in places),
        row.simulated,
    )


def open_session(
    conn: Connection, login: str, *, hours: float = SESSION_HOURS, address: str | None = None
) -> Session:
    """Open a session for a principal who has proved who they are; on the owner's connection.

    Raises
    ------
    Refused : there is no active principal with this login.
    """
    principal = find_principal(conn, login)
    if principal is None:
        raise Refused(f"{login} is not among the users of this store.")
    token = secrets.token_hex(32)
    # Served by a scan of app_session, which this keeps short.
    conn.execute(text("DELETE FROM app_session WHERE expires_at < now()"))
    expires = conn.execute(
        text(
            """INSERT INTO app_session (token, principal_id, expires_at, address)
               VALUES (:token, :principal, now() + make_interval(secs => :seconds), :address)
               RETURNING expires_at"""
        ),
        {
            "token": hashlib.sha256(token.encode()).digest(),
            "principal": principal.id,
            "seconds": hours * 3600,
            "address": address,
        },
    ).scalar_one()
    return Session(principal, token, expires)


def close_session(conn: Connection, session: Session) -> None:
    """End a session; on the owner's connection."""
    # Served by pk_app_session.
    conn.execute(
        text("DELETE FROM app_session WHERE token = :token"),
        {"token": hashlib.sha256(session.token.encode()).digest()},
    )


@contextlib.contextmanager
def acting(session: Session) -> Iterator[Connection]:
    """One transaction as the signed-in user: committed at the end of the block, undone when it raises.

    Raises
    ------
    Refused : the session has ended, or the principal's role was changed.
    """
    with app_engine().connect() as conn, conn.begin():
        assume(conn, session)
        yield conn


def reach(conn: Connection, territory_id: int) -> str:
    """What answers in memory are kept apart by: "" for whoever sees every report of a territory.

    For others it is their session's token, which stands for what is open to them.
    """
    found = conn.scalar(
        text(
            """SELECT CASE WHEN current_setting('role') = 'none'
                        OR CAST(:territory AS smallint) = ANY (rasd_whole_territories()) THEN ''
                      ELSE current_setting('rasd.token', true) END"""
        ),
        {"territory": territory_id},
    )
    return str(found or "")


def assume(conn: Connection, session: Session) -> None:
    """Take the session's role and show its token, until the end of the transaction.

    Raises
    ------
    Refused : as ``acting``.
    """
    # The role's name is one of nine of ours; SET takes no parameters.
    conn.execute(text(f"SET LOCAL ROLE {database_role(session.principal.role)}"))
    conn.execute(text("SELECT set_config('rasd.token', :token, true)"), {"token": session.token})
    if conn.scalar(text("SELECT rasd_principal_id()")) != session.principal.id:
        raise Refused("The session has ended. Sign in again.")
