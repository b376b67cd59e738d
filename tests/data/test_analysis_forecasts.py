"""Forecast and backtest over a real store: planted places, no peeking, what is kept."""

from __future__ import annotations

import dataclasses
import datetime as dt
from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import Connection

from data import columns
from data.analyses.forecasts import (
    Backtest,
    ForecastSettings,
    backtest,
    forecast,
    kept_backtest,
)
from data.query import ReportQuery
from geo.backtest import BUDGETS
from geo.cells import cells_of
from geo.errors import Cancelled, InputError
from geo.forecast import AUTO, CODES, DEFAULT
from tests.data.history_sample import FIRST, make_history, scattered

DAYS = 400
BUSY = (50.10, 26.40)
SETTINGS = ForecastSettings(resolution=8)


@pytest.fixture(scope="module")
def loaded(module_store: Any) -> Iterator[tuple[Connection, ReportQuery]]:
    rng = np.random.default_rng(11)
    quiet = scattered(rng, np.full(DAYS, 8.0))
    day = np.repeat(np.arange(DAYS), rng.poisson(4.0, DAYS))
    busy = quiet.iloc[:1].sample(len(day), replace=True, random_state=1).assign(day=day)
    busy[["lon", "lat"]] = np.array(BUSY) + rng.normal(0, 0.002, (len(day), 2))
    with module_store.engine.begin() as conn:
        territory = make_history(conn, pd.concat([quiet, busy], ignore_index=True))
    with module_store.engine.connect() as conn:
        yield conn, ReportQuery(territory)


@pytest.fixture(scope="module")
def tested(loaded: tuple[Connection, ReportQuery]) -> Backtest:
    conn, query = loaded
    found = backtest(conn, query, SETTINGS)
    conn.commit()
    return found


def test_the_busiest_place_comes_first_and_the_total_is_about_what_comes_in_a_month(
    loaded: tuple[Connection, ReportQuery],
) -> None:
    conn, query = loaded
    found = forecast(conn, query, dataclasses.replace(SETTINGS, model="mixture"))
    lon, lat = np.array([BUSY[0]]), np.array([BUSY[1]])
    assert found.cells[found.rank == 1].tolist() == cells_of(lon, lat, 8).tolist()
    assert found.total == pytest.approx(30 * 12, rel=0.15)
    assert found.expected.sum() == pytest.approx(found.total)
    assert (found.low <= found.expected + 1).all()
    assert (found.high >= np.floor(found.expected)).all()
    assert sorted(found.rank.tolist()) == list(range(1, len(found.cells) + 1))


def test_the_days_forecast_begin_after_the_newest_report(loaded: tuple[Connection, ReportQuery]) -> None:
    conn, query = loaded
    found = forecast(conn, query, dataclasses.replace(SETTINGS, horizon="week", model="past"))
    newest = FIRST + dt.timedelta(DAYS - 1)
    assert found.first == newest + dt.timedelta(1)
    assert found.last == newest + dt.timedelta(7)


def test_a_forecast_of_an_earlier_day_does_not_know_what_came_later(
    loaded: tuple[Connection, ReportQuery],
) -> None:
    conn, query = loaded
    early = dataclasses.replace(query, end=FIRST + dt.timedelta(299))
    wanted = dataclasses.replace(SETTINGS, model="average")
    before = forecast(conn, early, wanted)
    with conn.begin_nested() as undo:
        conn.exec_driver_sql(
            f"DELETE FROM report WHERE territory_id = {query.territory_id} AND opened_at >= '{FIRST}'"
            "::timestamptz + interval '300 days'"
        )
        conn.exec_driver_sql(
            f"UPDATE territory SET data_version = data_version + 1 WHERE id = {query.territory_id}"
        )
        columns.refresh(conn, query.territory_id)
        after = forecast(conn, early, wanted)
        undo.rollback()
    assert before.first == after.first == FIRST + dt.timedelta(300)
    assert before.expected.tolist() == after.expected.tolist()


def test_the_backtest_judges_every_model_at_every_budget_on_windows_without_gaps(tested: Backtest) -> None:
    steps = np.diff(np.array(tested.starts, dtype="datetime64[D]"))
    assert (steps == np.timedelta64(30, "D")).all()
    assert tested.starts[-1] == FIRST + dt.timedelta(DAYS - 30)
    table = tested.to_frame()
    assert list(table.columns[:7]) == ["model", "budget", "hit", "pai", "pei", "low", "high"]
    assert set(table["model"]) == {*CODES, AUTO}
    assert len(table) == len(BUDGETS) * (len(CODES) + 1)
    assert tested.best in CODES
    # The planted place holds a third of the reports in one cell, which every past shows.
    past = tested.score("past", 0.01)
    assert past is not None and past.hit > 0.25
    assert ((table["hit"] <= table["best"] + 1e-12) & (table["pei"] <= 1 + 1e-12)).all()
    assert ((table["low"] <= table["pai"]) & (table["pai"] <= table["high"])).all()


def test_the_kept_backtest_is_the_same_and_chooses_the_model_of_the_forecast(
    loaded: tuple[Connection, ReportQuery], tested: Backtest
) -> None:
    conn, query = loaded
    kept = kept_backtest(conn, query, dataclasses.replace(SETTINGS, model="past"))
    assert kept is not None
    pd.testing.assert_frame_equal(kept.to_frame(), tested.to_frame())
    pd.testing.assert_frame_equal(kept.differences_frame(), tested.differences_frame())
    assert (kept.starts, kept.best, kept.alpha) == (tested.starts, tested.best, tested.alpha)
    found = forecast(conn, query, SETTINGS)
    assert found.model == tested.best
    assert "forecast_chosen" in [remark.code for remark in found.remarks]


def test_without_a_backtest_the_default_is_taken_and_the_reader_is_told(
    loaded: tuple[Connection, ReportQuery],
) -> None:
    conn, query = loaded
    found = forecast(conn, query, dataclasses.replace(SETTINGS, horizon="week"))
    assert found.model == DEFAULT
    assert found.tested is None
    assert "forecast_untested" in [remark.code for remark in found.remarks if remark.caution]


def test_too_short_a_history_gives_no_forecast_and_no_test_but_says_why(
    loaded: tuple[Connection, ReportQuery],
) -> None:
    conn, query = loaded
    short = dataclasses.replace(query, start=FIRST + dt.timedelta(DAYS - 40))
    found = forecast(conn, short, SETTINGS)
    assert found.total == 0
    assert [remark.code for remark in found.remarks] == ["forecast_short"]
    judged = backtest(conn, short, SETTINGS)
    assert judged.to_frame().empty
    assert judged.remarks[-1].code == "backtest_short"
    conn.rollback()


def test_it_can_be_stopped(loaded: tuple[Connection, ReportQuery]) -> None:
    conn, query = loaded

    def stop(share: float) -> None:
        raise Cancelled("enough")

    with pytest.raises(Cancelled):
        backtest(conn, query, dataclasses.replace(SETTINGS, horizon="week"), tick=stop)
    conn.rollback()


def test_the_file_has_the_documented_columns(loaded: tuple[Connection, ReportQuery]) -> None:
    conn, query = loaded
    frame = forecast(conn, query, dataclasses.replace(SETTINGS, model="past")).to_geodataframe()
    assert list(frame.columns) == [
        "cell", "expected", "low", "high", "rank", "budget", "recent", "long_run", "first", "last", "model",
        "geometry",
    ]  # fmt: skip
    assert frame.crs.to_epsg() == 4326
    first = frame.loc[frame["rank"] == 1].iloc[0]
    assert first["budget"] == 0.01


def test_unknown_models_and_horizons_are_refused() -> None:
    with pytest.raises(InputError, match="kde"):
        ForecastSettings(model="oracle")
    with pytest.raises(InputError, match="week or month"):
        ForecastSettings(horizon="year")  # type: ignore[arg-type]
