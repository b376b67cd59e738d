"""How far each source has been read from its Open311 server, and which of its reports are open.

The state of a pull is one row of ``open311_pull``, written in the same transaction as the
batch that it speaks of: after a crash the next pull goes on exactly where the last batch
ended.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import json
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Engine, text

from data.vocabulary import OPEN
from geo.errors import InputError

_STATES = ", ".join(str(int(status)) for status in sorted(OPEN))


@dataclass(frozen=True, slots=True)
class Pull:
    """A source that is read from a server.

    Attributes
    ----------
    territory : code of the territory of its reports.
    state : what ``ingest/open311.py`` remembers.
    """

    source_id: int
    territory: str
    state: dict[str, Any]


@dataclass(frozen=True, slots=True)
class OpenReport:
    """A report of a source that was not ended when the server was last asked."""

    id: int
    reference: str


def find(conn: Connection, url: str, jurisdiction: str | None, territory: str | None) -> Pull | None:
    """The pull of this server, or None before the first.

    Raises
    ------
    InputError : the server is read into several territories and none is named.
    """
    # A scan of `open311_pull`: one row a server.
    rows = conn.execute(
        text(
            """SELECT p.source_id, t.code, p.state FROM open311_pull p
               JOIN source s ON s.id = p.source_id JOIN territory t ON t.id = s.territory_id
               WHERE p.url = :url AND p.jurisdiction IS NOT DISTINCT FROM :jurisdiction
                 AND (CAST(:territory AS text) IS NULL OR t.code = :territory) ORDER BY t.code"""
        ),
        {"url": url, "jurisdiction": jurisdiction, "territory": territory},
    ).all()
    if len(rows) > 1:
        listed = ", ".join(row.code for row in rows)
        raise InputError(f"{url} is read into several territories ({listed}); name one with --territory.")
    return Pull(rows[0].source_id, rows[0].code, dict(rows[0].state)) if rows else None


def save(conn: Connection, source_id: int, url: str, jurisdiction: str | None, state: dict[str, Any]) -> None:
    """Write how far a source has been read."""
    conn.execute(
        text(
            """INSERT INTO open311_pull (source_id, url, jurisdiction, state)
               VALUES (:source, :url, :jurisdiction, CAST(:state AS jsonb))
               ON CONFLICT (source_id) DO UPDATE SET state = excluded.state, changed_at = now()"""
        ),
        {"source": source_id, "url": url, "jurisdiction": jurisdiction, "state": json.dumps(state)},
    )


def open_reports(
    conn: Connection, source_id: int, *, after: int, before: dt.datetime, limit: int
) -> list[OpenReport]:
    """Open reports of a source, opened before a moment, in order of id from ``after`` on."""
    # Served by ix_report_opened (territory and time), filtered by source.
    rows = conn.execute(
        text(
            f"""SELECT id, reference FROM report
                WHERE territory_id = (SELECT territory_id FROM source WHERE id = :source)
                  AND opened_at < :before AND source_id = :source AND status IN ({_STATES}) AND id > :after
                ORDER BY id LIMIT :limit"""
        ),
        {"source": source_id, "before": before, "after": after, "limit": limit},
    )
    return [OpenReport(row.id, row.reference) for row in rows]


@contextlib.contextmanager
def alone(engine: Engine, url: str, jurisdiction: str | None) -> Iterator[None]:
    """Hold a server for one pull at a time, in this store.

    Raises
    ------
    InputError : it is being read already.
    """
    key = f"rasd.open311 {url} {jurisdiction or ''}"
    with engine.connect() as conn:
        held = conn.scalar(text("SELECT pg_try_advisory_lock(hashtextextended(:key, 0))"), {"key": key})
        conn.commit()  # the lock is the session's: it outlives the transaction
        if not held:
            raise InputError(f"{url} is being read already by another ./rasd ingest open311. Wait for it.")
        try:
            yield
        finally:
            conn.execute(text("SELECT pg_advisory_unlock(hashtextextended(:key, 0))"), {"key": key})
            conn.commit()
