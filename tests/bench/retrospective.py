"""Was it worth it: plans of earlier months, scored by what was reported in the month after.

Baltimore's files are brought in month by month as their export would have read then: reports
opened by the last day of month t, and closed only if they were closed by that day. ``propose``
plans on that, its rivals rank cells by the same reports, and all are sent out through one
reckoning (``_deployments.py``) into what was reported in month t + 1. Sets: street (dumping, dirty
streets and alleys, public bins), dumping, all (households' bins and private land too), and
citations 2018-19, what inspectors wrote. Caveat: one city, one year of reports; a report is
what somebody told, not all there was to see.
"""

from __future__ import annotations

import dataclasses
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import geopandas as gpd
import numpy as np
import numpy.typing as npt
import pandas as pd
import shapely
from sqlalchemy import text

from data import database, territories
from data.analyses.campaigns import propose
from data.analyses.kinds import element_terms
from data.analyses.stakes import PRIOR_REPORTS
from data.analyses.study import study_cells
from data.incidents import refresh_incidents
from data.plan import CampaignPlan, CampaignTerms
from data.query import ReportQuery
from geo.cells import areas_km2, cells_of, centres, from_text
from geo.errors import InputError
from geo.ground import Ground
from ingest.areas import ingest_areas
from ingest.exposure import ingest_exposure
from ingest.pipeline import ingest_reports
from ingest.profile import load_profile
from tests.bench import _deployments as deployments
from tests.bench.citations import METRES, baltimore, citations

DESCRIPTION = (
    "Plans of earlier months on real reports, scored by the month after (--set street|dumping|all|citations)"
)
REAL = True  # needs the real files
SMALL = None  # half a minute at its smallest, so not in ./test: ./bench retrospective --rows 1
ZONE = "America/New_York"
NOT_DRIVEN = ("Limited Access", "Ramp", "Tunnel", "Fictitious Centerline Segment")
OUTCOME_NOT_KNOWN = ("Open", "New", "Pending")
DAYS = 22  # of work in a month
Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Set:
    """One kind of truth: whose reports, which of them, and the months that are planned."""

    territory: str
    elements: tuple[str, ...]
    test: tuple[str, str]
    development: tuple[str, str]


SETS = {
    "street": Set("baltimore", ("P06", "R06"), ("2020-05", "2020-12"), ("2020-03", "2020-04")),
    "dumping": Set("baltimore", ("P06",), ("2020-05", "2020-12"), ("2020-03", "2020-04")),
    "all": Set("baltimore", (), ("2020-05", "2020-12"), ("2020-03", "2020-04")),
    "citations": Set("citations", (), ("2018-12", "2019-11"), ("2018-06", "2018-11")),
}


def run(
    rows: int | None = None,
    set: str = "street",
    months: str = "test",
    teams: str = "2",
    paces: str = "12/2.5,4/6",
    resolution: int = 9,
    areas: int = 0,
    every: int = 1,
    first: int = 0,
) -> dict[str, Any]:
    """Plan each month, send everybody out, and compare.

    Parameters
    ----------
    rows : any number tries one month with one crew only. set : see ``SETS``. months : test or development. teams : numbers of teams, joined by commas.
    paces : minutes at a site / for a km, joined by commas: those of a campaign's defaults, and those of
        teams that drive slowly, take a picture and go on.
    areas : of a team; 0 leaves the number to the proposal.
    every, first : only every so-many-th month, beginning with that one (from 0).
    """
    if set not in SETS or months not in ("test", "development"):
        raise InputError(f"There is no set {set!r} with {months!r} months; there are: {', '.join(SETS)}.")
    began = time.perf_counter()
    about = SETS[set]
    files = Files(baltimore(), about)
    crews = [
        deployments.Crew(int(number), days=DAYS, minutes_site=float(site), minutes_km=float(km))
        for number in str(teams).split(",")
        for site, km in (pace.split("/") for pace in paces.split(","))
    ]
    span = about.test if months == "test" else about.development
    wanted = np.arange(np.datetime64(span[0], "M"), np.datetime64(span[1], "M") + 1)[first::every]
    if rows is not None:  # only tried out: one month, one crew, large cells
        wanted, crews, resolution = wanted[:1], crews[:1], min(resolution, 8)
    tried = [trial(files, month, crews, resolution, areas) for month in wanted]
    figures: dict[str, Any] = {
        "set": set,
        "resolution": resolution,
        "months": [str(month) for month in wanted],
        "reports": [int(one.truth.sum()) for one in tried],
        "crews": [told(tried, number, crew) for number, crew in enumerate(crews)],
    }
    figures["seconds"] = round(time.perf_counter() - began, 1)
    return figures


# ---- the files as they read at the end of a month ----


class Files:
    """Brings a set's files into the store as they read on a day; what comes later stays out."""

    def __init__(self, folder: Path, about: Set) -> None:
        self.folder, self.about = folder, about
        self.engine = database.engine()
        if about.territory == "citations":
            frame, placed = citations(folder)
            frame = frame.assign(longitude=placed.lon, latitude=placed.lat)[placed.found]
            self.frame = pd.DataFrame(
                {
                    "reference": frame["CitationNo"],
                    "type": frame["Description"].str.strip(),
                    "created date": frame["ViolationDate"].dt.strftime("%Y-%m-%d"),
                    "longitude": frame["longitude"],
                    "latitude": frame["latitude"],
                }
            )
            self.opened = self.frame["created date"]
            self.counted = np.ones(len(frame), dtype=bool)
            self.factor = np.ones(len(frame))
        else:
            self.frame = pd.read_csv(folder / "reports.csv.gz", dtype=str)
            self.opened = self.frame["createddate"]
            self.counted, self.factor = self._counted()
        self._ground()

    def _counted(self) -> tuple[npt.NDArray[np.bool_], Floats]:
        """Rows of the set's elements, each once, as the profile maps the types; minutes at one, in the usual."""
        words = load_profile("baltimore_311").values["element"]
        element = self.frame["srtype"].map(words)
        terms = element_terms()
        factor = element.map(lambda code: terms.get(code, terms["*"]).site_factor).to_numpy(np.float64)
        kept = element.isin(self.about.elements) if self.about.elements else pd.Series(True, self.frame.index)
        return (kept & ~self.frame.duplicated()).to_numpy(), factor

    def _ground(self) -> None:
        """Boundaries, people and streets of the city."""
        names = (("governorate", "baltimore_city"), ("municipality", "council_districts"))
        for level, name in (*names, ("district", "neighborhoods_2020")):
            ingest_areas(
                self.engine,
                self.folder / f"{name}.parquet",
                level=level,
                territory=self.about.territory,
                territory_names=("Baltimore", "Baltimore"),
                timezone=ZONE,
            )
        blocks = self.folder / "baltimore_blocks.parquet"
        ingest_exposure(
            self.engine, blocks, kind="population", column="pop20", territory=self.about.territory
        )
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "streets.parquet"
            driven_streets(self.folder).to_parquet(path)
            ingest_exposure(self.engine, path, kind="road_km", territory=self.about.territory)
        with self.engine.connect() as conn:
            self.territory_id = territories.find(conn, self.about.territory).id

    def as_of(self, day: str) -> pd.DataFrame:
        """The export as it read at the end of ``day`` (YYYY-MM-DD)."""
        known = self.frame[self.opened <= day].copy()
        if "srstatus" in known:
            later = (known["statusdate"] > day) | known["srstatus"].isin(OUTCOME_NOT_KNOWN)
            known.loc[later, "srstatus"] = "Open"
            known.loc[later, "statusdate"] = known.loc[later, "createddate"]
        return known

    def bring(self, day: str) -> None:
        """Update the store to what was known at the end of ``day``."""
        with tempfile.TemporaryDirectory() as folder:
            path = Path(folder) / "export.csv"
            self.as_of(day).to_csv(path, index=False)
            ingest_reports(self.engine, path, territory=self.about.territory, timezone=ZONE)
        with self.engine.connect() as conn:
            late = conn.scalar(
                text("SELECT max((opened_at AT TIME ZONE :zone)::date) FROM report WHERE territory_id = :t"),
                {"zone": ZONE, "t": self.territory_id},
            )
        if str(late) > day:
            raise InputError(f"The store knows of {late}, which is after {day}: this would be no forecast.")
        refresh_incidents(self.engine, self.territory_id)

    def counts(self, cells: Ints, resolution: int, low: str, high: str, weigh: bool = False) -> Floats:
        """Reports of the set by cell, opened on the days from ``low`` to before ``high``.

        Parameters
        ----------
        weigh : each counts as the minutes it takes, in the usual ones.
        """
        some = self.counted & (self.opened >= low).to_numpy() & (self.opened < high).to_numpy()
        lon, lat = (pd.to_numeric(self.frame.loc[some, c]).to_numpy() for c in ("longitude", "latitude"))
        with self.engine.connect() as conn:
            points = conn.execute(
                text("SELECT lon, lat FROM default_point WHERE territory_id = :t"), {"t": self.territory_id}
            ).all()
        real = np.ones(len(lon), dtype=bool)
        for point in points:  # where a geocoder puts what it could not find
            real &= (np.abs(lon - point.lon) > 1e-6) | (np.abs(lat - point.lat) > 1e-6)
        found = cells_of(lon[real], lat[real], resolution)
        at = np.minimum(np.searchsorted(cells, found), len(cells) - 1)
        inside = cells[at] == found
        each = self.factor[some][real] if weigh else np.ones(int(real.sum()))
        return np.bincount(at[inside], each[inside], minlength=len(cells))


def driven_streets(folder: Path) -> gpd.GeoDataFrame:
    """Streets and alleys that a team drives; motorways, ramps and tunnels left out."""
    streets = gpd.read_parquet(folder / "streets.parquet")
    return streets.loc[~streets["subtype_label"].isin(NOT_DRIVEN), ["subtype_label", "geometry"]]


def city_of(files: Files, resolution: int, day: str) -> deployments.City:
    """Cells of the study area with streets, districts, and a base by district where its reports are."""
    with files.engine.connect() as conn:
        cells, _ = study_cells(conn, ReportQuery(files.territory_id), resolution)
    lon, lat = centres(cells)
    shapes = gpd.read_parquet(files.folder / "council_districts.parquet")
    points = gpd.GeoDataFrame(geometry=gpd.points_from_xy(lon, lat), crs=4326)
    joined = gpd.sjoin(points, shapes[["geometry"]], how="left")["index_right"]
    joined = joined[~joined.index.duplicated()]
    district = joined.map({at: n for n, at in enumerate(shapes.index)}).fillna(-1).to_numpy(np.int64)
    metres = Ground(cells).metres
    empty = np.zeros(0)
    past = files.counts(cells, resolution, "", day)
    minutes = files.counts(cells, resolution, "", day, weigh=True)
    city = deployments.City(
        cells, metres[:, 0], metres[:, 1], areas_km2(cells), street_km(files.folder, cells, resolution),
        (minutes + PRIOR_REPORTS * minutes.sum() / past.sum()) / (past + PRIOR_REPORTS),
        district, empty, empty,
    )  # fmt: skip
    bases = []
    for number in range(len(shapes)):
        own = np.flatnonzero(district == number)
        middle = np.average(metres[own], axis=0, weights=past[own] + 1e-9)
        bases.append(metres[own[np.argmin(np.hypot(*(metres[own] - middle).T))]])
    base = np.array(bases)
    return dataclasses.replace(city, base_x=base[:, 0], base_y=base[:, 1])


def street_km(folder: Path, cells: Ints, resolution: int) -> Floats:
    """Kilometres of driven streets in each cell, cut into pieces of at most 20 m."""
    lines = shapely.get_parts(driven_streets(folder).to_crs(METRES).geometry.to_numpy())
    xy, line = shapely.get_coordinates(shapely.segmentize(lines, 20.0), return_index=True)
    same = line[1:] == line[:-1]
    middle = ((xy[1:] + xy[:-1]) / 2)[same]
    length = np.hypot(*(xy[1:] - xy[:-1]).T)[same]
    degrees = gpd.GeoSeries(gpd.points_from_xy(*middle.T), crs=METRES).to_crs(4326)
    found = cells_of(degrees.x.to_numpy(), degrees.y.to_numpy(), resolution)
    at = np.minimum(np.searchsorted(cells, found), len(cells) - 1)
    inside = cells[at] == found
    return np.bincount(at[inside], length[inside] / 1000, minlength=len(cells))


# ---- one month ----


@dataclass(frozen=True, slots=True, eq=False)
class Trial:
    """One month: what was reported (n,), and what each policy found, by number of teams.

    ``outcomes`` and ``plans`` are in the order of the crews.
    """

    month: str
    city: deployments.City
    truth: Floats
    outcomes: list[dict[str, deployments.Outcome]]
    plans: list[CampaignPlan]


def trial(
    files: Files, month: np.datetime64, crews: list[deployments.Crew], resolution: int, areas: int = 0
) -> Trial:
    """Plan the month from what was known the day before it, and let everybody work it."""
    begin, end = str(month.astype("M8[D]")), str((month + 1).astype("M8[D]"))
    last = str(month.astype("M8[D]") - 1)
    files.bring(last)
    city = city_of(files, resolution, begin)
    truth = files.counts(city.cells, resolution, begin, end)
    past = files.counts(city.cells, resolution, "", begin)
    recent = files.counts(city.cells, resolution, str((month - 1).astype("M8[D]")), begin)
    # Rivals know the places and not the season: last month's number is what they expect in all.
    past = past * recent.sum() / past.sum()
    outcomes, plans = [], []
    for crew in crews:
        plan = planned(files, last, crew, resolution, areas)
        sent = {
            "plan": of_plan(plan, city, crew),
            "top_cells": deployments.top_cells(city, crew, past),
            "municipality_share": deployments.by_district(city, crew, past),
            "last_month": deployments.top_cells(city, crew, recent),
            "free_best": deployments.free_best(city, crew, past),
            "hindsight": deployments.free_best(city, crew, truth + 1e-9),
        }
        outcomes.append({code: deployments.worked(city, crew, who, truth) for code, who in sent.items()})
        plans.append(plan)
    return Trial(str(month), city, truth, outcomes, plans)


def planned(files: Files, last: str, crew: deployments.Crew, resolution: int, areas: int = 0) -> CampaignPlan:
    """What ``propose`` says on the last day before the month, aimed at what will be reported newly.

    Overdue reports weigh nothing here: they were reported before, and would not be scored.
    """
    query = ReportQuery(files.territory_id, end=pd.Timestamp(last).date(), elements=files.about.elements)
    terms = CampaignTerms(
        days=crew.days, teams=crew.teams, hours=crew.hours,
        minutes_site=crew.minutes_site, minutes_km=crew.minutes_km, resolution=resolution,
        weights=(("overdue", 0.0),), severity=tuple((code, 1.0) for code in files.about.elements),
        one_municipality=False, areas=areas * crew.teams or None,
    )  # fmt: skip
    with files.engine.begin() as conn:
        return propose(conn, query, terms)


def of_plan(plan: CampaignPlan, city: deployments.City, crew: deployments.Crew) -> list[deployments.Sent]:
    """A plan's areas as teams: minutes of the sites and rounds of a cell, those at expected finds taken off,
    are the time that it searches there."""
    sent = []
    drive, inspect = city.drive(crew) * 60, city.inspect(crew) * 60
    for area in plan.areas:
        at = np.searchsorted(city.cells, from_text(list(area.cells)))
        place = {cell: number for number, cell in enumerate(area.cells)}
        minutes, search = np.zeros(len(at)), np.zeros(len(at))
        for site in area.sites:
            # A round may find several; its chance is that of at least one.
            finds = -np.log1p(-min(site.chance, 1 - 1e-9)) if site.key.startswith("c") else site.chance
            own = place[site.cell]
            minutes[own] += site.minutes
            search[own] += max(site.minutes - finds * inspect[at[own]], 0.0)
        used = search > 0
        days = crew.days * crew.teams / len(plan.areas)
        sent.append(deployments.Sent(at[used], search[used] / drive[at[used]], minutes[used] / 60, days))
    return sent


# ---- what came out ----


def told(tried: list[Trial], number: int, crew: deployments.Crew) -> dict[str, Any]:
    """Figures for one number of teams, and a table on the screen."""
    codes = list(tried[0].outcomes[number])
    rules: dict[str, Any] = {}
    for rule in deployments.RULES:
        finds = {code: [one.outcomes[number][code].finds[rule] for one in tried] for code in codes}
        rivals = {code: months for code, months in finds.items() if code != "plan"}
        rules[rule] = {
            "found": {code: round(float(np.sum(months)), 1) for code, months in finds.items()},
            "better": [
                dataclasses.asdict(b) for b in deployments.better(tried[0].city, finds["plan"], rivals)
            ],
            "by_month": {code: [round(float(m.sum()), 1) for m in months] for code, months in finds.items()},
        }
    outcomes = {code: [one.outcomes[number][code] for one in tried] for code in codes}
    rows = [
        {
            "policy": code,
            "travel_h": round(float(np.mean([o.travel for o in outcomes[code]])), 1),
            "on_site_h": round(float(np.mean([o.on_site for o in outcomes[code]])), 1),
            "cells": round(float(np.mean([o.cells for o in outcomes[code]])), 1),
            **{rule: round(rules[rule]["found"][code] / len(tried), 1) for rule in deployments.RULES},
        }
        for code in codes
    ]
    print(
        f"\n{crew.teams} teams, {crew.total:,.0f} hours a month, {crew.minutes_site:g} minutes at a site, ",
        end="",
    )
    print(f"{crew.minutes_km:g} for a km; found in a month, by rule\n")
    print(pd.DataFrame(rows).to_string(index=False))
    table = [{"rule": rule} | b for rule in deployments.RULES for b in rules[rule]["better"]]
    print(
        "\nplan ÷ rival − 1 (95 % over months; over months and places); months in which the plan found more\n"
    )
    print(pd.DataFrame(table).to_string(index=False, float_format=lambda x: f"{x:+.3f}"))
    expected = [sum(a.finds for a in one.plans[number].areas) for one in tried]
    print("\nfinds that the plans expected, by month:", " ".join(f"{x:,.0f}" for x in expected))
    return dataclasses.asdict(crew) | {
        "policies": rows,
        "rules": rules,
        "expected": [round(x, 1) for x in expected],
    }
