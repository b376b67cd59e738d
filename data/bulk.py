"""Changing a large share of ``report`` at once: without its secondary indexes.

Building them anew after a bulk load is about three times faster than keeping them up
to date row by row (docs/architecture.md, "Loading").
"""

from __future__ import annotations

from sqlalchemy import Connection, text
from sqlalchemy.exc import OperationalError


def drop_indexes(conn: Connection) -> list[str]:
    """Drop the secondary indexes of ``report`` if nobody else is using the table.

    Returns the statements that build them. Waiting for the table could end in a deadlock
    with another load, so a table in use keeps its indexes: slower, and always right.
    """
    try:
        with conn.begin_nested():
            conn.execute(text("LOCK TABLE report IN ACCESS EXCLUSIVE MODE NOWAIT"))
    except OperationalError:
        return []
    found = conn.execute(
        text(
            """SELECT c.relname AS name, pg_get_indexdef(i.indexrelid) AS statement
               FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
               WHERE i.indrelid = 'report'::regclass AND NOT i.indisunique"""
        )
    ).all()
    for row in found:
        conn.execute(text(f'DROP INDEX "{row.name}"'))
    return [row.statement for row in found]
