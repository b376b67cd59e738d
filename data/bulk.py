"""Changing a large share of ``report`` at once: without its indexes.

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
    if not _lock(conn, "report"):
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


def drop_all_indexes(conn: Connection) -> list[str]:
    """As ``drop_indexes``, with the keys of ``report`` and ``report_event`` too.

    Whoever adds rows then sees to it that keys are unique; building them anew checks it.
    """
    if not _lock(conn, "report, report_event"):
        return []
    keys = conn.execute(
        text(
            """SELECT conrelid::regclass::text AS "table", conname AS name,
                      pg_get_constraintdef(oid) AS definition FROM pg_constraint
               WHERE conrelid IN ('report'::regclass, 'report_event'::regclass) AND contype IN ('p', 'u')
               ORDER BY 1, 2"""
        )
    ).all()
    for key in keys:
        conn.execute(text(f'ALTER TABLE {key.table} DROP CONSTRAINT "{key.name}"'))
    statements = [f'ALTER TABLE {key.table} ADD CONSTRAINT "{key.name}" {key.definition}' for key in keys]
    return statements + drop_indexes(conn)


def _lock(conn: Connection, tables: str) -> bool:
    try:
        with conn.begin_nested():
            conn.execute(text(f"LOCK TABLE {tables} IN ACCESS EXCLUSIVE MODE NOWAIT"))
    except OperationalError:
        return False
    return True
