"""Batches and sources: who sent what, when, and with which outcome."""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB

from data.staging import MergeCounts


def find_or_create_source(conn: Connection, territory_id: int, code: str, title: str) -> int:
    """Id of the source ``code`` of a territory. Two ingests at once get the same one."""
    return int(
        conn.execute(
            text(
                """INSERT INTO source (territory_id, code, title) VALUES (:territory, :code, :title)
                   ON CONFLICT (territory_id, code) DO UPDATE SET title = excluded.title RETURNING id"""
            ),
            {"territory": territory_id, "code": code, "title": title},
        ).scalar_one()
    )


def first_of_file(conn: Connection, source_id: int, file_digest: str, *, before: int) -> int | None:
    """The first batch of a source that read this very file, earlier than ``before``; None if none did."""
    # A scan of `batch`: one row a file.
    found = conn.scalar(
        text(
            "SELECT min(id) FROM batch WHERE source_id = :source AND file_digest = :digest AND id < :before"
        ),
        {"source": source_id, "digest": file_digest, "before": before},
    )
    return None if found is None else int(found)


def begin(
    conn: Connection,
    *,
    territory_id: int,
    source_id: int,
    profile: str,
    file_name: str,
    file_digest: str,
    simulated: bool,
    started_at: dt.datetime,
    columns: list[str],
) -> int:
    """Open a batch; its row becomes visible only when the whole batch is committed."""
    return int(
        conn.execute(
            text(
                """INSERT INTO batch (territory_id, source_id, profile, file_name, file_digest, simulated,
                     started_at, columns)
                   VALUES (:territory_id, :source_id, :profile, :file_name, :file_digest, :simulated,
                     :started_at, :columns) RETURNING id"""
            ),
            {
                "territory_id": territory_id,
                "source_id": source_id,
                "profile": profile,
                "file_name": file_name,
                "file_digest": file_digest,
                "simulated": simulated,
                "started_at": started_at,
                "columns": columns,
            },
        ).scalar_one()
    )


def finish(
    conn: Connection,
    batch_id: int,
    *,
    read: int,
    located: int,
    counts: MergeCounts,
    seconds: float,
    finished_at: dt.datetime,
    notes: dict[str, Any],
) -> None:
    """Write a batch's outcome. The table refuses counts that do not add up."""
    conn.execute(
        text(
            """UPDATE batch SET read = :read, accepted = :accepted, updated = :updated,
                 unchanged = :unchanged, quarantined = :quarantined, located = :located,
                 seconds = :seconds, finished_at = :finished_at, notes = :notes WHERE id = :id"""
        ).bindparams(bindparam("notes", type_=JSONB)),
        {
            "id": batch_id,
            "read": read,
            "accepted": counts.accepted,
            "updated": counts.updated,
            "unchanged": counts.unchanged,
            "quarantined": counts.quarantined,
            "located": located,
            "seconds": seconds,
            "finished_at": finished_at,
            "notes": notes,
        },
    )
