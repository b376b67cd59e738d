"""The reckoning of the retrospective is checked by hand here; the months themselves are the benchmark's."""

from __future__ import annotations

import importlib
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import pytest

from geo.cells import areas_km2, cells_of
from geo.ground import Ground
from tools import bench


@pytest.fixture(scope="module")
def deployments() -> Any:
    return importlib.import_module("tests.bench._deployments")


@pytest.fixture(scope="module")
def city(deployments: Any) -> Any:
    """A row of a dozen cells, one of two districts each, 1 km of street in each."""
    cells = np.unique(cells_of(46.7 + np.arange(24) * 0.002, np.full(24, 24.7), 9))[:12]
    n, metres = len(cells), Ground(cells).metres
    district = (metres[:, 0] > 0).astype(np.int64)
    base = np.array([metres[district == d].mean(axis=0) for d in (0, 1)])
    return deployments.City(
        cells, metres[:, 0], metres[:, 1], areas_km2(cells), np.ones(n), np.ones(n), district,
        base[:, 0], base[:, 1],
    )  # fmt: skip


def test_a_pass_finds_its_share_and_every_find_takes_its_time(deployments: Any) -> None:
    one = deployments.Sent(np.array([0]), np.ones(1), np.ones(1), 1.0)
    truth, drive, site = np.array([10.0]), np.array([0.5]), np.array([0.2])
    # One pass of half an hour finds 10 · (1 − 1/e) reports of 12 minutes each.
    hours = 0.5 + 0.2 * 10 * (1 - np.exp(-1))
    for rule in ("search", "timetable"):
        found = deployments.found_in(rule, one, hours, truth, drive, site)
        assert found == pytest.approx(10 * (1 - np.exp(-1)))
    # A sweep of all streets finds everything, half a sweep half of it.
    assert deployments.found_in("sweep", one, 0.5 + 0.2 * 10, truth, drive, site) == pytest.approx(10)
    assert deployments.found_in("sweep", one, 0.25 + 0.2 * 5, truth, drive, site) == pytest.approx(5)
    assert deployments.found_in("search", one, 0.0, truth, drive, site) == 0


def test_a_tour_goes_round_without_crossing_itself(deployments: Any) -> None:
    x, y = np.array([0.0, 1000, 1000, 0]), np.array([0.0, 1000, 0, 1000])
    assert deployments.tour_km(x, y) == pytest.approx(4)
    assert deployments.tour_km(x[:2], y[:2]) == pytest.approx(2 * np.sqrt(2))
    assert deployments.tour_km(x[:1], y[:1]) == 0


def test_everybody_spends_the_same_hours_and_nobody_finds_more_than_there_is(
    deployments: Any, city: Any
) -> None:
    crew = deployments.Crew(2, days=2)
    belief = np.arange(1.0, len(city.cells) + 1)
    truth = belief[::-1].copy()
    for sent in (
        deployments.top_cells(city, crew, belief),
        deployments.by_district(city, crew, belief),
        deployments.free_best(city, crew, belief),
    ):
        assert sum(one.days for one in sent) * crew.hours == pytest.approx(crew.total)
        out = deployments.worked(city, crew, sent, truth)
        assert out.travel + out.on_site == pytest.approx(crew.total)
        for rule in deployments.RULES:
            assert (out.finds[rule] <= truth + 1e-9).all()
            assert 0 < out.finds[rule].sum() * crew.minutes_site / 60 <= crew.total


def test_the_best_passes_cannot_be_bettered_by_moving_an_hour(deployments: Any, city: Any) -> None:
    crew = deployments.Crew(1, days=1)
    belief = np.linspace(0.5, 12, len(city.cells))
    passes = deployments.best_passes(city, crew, belief)
    assert deployments.hours_of(city, crew, passes, belief).sum() == pytest.approx(crew.total)
    best = (belief * -np.expm1(-passes)).sum()
    rng = np.random.default_rng(3)
    for _ in range(50):
        other = np.maximum(passes + rng.normal(0, 0.2, len(passes)), 0)
        if deployments.hours_of(city, crew, other, belief).sum() <= crew.total:
            assert (belief * -np.expm1(-other)).sum() <= best + 1e-6


def test_a_comparison_is_paired_and_the_same_has_no_difference(deployments: Any, city: Any) -> None:
    months = [np.arange(1.0, len(city.cells) + 1) * k for k in (1, 2, 3)]
    doubled = [2 * month for month in months]
    same, half = deployments.better(city, months, {"same": months, "half": doubled}, draws=200)
    assert (same.better, same.low, same.high, same.months) == (0, 0, 0, 0)
    assert half.better == pytest.approx(-0.5) and half.low_places == pytest.approx(-0.5)
    assert half.high == pytest.approx(-0.5) and half.months == 0


def test_the_files_of_a_day_know_nothing_of_later_days(
    shared_data: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    module = bench.load("retrospective")
    monkeypatch.setattr(module.Files, "_ground", lambda self: None)
    monkeypatch.setattr(module.database, "engine", lambda: None)
    files = module.Files(shared_data / "baltimore", module.SETS["street"])
    day = "2020-04-30"
    known = files.as_of(day)
    assert len(known) == int(
        (pd.read_csv(shared_data / "baltimore" / "reports.csv.gz")["createddate"] <= day).sum()
    )
    assert (known["createddate"] <= day).all() and (known["statusdate"] <= day).all()
    # What was closed in May stands open, and what is open has no date of a later status.
    later = files.frame.loc[known.index, "statusdate"] > day
    assert later.sum() > 500 and (known.loc[later, "srstatus"] == "Open").all()
    stands = known["srstatus"] == "Open"
    assert (known.loc[stands, "statusdate"] == known.loc[stands, "createddate"]).all()
