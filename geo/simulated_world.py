"""Places and streets of a simulated region: where a made-up report may stand.

A place is a published label point with a radius; inside it reports gather at a few busy
corners and otherwise thin out with distance, and all are pushed to a made-up street grid.
The grid, the corners and the shore are inventions: nothing here may be read as a fact
about a real street. Offsets are in metres, positions in decimal degrees (EPSG:4326).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

from geo.errors import InputError

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]

METRES_PER_DEGREE = 110_800.0  # of latitude near 26° N; longitude is this times cos(latitude)
CORNERS = 16  # busy corners a place
BLENDS = 5  # groups of elements that prefer different corners
REACH = 1.5  # a report stands at most this many radii from its place, before the squash
SQUASH = 1.3  # greatest stretch of a place along its own streets
FEATURES = ("centre", "industrial", "coast", "construction", "parks")


@dataclass(frozen=True)
class Places:
    """Label points as published or assumed; all arrays are (n,)."""

    name_ar: list[str]  # empty: a part of a town whose districts are not known
    lon: Floats
    lat: Floats
    radius_m: Floats
    population: Floats  # assumed people, used as a weight only
    municipality: Ints  # index into World.municipalities
    region: Ints  # places of one region compare with each other (who is central)
    industrial: npt.NDArray[np.bool_]
    park: npt.NDArray[np.bool_]
    sea_bearing_deg: Floats  # towards open water; nan: no sea
    shore_m: Floats  # distance to the shore along that bearing; nan: derived, see `build_world`


@dataclass(frozen=True)
class World:
    """Places with everything that is drawn once: features, corners, street grids."""

    places: Places
    municipalities: list[str]
    features: Floats  # (n, 5) in 0..1, order of FEATURES
    street_angle: Floats  # (n,) radians
    street_gap_m: Floats  # (n,)
    street_phase: Floats  # (n,) share of a gap by which the grid misses the label point
    road_angle: Floats  # (n,) radians; the main roads of a municipality run on through its places
    road_gap_m: Floats  # (n,)
    road_phase: Floats  # (n, 2) share of a gap
    squash: Floats  # (n,)
    corner_m: Floats  # (n, CORNERS, 2) east, north
    corner_odds: Floats  # (BLENDS, n, CORNERS) cumulative to 1
    shore_m: Floats  # (n,) reports stay within; inf: no sea near

    def __len__(self) -> int:
        return len(self.places.lon)


def metres(places: Places) -> tuple[Floats, Floats]:
    """East and north of all places in metres from their common mean; for neighbourhoods of points."""
    lon0, lat0 = places.lon.mean(), places.lat.mean()
    east = (places.lon - lon0) * METRES_PER_DEGREE * np.cos(np.radians(places.lat))
    return east, (places.lat - lat0) * METRES_PER_DEGREE


def build_world(places: Places, municipalities: list[str], rng: np.random.Generator) -> World:
    """Draw features, busy corners and streets of `places`.

    Raises
    ------
    InputError
        No places, a radius that is not positive, or a municipality index out of range.
    """
    n = len(places.lon)
    faults = []
    if n == 0:
        faults.append("there are no places")
    elif not (places.radius_m > 0).all():
        faults.append("every radius must be above 0 metres")
    if n and (places.municipality.min() < 0 or places.municipality.max() >= len(municipalities)):
        faults.append("a municipality index is out of range")
    if faults:
        raise InputError("The simulated world cannot be built: " + "; ".join(faults) + ".")

    towards_sea, shore_m = _shores(places)
    features = np.zeros((n, len(FEATURES)))
    features[:, 0] = _centrality(places)
    features[:, 1] = places.industrial
    features[:, 2] = np.where(np.isfinite(towards_sea), np.exp(-np.maximum(towards_sea, 0) / 1500), 0)
    # Building belts lie at the edge, in patches: some edges are finished, some not begun.
    features[:, 3] = (1 - features[:, 0]) * rng.beta(1.2, 1.2, n)
    features[:, 4] = np.clip(places.park * 0.9 + (rng.random(n) < 0.3) * rng.uniform(0.3, 1, n), 0, 1)

    home = places.municipality
    road_angle = rng.uniform(0, np.pi / 2, len(municipalities))[home]
    road_gap = rng.uniform(700, 1100, len(municipalities))[home]
    east, north = metres(places)
    road_phase = np.stack(
        [
            (east * np.cos(road_angle) + north * np.sin(road_angle)) / road_gap % 1,
            (-east * np.sin(road_angle) + north * np.cos(road_angle)) / road_gap % 1,
        ],
        axis=-1,
    )
    distance = np.sqrt(rng.random((n, CORNERS))) * places.radius_m[:, None]
    direction = rng.uniform(0, 2 * np.pi, (n, CORNERS))
    corner_m = np.stack([distance * np.cos(direction), distance * np.sin(direction)], axis=-1)
    heat = rng.pareto(1.1, (BLENDS, n, CORNERS)) + 0.05
    odds = np.cumsum(heat, axis=-1)
    return World(
        places=places,
        municipalities=municipalities,
        features=features,
        street_angle=road_angle + rng.normal(0, np.radians(9), n),
        street_gap_m=rng.uniform(65, 125, n),
        street_phase=rng.random(n),
        road_angle=road_angle,
        road_gap_m=road_gap,
        road_phase=road_phase,
        squash=rng.uniform(1 / SQUASH, SQUASH, n),
        corner_m=corner_m,
        corner_odds=odds / odds[..., -1:],
        shore_m=shore_m,
    )


def reach_m(world: World) -> Floats:
    """Greatest distance of a report from its place, metres, (n,): corners and jitter included."""
    return world.places.radius_m * REACH * SQUASH + 650.0


def place_odds(world: World, taste: Floats) -> Floats:
    """Cumulative odds of places for each element.

    Parameters
    ----------
    taste
        (k, 5): how strongly each element is drawn to each of FEATURES; 1 means that a place
        full of it has e times the reports per person.

    Returns
    -------
    (k, n) rows rising to exactly 1.
    """
    pull = np.exp(taste @ world.features.T) * world.places.population[None, :]
    odds = np.cumsum(pull, axis=1)
    return odds / odds[:, -1:]


def positions(
    world: World, place: Ints, blend: Ints, at_corner: Floats, on_main: Floats, rng: np.random.Generator
) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of reports in their places.

    Parameters
    ----------
    place, blend
        (m,) index of the place, and of the element's preference among busy corners.
    at_corner, on_main
        (m,) chance that a report is at a busy corner, and that it is on a main road.
    """
    m = len(place)
    radius = world.places.radius_m[place]
    draw = rng.random((6, m))
    # A bell cut off at REACH radii by inverting its distribution: no redraws, no hard rim.
    spread = 0.72
    full = 1 - np.exp(-(REACH**2) / (2 * spread**2))
    away = spread * radius * np.sqrt(-2 * np.log1p(-draw[0] * full))
    turn = 2 * np.pi * draw[1]
    along, across = away * np.cos(turn) * world.squash[place], away * np.sin(turn) / world.squash[place]
    cos, sin = np.cos(world.street_angle[place]), np.sin(world.street_angle[place])
    east, north = along * cos - across * sin, along * sin + across * cos

    corner = (draw[2][:, None] > world.corner_odds[blend, place]).sum(axis=1).clip(0, CORNERS - 1)
    near = world.corner_m[place, corner]
    noise = rng.normal(0, 1, (3, m))
    is_corner = draw[3] < at_corner
    size = np.minimum(110.0, 0.3 * radius)
    east = np.where(is_corner, near[:, 0] + noise[0] * size, east)
    north = np.where(is_corner, near[:, 1] + noise[1] * size, north)

    # Push to the nearest street, or main road, along one of the two directions of its grid.
    main = draw[4] < on_main
    angle = np.where(main, world.road_angle[place], world.street_angle[place])
    gap = np.where(main, world.road_gap_m[place], world.street_gap_m[place])
    phase = np.where(main, world.road_phase[place].T, world.street_phase[place])
    cos, sin = np.cos(angle), np.sin(angle)
    along, across = east * cos + north * sin, -east * sin + north * cos
    aside = noise[2] * np.where(main, 9.0, 6.0)
    # A main road takes what is nearest to it; a side street is chosen at random.
    to_first = np.abs((along / gap + phase[0] + 0.5) % 1 - 0.5)
    to_second = np.abs((across / gap + phase[1] + 0.5) % 1 - 0.5)
    first = np.where(main, to_first < to_second, draw[5] < 0.5)
    along = np.where(first, (np.round(along / gap + phase[0]) - phase[0]) * gap + aside, along)
    across = np.where(first, across, (np.round(across / gap + phase[1]) - phase[1]) * gap + aside)
    east, north = along * cos - across * sin, along * sin + across * cos

    # What would fall into the sea is mirrored at the assumed shore.
    bearing = np.radians(np.nan_to_num(world.places.sea_bearing_deg[place]))
    seaward = east * np.sin(bearing) + north * np.cos(bearing)
    over = np.maximum(seaward - world.shore_m[place], 0)
    east, north = east - 2 * over * np.sin(bearing), north - 2 * over * np.cos(bearing)
    return to_degrees(world, place, east, north)


def people(world: World, number: int, rng: np.random.Generator) -> tuple[Floats, Floats]:
    """Longitudes and latitudes of people at home, (number,) each: by population, along side streets."""
    odds = np.cumsum(world.places.population)
    place = np.searchsorted(odds / odds[-1], rng.random(number), side="right").clip(0, len(odds) - 1)
    nobody = np.zeros(number)
    return positions(world, place, np.zeros(number, dtype=np.int64), nobody, nobody, rng)


def to_degrees(world: World, place: Ints, east: Floats, north: Floats) -> tuple[Floats, Floats]:
    """Positions (m,) from metres east and north of their places."""
    lat0 = world.places.lat[place]
    lon = world.places.lon[place] + east / (METRES_PER_DEGREE * np.cos(np.radians(lat0)))
    return lon, lat0 + north / METRES_PER_DEGREE


def shift(lon: Floats, lat: Floats, east: Floats, north: Floats) -> tuple[Floats, Floats]:
    """Positions (m,) moved by metres east and north."""
    return lon + east / (METRES_PER_DEGREE * np.cos(np.radians(lat))), lat + north / METRES_PER_DEGREE


def _centrality(places: Places) -> Floats:
    """Rank of the population within 2 km, inside each region, in 0..1."""
    east, north = metres(places)
    square = (east[:, None] - east) ** 2 + (north[:, None] - north) ** 2
    density = np.exp(-square / (2 * 2000.0**2)) @ places.population
    rank = np.full(len(density), 0.5)
    for region in np.unique(places.region):
        mine = np.flatnonzero(places.region == region)
        if len(mine) > 1:
            rank[mine] = density[mine].argsort().argsort() / (len(mine) - 1)
    return rank


def _shores(places: Places) -> tuple[Floats, Floats]:
    """Metres to the shore (nan: no sea), and the limit for reports (inf: none).

    Where no distance is given, the shore is thought to run just past the last places
    towards the sea: nobody lives beyond them in a strip as wide as the place.
    """
    east, north = metres(places)
    n = len(east)
    to_shore, limit = np.full(n, np.nan), np.full(n, np.inf)
    for i in range(n):
        bearing = np.radians(places.sea_bearing_deg[i])
        if not np.isfinite(bearing):
            continue
        de, dn = east - east[i], north - north[i]
        along = de * np.sin(bearing) + dn * np.cos(bearing)
        across = np.abs(de * np.cos(bearing) - dn * np.sin(bearing))
        if np.isfinite(places.shore_m[i]):
            to_shore[i] = limit[i] = max(places.shore_m[i], 50.0)
            continue
        strip = (across < np.maximum(1500, places.radius_m[i])) & (along > 0) & (along < 9000)
        to_shore[i] = along[strip].max() if strip.any() else 0.0
        ahead = (across < places.radius_m[i]) & (along > places.radius_m[i] * 0.3) & (along < 4000)
        if not ahead.any():
            limit[i] = 0.75 * places.radius_m[i]
    return to_shore, limit
