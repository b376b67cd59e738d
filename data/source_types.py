"""The types of a source: each name gets an id, and the element that was found for it.

Written while a batch is staged. The caller holds its source's row (find_or_create_source),
so no other load adds types to it meanwhile; reports of earlier batches are only touched in
the merge, under the territory's lock.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import polars as pl
from sqlalchemy import Connection, text


@dataclass(frozen=True, slots=True)
class TypeEntry:
    """A type as the source names it, and the element that was found for it."""

    number: int
    name: str
    element_id: int | None
    method: int
    score: float | None
    suggestions: tuple[str, ...]


class SourceTypes:
    """Types of one source, by the number that the batch gives them."""

    def __init__(self, conn: Connection, source_id: int) -> None:
        self._conn = conn
        self._source_id = source_id
        self._ids: dict[int, int] = {}
        self._elements: dict[int, int | None] = {}
        self._changed: list[tuple[int, int | None]] = []  # type id, its new element

    def learn(self, entries: Iterable[TypeEntry]) -> None:
        """Write types that the batch has met."""
        for entry in entries:
            params = {
                "source": self._source_id,
                "name": entry.name,
                "element": entry.element_id,
                "method": entry.method,
                "score": entry.score,
                "suggestions": list(entry.suggestions),
            }
            # Served by uq_source_type_source_id_name.
            known = self._conn.execute(
                text("SELECT id, element_id FROM source_type WHERE source_id = :source AND name = :name"),
                params,
            ).first()
            if known is None:
                type_id = self._conn.scalar(
                    text(
                        """INSERT INTO source_type (source_id, name, element_id, method, score, suggestions)
                           VALUES (:source, :name, :element, :method, :score, :suggestions) RETURNING id"""
                    ),
                    params,
                )
            else:
                type_id = known.id
                self._conn.execute(
                    text(
                        """UPDATE source_type SET element_id = :element, method = :method, score = :score,
                             suggestions = :suggestions WHERE id = :id"""
                    ),
                    params | {"id": type_id},
                )
                if known.element_id != entry.element_id:
                    self._changed.append((type_id, entry.element_id))
            self._ids[entry.number] = int(type_id or 0)
            self._elements[entry.number] = entry.element_id

    def ids(self, numbers: pl.Series) -> pl.Series:
        """type_id of each number, (n,) Int32."""
        return numbers.replace_strict(self._ids, default=None, return_dtype=pl.Int32).alias("type_id")

    def elements(self, numbers: pl.Series) -> pl.Series:
        """element_id of each number, (n,) Int16."""
        return numbers.replace_strict(self._elements, default=None, return_dtype=pl.Int16).alias("element_id")

    def reach_reports(self) -> int:
        """Give reports of earlier batches the element that their type has now; returns how many."""
        return sum(
            self._conn.execute(
                text("UPDATE report SET element_id = :element WHERE source_id = :source AND type_id = :id"),
                {"element": element, "source": self._source_id, "id": type_id},
            ).rowcount
            for type_id, element in self._changed
        )
