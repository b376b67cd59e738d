"""A small city whose incidents, returns and reporters are known by construction."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass, field

import h3
from sqlalchemy import Connection, insert, text

from data.models import Batch, Report, Source, SourceType, Territory
from data.vocabulary import Channel, Precision, Status

START = dt.datetime(2025, 1, 1, 9, tzinfo=dt.UTC)
DEGREE_M = 111_320.0  # of latitude


@dataclass
class City:
    """Reports are added one by one; ``ids`` holds their ids in that order."""

    conn: Connection
    territory: int = 0
    source: int = 0
    batch: int = 0
    ids: list[int] = field(default_factory=list)

    @classmethod
    def made(cls, conn: Connection, zone: str = "Asia/Riyadh") -> City:
        city = cls(conn)
        city.territory = int(
            conn.scalar(
                insert(Territory)
                .values(code="small", name_ar="صغيرة", name_en="Small", timezone=zone, simulated=True)
                .returning(Territory.id)
            )
            or 0
        )
        city.source = int(
            conn.scalar(
                insert(Source)
                .values(territory_id=city.territory, code="portal", title="P")
                .returning(Source.id)
            )
            or 0
        )
        city.batch = int(
            conn.scalar(
                insert(Batch)
                .values(
                    territory_id=city.territory, source_id=city.source, profile="p", file_name="f",
                    file_digest="d", started_at=START, columns=[],
                )
                .returning(Batch.id)
            )
            or 0
        )  # fmt: skip
        return city

    def type_id(self, name: str) -> int:
        """A source type that maps to no element."""
        return int(
            self.conn.scalar(
                insert(SourceType).values(source_id=self.source, name=name, method=0).returning(SourceType.id)
            )
            or 0
        )

    def element(self, code: str) -> int:
        return int(self.conn.scalar(text("SELECT id FROM element WHERE code = :code"), {"code": code}) or 0)

    def add(
        self,
        day: float,
        *,
        north: float = 0.0,
        closed: float | None = None,
        element: str | None = "R04",
        type_id: int | None = None,
        channel: Channel = Channel.CITIZEN,
        status: Status | None = None,
        flags: int = 0,
        placed: bool = True,
        district: int | None = None,
    ) -> int:
        """A report ``day`` days after START, ``north`` metres north of the city's middle; its id."""
        lon, lat = 50.0, 26.0 + north / DEGREE_M
        ended = None if closed is None else START + dt.timedelta(days=closed)
        chosen = status or (Status.RECEIVED if ended is None else Status.CLOSED)
        number = len(self.ids)
        made = self.conn.scalar(
            insert(Report)
            .values(
                territory_id=self.territory, source_id=self.source, batch_id=self.batch, line=number,
                content=number, reference=f"R{number}", opened_at=START + dt.timedelta(days=day),
                closed_at=ended, status=int(chosen), channel=int(channel), flags=flags, type_id=type_id,
                element_id=None if element is None else self.element(element), district_id=district,
                precision=int(Precision.POINT if placed else Precision.NONE),
                cell=h3.str_to_int(h3.latlng_to_cell(lat, lon, 12)) if placed else None,
                geom=f"SRID=4326;POINT({lon} {lat})" if placed else None,
            )
            .returning(Report.id)
        )  # fmt: skip
        self.ids.append(int(made or 0))
        return self.ids[-1]

    def changed(self) -> None:
        """Say that reports changed, as a load does."""
        self.conn.execute(
            text("UPDATE territory SET data_version = data_version + 1 WHERE id = :id"),
            {"id": self.territory},
        )
