"""The real Baltimore set through the command line, against a plain pandas reading of the same files."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import geopandas as gpd
import pandas as pd
import pytest
from sqlalchemy import text
from statsmodels.duration.survfunc import SurvfuncRight

from data.analyses.indicators import Dimension, Indicator, indicators, month_query

ROOT = Path(__file__).resolve().parents[2]


def rasd(*arguments: str) -> dict[str, Any]:
    done = subprocess.run(
        [sys.executable, "cli.py", *arguments, "--json"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr + done.stdout
    return dict(json.loads(done.stdout))


@pytest.fixture(scope="module")
def loaded(module_store: Any, shared_data: Path) -> dict[str, Any]:
    folder = shared_data / "baltimore"
    areas = {
        level: rasd("ingest", "areas", str(folder / f"{name}.parquet"), "--level", level, *more)
        for level, name, more in (
            ("governorate", "baltimore_city", ("--territory", "baltimore")),
            ("municipality", "council_districts", ()),
            ("district", "neighborhoods_2020", ()),
        )
    }
    first = rasd("ingest", "reports", str(folder / "reports.csv.gz"))
    again = rasd("ingest", "reports", str(folder / "reports.csv.gz"))
    return {"areas": areas, "first": first, "again": again, "engine": module_store.engine}


@pytest.fixture(scope="module")
def plain(shared_data: Path) -> pd.DataFrame:
    return pd.read_csv(shared_data / "baltimore" / "reports.csv.gz").drop_duplicates()


def test_every_row_is_accounted_for(loaded: dict[str, Any], plain: pd.DataFrame) -> None:
    first = loaded["first"]
    assert first["profile"] == "baltimore_311"
    assert first["territory"] == "baltimore"
    assert first["read"] == 91_346
    assert first["read"] == sum(first[k] for k in ("accepted", "updated", "unchanged", "quarantined"))
    assert first["accepted"] == len(plain) == 90_405
    assert first["unchanged"] == 941 and first["quarantined"] == 0
    assert first["located"] == first["read"]


def test_the_same_file_again_changes_nothing(loaded: dict[str, Any]) -> None:
    again = loaded["again"]
    assert (again["accepted"], again["updated"], again["quarantined"]) == (0, 0, 0)
    assert again["unchanged"] == 91_346
    with loaded["engine"].connect() as conn:
        assert conn.scalar(text("SELECT count(*) FROM report")) == 90_405


def test_areas_are_taken_whole_with_their_overlaps_measured(loaded: dict[str, Any]) -> None:
    assert [loaded["areas"][k]["accepted"] for k in ("governorate", "municipality", "district")] == [
        1,
        14,
        279,
    ]
    assert {a["territory"] for a in loaded["areas"].values()} == {"baltimore"}


def counts(loaded: dict[str, Any], sql: str) -> dict[Any, int]:
    with loaded["engine"].connect() as conn:
        return {row[0]: row[1] for row in conn.execute(text(sql))}


def test_counts_by_type_equal_pandas(loaded: dict[str, Any], plain: pd.DataFrame) -> None:
    found = counts(
        loaded, "SELECT t.name, count(*) FROM report r JOIN source_type t ON t.id = r.type_id GROUP BY 1"
    )
    assert found == plain["srtype"].value_counts().to_dict()


def test_counts_by_status_equal_pandas(loaded: dict[str, Any], plain: pd.DataFrame) -> None:
    found = counts(loaded, "SELECT status, count(*) FROM report GROUP BY 1")
    given = plain["srstatus"].value_counts()
    open_ones = given["Open"] + given["New"] + given["Pending"]
    assert found[7] == given["Closed"]
    assert found[9] == given["Closed (Duplicate)"]
    assert found[10] == given["Closed (Transferred)"]
    assert sum(n for status, n in found.items() if status not in (7, 9, 10)) == open_ones


def test_counts_by_month_equal_pandas(loaded: dict[str, Any], plain: pd.DataFrame) -> None:
    found = counts(
        loaded,
        """SELECT to_char(r.opened_at AT TIME ZONE t.timezone, 'YYYY-MM'), count(*)
           FROM report r JOIN territory t ON t.id = r.territory_id GROUP BY 1""",
    )
    assert found == plain["createddate"].str[:7].value_counts().to_dict()


def test_counts_by_council_district_equal_sjoin(
    loaded: dict[str, Any], plain: pd.DataFrame, shared_data: Path
) -> None:
    found = counts(
        loaded,
        """SELECT coalesce(a.name_en, 'none'), count(*) FROM report r
           LEFT JOIN area a ON a.id = r.municipality_id GROUP BY 1""",
    )
    districts = gpd.read_parquet(shared_data / "baltimore" / "council_districts.parquet").to_crs(4326)
    points = gpd.GeoDataFrame(
        plain, geometry=gpd.points_from_xy(plain["longitude"], plain["latitude"]), crs=4326
    )
    name = next(c for c in ("name", "area_name", "district", "id") if c in districts)
    joined = gpd.sjoin(points, districts[[name, "geometry"]], how="left")
    expected = joined[name].astype(object).where(joined[name].notna(), "none").value_counts()
    assert sorted(found.values()) == sorted(expected.to_list())
    assert sum(found.values()) == len(plain)


def test_the_downtown_default_point_is_found_and_named(loaded: dict[str, Any]) -> None:
    with loaded["engine"].connect() as conn:
        points = conn.execute(text("SELECT lon, lat, reports FROM default_point")).all()
        flagged = conn.scalar(text("SELECT count(*) FROM report WHERE flags & 4 <> 0"))
    assert len(points) == 1
    assert (round(points[0].lon, 4), round(points[0].lat, 4)) == (-76.6123, 39.2905)
    assert flagged == loaded["first"]["flags"]["default_point"] == points[0].reports


def test_the_landed_row_of_a_report_can_be_read_back(loaded: dict[str, Any], plain: pd.DataFrame) -> None:
    from data.landing import landed_row

    with loaded["engine"].connect() as conn:
        report = conn.execute(text("SELECT id, line FROM report ORDER BY line DESC LIMIT 1")).one()
        row = landed_row(conn, report.id)
    assert row is not None
    original = plain.loc[report.line - 2]  # line 1 is the header
    assert row["srtype"] == original["srtype"]
    assert row["createddate"] == original["createddate"]
    assert float(row["latitude"]) == original["latitude"]


def test_indicators_of_a_month_are_those_of_plain_pandas(loaded: dict[str, Any], plain: pd.DataFrame) -> None:
    """June 2020 from the file alone: statuses and dates as the city wrote them, whole days."""
    frame = plain.assign(
        **{name: pd.to_datetime(plain[name]) for name in ("createddate", "statusdate", "duedate")}
    )
    first, last, end = (pd.Timestamp(day) for day in ("2020-06-01", "2020-06-30", "2020-07-01"))
    frame = frame[frame["createddate"] < end]
    told = frame["statusdate"] < end
    kind = frame["srstatus"].where(told, "open")
    aside, gone, done = kind == "Closed (Duplicate)", kind == "Closed (Transferred)", kind == "Closed"
    open_ = ~(aside | gone | done)
    in_june = frame["createddate"] >= first
    due = frame["duedate"].between(first, last) & ~aside & ~gone
    in_time = due & done & (frame["statusdate"] <= frame["duedate"])
    with loaded["engine"].connect() as conn:
        territory = int(conn.execute(text("SELECT id FROM territory WHERE code = 'baltimore'")).scalar_one())
        query = month_query(territory, first.date(), Dimension.MUNICIPALITY)
        found = indicators(conn, query)
    expected = {
        Indicator.RECEIVED: (in_june.sum(), 0),
        Indicator.CLOSED: ((done & (frame["statusdate"] >= first)).sum(), 0),
        Indicator.BACKLOG: (open_.sum(), 0),
        Indicator.OVERDUE: ((open_ & (frame["duedate"] < end)).sum(), 0),
        Indicator.ON_TIME: (in_time.sum(), due.sum()),
    }
    for code, (count, base) in expected.items():
        reading = found.whole.reading(code)
        assert reading is not None and (reading.count, reading.base) == (count, base), code
        parts = [row.reading(code) for row in found.rows]
        assert sum(part.count for part in parts if part is not None) == count
    cohort = frame[(frame["createddate"] >= end - pd.Timedelta(days=91)) & ~aside]
    until = cohort["statusdate"].where(done | gone, end)
    days = (until - cohort["createddate"]).dt.days
    curve = SurvfuncRight(days[days >= 0].astype(float), done[cohort.index][days >= 0].astype(int))
    for code, share in ((Indicator.REMEDY_MEDIAN, 0.5), (Indicator.REMEDY_P90, 0.9)):
        reading = found.whole.reading(code)
        assert reading is not None and reading.base == (days >= 0).sum()
        reached = curve.surv_times[curve.surv_prob <= 1 - share + 1e-9]
        assert reading.value == (pytest.approx(reached[0]) if len(reached) else None)
