"""Histories of a store's reports: planted growth is told, partial steps are left out, files agree."""

from __future__ import annotations

import datetime as dt
import json
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import pymannkendall
import pytest
from sqlalchemy import Connection

from data.analyses.trends import Trends, TrendSettings, trends
from data.query import ReportQuery
from geo.cells import cells_of, from_text
from geo.errors import Cancelled, InputError
from geo.kendall import sens_slope
from geo.trends import CODES, Pattern
from tests.data.history_sample import FIRST, make_history, scattered

ROOT = Path(__file__).resolve().parents[2]
LAST = dt.date(2025, 12, 15)  # FIRST is 2024-01-01: 23 whole months and half of one
DAYS = (LAST - FIRST).days + 1
GROWING, FADING, FRESH = (50.05, 26.35), (50.15, 26.35), (50.10, 26.44)


def around(place: tuple[float, float], rng: np.random.Generator, daily: np.ndarray) -> pd.DataFrame:
    """Reports around a place, over several cells."""
    frame = scattered(rng, daily)
    frame["lon"] = place[0] + rng.normal(0, 0.006, len(frame))
    frame["lat"] = place[1] + rng.normal(0, 0.006, len(frame))
    return frame


@pytest.fixture(scope="module")
def town(module_store: Any) -> Iterator[tuple[Connection, int]]:
    rng = np.random.default_rng(1)
    whole = np.arange(DAYS) / DAYS
    frame = pd.concat(
        [
            scattered(rng, np.full(DAYS, 12.0)),
            around(GROWING, rng, 5 + 4 * whole),
            around(FADING, rng, 9 - 4 * whole),
            around(FRESH, rng, np.where(np.arange(DAYS) >= (dt.date(2025, 11, 1) - FIRST).days, 7.0, 0.0)),
        ]
    )
    with module_store.engine.begin() as conn:
        territory = make_history(conn, frame, "grown")
    with module_store.engine.connect() as conn:
        yield conn, territory


@pytest.fixture(scope="module")
def found(town: tuple[Connection, int]) -> Trends:
    conn, territory = town
    return trends(conn, ReportQuery(territory), TrendSettings(resolution=8, k=1))


def pattern_at(found: Trends, place: tuple[float, float]) -> Pattern:
    cell = cells_of([place[0]], [place[1]], found.resolution)[0]
    return Pattern(int(found.history.patterns[np.searchsorted(found.cells, cell)]))


def said(found: Trends) -> dict[str, dict[str, Any]]:
    return {remark.code: dict(remark.values) for remark in found.remarks}


def test_planted_histories_are_told(found: Trends) -> None:
    assert pattern_at(found, GROWING) is Pattern.HOT_INTENSIFYING
    assert pattern_at(found, FADING) is Pattern.HOT_DIMINISHING
    assert pattern_at(found, FRESH) is Pattern.HOT_NEW


def test_months_of_which_only_a_part_is_there_are_left_out_and_said(found: Trends) -> None:
    assert found.step == "month"
    assert (str(found.starts[0]), str(found.starts[-1])) == ("2024-01-01", "2025-11-01")
    assert found.steps == 23
    assert said(found)["trend_partial_month"] == {"steps": 1}
    assert said(found)["trend_steps_month"] == {"steps": 23}


def test_the_series_are_the_reports_of_the_cell_by_month(found: Trends, town: tuple[Connection, int]) -> None:
    conn, territory = town
    march = ReportQuery(territory, start=dt.date(2025, 3, 1), end=dt.date(2025, 3, 31))
    one = trends(conn, march, replace(found.settings, step="month"))
    at = int(np.flatnonzero(found.starts == np.datetime64("2025-03-01"))[0])
    # One month is no history, but it is counted.
    assert one.steps == 1
    assert np.array_equal(one.series[:, 0], found.series[:, at])
    assert np.array_equal(found.counts, found.series.sum(axis=1))


def test_trend_and_slope_of_a_cell_are_those_of_pymannkendall(found: Trends) -> None:
    for at in np.flatnonzero(found.history.patterns)[:5]:
        expected = pymannkendall.original_test(found.history.z[at])
        own = (found.history.trend.z[at], found.history.trend.p[at], found.history.slope[at])
        assert own == pytest.approx((expected.z, expected.p, expected.slope), abs=1e-9)
        assert found.count_slope[at] == sens_slope(found.series[[at]])[0]
    expected = pymannkendall.original_test(found.series.sum(axis=0))
    assert found.history.whole.p[0] == pytest.approx(expected.p, abs=1e-9)
    assert found.history.whole_slope == pytest.approx(expected.slope)


def test_the_table_has_one_row_a_cell_and_says_what_the_result_says(found: Trends) -> None:
    frame = found.to_geodataframe()
    assert frame.crs.to_epsg() == 4326
    assert list(frame.columns) == [
        "cell", "count", "class", "trend_z", "trend_p", "trend_q", "tau", "slope", "count_slope", "steps",
        "hot_steps", "cold_steps", "last_z", "last_count", "geometry",
    ]  # fmt: skip
    assert from_text(frame["cell"].tolist()).tolist() == found.cells.tolist()
    assert frame["class"].value_counts().to_dict() == found.classes()
    assert set(frame["class"]) <= set(CODES)
    assert (frame["trend_q"] >= frame["trend_p"] - 1e-12).all()
    assert frame["last_count"].tolist() == found.series[:, -1].tolist()
    assert frame["count_slope"].isna().tolist() == (frame["class"] == "none").tolist()


def test_the_summary_is_json_and_adds_up(found: Trends) -> None:
    summary = json.loads(json.dumps(found.summary()))
    assert sum(summary["classes"].values()) == summary["cells"] == len(found.cells)
    assert (summary["steps"], summary["step"], summary["resolution"], summary["k"]) == (23, "month", 8, 1)
    assert summary["reports"] == int(found.counts.sum())


def test_weeks_are_taken_where_months_are_too_few(town: tuple[Connection, int]) -> None:
    conn, territory = town
    found = trends(conn, ReportQuery(territory, start=dt.date(2025, 9, 1)), TrendSettings(resolution=7))
    assert (found.step, found.steps) == ("week", 15)
    assert said(found)["trend_weeks"] == {"months": 3, "weeks": 15, "least": 10}
    # 106 days are 15 weeks and a day.
    assert said(found)["trend_partial_week"] == {"steps": 1}


@pytest.mark.parametrize(
    ("start", "codes"),
    [
        (dt.date(2025, 4, 1), {"trend_no_historical"}),
        (dt.date(2025, 8, 1), {"trend_no_historical", "trend_few"}),
        (dt.date(2025, 11, 1), {"trend_short_month"}),
    ],
)
def test_short_histories_say_what_they_cannot_tell(
    town: tuple[Connection, int], start: dt.date, codes: set[str]
) -> None:
    conn, territory = town
    found = trends(conn, ReportQuery(territory, start=start), TrendSettings(step="month", resolution=7))
    cautions = {remark.code for remark in found.remarks if remark.caution}
    assert codes <= cautions
    assert not {"trend_no_historical", "trend_few", "trend_short_month"} - codes & cautions
    assert len(found.to_geodataframe()) == len(found.cells)
    assert not set(found.classes()) & {"hot_historical", "cold_historical"}


def test_resolution_and_rings_are_chosen_for_an_average_step(town: tuple[Connection, int]) -> None:
    conn, territory = town
    month = trends(conn, ReportQuery(territory))
    week = trends(conn, ReportQuery(territory), TrendSettings(step="week"))
    assert week.resolution <= month.resolution
    assert "trend_scale" in said(month)
    own = TrendSettings(resolution=month.resolution, k=month.k, step="month")
    again = trends(conn, ReportQuery(territory), own)
    assert np.array_equal(again.history.patterns, month.history.patterns)
    assert not {"trend_scale", "scale_chosen", "scale_rings", "trend_months"} & set(said(again))


def test_a_memory_and_a_stricter_level_find_no_more(town: tuple[Connection, int], found: Trends) -> None:
    conn, territory = town
    strict = trends(conn, ReportQuery(territory), replace(found.settings, level=0.01))
    assert not (strict.history.hot & ~found.history.hot).any()
    wide = trends(conn, ReportQuery(territory), replace(found.settings, autocorrelated=True))
    assert not np.array_equal(wide.history.trend.variance, found.history.trend.variance)
    assert np.array_equal(wide.history.trend.s, found.history.trend.s)


def test_reports_that_nobody_made_have_no_pattern(town: tuple[Connection, int]) -> None:
    conn, territory = town
    found = trends(conn, ReportQuery(territory, types=(999_999,)), TrendSettings(resolution=7))
    assert found.classes() == {"none": len(found.cells)}
    assert found.counts.sum() == 0


def test_it_can_be_stopped(town: tuple[Connection, int]) -> None:
    conn, territory = town

    def stop(done: float) -> None:
        if done > 0.3:
            raise Cancelled("enough")

    with pytest.raises(Cancelled):
        trends(conn, ReportQuery(territory), TrendSettings(resolution=8), tick=stop)


@pytest.mark.parametrize(
    "wrong", [{"step": "year"}, {"resolution": 3}, {"k": 0}, {"level": 0.0}, {"trend_level": 1.0}]
)
def test_settings_that_cannot_work_are_refused(wrong: dict[str, Any]) -> None:
    with pytest.raises(InputError):
        TrendSettings(**wrong)


def test_the_command_writes_a_file_and_tells_the_recording(
    town: tuple[Connection, int], tmp_path: Path
) -> None:
    file = tmp_path / "trends.gpkg"
    done = subprocess.run(
        [sys.executable, "cli.py", "trends", "--territory", "grown", "--resolution", "8", "--k", "1",
         "--out", str(file), "--json"],
        cwd=ROOT, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    told = json.loads(done.stdout)
    frame = gpd.read_file(file)
    assert frame["class"].value_counts().to_dict() == told["classes"]
    assert told["rows"] == len(frame)
    assert "recording_checked" in {remark["code"] for remark in told["recording"]}
