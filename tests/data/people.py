"""People of every role in a small store, for tests of access: who may look where."""

from __future__ import annotations

from typing import Any

from sqlalchemy import Connection, text

from data.access import Place, Session, open_session, save_principal
from data.life import Role


def add_party(conn: Connection, territory: int, code: str, kind: str) -> int:
    """A party of the territory; returns its id."""
    return int(
        conn.execute(
            text(
                """INSERT INTO party (territory_id, code, kind, name_ar, name_en)
                   VALUES (:territory, :code, :kind, :code, :code)
                   ON CONFLICT (territory_id, code) DO UPDATE SET kind = excluded.kind RETURNING id"""
            ),
            {"territory": territory, "code": code, "kind": kind},
        ).scalar_one()
    )


def territory_code(conn: Connection, territory: int) -> str:
    return str(conn.scalar(text("SELECT code FROM territory WHERE id = :id"), {"id": territory}))


def sign_in(conn: Connection, role: Role, *places: Place, login: str = "", **more: Any) -> Session:
    """A session of somebody with this role (owner's connection)."""
    login = login or f"{role}@test"
    save_principal(conn, login, login, role, places, **more)
    return open_session(conn, login)


def everyone(conn: Connection, territory: int, contractor: int) -> dict[Role, Session]:
    """One person a role, each with the whole territory; the contractor bound to its party."""
    place = Place(territory_code(conn, territory))
    return {
        role: sign_in(conn, role, place, party_id=contractor if role is Role.CONTRACTOR else None)
        for role in Role
    }
