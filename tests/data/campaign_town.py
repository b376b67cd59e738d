"""A town to plan campaigns in: two municipalities, a known mess in the middle, life around it."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import pandas as pd
import shapely
from sqlalchemy import Connection, Engine, insert, text

from data import columns
from data.incidents import refresh_incidents
from data.models import Area, AreaSet, Batch, Source, Territory
from data.vocabulary import Channel, Status
from geo.cells import cells_of

WEST, SOUTH, SIDE = 50.0, 26.40, 0.06
FIRST = dt.date(2025, 1, 1)
DAYS = 300
END = FIRST + dt.timedelta(days=DAYS - 1)  # of the newest report
DEGREE_M = 111_320.0
#: Where the known places lie, in the west; far from each other.
SPOT = {name: (WEST + 0.004 + 0.004 * i, SOUTH + 0.02) for i, name in enumerate("ABCDEF")}


@dataclass(frozen=True)
class Town:
    """Ids of what was made. ``known`` : reports of each known place, in the order they were made."""

    territory: int
    municipalities: tuple[int, int]
    known: dict[str, list[int]]


def build_town(engine: Engine, busy: int = 700) -> Town:
    """The town, its incidents found.

    The known places: A an overdue report, with a second one of the same thing 20 m away; B one
    without a due date, over the assumed limit of 7 days; C one within its limit; D a chronic
    place, all closed; E a chronic place with an overdue report; F overdue bins for volunteers.
    """
    with engine.begin() as conn:
        territory, areas = _areas(conn)
        rows = _known() + _life(busy)
        frame = pd.DataFrame(rows)
        ids = _reports(conn, territory, areas, frame)
        columns.refresh(conn, territory)
    refresh_incidents(engine, territory)
    known: dict[str, list[int]] = {}
    for name, one in zip(frame["name"], ids, strict=True):
        if name:
            known.setdefault(name, []).append(one)
    return Town(territory, areas, known)


def _row(name: str, day: float, code: str, *, closed: float | None = None, due: float | None = None,
         north: float = 0.0, lon: float = 0.0, lat: float = 0.0, **more: Any) -> dict[str, Any]:  # fmt: skip
    x, y = SPOT.get(name, (lon, lat))
    return {
        "name": name, "day": day, "code": code, "closed": closed, "due": due, "lon": x,
        "lat": y + north / DEGREE_M, "severity": None, "quantity": None,
    } | more  # fmt: skip


def _known() -> list[dict[str, Any]]:
    last = DAYS - 1
    rows = [
        _row("A", last - 40, "R04", due=last - 30, severity=5),
        _row("A", last - 39, "R04", due=last - 29, north=20),
        _row("B", last - 10, "R04"),
        _row("C", last - 3, "R04", due=last + 20),
        _row("E", last - 20, "R06", due=last - 17),
        _row("F", last - 20, "P06", due=last - 18, quantity=3.0),
    ]
    for name in "DE":
        rows += [_row(name, day, "R06", closed=day + 2, due=day + 3) for day in (20, 60, 100)]
    return rows


def _life(busy: int) -> list[dict[str, Any]]:
    """Closed reports all over, most in the east, and open ones that are late, one in twelve."""
    rng = np.random.default_rng(8)
    codes = ["R04", "R06", "P06", "C05", "L05", "B03"]
    rows = []
    for i in range(busy):
        east = rng.random() < 0.6
        lon = WEST + (SIDE + rng.normal(0.4, 0.09) * SIDE if east else rng.random() * SIDE)
        lat = SOUTH + (rng.normal(0.5, 0.09) if east else rng.random() ** 2 * 0.4) * SIDE
        day = float(rng.integers(0, DAYS))
        late = i % 12 == 0
        rows.append(
            _row(
                "", min(day, DAYS - 30) if late else day, str(rng.choice(codes)), lon=lon, lat=lat,
                due=min(day, DAYS - 30) + 7, closed=None if late else day + float(rng.integers(1, 9)),
                severity=int(rng.integers(1, 6)), quantity=float(rng.integers(1, 20)),
            )
        )  # fmt: skip
    # The newest report of all, so that the end of the data is known.
    return [*rows, _row("", DAYS - 1, "L05", lon=WEST + SIDE * 1.4, lat=SOUTH + SIDE / 2, closed=DAYS - 0.5)]


def _areas(conn: Connection) -> tuple[int, tuple[int, int]]:
    whole = shapely.MultiPolygon([shapely.box(WEST, SOUTH, WEST + 2 * SIDE, SOUTH + SIDE)])
    territory = int(
        conn.scalar(
            insert(Territory)
            .values(
                code="town", name_ar="البلدة", name_en="Town", simulated=True, data_version=1,
                study_area=f"SRID=4326;{whole.wkt}",
            )
            .returning(Territory.id)
        )
        or 0
    )  # fmt: skip
    ids = []
    load = conn.scalar(
        insert(AreaSet)
        .values(
            territory_id=territory, level="municipality", file_name="f", file_digest="d", read=2, accepted=2,
            repaired=0, overlap_km2=0, gap_km2=0,
        )
        .returning(AreaSet.id)
    )  # fmt: skip
    for k, (ar, en) in enumerate((("الغربية", "West"), ("الشرقية", "East"))):
        half = shapely.box(WEST + k * SIDE, SOUTH, WEST + (k + 1) * SIDE, SOUTH + SIDE)
        ids.append(
            conn.scalar(
                insert(Area)
                .values(
                    area_set_id=load, territory_id=territory, level="municipality", name_ar=ar, name_en=en,
                    area_km2=14.0, geom=f"SRID=4326;{shapely.MultiPolygon([half]).wkt}",
                )
                .returning(Area.id)
            )
        )  # fmt: skip
    return territory, (int(ids[0] or 0), int(ids[1] or 0))


def _reports(conn: Connection, territory: int, areas: tuple[int, int], frame: pd.DataFrame) -> list[int]:
    source = conn.scalar(
        insert(Source).values(territory_id=territory, code="s", title="S").returning(Source.id)
    )
    first = dt.datetime.combine(FIRST, dt.time(6), tzinfo=dt.UTC)
    batch = conn.scalar(
        insert(Batch)
        .values(
            territory_id=territory, source_id=source, profile="p", file_name="f", file_digest="d",
            started_at=first, columns=[],
        )
        .returning(Batch.id)
    )  # fmt: skip
    elements = {row.code: row.id for row in conn.execute(text("SELECT id, code FROM element"))}
    plain = frame.astype(object).where(frame.notna(), None)
    conn.execute(
        text(
            """INSERT INTO report (territory_id, batch_id, line, reference, content, precision, municipality_id,
                 status, opened_at, closed_at, due_at, source_id, element_id, channel, severity, quantity, cell,
                 geom)
               VALUES (:territory, :batch, :n, :reference, :n, 2, :municipality, :status,
                 CAST(:first AS timestamptz) + :day * interval '1 day',
                 CAST(:first AS timestamptz) + CAST(:closed AS float8) * interval '1 day',
                 CAST(:first AS timestamptz) + CAST(:due AS float8) * interval '1 day',
                 :source, :element, :channel, :severity, :quantity, :cell,
                 ST_SetSRID(ST_MakePoint(:lon, :lat), 4326))"""
        ),
        [
            {
                "territory": territory, "batch": batch, "n": n, "reference": f"R{n:05}",
                "municipality": areas[int(row["lon"] >= WEST + SIDE)], "first": first, "source": source,
                "status": int(Status.IN_PROGRESS if row["closed"] is None else Status.CLOSED),
                "element": elements[row["code"]], "channel": int(Channel.CITIZEN),
                "cell": int(cells_of([row["lon"]], [row["lat"]])[0]),
                **{k: row[k] for k in ("day", "closed", "due", "severity", "quantity", "lon", "lat")},
            }
            for n, row in enumerate(plain.to_dict("records"))
        ],
    )  # fmt: skip
    found = conn.execute(
        text("SELECT id FROM report WHERE territory_id = :t ORDER BY line"), {"t": territory}
    )
    return list(found.scalars())
