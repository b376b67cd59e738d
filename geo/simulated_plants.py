"""The truths planted in a simulation: chronic spots, an emerging spot, a campaign's effect.

They are what an analysis should find again. Spots are drawn once per plan, incident by
incident; the campaign's effect thins its elements in its cells by a known share.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from geo.cells import cells_of
from geo.simulated_scene import CHRONIC_SPOTS, EMERGING, Scene, Spots, draw, generator, no_spots, stand
from geo.simulated_world import positions, shift, to_degrees

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

EMERGING_MONTHS = (8, 16, 30, 52)  # reports in each of its months, for 100,000 reports


def apply_campaign(
    scene: Scene, day: Ints, element: Ints, place: Ints, lon: Floats, lat: Floats, rng: np.random.Generator
) -> npt.NDArray[np.bool_]:
    """Move the reports that the campaign prevented to other municipalities, in place.

    Moving keeps the number of reports exact; spread over the province it changes no other
    place by as much as one in a thousand.
    """
    campaign = scene.plan.campaign
    moved = np.zeros(len(day), dtype=bool)
    chance = rng.random(len(day))
    if campaign is None:
        return moved
    date = scene.plan.start + day
    home = scene.world.places.municipality
    rows = np.flatnonzero(
        (date >= campaign.end)
        & (date < campaign.effect_end)
        & np.isin(element, campaign.elements)
        & (home[place] == campaign.municipality)
    )
    rows = rows[np.isin(cells_of(lon[rows], lat[rows], 8), scene.treated)]
    rows = rows[chance[rows] < campaign.effect]
    away = rows
    while len(away):
        place[away] = draw(scene.odds, element[away], rng)
        away = away[home[place[away]] == campaign.municipality]
    if len(rows):
        lon[rows], lat[rows] = stand(scene, element[rows], place[rows], rng)
    moved[rows] = True
    return moved


def treated_cells_of(scene: Scene) -> Ints:
    """The busiest cells of the campaign's municipality, by expectation, not by outcome."""
    campaign = scene.plan.campaign
    if campaign is None:
        return np.array([], dtype=np.int64)
    rng = generator(scene.plan.seed, 2)
    element = rng.choice(campaign.elements, 60_000)
    place = draw(scene.odds, element, rng)
    keep = scene.world.places.municipality[place] == campaign.municipality
    lon, lat = stand(scene, element[keep], place[keep], rng)
    cells, counts = np.unique(cells_of(lon, lat, 8), return_counts=True)
    return np.sort(cells[np.argsort(-counts, kind="stable")[: campaign.cells]])


def planted_spots(scene: Scene) -> Spots:
    """Chronic spots (an incident, a closing, some weeks, the same again) and the emerging one."""
    plan, world = scene.plan, scene.world
    rng = generator(plan.seed, 3)
    start, end = plan.start.astype("datetime64[s]"), plan.end.astype("datetime64[s]")
    seconds = int((end - start).astype(np.int64))
    rows: list[tuple[float, float, int, int, float, float, int]] = []
    centres: list[tuple[int, float, float, tuple[int, ...]]] = []
    barred = -1 if plan.campaign is None else plan.campaign.municipality
    weight = np.where(world.places.municipality == barred, 0, world.places.population)
    weight[plan.emerging_place] = 0
    spots = min(CHRONIC_SPOTS, int((weight > 0).sum())) if plan.chronic_elements else 0
    odds = weight / weight.sum() if spots else None
    chosen = rng.choice(len(world), spots, replace=False, p=odds)
    for spot, place in enumerate(chosen):
        element = plan.chronic_elements[spot % len(plan.chronic_elements)]
        at = np.array([place])
        lon, lat = positions(world, at, np.array([0]), np.ones(1), np.zeros(1), rng)
        centres.append((int(place), float(lon[0]), float(lat[0]), (int(element),)))
        t = rng.uniform(0, 30) * 86400
        while t < seconds:
            lasts = 4 * 86400 * rng.lognormal(0, 0.5)
            for _ in range(1 + rng.poisson(1.2)):
                seen = t + min(rng.exponential(0.25), 0.8) * lasts
                rows.append((seen, t + lasts, element, int(place), *_near(lon[0], lat[0], 14.0, rng), spot))
            t += lasts + (9 + rng.exponential(18)) * 86400
    if plan.emerging_elements:
        place = plan.emerging_place
        away = 0.9 * float(world.places.radius_m[place])
        turn = rng.uniform(0, 2 * np.pi)
        lon, lat = to_degrees(
            world, np.array([place]), np.array([away * np.cos(turn)]), np.array([away * np.sin(turn)])
        )
        centres.append((place, float(lon[0]), float(lat[0]), plan.emerging_elements))
        scale = min(max((plan.reports / 100_000) ** 0.5, 0.2), 5.0)
        for month, wanted in enumerate(EMERGING_MONTHS):
            base = seconds - (len(EMERGING_MONTHS) - month) * 30 * 86400
            for _ in range(round(wanted * scale)):
                element = int(rng.choice(plan.emerging_elements))
                t = base + rng.uniform(0, 30 * 86400)
                lasts = 86400 * 9 * rng.lognormal(0, 0.6)
                rows.append((t, t + lasts, element, place, *_near(lon[0], lat[0], 140.0, rng), EMERGING))
    rows = [row for row in rows if 0 <= row[0] < seconds]
    if len(rows) > plan.reports // 10:  # a small run keeps its background
        rows = [rows[i] for i in rng.permutation(len(rows))[: plan.reports // 10]]
    rows.sort()
    if not rows:
        return no_spots()
    opened, closed, element_, place_, lon_, lat_, spot_ = (
        np.array(column) for column in zip(*rows, strict=True)
    )
    return Spots(
        opened=start + opened.astype("timedelta64[s]"),
        closed=start + closed.astype("timedelta64[s]"),
        element=element_.astype(np.int64),
        place=place_.astype(np.int64),
        lon=lon_.astype(np.float64),
        lat=lat_.astype(np.float64),
        spot=spot_.astype(np.int64),
        centres=centres,
    )


def _near(lon: float, lat: float, metres: float, rng: np.random.Generator) -> tuple[float, float]:
    east, north = rng.normal(0, metres, 2)
    x, y = shift(np.array([lon]), np.array([lat]), np.array([east]), np.array([north]))
    return float(x[0]), float(y[0])
