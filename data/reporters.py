"""Who sent a report, as a number that says nobody's name.

A column that identifies a sender (a phone number, an account) is dropped at ingest, as all
personal columns are; what stays is a keyed digest of it (BLAKE2b, RFC 7693, 64 bits), so
that reports of one sender can be told to be so. The key is drawn by the store itself, so
digests of two stores cannot be joined. Caveat: this is a pseudonym, not anonymity: who holds
the store holds its key too, and could try all phone numbers.
"""

from __future__ import annotations

import hashlib
import secrets

from sqlalchemy import Connection, text

NOTE = "reporter_secret"  # key of store_note


def reporter_secret(conn: Connection) -> bytes:
    """The store's own key, drawn when it is first needed."""
    drawn = _drawn(conn)
    if drawn is None:
        conn.execute(
            text("INSERT INTO store_note (key, value) VALUES (:key, :value) ON CONFLICT (key) DO NOTHING"),
            {"key": NOTE, "value": secrets.token_hex(32)},
        )
        drawn = _drawn(conn)
    return bytes.fromhex(str(drawn))


def has_reporters(conn: Connection) -> bool:
    """Whether any file with a sender's column was ever taken in, and who asks may read it."""
    return bool(
        conn.scalar(
            text("SELECT has_column_privilege('report', 'reporter', 'SELECT') AND rasd_has_reporters()")
        )
    )


def _drawn(conn: Connection) -> str | None:
    # Served by pk_store_note.
    return conn.scalar(text("SELECT value FROM store_note WHERE key = :key"), {"key": NOTE})


def reporter_digest(sender: str, secret: bytes) -> int:
    """The number of a sender, signed as PostgreSQL's bigint is.

    Raises
    ------
    ValueError : there is no key; without one a digest could be guessed back.
    """
    if not secret:
        raise ValueError("a sender's digest needs the store's key")
    digest = hashlib.blake2b(sender.encode(), digest_size=8, key=secret).digest()
    return int.from_bytes(digest, "little", signed=True)
