"""The taxonomy as the store holds it: elements and their other wordings."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text

from data.reference import TAXONOMY


@dataclass(frozen=True, slots=True)
class ElementRow:
    """One element of the current taxonomy."""

    id: int
    code: str
    name_ar: str
    name_en: str
    group_ar: str
    group_en: str


def element_entries(conn: Connection) -> list[ElementRow]:
    """All elements of the current version, by code."""
    rows = conn.execute(
        text(
            """SELECT id, code, name_ar, name_en, group_ar, group_en FROM element
               WHERE version = :version ORDER BY code"""
        ),
        {"version": TAXONOMY},
    )
    return [ElementRow(*row) for row in rows]


def alias_pairs(conn: Connection) -> list[tuple[int, str]]:
    """(element id, other wording), in a fixed order."""
    rows = conn.execute(
        text(
            """SELECT a.element_id, a.alias FROM element_alias a JOIN element e ON e.id = a.element_id
               WHERE e.version = :version ORDER BY e.code, a.alias"""
        ),
        {"version": TAXONOMY},
    )
    return [(row.element_id, row.alias) for row in rows]


def work_units(conn: Connection) -> dict[int, str]:
    """Element id to the unit that its work is counted in, as the taxonomy writes it."""
    rows = conn.execute(
        text("SELECT id, work_unit FROM element WHERE version = :version AND work_unit IS NOT NULL"),
        {"version": TAXONOMY},
    )
    return {row.id: row.work_unit for row in rows}
