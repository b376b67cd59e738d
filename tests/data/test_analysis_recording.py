"""Warnings of the recording: what was planted in a store is named, and nothing else."""

from __future__ import annotations

import datetime as dt
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from data.analyses.breaks import breaks
from data.analyses.history import History
from data.analyses.recording import Recording, recording, recording_warnings
from data.query import ReportQuery
from data.reporters import reporter_secret
from data.vocabulary import Channel, Flag
from geo.cells import cells_of, to_text
from tests.data.history_sample import FIRST, make_history, scattered

DAYS = 7 * 70


def day(number: int) -> dt.date:
    return FIRST + dt.timedelta(days=number)


@pytest.fixture
def recorded(store: Any) -> Callable[..., Recording]:
    """Stores a history and asks about it."""

    def ask(frame: pd.DataFrame, **query: Any) -> Recording:
        with store.engine.begin() as conn:
            territory = make_history(conn, frame)
            return recording(conn, ReportQuery(territory, **query))

    return ask


def quiet(seed: int = 1, daily: float = 40.0) -> pd.DataFrame:
    """Scattered reports whose weeks vary a little more than chance."""
    rng = np.random.default_rng(seed)
    return scattered(rng, np.repeat(daily * np.exp(rng.normal(0, 0.05, DAYS // 7)), 7))


def said(found: Recording) -> dict[str, dict[str, Any]]:
    return {remark.code: dict(remark.values) for remark in found.remarks if remark.caution}


def test_a_recording_without_changes_gets_no_warning(recorded: Callable[..., Recording]) -> None:
    found = recorded(quiet())
    assert (found.breaks, found.floods, found.default_points) == ((), (), ())
    assert not said(found)
    assert found.weeks == 70


def test_a_new_channel_is_named_with_its_day_and_share(recorded: Callable[..., Recording]) -> None:
    rng = np.random.default_rng(2)
    new = scattered(rng, np.where(np.arange(DAYS) < 280, 0.0, 30.0)).assign(channel=int(Channel.AI))
    found = recorded(pd.concat([quiet(), new]))
    by_what = {b.what: b for b in found.breaks}
    assert set(by_what) == {"all", "channel"}
    assert by_what["all"].first == by_what["channel"].first == day(280)
    assert by_what["all"].last is None
    assert by_what["all"].level / by_what["all"].expected == pytest.approx(70 / 40, rel=0.15)
    channel = [b for b in found.breaks if b.what == "channel" and b.key == Channel.AI]
    assert channel[0].expected == 0
    assert channel[0].level == pytest.approx(30 / 70, abs=0.05)
    assert channel[0].same >= 0.8 * channel[0].areas
    assert {"recording_rise", "recording_channel", "recording_one_year"} <= set(said(found))


def test_half_a_month_that_was_not_loaded_is_named_with_both_days(recorded: Callable[..., Recording]) -> None:
    frame = quiet()
    lost = frame["day"].between(300, 313)
    found = recorded(frame[~lost])
    (gap,) = found.breaks
    assert (gap.what, gap.first, gap.last, gap.level) == (
        "all",
        day(301),
        day(314),
        pytest.approx(20, abs=25),
    )
    assert said(found)["recording_dip"]["percent"] >= 85


def test_an_exchange_of_types_is_told_once_with_their_names(recorded: Callable[..., Recording]) -> None:
    frame = quiet()
    late = frame["day"] >= 350
    new = {"Lighting": "Street light out", "Pothole": "Road surface"}
    frame.loc[late, "type"] = frame.loc[late, "type"].replace(new)
    found = recorded(frame)
    assert {b.what for b in found.breaks} == {"type"}
    assert {b.name for b in found.breaks} == {"Lighting", "Pothole", "Street light out", "Road surface"}
    assert {b.first for b in found.breaks} == {day(350)}
    assert said(found)["recording_types"]["types"] == 4


def test_a_new_source_is_named(recorded: Callable[..., Recording]) -> None:
    rng = np.random.default_rng(3)
    new = scattered(rng, np.where(np.arange(DAYS) < 350, 0.0, 15.0)).assign(source="app", type="Anything")
    found = recorded(pd.concat([quiet().assign(source="portal"), new]))
    assert {(b.what, b.name) for b in found.breaks if b.what == "source"} == {
        ("source", "App"),
        ("source", "Portal"),
    }


def test_a_rise_in_one_place_is_no_change_of_the_recording(recorded: Callable[..., Recording]) -> None:
    rng = np.random.default_rng(4)
    local = scattered(rng, np.where(np.arange(DAYS) < 280, 0.0, 30.0))
    local["lon"], local["lat"] = (
        50.1 + rng.normal(0, 0.004, len(local)),
        26.4 + rng.normal(0, 0.004, len(local)),
    )
    found = recorded(pd.concat([quiet(), local]))
    assert found.breaks == ()


def test_a_dip_of_every_year_is_a_season(store: Any) -> None:
    rng = np.random.default_rng(5)
    daily = np.repeat(40 * np.exp(rng.normal(0, 0.04, 125)), 7)
    for begin in (26, 78):
        daily[7 * begin : 7 * begin + 28] *= 0.4
    with store.engine.begin() as conn:
        found = recording(conn, ReportQuery(make_history(conn, scattered(rng, daily))))
    assert found.breaks == ()
    assert found.seasonal
    assert "recording_one_year" not in said(found)


def test_breaks_outside_the_period_are_not_told(store: Any) -> None:
    frame = quiet()
    frame = frame[~frame["day"].between(300, 313)]
    with store.engine.begin() as conn:
        territory = make_history(conn, frame)
        assert recording(conn, ReportQuery(territory, start=day(400))).breaks == ()
        assert len(recording(conn, ReportQuery(territory, start=day(305))).breaks) == 1
        assert recording(conn, ReportQuery(territory, end=day(250))).breaks == ()


def test_a_flood_is_named_with_place_day_type_and_channel(recorded: Callable[..., Recording]) -> None:
    flood = pd.DataFrame(
        {
            "lon": 50.1,
            "lat": 26.4,
            "day": 200,
            "channel": int(Channel.INSPECTOR),
            "type": "Waste",
            "flags": 0,
        },
        index=range(30),
    )
    found = recorded(pd.concat([quiet(), flood]))
    (one,) = found.floods
    assert (one.day, one.type_name, one.channel, one.place.en) == (
        day(200), "Waste", int(Channel.INSPECTOR), "Test quarter",
    )  # fmt: skip
    assert one.reports >= 30
    assert one.cell == cells_of([50.1], [26.4], 9)[0]
    assert said(found)["recording_flood_channel"]["cell"] == to_text([one.cell])[0]
    assert one.usual < 0.5


def test_a_sender_who_floods_a_place_is_told_without_a_name(store: Any) -> None:
    rng = np.random.default_rng(8)
    frame = quiet()[:4000].assign(reporter=rng.integers(1, 2500, 4000))
    # A call centre's account is everywhere, so it floods no place.
    frame.loc[rng.random(4000) < 0.1, "reporter"] = 9_000
    frame.loc[rng.random(4000) < 0.1, "lon"] = 50.15
    loud = pd.DataFrame(
        {
            "lon": 50.1,
            "lat": 26.4,
            "day": np.arange(40) * 3,
            "channel": int(Channel.CITIZEN),
            "type": "Waste",
            "flags": 0,
            "reporter": -77,
        }
    )
    with store.engine.begin() as conn:
        territory = make_history(conn, pd.concat([frame, loud]))
        assert recording(conn, ReportQuery(territory)).senders == ()
        reporter_secret(conn)  # as the ingest of a file with senders does
        found = recording(conn, ReportQuery(territory))
        late = recording(conn, ReportQuery(territory, start=day(110)))
    (one,) = found.senders
    assert one.cell == cells_of([50.1], [26.4], 9)[0]
    assert one.reports == 40
    assert 40 <= one.of <= 60
    assert one.place.en == "Test quarter"
    assert said(found)["recording_sender"]["reports"] == 40
    assert "-77" not in str(found)
    assert late.senders == ()


def test_default_points_are_named_with_place_and_number(store: Any) -> None:
    piled = quiet()[:25].assign(lon=50.05, lat=26.35, flags=int(Flag.DEFAULT_POINT))
    with store.engine.begin() as conn:
        territory = make_history(conn, pd.concat([quiet(), piled]))
        out = recording(conn, ReportQuery(territory))
        counted = recording(conn, ReportQuery(territory, default_points=True))
        none = recording(conn, ReportQuery(territory, start=day(400)))
    (point,) = out.default_points
    assert (point.reports, point.place.en) == (25, "Test quarter")
    assert said(out)["recording_point_out"]["at"] == "26.35000, 50.05000"
    assert "recording_point_in" in said(counted)
    assert none.default_points == ()


def test_a_short_history_says_that_it_was_not_searched(recorded: Callable[..., Recording]) -> None:
    frame = quiet()
    found = recorded(frame[frame["day"] < 50])
    assert found.weeks == 0
    assert [remark.code for remark in found.remarks] == ["recording_short"]


def test_a_territory_without_reports_has_nothing_to_warn_of(store: Any) -> None:
    with store.engine.begin() as conn:
        territory = make_history(conn, quiet()[:50])
        empty = ReportQuery(territory, types=(999_999,))
        assert [remark.code for remark in recording_warnings(conn, empty)] == ["recording_short"]


def test_recordings_without_a_change_get_a_warning_at_most_as_often_as_stated(store: Any) -> None:
    rng = np.random.default_rng(7)
    alarms = 0
    with store.engine.connect() as conn:
        for _ in range(100):
            frame = scattered(rng, np.repeat(25 * np.exp(rng.normal(0, 0.1, 60)), 7))
            cells, run = np.unique(cells_of(frame["lon"], frame["lat"], 10), return_inverse=True)
            reports = len(frame)
            last = int(frame["day"].max())
            history = History(
                run=run,
                run_cells=cells,
                run_areas={},
                day=frame["day"].to_numpy(),
                week=(frame["day"].to_numpy() - last - 1) // 7 + 59,
                channel=rng.choice(4, reports, p=[0.1, 0.6, 0.2, 0.1]),
                type=rng.choice(9, reports),
                first=0,
                last=last,
                weeks=59,
            )
            alarms += bool(breaks(conn, history, ReportQuery(1))[0])
    # 5 % of 100 is 5; more than 11 would come in 1 of 200 such series at that rate.
    assert alarms <= 11


def test_the_dip_of_april_2020_in_baltimore_is_told(store: Any, shared_data: Path) -> None:
    plain = pd.read_csv(shared_data / "baltimore" / "reports.csv.gz").drop_duplicates()
    opened = pd.to_datetime(plain["createddate"])
    frame = pd.DataFrame(
        {
            "lon": plain["longitude"],
            "lat": plain["latitude"],
            "day": (opened - pd.Timestamp(FIRST)).dt.days,
            "channel": int(Channel.UNKNOWN),
            "type": plain["srtype"],
            "flags": 0,
        }
    )
    with store.engine.begin() as conn:
        found = recording(conn, ReportQuery(make_history(conn, frame)))
    (whole,) = [b for b in found.breaks if b.what == "all"]
    assert dt.date(2020, 3, 13) <= whole.first <= dt.date(2020, 3, 27)
    assert whole.level / whole.expected == pytest.approx(0.61, abs=0.05)
    assert whole.same >= 0.8 * whole.areas
    assert "recording_one_year" in said(found)
