"""The effect of a campaign over the store: a drop that was planted, visits, dates, and too little time."""

from __future__ import annotations

import dataclasses
import datetime as dt
import json
from typing import Any

import numpy as np
import pandas as pd
import pytest
from sqlalchemy import text

from data import campaigns, territories
from data.analyses.effect_ground import EffectSettings
from data.analyses.effects import effect, effect_of_cells
from data.query import ReportQuery
from data.visit_form import NewVisit, record_visit
from geo.cells import cells_of, centres, to_text
from geo.errors import InputError
from tests.data.history_sample import FIRST, make_history, places
from tests.data.plan_sample import small_plan

START, END = FIRST + dt.timedelta(days=300), FIRST + dt.timedelta(days=329)


@pytest.fixture(scope="module")
def planted(module_store: Any) -> tuple[Any, int, np.ndarray]:
    """A town of equal ground in which 70 % fewer reports come to twelve cells after a campaign."""
    rng = np.random.default_rng(4)
    day = rng.integers(0, 420, 9_000)
    lon, lat = places(rng, len(day))
    cell = cells_of(lon, lat, 7)
    treated = np.unique(cell)[[5, 12, 20, 33, 41, 55]]
    gone = np.isin(cell, treated) & (day >= 330) & (rng.random(len(day)) < 0.7)
    frame = pd.DataFrame(
        {"lon": lon, "lat": lat, "day": day, "channel": 1, "type": "Waste", "flags": 0}
    )[~gone]  # fmt: skip
    with module_store.engine.begin() as conn:
        return module_store.engine, make_history(conn, frame), treated


def test_a_planted_drop_is_found_and_earlier_dates_show_none(planted: tuple[Any, int, np.ndarray]) -> None:
    engine, territory, treated = planted
    shares: list[float] = []
    with engine.connect() as conn:
        found = effect_of_cells(conn, ReportQuery(territory), treated, START, END, tick=shares.append)
    assert found.reports.low <= 0.3 <= found.reports.high < 1
    assert found.sentence.code == "effect_fewer"
    assert (found.since, found.until) == (START - dt.timedelta(days=300), END + dt.timedelta(days=90))
    assert [period.step.period for period in found.course] == list(range(-10, 3))
    assert all(period.start > END or period.end < START for period in found.course)
    assert found.chronic is None and "effect_no_incidents" in {r.code for r in found.remarks}
    assert not set(found.controls) & (set(found.treated) | set(found.near))
    assert len(found.placebo) == 2 and all(one.low < 1 < one.high for _, one in found.placebo)
    assert shares == sorted(shares) and shares[-1] == 1.0
    told = json.loads(json.dumps(found.to_dict()))
    assert told["treated_cells"] == 6 and told["start"] == START.isoformat()


def test_a_saved_campaign_is_judged_by_its_visits_else_by_its_plan(
    planted: tuple[Any, int, np.ndarray],
) -> None:
    engine, territory, treated = planted
    plan = small_plan("plain")
    area = dataclasses.replace(plan.areas[0], cells=tuple(to_text(treated)), sites=())
    terms = dataclasses.replace(plan.terms, start=START, days=20)
    plan = dataclasses.replace(plan, areas=(area,), terms=terms, resolution=7, query={"groups": []})
    with engine.begin() as conn:
        saved = campaigns.save(conn, plan, "A")
        by_plan = effect(conn, saved.id)
        assert by_plan.remarks[0].code == "effect_cells_planned"
        assert (by_plan.start, by_plan.end) == (START, START + dt.timedelta(days=25))
        assert by_plan.reports.ratio < 0.6
        lon, lat = centres(treated[:2])
        for x, y in zip(lon, lat, strict=True):
            at = dt.datetime.combine(END, dt.time(9), dt.UTC)
            record_visit(conn, territory, NewVisit(at, True, saved.id, area=1, lon=float(x), lat=float(y)))
        by_visits = effect(conn, saved.id)
        assert (len(by_visits.treated), by_visits.end) == (2, END)
        assert dict(by_visits.remarks[0].values) == {"cells": 2, "planned": 6}
        # From four planned cells nothing came back: they are no untreated ground.
        untold = next(r for r in by_visits.remarks if r.code == "effect_cells_untold")
        assert untold.caution and dict(untold.values) == {"cells": 4}
        assert not set(by_visits.controls) & set(to_text(treated))
        assert len(effect(conn, saved.id, EffectSettings(planned=True)).treated) == 6


def test_a_campaign_lasts_to_its_last_planned_day_until_it_is_said_to_be_done(
    planted: tuple[Any, int, np.ndarray],
) -> None:
    engine, territory, treated = planted
    plan = small_plan("plain")
    area = dataclasses.replace(plan.areas[0], cells=tuple(to_text(treated)), sites=())
    # Twelve working days, six a week, from a Sunday on: until the second Saturday.
    terms = dataclasses.replace(plan.terms, start=START, days=12, weekend=(4,))
    plan = dataclasses.replace(plan, areas=(area,), terms=terms, resolution=7, query={"groups": []})
    lon, lat = (float(side[0]) for side in centres(treated[:1]))
    early = dt.datetime.combine(START + dt.timedelta(days=2), dt.time(9), dt.UTC)
    with engine.connect() as conn:
        saved = campaigns.save(conn, plan, "B")
        record_visit(conn, territory, NewVisit(early, True, saved.id, area=1, lon=lon, lat=lat))
        assert effect(conn, saved.id).end == START + dt.timedelta(days=13)
        for status in ("approved", "running", "done"):
            campaigns.change_status(conn, saved.id, status)
        assert effect(conn, saved.id).end == early.date()
        conn.rollback()


def test_one_stray_report_of_long_before_does_not_begin_the_record(
    planted: tuple[Any, int, np.ndarray],
) -> None:
    engine, territory, treated = planted
    with engine.connect() as conn:
        conn.execute(
            text(
                """UPDATE report SET opened_at = opened_at - interval '9 years'
                   WHERE id = (SELECT min(id) FROM report WHERE territory_id = :t)"""
            ),
            {"t": territory},
        )
        territories.bump_version(conn, territory, incidents_hold=True)
        found = effect_of_cells(conn, ReportQuery(territory), treated, START, END)
        assert found.since == START - dt.timedelta(days=300)
        conn.rollback()


def test_too_little_time_is_said_with_the_dates(planted: tuple[Any, int, np.ndarray]) -> None:
    engine, territory, treated = planted
    query = ReportQuery(territory)
    with engine.connect() as conn:
        with pytest.raises(InputError, match="no whole period of 30 days lies after"):
            effect_of_cells(conn, query, treated, START, FIRST + dt.timedelta(days=410))
        with pytest.raises(InputError, match="an effect needs four"):
            effect_of_cells(conn, query, treated, FIRST + dt.timedelta(days=60), END)
        with pytest.raises(InputError, match="No cell was treated"):
            effect_of_cells(conn, query, [], START, END)
    with pytest.raises(InputError, match="A period has 7 to 120 days"):
        EffectSettings(period_days=1)
