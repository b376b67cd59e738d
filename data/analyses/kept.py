"""Results of long computations, kept in the store until the territory's data change.

A backtest or a scan takes minutes and says the same to everybody who asks on the same
data; it is kept under a key made of the question and its settings.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
from typing import Any

from sqlalchemy import Connection, bindparam, text
from sqlalchemy.dialects.postgresql import JSONB


def key_of(*parts: Any) -> str:
    """Digest of frozen data classes and plain values: equal questions have equal keys."""

    def plain(value: Any) -> Any:
        if dataclasses.is_dataclass(value) and not isinstance(value, type):
            return dataclasses.asdict(value)
        return str(value)

    told = json.dumps([plain(part) for part in parts], sort_keys=True, default=plain, ensure_ascii=True)
    return hashlib.blake2b(told.encode("ascii"), digest_size=16).hexdigest()


def recall(
    conn: Connection, territory_id: int, kind: str, key: str, data_version: int
) -> dict[str, Any] | None:
    """A kept result, or None when there is none for these data."""
    # Served by pk_analysis.
    found = conn.execute(
        text(
            "SELECT result FROM analysis WHERE territory_id = :territory AND kind = :kind"
            " AND key = :key AND data_version = :version"
        ),
        {"territory": territory_id, "kind": kind, "key": key, "version": data_version},
    ).scalar_one_or_none()
    return None if found is None else dict(found)


def remember(
    conn: Connection, territory_id: int, kind: str, key: str, data_version: int, result: dict[str, Any]
) -> None:
    """Keep a result, in place of an older one; those of older data go. The caller commits.

    What is made from a part of the reports, for somebody to whom the rest is closed, is not
    kept: the key says nothing of who asked.
    """
    whole = text("SELECT current_setting('role') = 'none' OR :territory = ANY (rasd_whole_territories())")
    if not conn.scalar(whole, {"territory": territory_id}):
        return
    conn.execute(
        text("DELETE FROM analysis WHERE territory_id = :territory AND data_version < :version"),
        {"territory": territory_id, "version": data_version},
    )
    conn.execute(
        text(
            """INSERT INTO analysis (territory_id, kind, key, data_version, result)
               VALUES (:territory, :kind, :key, :version, :result)
               ON CONFLICT (territory_id, kind, key) DO UPDATE
               SET data_version = excluded.data_version, result = excluded.result, made_at = now()"""
        ).bindparams(bindparam("result", type_=JSONB)),
        {"territory": territory_id, "kind": kind, "key": key, "version": data_version, "result": result},
    )
