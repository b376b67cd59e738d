"""The Eastern Province of the demo: reference tables turned into a simulated world.

Label points, names and areas are published facts (``data/reference``); populations of
towns, shores, roles and all habits are assumptions, marked so in the same folder. Towns
whose districts are not known get made-up parts around their seat. Municipalities without
any coordinates are left out and listed.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from functools import cache

import numpy as np

from data.reference import read
from geo.errors import InputError
from geo.simulated_scene import CHANNELS, Campaign, Habits, Plan
from geo.simulated_world import FEATURES, METRES_PER_DEGREE, Places, World, build_world
from ingest.text import fold

WORLD_SEED = 2030  # the streets stay the same whatever the seed of the reports
PEOPLE_PER_PART = 11_000
CAMPAIGN = ("Al-Khobar", ("R06", "P06", "C05", "R10", "P05"))
CAMPAIGN_MONTHS_BEFORE_END = 9  # the campaign's month begins this long before the export
EFFECT_MONTHS = 3
CHRONIC = ("P06", "C05", "R07", "P05", "R04", "R10")
EMERGING = ("West Dammam", ("C05", "C06", "P06"))
FINED_GROUPS = {"Regulatory & Policy": 0.14}


@dataclass(frozen=True)
class DemoWorld:
    """The world with the words that its files need."""

    world: World
    habits: Habits
    municipality_en: list[str]
    amana: list[str]  # by municipality
    governorate: list[str]  # by municipality
    districts_en: list[str]  # by place; empty: a part of a town
    elements: list[dict[str, str]]  # rows of elements.csv in the order of habits.codes
    parties: list[str]
    left_out: list[str]  # municipalities without coordinates


def _number(text: str, missing: float = np.nan) -> float:
    return float(text) if text.strip() else missing


def months_before(end: dt.date, months: int) -> dt.date:
    """The first day of the month `months` before that of `end`, or the same day when it exists."""
    index = end.year * 12 + end.month - 1 - months
    year, month = divmod(index, 12)
    last = (dt.date(year + month // 11, (month + 1) % 12 + 1, 1) - dt.timedelta(days=1)).day
    return dt.date(year, month + 1, min(end.day, last))


@cache
def demo_world() -> DemoWorld:
    """The demo's world; the same in every run."""
    rng = np.random.default_rng(WORLD_SEED)
    towns = read("demo_towns.csv")
    gazetteer = {row["municipality_en"]: row for row in read("municipalities.csv")}
    amanas = {row["amana_id"]: row["name_ar"] for row in read("amanat.csv")}
    names = [town["municipality_en"] for town in towns]
    unknown = [name for name in names if name not in gazetteer]
    if unknown:
        raise InputError(f"demo_towns.csv: not in municipalities.csv: {', '.join(unknown)}.")
    seats = np.array(
        [
            [_number(t[axis] or gazetteer[t["municipality_en"]][axis]) for axis in ("lat", "lon")]
            for t in towns
        ]
    )
    if np.isnan(seats).any():
        bad = [n for n, seat in zip(names, seats, strict=True) if np.isnan(seat).any()]
        raise InputError(
            f"demo_towns.csv: no lat and lon for {', '.join(bad)}, here or in municipalities.csv."
        )

    rows = _neighbourhoods(towns, gazetteer, seats) + _town_parts(towns, seats, rng)
    share = np.array([r["weight"] for r in rows])
    home = np.array([r["municipality"] for r in rows], dtype=np.int64)
    people = np.array([_number(t["population_assumed"]) for t in towns])
    population = people[home] * share / np.bincount(home, share, len(towns))[home]
    governorate = [gazetteer[n]["governorate_ar"] for n in names]
    # Dammam, Khobar and Qatif have grown into one city: one ranking of what is central.
    metro = {"الدمام": "metro", "الخبر": "metro", "القطيف": "metro"}
    regions = [metro.get(g, g) for g in governorate]
    places = Places(
        name_ar=[str(r["name_ar"]) for r in rows],
        lon=np.array([r["lon"] for r in rows]),
        lat=np.array([r["lat"] for r in rows]),
        radius_m=np.array([r["radius_m"] for r in rows]),
        population=population,
        municipality=home,
        region=np.unique(regions, return_inverse=True)[1][home].astype(np.int64),
        industrial=np.array([r["role"] == "industrial" for r in rows]),
        park=np.array([r["role"] == "park" for r in rows]),
        sea_bearing_deg=np.array([_number(towns[m]["sea_bearing_deg"]) for m in home]),
        shore_m=np.array([r["shore_m"] for r in rows]),
    )
    world = build_world(places, [t["municipality_ar"] for t in towns], rng)
    habits, elements, parties = _habits()
    return DemoWorld(
        world=world,
        habits=habits,
        municipality_en=names,
        amana=[amanas[gazetteer[n]["amana_id"]] for n in names],
        governorate=governorate,
        districts_en=[str(r["name_en"]) for r in rows],
        elements=elements,
        parties=parties,
        left_out=[row["municipality_ar"] for name, row in gazetteer.items() if name not in set(names)],
    )


def _neighbourhoods(
    towns: list[dict[str, str]], gazetteer: dict[str, dict[str, str]], seats: np.ndarray
) -> list[dict[str, object]]:
    """Published neighbourhoods, each in a municipality: by its town's name, else the nearest seat."""
    table = read("neighbourhoods.csv")
    arabic = {row["name_en"]: fold(row["name_ar"]) for row in read("governorates.csv")}
    owner = {town["localities"]: i for i, town in enumerate(towns) if town["localities"]}
    governorate = [fold(gazetteer[t["municipality_en"]]["governorate_ar"]) for t in towns]
    lat = np.array([float(r["lat"]) for r in table])
    lon = np.array([float(r["lon"]) for r in table])
    squeeze = np.cos(np.radians(26.5))
    gap = np.hypot(lat[:, None] - lat, (lon[:, None] - lon) * squeeze) * METRES_PER_DEGREE
    np.fill_diagonal(gap, np.inf)
    nearest_m = gap.min(axis=1)
    roles = read("demo_place_roles.csv")
    out: list[dict[str, object]] = []
    for i, row in enumerate(table):
        mine = owner.get(row["locality"])
        if mine is None:
            wanted = arabic.get(row["governorate_en"], "")
            candidates = [
                m for m, g in enumerate(governorate) if g == wanted and not towns[m]["localities"]
            ] or [m for m, g in enumerate(governorate) if g == wanted]
            if not candidates:
                raise InputError(
                    f"neighbourhoods.csv: no municipality in {row['governorate_en']} for {row['name_en']}."
                )
            away = [np.hypot(lat[i] - seats[m, 0], (lon[i] - seats[m, 1]) * squeeze) for m in candidates]
            mine = candidates[int(np.argmin(away))]
        area = _number(row["area_km2"], 0.0)
        # No outline, or a speck: half of the way to the next label.
        radius = np.sqrt(area / np.pi) * 1000 if area >= 0.1 else min(max(0.55 * nearest_m[i], 250), 900)
        role = next((r for r in roles if r["word_en"] in row["name_en"]), None)
        square = np.pi * (min(radius, 2600) / 1000) ** 2
        out.append(
            {
                # Two place names reached the gazetteer in the wrong column.
                "name_ar": row["name_ar"] or row["name_en"],
                "name_en": row["name_en"],
                "lat": lat[i],
                "lon": lon[i],
                "radius_m": min(radius, 3200.0),
                "municipality": mine,
                "weight": square**0.55 * (float(role["population_factor"]) if role else 1.0),
                "role": role["role"] if role else "",
                "shore_m": np.nan,
            }
        )
    return out


def _town_parts(
    towns: list[dict[str, str]], seats: np.ndarray, rng: np.random.Generator
) -> list[dict[str, object]]:
    """Made-up parts of the towns that have a radius in demo_towns.csv."""
    out: list[dict[str, object]] = []
    for m, town in enumerate(towns):
        if not town["radius_km"]:
            continue
        extent = float(town["radius_km"]) * 1000
        people = float(town["population_assumed"])
        count = int(np.clip(round(people / PEOPLE_PER_PART), 1, 40))
        bearing = np.radians(_number(town["sea_bearing_deg"], 0.0))
        coast = _number(town["coast_km"], np.inf) * 1000
        size = extent / np.sqrt(count) * 1.25
        placed: list[tuple[float, float]] = [(0.0, 0.0)]
        tries = 0
        while len(placed) < count and tries < 5000:
            tries += 1
            east, north = rng.normal(0, 0.55 * extent, 2)
            ashore = east * np.sin(bearing) + north * np.cos(bearing) < coast - 0.5 * size
            inside = np.hypot(east, north) < 1.2 * extent
            if inside and ashore and all(np.hypot(east - e, north - n) > 0.55 * size for e, n in placed):
                placed.append((east, north))
        for i, (east, north) in enumerate(placed):
            lat, lon = seats[m]
            seaward = east * np.sin(bearing) + north * np.cos(bearing)
            out.append(
                {
                    "name_ar": "",
                    "name_en": "",
                    "lat": lat + north / METRES_PER_DEGREE,
                    "lon": lon + east / (METRES_PER_DEGREE * np.cos(np.radians(lat))),
                    "radius_m": size * rng.uniform(0.8, 1.2),
                    "municipality": m,
                    "weight": np.exp(-np.hypot(east, north) / extent) * rng.lognormal(0, 0.25),
                    "role": "industrial" if i and i % 9 == 0 else "",
                    "shore_m": coast - seaward if np.isfinite(coast) else np.nan,
                }
            )
    return out


def _habits() -> tuple[Habits, list[dict[str, str]], list[str]]:
    table = read("element_habits.csv")
    elements = {row["code"]: row for row in read("elements.csv")}
    codes = [row["code"] for row in table]
    if sorted(codes) != sorted(elements):
        wrong = set(codes) ^ set(elements)
        raise InputError(f"element_habits.csv and elements.csv differ in {', '.join(sorted(wrong))}.")
    parties = sorted({row["responsible"] for row in elements.values()})

    def column(name: str) -> np.ndarray:
        return np.array([float(row[name]) for row in table])

    habits = Habits(
        codes=codes,
        share=column("share"),
        taste=np.stack([column(f) for f in FEATURES], axis=1),
        arterial=column("arterial"),
        corner=column("micro"),
        season=[row["season"] for row in table],
        season_gain=column("season_gain"),
        weekend=column("weekend"),
        reach=np.stack([column(c) for c in CHANNELS], axis=1),
        close_median_days=column("close_median_days"),
        close_sigma=column("close_sigma"),
        due_days=column("due_days"),
        severity=column("severity"),
        quantity=column("quantity_median"),
        party=np.array([parties.index(elements[c]["responsible"]) for c in codes], dtype=np.int64),
        fined=np.array([FINED_GROUPS.get(elements[c]["management_group"], 0.02) for c in codes]),
    )
    return habits, [elements[c] for c in codes], parties


def demo_plan(demo: DemoWorld, reports: int, seed: int, months: int, end: dt.date) -> Plan:
    """The plan of the demo: `months` up to `end` (exclusive), with its spots and its campaign.

    The campaign needs a year before it and its effect inside the period; a run shorter
    than 12 months has none.
    """
    if months < 1:
        raise InputError(f"The demo needs at least 1 month, not {months}.")

    def at(*codes: str) -> tuple[int, ...]:
        return tuple(demo.habits.codes.index(code) for code in codes)

    home = demo.world.places.municipality
    west = np.flatnonzero(home == demo.municipality_en.index(EMERGING[0]))
    new_quarter = int(west[np.argmax(demo.world.features[west, 3])])
    campaign = None
    if months >= 12:
        began = months_before(end, CAMPAIGN_MONTHS_BEFORE_END)
        after = months_before(end, CAMPAIGN_MONTHS_BEFORE_END - 1)
        over = months_before(end, CAMPAIGN_MONTHS_BEFORE_END - 1 - EFFECT_MONTHS)
        campaign = Campaign(
            municipality=demo.municipality_en.index(CAMPAIGN[0]),
            elements=at(*CAMPAIGN[1]),
            start=np.datetime64(began, "D"),
            end=np.datetime64(after, "D"),
            effect_end=np.datetime64(over, "D"),
        )
    return Plan(
        reports=reports,
        start=np.datetime64(months_before(end, months), "D"),
        end=np.datetime64(end, "D"),
        seed=seed,
        campaign=campaign,
        emerging_place=new_quarter,
        emerging_elements=at(*EMERGING[1]),
        chronic_elements=at(*CHRONIC),
    )
