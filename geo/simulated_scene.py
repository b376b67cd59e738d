"""What a simulation is made of: habits, a plan, the drawn scene, and the reports.

Plain frozen data with the draws that all parts share. Nothing here knows a city: places
and habits are handed in (see ``ingest/demo_world.py`` for the demo's).
"""

from __future__ import annotations

from dataclasses import dataclass, field, fields

import numpy as np
import numpy.typing as npt

from geo.cells import to_text
from geo.errors import InputError
from geo.simulated_world import BLENDS, World, positions

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

CHANNELS = ("citizen", "call_centre", "inspector", "ai", "volunteer")
CHANNEL_BASE = np.array([0.46, 0.17, 0.21, 0.12, 0.04])
SEASONS = ("flat", "summer", "winter", "rain", "cool", "ramadan", "hajj")
# Share of rows by planted fault; together 0.5 %. Index 0 is a clean row.
DIRT = {
    "clean": 0.0,
    "hijri_date": 0.0005,
    "arabic_indic_digits": 0.0005,
    "other_date_format": 0.0008,
    "closed_before_opened": 0.0003,
    "swapped_axes": 0.0003,
    "zero_coordinates": 0.0003,
    "outside": 0.0002,
    "default_point": 0.0010,
    "misspelt_class": 0.0007,
    "repeated_row": 0.0002,
    "missing_reference": 0.0001,
    "unreadable_coordinates": 0.0001,
}
DIRT_NAMES = tuple(DIRT)
CHRONIC_SPOTS = 12
EMERGING = CHRONIC_SPOTS  # the code of the emerging spot in Reports.spot


@dataclass(frozen=True)
class Habits:
    """How each element behaves; arrays are (k,) unless said, in the order of `codes`."""

    codes: list[str]
    share: Floats  # relative number of reports
    taste: Floats  # (k, 5) see simulated_world.place_odds
    arterial: Floats
    corner: Floats
    season: list[str]
    season_gain: Floats  # 1: twice as many at the height of the season
    weekend: Floats  # factor on Friday; Saturday lies half-way
    reach: Floats  # (k, 5) affinity to each of CHANNELS
    close_median_days: Floats
    close_sigma: Floats
    due_days: Floats
    severity: Floats
    quantity: Floats  # median; 0: none
    party: Ints  # who is responsible, an index
    fined: Floats  # chance of enforcement


@dataclass(frozen=True)
class Campaign:
    """A past inspection campaign and the effect that is planted for it."""

    municipality: int
    elements: tuple[int, ...]
    start: np.datetime64  # datetime64[D], first day of the campaign's month
    end: np.datetime64  # first day after it
    effect_end: np.datetime64  # first day on which the effect is gone
    effect: float = 0.35  # share of reports that do not come
    cells: int = 60  # treated H3 cells of resolution 8: the busiest of the municipality


@dataclass(frozen=True)
class Plan:
    """What to simulate. Reports are opened from `start` (inclusive) to `end` (exclusive)."""

    reports: int
    start: np.datetime64  # datetime64[D]
    end: np.datetime64  # datetime64[D]; the export is taken at its midnight
    seed: int
    campaign: Campaign | None = None
    emerging_place: int = 0
    emerging_elements: tuple[int, ...] = ()
    chronic_elements: tuple[int, ...] = ()

    def __post_init__(self) -> None:
        faults = []
        if self.reports < 1:
            faults.append(f"reports must be at least 1, not {self.reports}")
        if self.end - self.start < np.timedelta64(28, "D"):
            faults.append(f"the period {self.start} to {self.end} is shorter than 28 days")
        if faults:
            raise InputError("The simulation cannot start: " + "; ".join(faults) + ".")


@dataclass(frozen=True)
class Reports:
    """One chunk. All arrays (n,); times are datetime64[s] local wall clock, NaT unknown."""

    number: Ints  # 1-based over the whole run; a repeated row has the number of the row before
    incident: Ints  # number of the report that came first
    element: Ints
    place: Ints
    lon: Floats
    lat: Floats
    opened: Times
    assigned: Times
    due: Times
    closed: Times
    updated: Times
    status: npt.NDArray[np.int8]  # index into simulated_life.STATUSES
    channel: npt.NDArray[np.int8]  # index into CHANNELS
    severity: npt.NDArray[np.int8]  # 1 to 5
    quantity: Floats  # nan: none
    dirt: npt.NDArray[np.int8]  # index into DIRT_NAMES
    spot: npt.NDArray[np.int16]  # -1 none, else a chronic spot, or EMERGING
    diverted: npt.NDArray[np.bool_]  # stands where the campaign's effect removed one
    pick: Floats  # a free uniform number in 0..1, for wording

    def __len__(self) -> int:
        return len(self.number)

    def take(self, rows: slice | npt.NDArray) -> Reports:
        """The given rows."""
        return Reports(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})


@dataclass(frozen=True)
class Spots:
    """Reports of the planted spots, sorted by opening time; arrays (m,)."""

    opened: Times
    closed: Times  # the planned closing of the incident
    element: Ints
    place: Ints
    lon: Floats
    lat: Floats
    spot: Ints
    centres: list[tuple[int, float, float, tuple[int, ...]]] = field(default_factory=list)


@dataclass(frozen=True)
class Scene:
    """Everything of a plan that is drawn once; `simulate` streams from it."""

    world: World
    habits: Habits
    plan: Plan
    day_edges: Floats  # (days + 1,) cumulative share of reports
    element_odds: Floats  # (days, k) cumulative
    odds: Floats  # (k, places) cumulative
    speed: Floats  # (parties, municipalities) factor on delays
    channel_place: Floats  # (places, 5)
    spots: Spots
    treated: Ints  # (c,) H3 cells of resolution 8, int64

    def treated_cells(self) -> list[str]:
        """The campaign's cells as H3 texts."""
        return to_text(self.treated) if len(self.treated) else []


def generator(seed: int, *key: int) -> np.random.Generator:
    """An independent generator for one part of a run."""
    return np.random.Generator(np.random.PCG64(np.random.SeedSequence(seed, spawn_key=key)))


def draw(odds: Floats, row: Ints, rng: np.random.Generator) -> Ints:
    """One draw from the cumulative odds of each row: a single search over the flattened table."""
    width = odds.shape[1]
    flat = (odds + np.arange(len(odds))[:, None]).ravel()
    hit = np.searchsorted(flat, row + rng.random(len(row)), side="right")
    return np.clip(hit - row * width, 0, width - 1).astype(np.int64)


def stand(scene: Scene, element: Ints, place: Ints, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of reports of `element` in `place`, by the habits; arrays (m,)."""
    habits = scene.habits
    return positions(
        scene.world, place, element % BLENDS, habits.corner[element], habits.arterial[element], rng
    )


def no_spots() -> Spots:
    """A scene without planted spots."""
    nothing = np.array([], dtype=np.int64)
    times = nothing.astype("datetime64[s]")
    return Spots(times, times, nothing, nothing, nothing.astype(float), nothing.astype(float), nothing)
