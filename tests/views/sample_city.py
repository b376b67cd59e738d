"""A small town in the store, made to be looked at: known cells, hostile names, dark corners."""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass

import h3
import numpy as np
from sqlalchemy import Engine, text
from sqlalchemy.orm import Session

from data.models import Area, AreaSet, Element, Report, Source, SourceType, Territory
from data.vocabulary import Flag, Precision

HOSTILE = '<img src=x onerror="window.hit=1"><script>window.hit=1</script>'
LINK = "![x](https://elsewhere.example/x.png) [y](https://elsewhere.example/)"
WEST, SOUTH, SIDE = 49.9, 26.3, 0.1
ROWS = 4_000


@dataclass(frozen=True)
class City:
    """What was made."""

    territory: int
    second: int
    municipalities: list[int]
    groups: tuple[str, ...]


def _square(west: float, south: float, side: float) -> str:
    east, north = west + side, south + side
    ring = f"{west} {south},{east} {south},{east} {north},{west} {north},{west} {south}"
    return f"SRID=4326;MULTIPOLYGON((({ring})))"


def build_city(engine: Engine) -> City:
    """One territory with areas and elements (simulated), and one with types of its own only."""
    rng = np.random.default_rng(3)
    with Session(engine) as session, session.begin():
        one = Territory(code="town", name_ar="البلدة", name_en="Town", simulated=True, data_version=1)
        two = Territory(code="other", name_ar="أخرى", name_en=f"Other {LINK}", data_version=1)
        session.add_all([one, two])
        session.flush()
        loads = {
            level: AreaSet(
                territory_id=one.id,
                level=level,
                file_name="x",
                file_digest="x",
                illustrative=True,
                read=2,
                accepted=2,
                repaired=0,
                overlap_km2=0,
                gap_km2=0,
            )
            for level in ("municipality", "district")
        }
        session.add_all(loads.values())
        session.flush()
        names = [("الغربية", "West"), ("الشرقية", HOSTILE)]
        areas = [
            Area(
                area_set_id=loads["municipality"].id,
                territory_id=one.id,
                level="municipality",
                name_ar=ar,
                name_en=en,
                area_km2=110.0,
                geom=_square(WEST + k * SIDE, SOUTH, SIDE),
            )
            for k, (ar, en) in enumerate(names)
        ]
        district = Area(
            area_set_id=loads["district"].id,
            territory_id=one.id,
            level="district",
            name_ar="حي",
            name_en="Quarter",
            area_km2=27.0,
            geom=_square(WEST, SOUTH, SIDE / 2),
        )
        session.add_all([*areas, district])
        sources = [Source(territory_id=t.id, code="s", title="s") for t in (one, two)]
        session.add_all(sources)
        elements = [
            Element(
                version="t",
                code=f"{group}{k}",
                group_code=group,
                group_ar=f"مجموعة {group}",
                group_en=f"Group {group}",
                name_ar=f"عنصر {group}{k}",
                name_en=f"Element {group}{k}",
                source="test",
            )
            for group in "AB"
            for k in (1, 2)
        ]
        session.add_all(elements)
        session.flush()
        types = [
            SourceType(source_id=sources[0].id, name=f"{HOSTILE} {LINK}", element_id=elements[0].id, method=1)
        ]
        foreign = [SourceType(source_id=sources[1].id, name=n, method=0) for n in (HOSTILE, LINK, "Graffiti")]
        session.add_all([*types, *foreign])
        session.flush()

        start = dt.datetime(2025, 1, 15, 9, tzinfo=dt.UTC)
        reports = []
        for i in range(ROWS):
            foreign_row = i % 8 == 7
            # Half of the reports lie on one corner, so one cell stands out at every level.
            lng = WEST + (0.03 + rng.normal(0, 0.004) if i % 2 else rng.uniform(0, 2 * SIDE))
            lat = SOUTH + (0.04 + rng.normal(0, 0.004) if i % 2 else rng.uniform(0, SIDE))
            placed = i % 50 != 0
            east = lng >= WEST + SIDE
            reports.append(
                Report(
                    cell=h3.str_to_int(h3.latlng_to_cell(lat, lng, 12)) if placed else None,
                    geom=f"SRID=4326;POINT({lng} {lat})" if placed else None,
                    # The foreign ones are older: the page opens on the territory with the newest.
                    opened_at=start + dt.timedelta(hours=int(rng.integers(0, 24 * 300)) - 9000 * foreign_row),
                    closed_at=None,
                    territory_id=two.id if foreign_row else one.id,
                    element_id=None if foreign_row else elements[i % 4].id,
                    type_id=foreign[i % 3].id if foreign_row else types[0].id,
                    status=int(rng.choice([1, 4, 7])),
                    channel=int(rng.choice([1, 3])),
                    flags=int(Flag.DEFAULT_POINT) if i % 100 == 1 else 0,
                    municipality_id=None if foreign_row else areas[int(east)].id,
                    district_id=None,
                    precision=int(Precision.POINT if placed else Precision.AREA),
                    source_id=sources[int(foreign_row)].id,
                    content=i,
                    batch_id=1,
                    line=i,
                    reference=str(i),
                )
            )
        session.add_all(reports)
        return City(one.id, two.id, [a.id for a in areas], ("A", "B"))


def in_cell(engine: Engine, territory: int, cell: int) -> int:
    """Reports of a territory in a cell, counted by the database alone, default points left out."""
    resolution = cell >> 52 & 15
    clear, put = ~(15 << 52), (resolution << 52) | ((1 << (3 * (15 - resolution))) - 1)
    with engine.connect() as conn:
        return int(
            conn.scalar(
                text(
                    "SELECT count(*) FROM report WHERE territory_id = :t AND flags & 4 = 0"
                    " AND ((cell & CAST(:clear AS bigint)) | CAST(:put AS bigint)) = :cell"
                ),
                {"t": territory, "clear": clear, "put": put, "cell": cell},
            )
            or 0
        )
