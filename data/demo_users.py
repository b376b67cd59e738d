"""Simulated users of a demonstration: one a role, with names that say so.

They see all territories of the store; a contractor and an entity see the reports of the
party that has most of them. Everybody may be anybody, so this is only for one machine that
nobody else reaches (``data/sign_in.py``).
"""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from data.access import Place, Principal, find_principal, save_principal
from data.life import Role

ENTITY = "demo-entity"  # the people of an external entity, with the role of a contractor
DEFAULT = "demo-analyst"


@dataclass(frozen=True, slots=True)
class _Party:
    id: int
    territory: str


def _logins() -> dict[str, Role]:
    """Login to role; people of an external entity have the contractor's role."""
    known = {f"demo-{role.replace('_', '-')}": role for role in Role}
    return known | {ENTITY: Role.CONTRACTOR}


def offered(conn: Connection) -> dict[str, Principal]:
    """The simulated users, made or brought up to date; on the owner's connection.

    A contractor or entity is left out while no party of that kind is known.
    """
    codes = conn.execute(text("SELECT code FROM territory ORDER BY code")).scalars()
    everywhere = tuple(Place(code) for code in codes)
    found: dict[str, Principal] = {}
    for login, role in _logins().items():
        known = find_principal(conn, login)
        places, party = everywhere, None
        if role is Role.CONTRACTOR:
            party = _party_of(conn, login, known)
            if party is None:
                continue
            places = (Place(party.territory),)
        wanted = (role, party.id if party else None, set(places), True)
        if known is None or (known.role, known.party_id, set(known.places), known.simulated) != wanted:
            save_principal(
                conn, login, login, role, places, party_id=party.id if party else None, simulated=True
            )
            known = find_principal(conn, login)
        if known is not None:
            found[login] = known
    return found


def _party_of(conn: Connection, login: str, known: Principal | None) -> _Party | None:
    """The party of the demonstration's contractor or entity: what it has, else the busiest one."""
    kind, column = ("entity", "agency_id") if login == ENTITY else ("contractor", "contractor_id")
    if known is not None and known.party_id is not None:
        # Served by pk_party.
        row = conn.execute(
            text(
                """SELECT p.id, t.code FROM party p JOIN territory t ON t.id = p.territory_id
                   WHERE p.id = :id AND p.kind = :kind AND p.active"""
            ),
            {"id": known.party_id, "kind": kind},
        ).one_or_none()
        if row is not None:
            return _Party(row.id, row.code)
    # Once a store: contractors through ix_report_contractor_id, entities by a scan of report.
    row = conn.execute(
        text(
            f"""SELECT p.id, t.code FROM party p JOIN territory t ON t.id = p.territory_id
                LEFT JOIN (SELECT {column} AS party, count(*) AS n FROM report
                           WHERE {column} IS NOT NULL GROUP BY 1) r ON r.party = p.id
                WHERE p.kind = :kind AND p.active ORDER BY n DESC NULLS LAST, p.id LIMIT 1"""
        ),
        {"kind": kind},
    ).one_or_none()
    return None if row is None else _Party(row.id, row.code)
