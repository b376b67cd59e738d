"""Hand-over packages: what an entity needs to know of the reports that are its own, and no more.

As GeoJSON for a map and XLSX for a desk. In it are reports that wait for the entity: recorded
as its own, or without any owner where the rules name it. No field tells who reported, and the
note is what was written at the referral, never what a caller said. Texts cannot run as
formulas. Caveat: making a package marks nothing; referring a report is a step of its own.
"""

from __future__ import annotations

import io
import json
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import polars as pl
from sqlalchemy import Connection, text

from data import parties
from data.life import Action
from data.query import TerritoryFacts, territory_facts
from data.routing import has_areas
from data.routing_pick import IS_OPEN, pick, rules
from data.sheets import XlsxSheet
from data.vocabulary import LEVELS, Status
from geo.errors import InputError

FORMATS = {
    "geojson": "application/geo+json",
    "xlsx": "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet",
}
_TIME = pl.Datetime("us", "UTC")
#: What is handed over, in this order; docs/routing.md says what each is.
COLUMNS: dict[str, Any] = {
    "reference": pl.String,
    "element_code": pl.String,
    "element_ar": pl.String,
    "element_en": pl.String,
    "municipality_ar": pl.String,
    "municipality_en": pl.String,
    "district_ar": pl.String,
    "district_en": pl.String,
    "lon": pl.Float64,
    "lat": pl.Float64,
    "opened_at": _TIME,
    "due_at": _TIME,
    "severity": pl.Int16,
    "quantity": pl.Float64,
    "unit": pl.String,
    "owner": pl.String,
    "note": pl.String,
}
# One by one: no role reads every column of a report.
_FIELDS = ", ".join(
    [
        *(
            f"r.{name}"
            for name in ("id", "reference", "opened_at", "due_at", "severity", "quantity", "unit", "geom")
        ),
        *("r.agency_id", "r.element_id", *(f"r.{level}_id" for level in LEVELS)),
        *("e.code", "e.name_ar", "e.name_en", "e.group_code", "now() AS at"),
    ]
)
_NOWHERE = " AND ".join(f"f.{level}_id IS NULL" for level in LEVELS)


@dataclass(frozen=True, slots=True)
class Package:
    """One entity's reports; ``frame`` has COLUMNS, oldest first, times in UTC."""

    party: parties.PartyInfo
    facts: TerritoryFacts
    frame: pl.DataFrame

    def _local(self) -> pl.DataFrame:
        zone = self.facts.timezone
        return self.frame.with_columns(
            pl.col(name).dt.convert_time_zone(zone) for name, kind in COLUMNS.items() if kind == _TIME
        )

    def geojson(self) -> bytes:
        """RFC 7946, one feature a report; those without a point have no geometry."""
        about = {
            "entity": self.party.code,
            "entity_ar": self.party.name_ar,
            "entity_en": self.party.name_en,
            "territory": self.facts.code,
            "simulated": self.facts.simulated,
        }
        lines = []
        for row in self._local().iter_rows(named=True):
            lon, lat = row.pop("lon"), row.pop("lat")
            place = None if lon is None else {"type": "Point", "coordinates": [round(lon, 7), round(lat, 7)]}
            feature = {"type": "Feature", "geometry": place, "properties": row}
            lines.append(json.dumps(feature, ensure_ascii=False, default=lambda time: time.isoformat()))
        head = json.dumps(about, ensure_ascii=False)[1:-1]
        body = ",\n".join(lines)
        return f'{{"type": "FeatureCollection", {head}, "features": [\n{body}\n]}}\n'.encode()

    def xlsx(self) -> bytes:
        """One sheet, times in the territory's zone."""
        out = io.BytesIO()
        with XlsxSheet(out, "reports") as sheet:
            sheet.write(self._local())
        return out.getvalue()

    def content(self, form: str) -> bytes:
        """The file in one of FORMATS."""
        if form not in FORMATS:
            raise InputError(f"There is no package as {form!r}: choose one of {', '.join(FORMATS)}.")
        return self.geojson() if form == "geojson" else self.xlsx()

    def name(self, form: str) -> str:
        """The file's name."""
        return f"rasd_{self.facts.code}_handover_{self.party.code}.{form}"


def package(conn: Connection, territory_id: int, code: str) -> Package:
    """The reports that wait for a party, as the signed-in user may see them.

    Raises
    ------
    InputError : there is no such party.
    """
    party = parties.find(conn, territory_id, code)
    # Open reports by ix_report_open, referred ones by ix_report_referred; rules only for those
    # that nobody owns yet.
    rows = conn.execute(
        text(
            f"""WITH {rules()},
                f AS MATERIALIZED (
                  SELECT {_FIELDS} FROM report r LEFT JOIN element e ON e.id = r.element_id
                  WHERE r.territory_id = :territory AND {IS_OPEN}
                    AND (r.agency_id = :party OR r.agency_id IS NULL)
                  UNION ALL
                  SELECT {_FIELDS} FROM report r LEFT JOIN element e ON e.id = r.element_id
                  WHERE r.territory_id = :territory AND r.status = {int(Status.REFERRED)}
                    AND r.agency_id = :party)
                SELECT f.reference, f.code, f.name_ar, f.name_en, m.name_ar, m.name_en, d.name_ar, d.name_en,
                  ST_X(f.geom), ST_Y(f.geom), f.opened_at, f.due_at, f.severity, f.quantity, f.unit,
                  CASE WHEN f.agency_id IS NULL THEN 'rule' ELSE 'recorded' END,
                  nullif(concat_ws(' · ', n.detail->>'reason', n.detail->>'note'), '')
                FROM f
                LEFT JOIN LATERAL ({pick()}) k
                  ON f.agency_id IS NULL AND NOT (:bounded AND {_NOWHERE})
                LEFT JOIN area m ON m.id = f.municipality_id LEFT JOIN area d ON d.id = f.district_id
                LEFT JOIN LATERAL (SELECT detail FROM report_event v WHERE v.report_id = f.id
                  AND v.action = {int(Action.REFER)} AND (v.detail->>'agency_id')::integer = :party
                  ORDER BY v.seq DESC LIMIT 1) n ON true
                WHERE f.agency_id = :party OR k.party_id = :party
                ORDER BY f.opened_at, f.id"""
        ),
        {"territory": territory_id, "party": party.id, "bounded": has_areas(conn, territory_id)},
    )
    frame = pl.DataFrame([tuple(row) for row in rows], schema=COLUMNS, orient="row")
    return Package(party, territory_facts(conn, territory_id), frame)


def write(conn: Connection, territory_id: int, code: str, folder: Path) -> tuple[Package, list[Path]]:
    """The package of a party as files in a folder, which is made where it is missing."""
    found = package(conn, territory_id, code)
    paths = []
    try:
        folder.mkdir(parents=True, exist_ok=True)
        for form in FORMATS:
            paths.append(folder / found.name(form))
            paths[-1].write_bytes(found.content(form))
    except OSError as error:
        raise InputError(f"{folder} cannot be written ({error.strerror}): choose another folder.") from error
    return found, paths
