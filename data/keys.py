"""Keys of other systems: made here, known by their digest only, ended here.

A key acts as a principal of its own (``key:<label>``, role call centre), bound to areas like
a person, so row-level security holds for what it files and reads. The key itself is shown
once, when it is made. Source: OWASP Authentication Cheat Sheet; 256 random bits need no slow
hash. Caveat: whoever has a key is it; hand it over as you would a password.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, text

from data import audit
from data.access import Place, save_principal
from data.life import Role
from geo.errors import InputError

PREFIX = "rk_"
_LABEL = re.compile(r"[\w.-]{1,40}")


@dataclass(frozen=True, slots=True)
class Key:
    """A key as it is listed.

    Attributes
    ----------
    begins : the first characters of its digest, to tell keys apart.
    """

    label: str
    login: str
    places: tuple[str, ...]
    begins: str
    created_at: dt.datetime
    ended_at: dt.datetime | None


def digest(key: str) -> bytes:
    """SHA-256 of a key, as ``api_key`` keeps it."""
    return hashlib.sha256(key.encode()).digest()


def add(conn: Connection, label: str, places: Sequence[Place]) -> str:
    """Make a key on the owner's connection; returns it, for the only time.

    Raises
    ------
    InputError : the label is no label or is in use, or there is no such place.
    """
    if not _LABEL.fullmatch(label):
        raise InputError(f"{label!r} cannot name a key; use up to 40 letters, digits, '-', '_' and '.'.")
    if not places:
        raise InputError("A key needs a territory: name it with --territory.")
    if any(key.label == label and key.ended_at is None for key in listed(conn)):
        raise InputError(f"There is a key {label!r} already. End it first (./rasd keys end {label}).")
    principal = save_principal(conn, f"key:{label}", label, Role.CALL_CENTRE, places)
    key = PREFIX + secrets.token_urlsafe(32)
    conn.execute(
        text("INSERT INTO api_key (digest, label, principal_id) VALUES (:digest, :label, :principal)"),
        {"digest": digest(key), "label": label, "principal": principal},
    )
    audit.of_command(conn, "insert", "api_key", {"label": label, "places": [str(place) for place in places]})
    return key


def listed(conn: Connection) -> list[Key]:
    """All keys, those in use first; on the owner's connection."""
    # A scan of `api_key`: one row a system.
    rows = conn.execute(
        text(
            """SELECT k.label, p.login, encode(k.digest, 'hex') AS digest, k.created_at, k.ended_at,
                 (SELECT coalesce(array_agg(concat_ws(' ', t.code, a.level, a.area) ORDER BY t.code, a.area), '{}')
                  FROM principal_area a JOIN territory t ON t.id = a.territory_id
                  WHERE a.principal_id = p.id) AS places
               FROM api_key k JOIN principal p ON p.id = k.principal_id
               ORDER BY k.ended_at IS NOT NULL, k.label, k.created_at"""
        )
    )
    return [
        Key(row.label, row.login, tuple(row.places), row.digest[:8], row.created_at, row.ended_at)
        for row in rows
    ]


def end(conn: Connection, label: str) -> None:
    """End a key: what it has filed stays, and nothing more is taken from it.

    Raises
    ------
    InputError : there is no such key in use.
    """
    ended = conn.execute(
        text(
            "UPDATE api_key SET ended_at = now() WHERE label = :label AND ended_at IS NULL RETURNING principal_id"
        ),
        {"label": label},
    ).scalar_one_or_none()
    if ended is None:
        raise InputError(f"There is no key {label!r} in use. See them: ./rasd keys list")
    # Served by ix_app_session_principal_id.
    conn.execute(text("DELETE FROM app_session WHERE principal_id = :id"), {"id": ended})
    conn.execute(text("UPDATE principal SET active = false WHERE id = :id"), {"id": ended})
    audit.of_command(conn, "update", "api_key", {"label": label, "ended": True})


def login_of(conn: Connection, key: str) -> str | None:
    """The login that a key acts as; None when it is no key, or has been ended."""
    # Served by pk_api_key. Looked up by digest, so its timing tells nothing of a key.
    found: str | None = conn.scalar(
        text(
            """SELECT p.login FROM api_key k JOIN principal p ON p.id = k.principal_id
               WHERE k.digest = :digest AND k.ended_at IS NULL AND p.active"""
        ),
        {"digest": digest(key)},
    )
    return found
