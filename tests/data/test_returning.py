"""Chronic spots and rates of reporting from the store, on cities known by construction."""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Iterator
from typing import Any

import numpy as np
import pytest
from sqlalchemy import Connection, text

from data.analyses.courses import courses, incidents_frame
from data.analyses.readiness import ReportingSettings
from data.analyses.reporting import corrected_counts, reporting_rates
from data.analyses.returning import ReturningSettings, returning
from data.analyses.study import study_cells
from data.incidents import refresh_incidents
from data.query import ReportQuery
from data.vocabulary import Channel, Status
from geo.errors import InputError, StoreError
from tests.data.incident_city import START, City


@pytest.fixture(scope="module")
def spots(module_store: Any) -> Iterator[tuple[Connection, City]]:
    """One hole that comes back three times, one thing that stays, one that was never closed."""
    with module_store.engine.begin() as conn:
        city = City.made(conn)
        city.add(0, closed=4)
        city.add(1, closed=4, north=20)  # a second report of the first
        city.add(6, closed=10)  # back after 2 days
        city.add(30, north=15, closed=31, channel=Channel.INSPECTOR)  # back after 20 days
        city.add(61, closed=None)  # back after 30 days, still open
        city.add(0, north=5000, closed=3)
        city.add(0, north=9000)
        city.add(40, north=9000)
        city.add(100, north=20_000, element="R11", closed=100.5)
    refresh_incidents(module_store.engine, city.territory)
    with module_store.engine.connect() as conn:
        city.conn = conn
        yield conn, city


def test_a_place_where_a_thing_came_back_three_times_is_a_chronic_spot(spots: Any) -> None:
    conn, city = spots
    found = returning(conn, ReportQuery(city.territory), ReturningSettings(resolution=9))
    one = found.spots
    assert len(one) == 1
    assert (one.element, one.name_en) == (("R04",), ("Street excavations & potholes",))
    assert (one.place[0], one.incidents[0], one.recurrences[0]) == (city.ids[0], 4, 3)
    # Potholes are suspicious within 14 days (assumed): the first closing did not hold.
    assert (one.suspicious[0], one.judged[0]) == (1, 3)
    # Gaps of 2, 20 and 30 days; none is open, for the last incident is.
    assert one.median_gap[0] == pytest.approx(20)
    assert one.open[0]
    assert one.last_opened[0] == (START + dt.timedelta(days=61)).date()
    assert one.last_closed[0] == (START + dt.timedelta(days=31)).date()
    assert (one.lon[0], one.lat[0]) == pytest.approx((50.0, 26.0))
    assert found.incidents.sum() == 8 and found.recurrences.sum() == 3 and found.chronic.sum() == 1
    assert found.chronic_returns.sum() == 3 and found.chronic_suspicious.sum() == 1
    # Three closings that were followed, one of day 3 that held; that of the last day is not judged.
    assert found.judged.sum() == 4
    assert set(found.cells.tolist()) >= set(found.spots.cell.tolist())


def test_the_query_says_which_returns_count_not_what_was_there_before(spots: Any) -> None:
    conn, city = spots
    after = (START + dt.timedelta(days=20)).date()
    found = returning(conn, ReportQuery(city.territory, start=after), ReturningSettings(resolution=9))
    assert (found.spots.recurrences.tolist(), found.spots.incidents.tolist()) == ([2], [2])
    citizens = ReportQuery(city.territory, channels=(int(Channel.CITIZEN),))
    assert returning(conn, citizens, ReturningSettings(resolution=9)).recurrences.sum() == 2
    # Until day 30: the closing of day 31 is not known yet.
    until = (START + dt.timedelta(days=30)).date()
    early = returning(conn, ReportQuery(city.territory, end=until), ReturningSettings(9, least=1))
    assert early.spots.recurrences.tolist() == [2] and early.spots.open.tolist() == [True]


def test_days_of_suspicion_and_the_least_returns_can_be_chosen(spots: Any) -> None:
    conn, city = spots
    query = ReportQuery(city.territory)
    assert returning(conn, query, ReturningSettings(9, suspicious_days=1)).suspicious.sum() == 0
    assert returning(conn, query, ReturningSettings(9, suspicious_days=21)).suspicious.sum() == 2
    assert len(returning(conn, query, ReturningSettings(9, least=4)).spots) == 0
    for wrong in ({"least": 0}, {"suspicious_days": -1}):
        with pytest.raises(InputError):
            ReturningSettings(**wrong)  # type: ignore[arg-type]


def test_a_question_that_nothing_fits_has_an_empty_answer(spots: Any) -> None:
    conn, city = spots
    for query in (ReportQuery(city.territory, elements=("B01",)), ReportQuery(city.territory, types=(77,))):
        found = returning(conn, query, ReturningSettings(resolution=8))
        assert len(found.spots) == 0 and found.incidents.sum() == 0
        assert "returning_none" in {remark.code for remark in found.remarks}
        assert len(found.spots_frame()) == 0
        json.dumps(found.summary(), allow_nan=False)


def test_cells_and_spots_are_written_with_the_documented_columns(spots: Any) -> None:
    conn, city = spots
    found = returning(conn, ReportQuery(city.territory))
    cells, points = found.to_geodataframe(), found.spots_frame()
    for frame, method in ((cells, type(found).to_geodataframe), (points, type(found).spots_frame)):
        for name in frame.columns.drop("geometry"):
            assert f"``{name}``" in (method.__doc__ or ""), name
        assert frame.crs.to_epsg() == 4326
    assert len(cells) == len(found.cells) and points.geom_type.tolist() == ["Point"]
    summary = json.loads(json.dumps(found.summary(), allow_nan=False))
    assert summary["chronic_spots"] == 1 and summary["spots"][0]["recurrences"] == 3


def test_the_list_of_incidents_is_the_table_of_incidents(spots: Any) -> None:
    conn, city = spots
    frame = incidents_frame(conn, ReportQuery(city.territory)).set_index("incident")
    rows = conn.execute(text("SELECT * FROM incident ORDER BY first_at, id")).all()
    assert frame.index.tolist() == [row.id for row in rows]
    for row in rows:
        mine = frame.loc[row.id]
        assert (mine.first_at, mine.last_at) == (row.first_at, row.last_at)
        assert mine.closed_at == row.closed_at if row.closed_at else np.isnat(mine.closed_at.to_numpy())
        assert (mine.reports, mine.lon, mine.lat) == (row.reports, row.lon, row.lat)
    assert frame["channel"].tolist().count("inspector") == 1
    assert set(incidents_frame.__doc__.split("``")[1::2]) >= set(frame.columns.drop("geometry"))


def test_without_current_incidents_there_is_no_answer(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        city.add(0)
        for ask in (returning, reporting_rates, courses):
            with pytest.raises(StoreError, match="rasd incidents"):
                ask(conn, ReportQuery(city.territory))


# ---- reporting ----


def eager_and_slow(city: City) -> dict[str, int]:
    """Two districts a kilometre apart: 40 things each, every one closed after 10 days."""
    areas = {"eager": _district(city, "eager"), "slow": _district(city, "slow")}
    for i in range(40):
        for name, north, further in (("eager", 0, 2), ("slow", 300_000, i % 4 == 0)):
            at = north + 200.0 * i
            day = 50 + 1.017 * i  # at changing hours
            city.add(day, north=at, closed=day + 10, district=areas[name])
            for k in range(int(further)):
                city.add(day + 1 + k, north=at + 5, closed=day + 10, district=areas[name])
    city.add(150, north=90_000, channel=Channel.STAFF)  # the end of the data
    return areas


def _district(city: City, name: str) -> int:
    set_id = city.conn.scalar(
        text(
            """INSERT INTO area_set (territory_id, level, file_name, file_digest, read, accepted, repaired,
                 overlap_km2, gap_km2) VALUES (:t, 'district', 'f', 'd', 1, 1, 0, 0, 0) RETURNING id"""
        ),
        {"t": city.territory},
    )
    south = 25.9 if name == "eager" else 28.5
    return int(
        city.conn.scalar(
            text(
                """INSERT INTO area (area_set_id, territory_id, level, name_ar, name_en, area_km2, geom)
                   VALUES (:s, :t, 'district', :name, :name, 1, ST_Multi(ST_MakeEnvelope(
                     49.9, :south, 50.1, :south + 0.3, 4326))) RETURNING id"""
            ),
            {"s": set_id, "t": city.territory, "name": name, "south": south},
        )
        or 0
    )


def test_a_place_that_reports_twice_more_after_the_first_waits_less_for_the_first(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        areas = eager_and_slow(city)
    refresh_incidents(store.engine, city.territory)
    with store.engine.connect() as conn:
        query = ReportQuery(city.territory)
        found = reporting_rates(conn, query)
        assert found.identified and found.level == "district"
        by_name = {name: found.areas.tolist().index(areas[name]) for name in areas}
        eager, slow = by_name["eager"], by_name["slow"]
        # 80 further reports in 400 days of observation, and 10 in 400: before shrinking.
        assert found.further[[eager, slow]].tolist() == [80, 10]
        assert found.days[[eager, slow]] == pytest.approx([400, 400])
        assert found.rate[eager] == pytest.approx(0.2, rel=0.1)
        assert 0.025 < found.rate[slow] < 0.05
        assert found.low[slow] < found.rate[slow] < found.high[slow] < found.low[eager]
        assert (found.delay == 1 / found.rate).all()
        frame = found.to_geodataframe()
        assert frame["name_en"].tolist() == ["slow", "eager"]
        for name in frame.columns.drop("geometry"):
            assert f"``{name}``" in (type(found).to_geodataframe.__doc__ or ""), name
        json.dumps(found.summary(), allow_nan=False)

        cells, _ = study_cells(conn, query, 6)
        # Potholes are assumed to lie there for 21 days.
        counts = corrected_counts(conn, query, cells, 6)
        assert counts.identified and counts.counts.sum() == 80
        expected = 40 / (1 - np.exp(-21 * found.rate[eager])) + 40 / (1 - np.exp(-21 * found.rate[slow]))
        assert counts.corrected.sum() == pytest.approx(expected, rel=1e-6)
        assert (counts.low <= counts.corrected).all() and (counts.corrected <= counts.high).all()
        assert (counts.corrected >= counts.counts).all()
        short = corrected_counts(conn, query, cells, 6, ReportingSettings(lifetime_days=1.0, most=3))
        assert short.capped.any()
        assert {"reporting_lifetime", "reporting_capped"} <= {r.code for r in short.remarks}


def test_inspectors_neither_report_nor_leave_the_observation_running(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        eager_and_slow(city)
        # Found by an inspector: left out, whatever residents add.
        city.add(0, north=-5000, channel=Channel.INSPECTOR)
        city.add(1, north=-5000)
        # A resident, an inspector after 4 days, a resident after 6: four days, nothing further.
        city.add(0, north=-9000)
        city.add(4, north=-9000, channel=Channel.INSPECTOR)
        city.add(6, north=-9000)
        # A volunteer's report counts for nothing and ends nothing; the observation ends after 21 days.
        city.add(0, north=-12_000, channel=Channel.CALL_CENTRE)
        city.add(2, north=-12_000, channel=Channel.VOLUNTEER)
        city.add(3, north=-12_000)
    refresh_incidents(store.engine, city.territory)
    with store.engine.connect() as conn:
        found = reporting_rates(conn, ReportQuery(city.territory), ReportingSettings(level="cell"))
        assert found.incidents.sum() == 82
        assert found.further.sum() == 91
        assert found.days.sum() == pytest.approx(800 + 4 + 21)
        left = next(dict(r.values) for r in found.remarks if r.code == "reporting_left_out")
        assert left == {"incidents": 2}  # and the one of the staff


def test_reports_without_any_channel_are_taken_for_residents(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        for i in range(30):
            city.add(i, north=300.0 * i, channel=Channel.UNKNOWN)
            city.add(i + 1, north=300.0 * i, channel=Channel.UNKNOWN)
    refresh_incidents(store.engine, city.territory)
    with store.engine.connect() as conn:
        found = reporting_rates(conn, ReportQuery(city.territory))
        assert found.identified and found.level == "cell" and found.further.sum() == 30
        assert "reporting_channels_unknown" in {r.code for r in found.remarks}


def test_too_few_further_reports_correct_nothing_and_say_so(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        for i in range(5):
            city.add(i, north=500.0 * i)
            city.add(i + 1, north=500.0 * i)
    refresh_incidents(store.engine, city.territory)
    with store.engine.connect() as conn:
        query = ReportQuery(city.territory)
        found = reporting_rates(conn, query)
        assert not found.identified and len(found.areas) == 0 and len(found.to_geodataframe()) == 0
        assert found.remarks[0].code == "reporting_few" and found.remarks[0].caution
        cells, _ = study_cells(conn, query, 8)
        counts = corrected_counts(conn, query, cells, 8)
        assert (counts.corrected == counts.counts).all() and counts.counts.sum() == 5
        assert not counts.identified
        json.dumps(found.summary(), allow_nan=False)


def test_days_without_times_count_half_of_the_first_day(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        for i in range(30):  # all at nine o'clock: days without times
            city.add(i, north=300.0 * i)
            city.add(i + 1, north=300.0 * i, closed=i + 2)
    refresh_incidents(store.engine, city.territory)
    with store.engine.connect() as conn:
        found = reporting_rates(conn, ReportQuery(city.territory))
        assert "reporting_whole_days" in {r.code for r in found.remarks}
        # Each closed after two days with its second report, the last cut after one; and a half of each.
        assert found.days.sum() == pytest.approx(29 * 2.5 + 1.5)


@pytest.mark.parametrize(
    "wrong", [{"level": "street"}, {"confidence": 1.0}, {"lifetime_days": 0}, {"most": 0.5}]
)
def test_settings_of_reporting_that_cannot_be_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        ReportingSettings(**wrong)


def test_a_rejected_report_closes_no_incident_in_its_course(store: Any) -> None:
    with store.engine.begin() as conn:
        city = City.made(conn)
        city.add(0, closed=1, status=Status.REJECTED)
        city.add(2, closed=5)
        city.add(3)
        city.add(0, north=900, closed=4)
    refresh_incidents(store.engine, city.territory)
    with store.engine.connect() as conn:
        found = courses(conn, ReportQuery(city.territory, incidents=True))
        days = dict(zip(found.ids.tolist(), (found.closed - found.opened).tolist(), strict=True))
        # Closed with its second report, for none of its reports came later.
        assert days == {city.ids[0]: pytest.approx(5), city.ids[3]: pytest.approx(4)}
        early = courses(conn, ReportQuery(city.territory, end=(START + dt.timedelta(days=2)).date()))
        assert np.isnan(early.closed).all()
