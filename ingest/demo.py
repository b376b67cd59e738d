"""The demo: simulated reports of the Eastern Province, written as files and loaded as files.

The files are what a user of the portal would bring: its sheet, and boundaries. They go
through the ordinary ingest, faults and all. Beside them lies ``truth.json``: what was
planted, so that an analysis can be judged by it. Every number here is made up.
"""

from __future__ import annotations

import datetime as dt
import json
import tempfile
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from sqlalchemy import Engine

from geo.simulated_scene import EMERGING, Scene
from geo.simulation import prepare, simulate
from ingest.demo_areas import LEVELS, NOTE, write_areas
from ingest.demo_files import NOTICE, Tally, opened, write_portal
from ingest.demo_histories import HistorySheet, write_histories
from ingest.demo_population import LABEL, write_population
from ingest.demo_roads import LABEL as ROADS_LABEL
from ingest.demo_roads import write_roads
from ingest.demo_world import DemoWorld, demo_plan, demo_world

TERRITORY = "demo-eastern-province"
TERRITORY_NAMES = ("المنطقة الشرقية (محاكاة)", "Eastern Province (simulated)")
SOURCE = "portal"  # of the profile that reads the sheet
SEED = 940
REPORTS = 100_000
MONTHS = 24
CHUNK = 50_000

Progress = Callable[[float, int], None]


@dataclass(frozen=True)
class DemoFiles:
    """The files of one simulation."""

    folder: Path
    reports: list[Path]
    histories: Path
    areas: Path
    population: Path
    roads: Path
    truth: Path
    rows: int
    seconds: float

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {
            "folder": str(self.folder),
            "reports": [str(path) for path in self.reports],
            "histories": str(self.histories),
            "areas": str(self.areas),
            "population": str(self.population),
            "roads": str(self.roads),
            "truth": str(self.truth),
            "rows": self.rows,
            "seconds": round(self.seconds, 3),
        }


@dataclass(frozen=True)
class DemoResult:
    """What the demo put into the store. Read = accepted + updated + unchanged + quarantined."""

    territory: str
    read: int
    accepted: int
    updated: int
    unchanged: int
    quarantined: int
    located: int
    areas: dict[str, int]
    population: float
    road_km: float
    steps: int
    impossible: int
    batches: list[int]
    seconds: float
    truth: dict[str, Any]

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; the truth's long lists are left to ``truth.json``."""
        values = {name: value for name, value in self.__dict__.items() if name != "truth"}
        values["seconds"] = round(self.seconds, 3)
        return values | {"seed": self.truth["seed"], "simulated": True}


def last_full_month(today: dt.date) -> dt.date:
    """The last day of the month before `today`: where the demo ends unless said otherwise."""
    return today.replace(day=1) - dt.timedelta(days=1)


def demo_scene(reports: int, seed: int, months: int, end: dt.date) -> tuple[DemoWorld, Scene]:
    """The world and the drawn scene; `end` is the last day with reports."""
    demo = demo_world()
    plan = demo_plan(demo, reports, seed, months, end + dt.timedelta(days=1))
    return demo, prepare(demo.world, demo.habits, plan)


def write_files(
    folder: Path,
    *,
    reports: int = REPORTS,
    seed: int = SEED,
    months: int = MONTHS,
    end: dt.date,
    format: str = "csv",
    progress: Progress | None = None,
) -> DemoFiles:
    """Write ``simulated_reports.*``, ``simulated_histories.*``, areas, population, roads and ``truth.json`` into `folder`.

    Parameters
    ----------
    end : last day with reports; the period is the `months` months before and with it.
    format : csv, csv.gz, csv.zst or xlsx (files of at most 50,000 rows, as the portal's).
    progress : called with (share done, rows written).

    Raises
    ------
    InputError : the size, the period or the format cannot be simulated.
    """
    began = time.monotonic()
    folder = Path(folder)
    demo, scene = demo_scene(reports, seed, months, end)
    folder.mkdir(parents=True, exist_ok=True)
    packing = "csv" if format == "xlsx" else format  # a workbook is too small for so many steps
    histories, sheet = folder / f"simulated_histories.{packing}", HistorySheet(demo, seed)
    with opened(histories, packing) as file:
        chunks = write_histories(file, sheet, simulate(scene, CHUNK))
        paths, tally = write_portal(
            folder / "simulated_reports", chunks, demo, format, progress, total=reports
        )
    areas = write_areas(folder / "demo_areas.gpkg", demo)
    population = write_population(folder / "simulated_population.csv", demo)
    roads = write_roads(folder / "simulated_roads.gpkg", demo)
    truth = folder / "truth.json"
    text = json.dumps(
        truth_of(demo, scene, tally) | {"histories": sheet.truth()}, ensure_ascii=False, indent=1
    )
    truth.write_text(text + "\n", encoding="utf-8")
    return DemoFiles(
        folder, paths, histories, areas, population, roads, truth, tally.rows, time.monotonic() - began
    )


def load_demo(
    engine: Engine,
    *,
    reports: int = REPORTS,
    seed: int = SEED,
    months: int = MONTHS,
    end: dt.date,
    folder: Path | None = None,
    format: str = "csv",
    progress: Progress | None = None,
) -> DemoResult:
    """Write the demo's files and bring them in through the ordinary ingest.

    `folder` keeps the files; without one they are written to a temporary folder and go
    when the load ends. Loading the same demo again changes nothing.
    """
    # Only a load needs the pipeline: writing files works without a store.
    from data import routing, territories
    from data.incidents import refresh_incidents
    from ingest.areas import ingest_areas
    from ingest.demo_campaign import save_past_campaign
    from ingest.exposure import ingest_exposure
    from ingest.histories import ingest_histories
    from ingest.pipeline import ingest_reports
    from ingest.roads import ingest_roads

    def part(low: float, high: float) -> Progress | None:
        if progress is None:
            return None
        return lambda share, rows: progress(low + (high - low) * min(share, 1.0), rows)

    began = time.monotonic()
    with tempfile.TemporaryDirectory(prefix="rasd-demo-") as scratch:
        files = write_files(
            folder or Path(scratch),
            reports=reports,
            seed=seed,
            months=months,
            end=end,
            format=format,
            progress=part(0.0, 0.1),
        )
        areas: dict[str, int] = {}
        for i, level in enumerate(LEVELS):
            result = ingest_areas(
                engine,
                files.areas,
                level=level,
                territory=TERRITORY,
                territory_names=TERRITORY_NAMES,
                timezone="Asia/Riyadh",
                name_ar="name_ar",
                name_en="name_en",
                code="code",
                parent="parent",
                layer=level,
                illustrative=True,
                simulated=True,
                progress=part(0.1 + 0.02 * i, 0.12 + 0.02 * i),
            )
            areas[level] = result.accepted
        people = ingest_exposure(
            engine, files.population, kind="population", territory=TERRITORY, label=LABEL, simulated=True
        )
        roads = ingest_roads(engine, files.roads, territory=TERRITORY, label=ROADS_LABEL, simulated=True)
        totals = dict.fromkeys(("read", "accepted", "updated", "unchanged", "quarantined", "located"), 0)
        batches: list[int] = []
        for i, path in enumerate(files.reports):
            low, high = (0.2 + 0.5 * k / len(files.reports) for k in (i, i + 1))
            batch = ingest_reports(engine, path, territory=TERRITORY, progress=part(low, high))
            for name in totals:
                totals[name] += getattr(batch, name)
            if batch.batch is not None:
                batches.append(batch.batch)
        histories = ingest_histories(engine, files.histories, source=SOURCE, territory=TERRITORY)
        if histories.batch is not None:
            batches.append(histories.batch)
        with engine.begin() as conn:
            place = territories.find(conn, TERRITORY)
            if place is not None:
                routing.load_defaults(conn, place.id)
        # A demo shows everything at once; a user's own load leaves this to the first question.
        share = part(0.9, 1.0)
        if place is not None:
            refresh_incidents(
                engine, place.id, tick=lambda done: share(done, totals["read"]) if share else None
            )
        save_past_campaign(engine, TERRITORY, *demo_scene(reports, seed, months, end))
        truth = json.loads(files.truth.read_text(encoding="utf-8"))
    return DemoResult(
        territory=TERRITORY,
        **totals,
        areas=areas,
        population=round(people.inside),
        road_km=round(roads.km),
        steps=histories.accepted,
        impossible=histories.flags.get("impossible_sequence", 0),
        batches=batches,
        seconds=time.monotonic() - began,
        truth=truth,
    )


def truth_of(demo: DemoWorld, scene: Scene, tally: Tally) -> dict[str, Any]:
    """What was planted and what was written, JSON-ready."""
    plan, codes, municipalities = scene.plan, demo.habits.codes, demo.world.municipalities
    spots = []
    for spot, (place, lon, lat, elements) in enumerate(scene.spots.centres):
        spots.append(
            {
                "lon": round(lon, 6),
                "lat": round(lat, 6),
                "municipality": municipalities[demo.world.places.municipality[place]],
                "district": demo.world.places.name_ar[place] or None,
                "elements": [codes[element] for element in elements],
                "reports": tally.spots[spot],
            }
        )
    chronic, emerging = spots[:EMERGING], spots[EMERGING:]
    campaign: dict[str, Any] | None = None
    if plan.campaign is not None:
        campaign = {
            "municipality": municipalities[plan.campaign.municipality],
            "elements": [codes[element] for element in plan.campaign.elements],
            "start": str(plan.campaign.start),
            "end": str(plan.campaign.end),
            "effect_until": str(plan.campaign.effect_end),
            "effect": plan.campaign.effect,
            "cells_resolution": 8,
            "cells": scene.treated_cells(),
            "reports_prevented": tally.prevented,
        }
    return {
        "notice": NOTICE,
        "boundaries": NOTE,
        "seed": plan.seed,
        "reports": plan.reports,
        "first_day": str(plan.start),
        "last_day": str(plan.end - np.timedelta64(1, "D")),
        "rows_written": tally.rows,
        "duplicates": tally.duplicates,
        "chronic_spots": chronic,
        "emerging_spot": emerging[0] | {"begins": str(plan.end - 120)} if emerging else None,
        "campaign": campaign,
        "misrouted": tally.misrouted,
        "dirt": dict(tally.dirt),
        "statuses": dict(tally.statuses),
        "channels": dict(tally.channels),
        "elements": dict(tally.elements),
        "municipalities_left_out": demo.left_out,
    }
