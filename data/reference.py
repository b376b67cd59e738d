"""The reference tables: taxonomy, aliases and gazetteer, from ``data/reference/*.csv``.

Code carries no list of elements or places; it reads these files. They are loaded again
when their digest differs from the one that the store remembers. An element keeps its id
when its names change, so reports stay classified; an element that a file drops stays in
the store, because reports may refer to it.
"""

from __future__ import annotations

import csv
import hashlib
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, text

from geo.errors import StoreError

FOLDER = Path(__file__).parent / "reference"
TAXONOMY = "2025-43"  # 43 elements in 5 groups, as stated in July 2025
_FILES = (
    "elements.csv",
    "element_aliases.csv",
    "amanat.csv",
    "governorates.csv",
    "municipalities.csv",
    "neighbourhoods.csv",
)


def read(name: str) -> list[dict[str, str]]:
    """Rows of one reference file; empty cells are empty strings."""
    path = FOLDER / name
    if not path.exists():
        raise StoreError(f"The reference file {path} is missing: the checkout is incomplete.")
    with path.open(encoding="utf-8-sig", newline="") as file:
        return list(csv.DictReader(file))


def digest() -> str:
    """SHA-256 over the reference files and the taxonomy's version."""
    total = hashlib.sha256(TAXONOMY.encode())
    for name in _FILES:
        total.update((FOLDER / name).read_bytes())
    return total.hexdigest()


def load(conn: Connection) -> bool:
    """Load the reference tables if the files changed; True when something was loaded."""
    wanted = digest()
    if conn.scalar(text("SELECT value FROM store_note WHERE key = 'reference'")) == wanted:
        return False
    _load_elements(conn)
    _load_gazetteer(conn)
    conn.execute(
        text(
            """INSERT INTO store_note (key, value) VALUES ('reference', :digest)
               ON CONFLICT (key) DO UPDATE SET value = excluded.value"""
        ),
        {"digest": wanted},
    )
    return True


def _load_elements(conn: Connection) -> None:
    for row in read("elements.csv"):
        conn.execute(
            text(
                """INSERT INTO element (version, code, group_code, group_ar, group_en, name_ar, name_en,
                     responsible, work_unit, vpi_units_per_report, management_group, source)
                   VALUES (:version, :code, :group_code, :group_ar, :group_en, :name_ar, :name_en,
                     :responsible, :work_unit, :vpi, :management_group, :source)
                   ON CONFLICT (version, code) DO UPDATE SET group_ar = excluded.group_ar,
                     group_en = excluded.group_en, name_ar = excluded.name_ar, name_en = excluded.name_en,
                     responsible = excluded.responsible, work_unit = excluded.work_unit,
                     vpi_units_per_report = excluded.vpi_units_per_report,
                     management_group = excluded.management_group, source = excluded.source"""
            ),
            {
                "version": TAXONOMY,
                "code": row["code"],
                "group_code": row["code"][0],
                "group_ar": row["group_ar"],
                "group_en": row["group_en"],
                "name_ar": row["element_ar"],
                "name_en": row["element_en"],
                "responsible": row["responsible"] or None,
                "work_unit": row["work_unit"] or None,
                "vpi": float(row["vpi_units_per_report"] or 1),
                "management_group": row["management_group"] or None,
                "source": row["source"],
            },
        )
    for row in read("element_aliases.csv"):
        found = conn.execute(
            text(
                """INSERT INTO element_alias (element_id, alias, source)
                   SELECT id, :alias, :source FROM element WHERE version = :version AND code = :code
                   ON CONFLICT (element_id, alias) DO UPDATE SET source = excluded.source"""
            ),
            {
                "version": TAXONOMY,
                "code": row["code"],
                "alias": row["alias_ar"],
                "source": row["source"],
            },
        )
        if found.rowcount != 1:
            raise StoreError(
                f"data/reference/element_aliases.csv: the code {row['code']!r} is not in elements.csv."
            )


def _place(kind: str, row: dict[str, str], **more: Any) -> dict[str, Any]:
    place = {
        "kind": kind,
        "code": None,
        "iso": None,
        "parent": None,
        "locality": None,
        "area": row.get("area_km2") or None,
        "note": None,
        "source": row["source"],
        "lat": row.get("lat") or None,
        "lon": row.get("lon") or None,
    }
    return place | more


def _load_gazetteer(conn: Connection) -> None:
    places = [
        *(
            _place(
                "amana",
                r,
                code=r["amana_id"],
                iso=r["iso_3166_2"],
                ar=r["name_ar"],
                en=r["name_en_momrah"],
                parent=r["ministry_region_id"],
            )
            for r in read("amanat.csv")
        ),
        *(
            _place("governorate", r, ar=r["name_ar"], en=r["name_en"], parent=r["region_en"])
            for r in read("governorates.csv")
        ),
        *(
            _place(
                "municipality",
                r,
                code=r["ministry_municipality_id_2022"] or None,
                ar=r["municipality_ar"],
                en=r["municipality_en"],
                parent=r["amana_id"],
                locality=r["governorate_ar"],
                note=r["kind_assumed"] or None,
            )
            for r in read("municipalities.csv")
        ),
        *(
            _place(
                "neighbourhood",
                r,
                ar=r["name_ar"],
                en=r["name_en"],
                parent=r["governorate_en"],
                locality=r["locality"] or None,
            )
            for r in read("neighbourhoods.csv")
        ),
    ]
    conn.execute(text("DELETE FROM gazetteer"))
    conn.execute(
        text(
            """INSERT INTO gazetteer
                 (kind, code, iso_code, name_ar, name_en, parent, locality, area_km2, note, source, point)
               VALUES (:kind, :code, :iso, :ar, :en, :parent, :locality, CAST(:area AS double precision),
                 :note, :source, ST_SetSRID(ST_MakePoint(CAST(:lon AS double precision),
                                                         CAST(:lat AS double precision)), 4326))"""
        ),
        places,
    )
