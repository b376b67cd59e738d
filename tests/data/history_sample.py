"""A territory with a history that a test writes itself: days, places, channels and types."""

from __future__ import annotations

import datetime as dt
from typing import Any

import numpy as np
import pandas as pd
import shapely
from sqlalchemy import Connection, insert, text

from data import columns
from data.models import Area, AreaSet, Batch, Source, SourceType, Territory
from data.vocabulary import Channel, Flag, Status
from geo.cells import cells_of

SQUARE = shapely.box(50.0, 26.30, 50.20, 26.48)
FIRST = dt.date(2024, 1, 1)


def places(rng: np.random.Generator, number: int) -> tuple[np.ndarray, np.ndarray]:
    """Longitudes and latitudes scattered over the square."""
    low_x, low_y, high_x, high_y = SQUARE.bounds
    return rng.uniform(low_x, high_x, number), rng.uniform(low_y, high_y, number)


def scattered(rng: np.random.Generator, daily: np.ndarray) -> pd.DataFrame:
    """Reports over the square: ``daily`` (t,) expected on each day from FIRST."""
    day = np.repeat(np.arange(len(daily)), rng.poisson(daily))
    lon, lat = places(rng, len(day))
    types = rng.choice(["Waste", "Lighting", "Pothole"], len(day), p=[0.5, 0.3, 0.2])
    return pd.DataFrame(
        {"lon": lon, "lat": lat, "day": day, "channel": int(Channel.CITIZEN), "type": types, "flags": 0}
    )


def make_history(conn: Connection, frame: pd.DataFrame, code: str = "plain") -> int:
    """A territory of one municipality and district with these reports; returns its id.

    Columns: lon, lat, day (from FIRST, opened at noon UTC), channel, type, flags, source
    ("portal" when left out) and reporter (digests; none when left out).
    """
    shape = f"SRID=4326;{shapely.MultiPolygon([SQUARE]).wkt}"
    territory = conn.scalar(
        insert(Territory)
        .values(code=code, name_ar="مدينة", name_en="Town", timezone="Asia/Riyadh", study_area=shape)
        .returning(Territory.id)
    )
    areas = {level: _area(conn, territory, level, shape) for level in ("municipality", "district")}
    frame = frame.assign(source=frame.get("source", "portal"))
    types: dict[tuple[str, str], int] = {}
    sources: dict[str, int] = {}
    for source, name in sorted(set(zip(frame["source"], frame["type"], strict=True))):
        if source not in sources:
            sources[source] = conn.scalar(
                insert(Source)
                .values(territory_id=territory, code=source, title=source.title())
                .returning(Source.id)
            )
        types[source, name] = conn.scalar(
            insert(SourceType).values(source_id=sources[source], name=name, method=1).returning(SourceType.id)
        )
    batch = conn.scalar(
        insert(Batch)
        .values(
            territory_id=territory, source_id=next(iter(sources.values())), profile="p", file_name="f.csv",
            file_digest="d", started_at=dt.datetime(2026, 1, 1, tzinfo=dt.UTC),
        )
        .returning(Batch.id)
    )  # fmt: skip
    keys = list(zip(frame["source"], frame["type"], strict=True))
    conn.execute(
        text(
            """INSERT INTO report (territory_id, batch_id, line, reference, content, precision, municipality_id,
                 district_id, status, opened_at, source_id, type_id, channel, flags, cell, reporter, geom)
               SELECT :territory, :batch, n, n::text, n, 2, :municipality, :district, :status,
                 CAST(:first AS timestamptz) + day * interval '1 day', source, type, channel, flags, cell, reporter,
                 ST_SetSRID(ST_MakePoint(lon, lat), 4326)
               FROM unnest(CAST(:day AS int[]), CAST(:source AS int[]), CAST(:type AS int[]),
                 CAST(:channel AS int[]), CAST(:flags AS int[]), CAST(:cell AS bigint[]),
                 CAST(:lon AS float8[]), CAST(:lat AS float8[]), CAST(:reporter AS bigint[]))
                 WITH ORDINALITY AS t(day, source, type, channel, flags, cell, lon, lat, reporter, n)"""
        ),
        {
            "territory": territory,
            "batch": batch,
            "municipality": areas["municipality"],
            "district": areas["district"],
            "status": int(Status.RECEIVED),
            "first": dt.datetime.combine(FIRST, dt.time(12), tzinfo=dt.UTC),
            "day": frame["day"].tolist(),
            "source": [sources[source] for source in frame["source"]],
            "type": [types[key] for key in keys],
            "channel": frame["channel"].tolist(),
            "flags": frame["flags"].tolist(),
            "cell": cells_of(frame["lon"], frame["lat"]).tolist(),
            "reporter": frame["reporter"].tolist() if "reporter" in frame else [None] * len(frame),
            "lon": frame["lon"].tolist(),
            "lat": frame["lat"].tolist(),
        },
    )
    for point in sorted(
        set(
            frame.loc[frame["flags"] & int(Flag.DEFAULT_POINT) != 0, ["lon", "lat"]].itertuples(
                index=False, name=None
            )
        )
    ):
        conn.execute(
            text(
                "INSERT INTO default_point (territory_id, lon, lat, reports, kinds, batch_id)"
                " VALUES (:territory, :lon, :lat, 1, 1, :batch)"
            ),
            {"territory": territory, "lon": point[0], "lat": point[1], "batch": batch},
        )
    columns.refresh(conn, territory)
    return int(territory)


def _area(conn: Connection, territory: int, level: str, shape: str) -> Any:
    area_set = conn.scalar(
        insert(AreaSet)
        .values(
            territory_id=territory, level=level, file_name="f", file_digest="d", read=1, accepted=1,
            repaired=0, overlap_km2=0, gap_km2=0,
        )
        .returning(AreaSet.id)
    )  # fmt: skip
    return conn.scalar(
        insert(Area)
        .values(
            area_set_id=area_set, territory_id=territory, level=level, name_ar="حي الاختبار",
            name_en="Test quarter", area_km2=400.0, geom=shape,
        )
        .returning(Area.id)
    )  # fmt: skip
