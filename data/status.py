"""What the store holds: versions, territories, reports by status, areas, last batches.

Counted afresh from the tables at every call. Caveat: all reports are counted here, also
those on a geocoder's default point, which maps and statistics leave out.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import asdict, dataclass
from typing import Any

from sqlalchemy import Connection, text

from data import schema
from data.vocabulary import LEVELS, Flag, Status


@dataclass(frozen=True, slots=True)
class TerritoryStatus:
    """One territory. Statuses by name, only those that occur; areas by level, current ones."""

    id: int
    code: str
    name_ar: str
    name_en: str
    timezone: str
    simulated: bool
    data_version: int
    reports: int
    reports_by_status: dict[str, int]
    default_point_reports: int
    newest_report: dt.datetime | None
    areas: dict[str, int]


@dataclass(frozen=True, slots=True)
class BatchStatus:
    """One run of the ingest; read = accepted + updated + unchanged + quarantined."""

    id: int
    territory: str
    source: str
    profile: str
    file_name: str
    simulated: bool
    started_at: dt.datetime
    finished_at: dt.datetime | None
    read: int
    accepted: int
    updated: int
    unchanged: int
    quarantined: int
    located: int
    seconds: float


@dataclass(frozen=True, slots=True)
class StoreStatus:
    """The whole store. ``batches``: the last ten, newest first."""

    schema_version: str | None
    postgresql: str
    postgis: str
    territories: tuple[TerritoryStatus, ...]
    reports: int
    reports_by_status: dict[str, int]
    areas_by_level: dict[str, int]
    quarantined: int
    batches: tuple[BatchStatus, ...]

    def to_dict(self) -> dict[str, Any]:
        """The same as dictionaries, lists, numbers and texts (times in ISO 8601), for JSON."""
        return _plain(asdict(self))


def store_status(conn: Connection) -> StoreStatus:
    """Count what the store holds."""
    versions = conn.execute(
        text("SELECT current_setting('server_version') AS postgresql, postgis_lib_version() AS postgis")
    ).one()
    # A scan of `report`: every report is counted.
    counted = conn.execute(
        text(
            """SELECT territory_id, status, count(*) AS reports,
                 count(*) FILTER (WHERE flags & :default_point <> 0) AS defaults, max(opened_at) AS newest
               FROM report GROUP BY territory_id, status ORDER BY status"""
        ),
        {"default_point": int(Flag.DEFAULT_POINT)},
    ).all()
    # Served by ix_area_current.
    areas = conn.execute(
        text("SELECT territory_id, level, count(*) AS areas FROM area WHERE valid_to IS NULL GROUP BY 1, 2")
    ).all()
    places = conn.execute(
        text(
            "SELECT id, code, name_ar, name_en, timezone, simulated, data_version"
            " FROM territory ORDER BY code"
        )
    ).all()
    # Served by pk_batch, read backwards.
    batches = conn.execute(
        text(
            """SELECT b.id, t.code AS territory, s.code AS source, b.profile, b.file_name, b.simulated,
                 b.started_at, b.finished_at, b.read, b.accepted, b.updated, b.unchanged, b.quarantined,
                 b.located, b.seconds
               FROM batch b JOIN territory t ON t.id = b.territory_id JOIN source s ON s.id = b.source_id
               ORDER BY b.id DESC LIMIT 10"""
        )
    ).all()
    territories = []
    for place in places:
        own = [row for row in counted if row.territory_id == place.id]
        territories.append(
            TerritoryStatus(
                id=place.id,
                code=place.code,
                name_ar=place.name_ar,
                name_en=place.name_en,
                timezone=place.timezone,
                simulated=place.simulated,
                data_version=place.data_version,
                reports=sum(row.reports for row in own),
                reports_by_status={_name(row.status): row.reports for row in own},
                default_point_reports=sum(row.defaults for row in own),
                newest_report=max((row.newest for row in own), default=None),
                areas=_levels({row.level: row.areas for row in areas if row.territory_id == place.id}),
            )
        )
    by_status: dict[str, int] = {}
    by_level: dict[str, int] = {}
    for row in counted:
        by_status[_name(row.status)] = by_status.get(_name(row.status), 0) + row.reports
    for row in areas:
        by_level[row.level] = by_level.get(row.level, 0) + row.areas
    return StoreStatus(
        schema_version=schema.current(conn),
        postgresql=f"PostgreSQL {versions.postgresql}",
        postgis=versions.postgis,
        territories=tuple(territories),
        reports=sum(by_status.values()),
        reports_by_status=by_status,
        areas_by_level=_levels(by_level),
        quarantined=int(conn.scalar(text("SELECT count(*) FROM quarantine WHERE resolved_by IS NULL")) or 0),
        batches=tuple(BatchStatus(*row) for row in batches),
    )


def _name(status: int) -> str:
    return Status(status).name.lower()


def _levels(counts: dict[str, int]) -> dict[str, int]:
    return {level: counts.get(level, 0) for level in LEVELS}


def _plain(value: Any) -> Any:
    if isinstance(value, dict):
        return {key: _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    return value.isoformat() if isinstance(value, dt.datetime) else value
