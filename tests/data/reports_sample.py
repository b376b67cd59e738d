"""A small store with every odd case, and the same reports as a pandas frame to compare with."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import h3
import numpy as np
import pandas as pd
from sqlalchemy import Connection, insert, text

from data.models import Area, AreaSet, Batch, Report, ReportEvent, Source, SourceType, Territory
from data.query import ReportQuery
from data.vocabulary import FINAL, Flag, Precision

ZONE = "Asia/Riyadh"
ROWS = 1500
FINAL_CODES = [int(status) for status in FINAL]
_SQUARE = "SRID=4326;MULTIPOLYGON(((49 26,50 26,50 27,49 27,49 26)))"


@dataclass(frozen=True)
class Sample:
    """Ids of what was made, and ``frame``: one row a report of the first territory."""

    territory: int
    other: int
    region: int
    municipalities: list[int]
    districts: list[int]
    retired: int
    types: list[int]
    batch: int
    frame: pd.DataFrame

    def random_query(self, rng: np.random.Generator) -> ReportQuery:
        """A query with some of the filters set."""

        def some(values: list[Any], most: int) -> tuple[Any, ...]:
            if rng.random() < 0.6:
                return ()
            return tuple(rng.choice(np.array(values), rng.integers(1, most + 1), replace=False).tolist())

        start = dt.date(2025, 1, 1) + dt.timedelta(int(rng.integers(0, 200)))
        end = start + dt.timedelta(int(rng.integers(0, 120)))
        codes = sorted(self.frame["element"].dropna().unique())
        groups = sorted(self.frame["group"].dropna().unique())
        return ReportQuery(
            self.territory,
            start=start if rng.random() < 0.4 else None,
            end=end if rng.random() < 0.4 else None,
            groups=some(groups, 2),
            elements=some(codes, 4),
            types=some(self.types, 3),
            municipalities=some(self.municipalities, 2),
            districts=some(self.districts, 3),
            channels=some(list(range(7)), 4),
            statuses=some([1, 3, 7, 8, 12], 3),
            default_points=bool(rng.random() < 0.3),
        )

    def choose(self, query: ReportQuery, *, default_points: bool | None = None) -> pd.DataFrame:
        """The frame's rows that fit, by plain pandas."""
        frame = self.frame
        keep = pd.Series(True, index=frame.index)
        if not (query.default_points if default_points is None else default_points):
            keep &= ~frame["default_point"]
        if query.start:
            keep &= frame["local_day"] >= query.start
        if query.end:
            keep &= frame["local_day"] <= query.end
        for column, values in (
            ("group", query.groups),
            ("element", query.elements),
            ("type_id", query.types),
            ("municipality_id", query.municipalities),
            ("district_id", query.districts),
            ("channel", query.channels),
            ("status", query.statuses),
        ):
            if values:
                keep &= frame[column].isin(list(values))
        return frame[keep]


def make_sample(conn: Connection, rows: int = ROWS, seed: int = 5) -> Sample:
    """Fill a migrated store."""
    rng = np.random.default_rng(seed)
    mine, other = (
        conn.scalar(
            insert(Territory)
            .values(code=code, name_ar=name, name_en=code, timezone=zone, simulated=simulated)
            .returning(Territory.id)
        )
        for code, name, zone, simulated in (
            ("east", "الشرقية", ZONE, True),
            ("west", "الغربية", "America/New_York", False),
        )
    )
    areas: dict[str, list[int]] = {}
    for level, number in (("region", 1), ("municipality", 4), ("district", 6)):
        set_id = conn.scalar(
            insert(AreaSet)
            .values(
                territory_id=mine, level=level, file_name="f", file_digest="d", read=number, accepted=number,
                repaired=0, overlap_km2=0, gap_km2=0, illustrative=level == "district",
            )
            .returning(AreaSet.id)
        )  # fmt: skip
        areas[level] = [
            conn.scalar(
                insert(Area)
                .values(
                    area_set_id=set_id, territory_id=mine, level=level, name_ar=f"م {i}",
                    name_en=f"{level} {i}", area_km2=10.0 * (i + 1), geom=_SQUARE,
                    parent_id=areas["municipality"][i % 3] if level == "district" else None,
                )
                .returning(Area.id)
            )
            for i in range(number)
        ]  # fmt: skip
    # The last municipality is of the past: it is offered nowhere.
    retired = areas["municipality"].pop()
    conn.execute(text("UPDATE area SET valid_to = now() WHERE id = :id"), {"id": retired})
    source, other_source = (
        conn.scalar(insert(Source).values(territory_id=t, code="portal", title="P").returning(Source.id))
        for t in (mine, other)
    )
    elements = conn.execute(
        text("SELECT id, code, group_code FROM element ORDER BY version DESC, code LIMIT 12")
    ).all()
    types = [
        conn.scalar(
            insert(SourceType)
            .values(source_id=source, name=f"=type {i}", element_id=None, method=1)
            .returning(SourceType.id)
        )
        for i in range(4)
    ]
    batch = conn.scalar(
        insert(Batch)
        .values(
            territory_id=mine, source_id=source, profile="p", file_name="f.csv", file_digest="d",
            started_at=dt.datetime(2025, 7, 1, tzinfo=dt.UTC), columns=["a", "b"], simulated=True,
        )
        .returning(Batch.id)
    )  # fmt: skip
    opened = _openings(rng, rows)
    lon = 49.5 + rng.integers(0, 3, rows) * 0.3 + rng.normal(0, 0.004, rows)
    lat = 26.3 + rng.normal(0, 0.004, rows)
    element = rng.integers(-1, len(elements), rows)
    records = []
    for i in range(rows):
        # One in ten has no point; of those, two in three are known by area name.
        placeless, nowhere = rng.random() < 0.1, rng.random() < 0.33
        default = not placeless and rng.random() < 0.05
        status = int(rng.choice([1, 3, 7, 7, 8, 12]))
        closed = None
        if status in FINAL_CODES and rng.random() < 0.8:
            # Some close before they open.
            closed = opened[i] + dt.timedelta(minutes=int(rng.integers(-2000, 60000)))
        in_no_area = (placeless and nowhere) or rng.random() < 0.05
        records.append(
            {
                "reference": f"R{i}" if i else "=HYPERLINK(1)",
                "opened_at": opened[i],
                "closed_at": closed,
                "status": status,
                "channel": int(rng.integers(0, 7)),
                "element_id": None if element[i] < 0 else elements[element[i]].id,
                "type_id": None if rng.random() < 0.1 else int(rng.choice(types)),
                "flags": (int(Flag.DEFAULT_POINT) if default else 0)
                | (int(Flag.SWAPPED_AXES) if rng.random() < 0.1 else 0),
                "municipality_id": None if in_no_area else int(rng.choice(areas["municipality"])),
                "district_id": None
                if in_no_area or rng.random() < 0.2
                else int(rng.choice(areas["district"])),
                "region_id": None if in_no_area else areas["region"][0],
                "precision": int(
                    (Precision.NONE if nowhere else Precision.AREA) if placeless else Precision.POINT
                ),
                "cell": None if placeless else h3.str_to_int(h3.latlng_to_cell(lat[i], lon[i], 12)),
                "geom": None if placeless else f"SRID=4326;POINT({lon[i]} {lat[i]})",
                "lon": None if placeless else lon[i],
                "lat": None if placeless else lat[i],
                "agency": "+1234" if i % 7 == 0 else "@home" if i % 7 == 1 else None,
            }
        )
    common = {"territory_id": mine, "source_id": source, "content": 0, "batch_id": batch}
    ids = conn.scalars(
        insert(Report).returning(Report.id, sort_by_parameter_order=True),
        [
            {key: value for key, value in record.items() if key not in ("lon", "lat")}
            | common
            | {"line": i + 2}
            for i, record in enumerate(records)
        ],
    ).all()
    conn.execute(
        insert(ReportEvent),
        [
            {
                "report_id": i,
                "seq": 1,
                "status": record["status"],
                "batch_id": batch,
                "at": record["closed_at"],
            }
            for i, record in zip(ids, records, strict=True)
        ],
    )
    # Another territory's reports must never be counted.
    conn.execute(
        insert(Report),
        [
            {
                "territory_id": other, "source_id": other_source, "content": 0, "batch_id": batch, "line": i,
                "reference": f"W{i}", "opened_at": opened[i], "status": 1, "channel": 1, "precision": 2,
                "cell": records[i]["cell"],
            }
            for i in range(50)
        ],
    )  # fmt: skip
    frame = pd.DataFrame(records)
    frame["id"] = ids
    by_id = {e.id: e for e in elements}
    frame["element"] = [by_id[e].code if pd.notna(e) else None for e in frame["element_id"]]
    frame["group"] = [by_id[e].group_code if pd.notna(e) else None for e in frame["element_id"]]
    frame["default_point"] = (frame["flags"] & int(Flag.DEFAULT_POINT)) != 0
    frame["opened_at"] = pd.to_datetime(frame["opened_at"], utc=True)
    frame["closed_at"] = pd.to_datetime(frame["closed_at"], utc=True)
    local = frame["opened_at"].dt.tz_convert(ZONE)
    frame["local_day"] = local.dt.date
    frame["local_month"] = [day.replace(day=1) for day in frame["local_day"]]
    frame["open"] = ~frame["status"].isin(FINAL_CODES)
    # Through text, because a column of whole numbers with gaps would become floats.
    frame["cell_text"] = [h3.int_to_str(record["cell"]) if record["cell"] else None for record in records]
    return Sample(
        mine,
        other,
        areas["region"][0],
        areas["municipality"],
        areas["district"],
        retired,
        types,
        batch,
        frame,
    )


def _openings(rng: np.random.Generator, rows: int) -> list[dt.datetime]:
    """Opening times; a fifth of them in the evening (UTC) before a local month begins."""
    start = dt.datetime(2025, 1, 15, 7, tzinfo=dt.UTC)
    times = [start + dt.timedelta(seconds=int(s)) for s in rng.integers(0, 150 * 86400, rows)]
    borders = [dt.datetime(2025, month, 1, tzinfo=dt.UTC) for month in (2, 3, 4, 5, 6)]
    for i in range(0, rows, 5):
        # From 20:59:59 to 23:59:59: Riyadh is three hours ahead.
        times[i] = borders[i % 5] - dt.timedelta(seconds=int(rng.integers(1, 3 * 3600 + 2)))
    for i, border in enumerate(borders):
        times[i * 7 + 1] = border - dt.timedelta(hours=3)  # local midnight, to the second
        times[i * 7 + 2] = border - dt.timedelta(hours=3, seconds=1)
    # April 2025 keeps nothing but what is at its borders in UTC: an almost empty month.
    return [t + dt.timedelta(days=30) if t.month == 4 and t.day not in (1, 30) else t for t in times]
