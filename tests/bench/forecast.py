"""How well the forecast does on real reports: a table of models and area budgets, with intervals.

Two sets of ``RASD_SHARED_DATA``: Baltimore 2020 (sanitation and illegal dumping) and Boston
2013 to 2019 (animals and pests). The test months are calendar months; every forecast is made
from what was known on the first of the month. ``--months development`` are earlier months, on
which models, kernels and half-lives were chosen; the months of ``test`` took no part in that.
"""

from __future__ import annotations

import math
import os
import time
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import pandas as pd
import shapely

from geo.backtest import BUDGETS, Judge, Trials, fit
from geo.cells import cells_covering, cells_of
from geo.errors import InputError
from geo.forecast import AUTO, CODES, DEFAULT, RIVALS, chosen_before, coverage, rolling
from geo.ground import Ground
from geo.history import History, Window, history

DESCRIPTION = "Forecast of the next month on real reports (--set baltimore|boston, --resolution 9|10)"
REAL = True  # needs the real files
SMALL = {"resolution": 9, "every": 6}  # when only tried out: one month
ROOT = Path(__file__).resolve().parents[2]
# Memory: the days that the plain ways look back, as in the baselines of SOURCES.txt.
SETS = {
    "baltimore": {
        "test": ("2020-07", "2020-12"),
        "development": ("2020-04", "2020-06"),
        "memory": 182,
        "first": "2020-01-01",
        "end": "2021-01-01",
    },
    "boston": {
        "test": ("2018-07", "2019-12"),
        "development": ("2015-01", "2018-06"),
        "memory": 730,
        "first": "2013-01-01",
        "end": "2020-01-01",
    },
}


def run(
    rows: int | None = None,
    set: str = "baltimore",
    resolution: int = 10,
    months: str = "test",
    kind: str = "",
    models: str = "",
    every: int = 1,
    coarser: int = 0,
) -> dict[str, Any]:
    """Forecast each test month and judge it.

    Parameters
    ----------
    set : baltimore or boston. kind : a part of a type's name, for reports of that type only.
    months : test or development. every : only every so-many-th month.
    models : codes, joined by commas; all when left out.
    coarser : another resolution, whose past counts the forecast is compared with as well.
    """
    if set not in SETS or months not in ("test", "development"):
        raise InputError(f"There is no set {set!r} with {months!r} months; there are: {', '.join(SETS)}.")
    codes = tuple(models.split(",")) if models else CODES
    began = time.perf_counter()
    past = read(set, resolution, kind)
    windows = test_windows(set, months)[::every]
    trials = rolling(past, windows, codes, memory=int(SETS[set]["memory"]))
    if len(codes) > 1:
        trials.forecasts[AUTO], _ = chosen_before(trials, codes)
    trials.forecasts["hindsight"] = hindsight(past, windows)
    judge = Judge(trials, rng=np.random.default_rng(0))
    table = score_table(judge, trials)
    main = DEFAULT if DEFAULT in trials.forecasts else codes[-1]
    against = difference_table(judge, main, tuple(code for code in RIVALS if code in codes and code != main))
    print(f"\n{set}, resolution {resolution}, {len(trials.cells):,} cells, {len(windows)} months, ", end="")
    print(f"{trials.observed.sum():,.0f} reports in them{', ' + kind if kind else ''}\n")
    print(table.to_string(index=False, float_format=lambda x: f"{x:.2f}"))
    print(f"\n{main} minus its rivals, PAI (95 % interval over months; over blocks of cells)\n")
    print(against.to_string(index=False, float_format=lambda x: f"{x:+.2f}"))
    across: list[dict[str, Any]] = []
    if coarser:
        other = rolling(read(set, coarser, kind), windows, ["past"], memory=int(SETS[set]["memory"]))
        wide = Judge(other, rng=np.random.default_rng(0))
        for gain, score in zip(judge.across(main, wide, "past"), wide.scores("past"), strict=True):
            told = {"budget": f"{gain.budget:.0%}", "past_hit": 100 * score.hit, "hit": 100 * gain.hit}
            across.append(told | {"pai": gain.pai, "low": gain.low, "high": gain.high})
        print(f"\n{main} minus past counts in cells of resolution {coarser}, PAI (95 % over months)\n")
        print(pd.DataFrame(across).to_string(index=False, float_format=lambda x: f"{x:+.2f}"))
    ratios = " ".join(f"{ratio:.2f}" for ratio in fit(trials, main).ratios)
    held = coverage(trials, main) if len(windows) > 1 else math.nan
    print(f"\n{main}: observed / expected by tenth of the expected reports, low to high: {ratios}")
    print(f"{main}: counts within their 90 % interval, in the tenth of cells with most expected: {held:.3f}")
    return {
        "set": set,
        "resolution": resolution,
        "months": len(windows),
        "cells": len(trials.cells),
        "reports": int(trials.observed.sum()),
        "scores": table.to_dict("records"),
        "differences": against.to_dict("records"),
        "across": across,
        "coverage": held,
        "seconds": round(time.perf_counter() - began, 1),
    }


def read(name: str, resolution: int, kind: str = "", folder: Path | None = None) -> History:
    """The reports of a set by cell and day, with what each is about."""
    shared = folder or Path(os.environ.get("RASD_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not shared.is_dir():
        raise InputError(f"The real files are not here ({shared}); RASD_SHARED_DATA names their folder.")
    if name == "baltimore":
        place = shared / "baltimore"
        frame = pd.read_csv(place / "reports.csv.gz").drop_duplicates()
        opened, about = frame["createddate"], frame["srtype"]
        area = gpd.read_parquet(place / "baltimore_city.parquet").to_crs(4326)
    else:
        place = shared / "boston_animals_pests"
        frame = pd.read_parquet(place / "boston_311_animals_pests_2013_2019.parquet")
        opened, about = frame["open_dt"], frame["type"]
        area = gpd.read_file(place / "boston_neighborhoods.geojson")
    cells = cells_covering(shapely.union_all(area.geometry.to_numpy()), resolution)
    lon, lat = (pd.to_numeric(frame[c], errors="coerce").to_numpy() for c in ("longitude", "latitude"))
    found = cells_of(lon, lat, resolution)
    at = np.minimum(np.searchsorted(cells, found), len(cells) - 1)
    place_of = np.where(cells[at] == found, at, -1)
    wanted = about.str.contains(kind, case=False, regex=False).to_numpy()
    if not wanted.any():
        raise InputError(f"No type of {name} contains {kind!r}; there are: {', '.join(sorted(set(about)))}.")
    day = pd.to_datetime(opened).to_numpy().astype("datetime64[D]").astype(np.int64)
    codes = np.unique(about.to_numpy().astype(str), return_inverse=True)[1]
    first, end = (number(str(SETS[name][key])) for key in ("first", "end"))
    return history(cells, place_of[wanted], day[wanted], first, end, codes[wanted])


def test_windows(name: str, months: str) -> list[Window]:
    """The calendar months to forecast."""
    first, last = (np.datetime64(month, "M") for month in SETS[name][months])  # type: ignore[union-attr]
    return [Window(number(m), number(m + 1)) for m in np.arange(first, last + 1)]


def number(day: object) -> int:
    """Days since 1970."""
    return int(np.datetime64(day, "D").astype(np.int64))  # type: ignore[call-overload]


def hindsight(past: History, windows: list[Window]) -> np.ndarray:
    """What the months before *and after* a test say of it, (t, n): no forecast, but near the most that
    slowly changing rates could tell (half-life 180 days to both sides, shrunk to the surroundings)."""
    ground = Ground(past.cells)
    found = []
    for window in windows:
        outside = (past.day < window.start) | (past.day >= window.end)
        day, place = past.day[outside], past.place[outside]
        away = np.where(day < window.start, window.start - day, day - window.end + 1)
        weight = 0.5 ** (away / 180)
        counts = np.bincount(place, weight, minlength=len(past.cells))
        # The days that the counts stand for, in windows; a prior of three reports.
        span = np.arange(past.first, past.end)
        far = np.where(span < window.start, window.start - span, span - window.end + 1)
        times = float((0.5 ** (far[(span < window.start) | (span >= window.end)] / 180)).sum()) / window.days
        around = ground.smooth(counts, 0.8) / times
        found.append((counts + 3) / (times + 3 / np.maximum(around, 1e-4)))
    return np.array(found)


def score_table(judge: Judge, trials: Trials) -> pd.DataFrame:
    """A row a model and budget: hit rates in per cent, PAI with both intervals, PEI, deviance."""
    rows = []
    for model in trials.forecasts:
        deviance = fit(trials, model).deviance
        for score in judge.scores(model):
            rows.append(
                {
                    "model": model,
                    "budget": f"{score.budget:.0%}",
                    "hit": 100 * score.hit,
                    "pai": score.pai,
                    "low": score.low,
                    "high": score.high,
                    "low_cells": score.low_cells,
                    "high_cells": score.high_cells,
                    "pei": score.pei,
                    "deviance": 1000 * deviance,
                }
            )
    return pd.DataFrame(rows)


def difference_table(judge: Judge, model: str, against: tuple[str, ...]) -> pd.DataFrame:
    """A row a plain way and budget: PAI of ``model`` minus its PAI, with both intervals."""
    return pd.DataFrame(
        {
            "against": d.against,
            "budget": f"{d.budget:.0%}",
            "hit": 100 * d.hit,
            "pai": d.pai,
            "low": d.low,
            "high": d.high,
            "low_cells": d.low_cells,
            "high_cells": d.high_cells,
            "sure": "yes" if d.better else "no",
        }
        for d in judge.differences(model, against)
        if d.budget in BUDGETS
    )
