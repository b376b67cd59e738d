"""A made-up stream of reports with known faults, spots and one campaign of known effect.

Method: a calendar of daily intensity by element (season, weekday, growth), places by
taste, log-normal lives, duplicates near a first report, and planted truths. Reports come
in fixed blocks, each with its own seed, so the same plan gives the same reports whatever
the chunk size, in memory that does not grow. Every parameter is an assumption: use the
output to test and to show the platform, never as a statement about a city.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import fields, replace

import numpy as np
import numpy.typing as npt
from hijridate import Hijri

from geo.cells import cells_of
from geo.errors import InputError
from geo.simulated_life import CLOSED, DUPLICATE, lives
from geo.simulated_plants import apply_campaign, planted_spots, treated_cells_of
from geo.simulated_scene import (
    CHANNEL_BASE,
    CHANNELS,
    DIRT,
    DIRT_NAMES,
    SEASONS,
    Habits,
    Plan,
    Reports,
    Scene,
    draw,
    generator,
    no_spots,
    stand,
)
from geo.simulated_world import World, place_odds, shift

Floats = npt.NDArray[np.float64]
Ints = npt.NDArray[np.int64]
Times = npt.NDArray[np.datetime64]

BLOCK = 10_000
DUPLICATES = 0.11  # share of reports that repeat another citizen's


def season_factors(days: Times, rng: np.random.Generator) -> Floats:
    """Strength 0..1 of each of SEASONS on each day, (7, days); Ramadan and Hajj by Umm al-Qura."""
    n = len(days)
    of_year = (days - days.astype("datetime64[Y]")).astype(np.int64)
    wave = 2 * np.pi * (of_year - 197) / 365.25
    out = np.zeros((len(SEASONS), n))
    out[1] = np.clip(np.cos(wave), 0, None) ** 1.5
    out[2] = np.clip(-np.cos(wave), 0, None)
    out[4] = np.clip(-np.cos(wave), 0, None) ** 0.7
    wet = rng.random(n) < 0.075 * np.clip(-np.cos(2 * np.pi * (of_year - 202) / 365.25), 0, None)
    for day in np.flatnonzero(wet):
        tail = np.exp(-np.arange(min(12, n - int(day))) / 4.0) * rng.uniform(0.4, 1.0)
        out[3, day : day + 12] = np.minimum(out[3, day : day + 12] + tail, 1.0)
    first, last = days[0].item(), days[-1].item()
    for year in range(int((first.year - 622) * 33 / 32) - 1, int((last.year - 622) * 33 / 32) + 3):
        for row, month, length in ((5, 9, 30), (6, 12, 15)):
            begins = np.datetime64(Hijri(year, month, 1).to_gregorian().isoformat(), "D")
            out[row, (days >= begins) & (days < begins + length)] = 1.0
    return out


def prepare(world: World, habits: Habits, plan: Plan) -> Scene:
    """Draw everything that the blocks share: calendar, places, delays, spots, treated cells."""
    rng = generator(plan.seed, 0)
    length = int((plan.end - plan.start) / np.timedelta64(1, "D"))
    days: Times = plan.start + np.arange(length)
    weather = season_factors(days, rng)
    kind = np.array([SEASONS.index(s) for s in habits.season])
    daily = habits.share[None, :] * (1 + habits.season_gain * weather[kind].T)
    weekday = (days.astype(np.int64) + 3) % 7  # 0 is Monday
    friday, saturday = weekday == 4, weekday == 5
    daily[friday] *= 0.72 * habits.weekend
    daily[saturday] *= 0.86 * (1 + habits.weekend) / 2
    daily[weekday == 6] *= 1.12  # the first working day
    growth = np.linspace(0.92, 1.08, len(days))
    total = daily.sum(axis=1) * growth * rng.lognormal(0, 0.06, len(days))
    edges = np.concatenate([[0.0], np.cumsum(total)])
    element_odds = np.cumsum(daily, axis=1)
    scene = Scene(
        world=world,
        habits=habits,
        plan=plan,
        day_edges=edges / edges[-1],
        element_odds=element_odds / element_odds[:, -1:],
        odds=place_odds(world, habits.taste),
        speed=rng.lognormal(0, 0.3, (int(habits.party.max()) + 1, len(world.municipalities))),
        channel_place=rng.lognormal(0, 0.25, (len(world), len(CHANNELS))) * CHANNEL_BASE,
        spots=no_spots(),
        treated=np.array([], dtype=np.int64),
    )
    scene = replace(scene, treated=treated_cells_of(scene))
    return replace(scene, spots=planted_spots(scene))


def simulate(scene: Scene, chunk: int = 50_000) -> Iterator[Reports]:
    """Stream the plan's reports in chunks of at most `chunk` rows, in order of opening.

    Order holds within a day or two: a duplicate may stand a few rows early or late. Equal
    plans give equal reports for any `chunk`; memory is bounded by the chunk.
    """
    if chunk < 1:
        raise InputError(f"The chunk size must be at least 1, not {chunk}.")
    held: list[Reports] = []
    size = 0
    for block in range(-(-scene.plan.reports // BLOCK)):
        held.append(_block(scene, block))
        size += len(held[-1])
        while size >= chunk:
            joined = _join(held)
            yield joined.take(slice(0, chunk))
            held, size = [joined.take(slice(chunk, None))], size - chunk
    if size:
        yield _join(held)


def _join(parts: list[Reports]) -> Reports:
    if len(parts) == 1:
        return parts[0]
    return Reports(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Reports)})


def _block(scene: Scene, block: int) -> Reports:
    """Reports number block·BLOCK + 1 and on, with a seed of their own."""
    plan, habits, world = scene.plan, scene.habits, scene.world
    rng = generator(plan.seed, 1, block)
    first, last = block * BLOCK, min((block + 1) * BLOCK, plan.reports)
    size = last - first
    low, high = first / plan.reports, last / plan.reports
    began = plan.start.astype("datetime64[s]")
    snapshot = plan.end.astype("datetime64[s]")

    share = np.interp(
        (scene.spots.opened - began).astype(np.int64) / 86400.0,
        np.arange(len(scene.day_edges)),
        scene.day_edges,
    )
    planted = np.flatnonzero((share >= low) & (share < high))[:size]
    m = size - len(planted)

    # Background: day from the calendar, element from the day, place from the element.
    when = low + (np.arange(m) + rng.random(m)) / max(m, 1) * (high - low)
    day = np.searchsorted(scene.day_edges, when, side="right").clip(1, len(scene.day_edges) - 1) - 1
    element = draw(scene.element_odds, day, rng)
    place = draw(scene.odds, element, rng)
    lon, lat = stand(scene, element, place, rng)
    diverted = apply_campaign(scene, day, element, place, lon, lat, rng)

    k = len(planted)
    spots = scene.spots
    element = np.concatenate([element, spots.element[planted]])
    place = np.concatenate([place, spots.place[planted]])
    lon = np.concatenate([lon, spots.lon[planted]])
    lat = np.concatenate([lat, spots.lat[planted]])
    spot = np.concatenate([np.full(m, -1), spots.spot[planted]]).astype(np.int16)
    diverted = np.concatenate([diverted, np.zeros(k, bool)])
    day = np.concatenate([day, (spots.opened[planted] - began).astype(np.int64) // 86400])
    channel = _channels(scene, day, element, place, lon, lat, rng)
    opened = began + (day * 86400 + _time_of_day(channel, rng)).astype("timedelta64[s]")
    opened[m:] = spots.opened[planted]

    # Duplicates: a later citizen reports what another has reported, within days and about 50 m.
    follower = np.flatnonzero((rng.random(size) < DUPLICATES) & (np.arange(size) < m))
    leaders = np.setdiff1d(np.arange(m), follower)
    leader = np.arange(size)
    if len(follower) and len(leaders):
        leader[follower] = rng.choice(leaders, len(follower))
        of = leader[follower]
        for column in (element, place, diverted):
            column[follower] = column[of]
        turn, away = rng.uniform(0, 2 * np.pi, len(of)), np.minimum(np.abs(rng.normal(0, 20, len(of))), 48)
        lon[follower], lat[follower] = shift(lon[of], lat[of], away * np.cos(turn), away * np.sin(turn))
        wait = np.minimum(rng.exponential(1.3 * 86400, len(of)), 6 * 86400)
        room = (snapshot - opened[of]).astype(np.int64) - 1
        opened[follower] = opened[of] + np.minimum(wait, room * rng.random(len(of))).astype("timedelta64[s]")
        channel[follower] = rng.choice(len(CHANNELS), len(of), p=[0.7, 0.26, 0.02, 0.0, 0.02])

    slow = scene.speed[habits.party[element], world.places.municipality[place]]
    life = lives(
        opened,
        habits.close_median_days[element] * slow,
        habits.close_sigma[element],
        habits.fined[element],
        snapshot,
        rng,
    )
    assigned, closed, updated, status = life.assigned, life.closed, life.updated, life.status
    # A spot's reports are closed when the incident is, if that is before the export.
    planned = spots.closed[planted]
    done = np.flatnonzero(planned < snapshot) + m
    closed[done] = spots.closed[planted][done - m]
    status[done] = CLOSED
    assigned[done] = np.minimum(
        np.where(np.isnat(assigned[done]), opened[done] + 3600, assigned[done]), closed[done]
    )
    updated[done] = closed[done]
    # A duplicate ends with its incident, often marked as one.
    of = leader[follower]
    known = ~np.isnat(closed[of]) & (closed[of] > opened[follower])
    mine, theirs = follower[known], of[known]
    closed[mine] = closed[theirs]
    status[mine] = np.where(rng.random(len(mine)) < 0.35, DUPLICATE, status[theirs])
    assigned[mine] = np.minimum(
        np.where(np.isnat(assigned[mine]), opened[mine], assigned[mine]), closed[mine]
    )
    updated[mine] = closed[mine]

    level = np.rint(habits.severity[element] + rng.normal(0, 0.8, size)).clip(1, 5).astype(np.int8)
    median = habits.quantity[element]
    amount = np.round(median * np.exp(rng.normal(0, 0.6, size)), 1)
    quantity = np.where(median > 0, np.where(median <= 4, np.maximum(np.rint(amount), 1), amount), np.nan)
    due = opened + (habits.due_days[element] * 86400).astype("timedelta64[s]")
    chances = np.cumsum(list(DIRT.values()))
    dirt = (np.searchsorted(chances, rng.random(size), side="right") % len(DIRT)).astype(np.int8)
    dirt[spot >= 0] = 0
    # Faults in closing dates need one to spoil.
    dirt[(dirt == DIRT_NAMES.index("closed_before_opened")) & np.isnat(closed)] = 0

    order = np.argsort(opened, kind="stable")
    rank = np.empty(size, dtype=np.int64)
    rank[order] = np.arange(size)
    out = Reports(
        number=np.arange(first + 1, last + 1),
        incident=(first + 1 + rank[leader])[order],
        element=element[order],
        place=place[order],
        lon=lon[order],
        lat=lat[order],
        opened=opened[order],
        assigned=assigned[order],
        due=due[order],
        closed=closed[order],
        updated=updated[order],
        status=status[order],
        channel=channel[order],
        severity=level[order],
        quantity=quantity[order],
        dirt=dirt[order],
        spot=spot[order],
        diverted=diverted[order],
        pick=rng.random(size),
    )
    return _repeat(out)


def _repeat(reports: Reports) -> Reports:
    """Replace rows marked as repeated by the row before them, all columns but the mark."""
    mark = DIRT_NAMES.index("repeated_row")
    reports.dirt[(reports.dirt == mark) & ((reports.spot >= 0) | (np.arange(len(reports)) == 0))] = 0
    again = np.flatnonzero(reports.dirt == mark)
    again = again[reports.dirt[again - 1] == 0]  # only a clean row is repeated
    dirt = np.where(reports.dirt == mark, 0, reports.dirt).astype(np.int8)
    source = np.arange(len(reports))
    source[again] -= 1
    copied = reports.take(source)
    dirt[again] = mark
    return replace(copied, dirt=dirt)


def _channels(
    scene: Scene, day: Ints, element: Ints, place: Ints, lon: Floats, lat: Floats, rng: np.random.Generator
) -> npt.NDArray[np.int8]:
    """Who reports: by element, place and time; the AI sweep grows, a campaign sends inspectors."""
    odds = scene.habits.reach[element] * scene.channel_place[place]
    days = len(scene.day_edges) - 1
    odds[:, 3] *= np.clip((day / days - 0.1) * 2.2, 0.05, 1.6)
    campaign = scene.plan.campaign
    if campaign is not None:
        date = scene.plan.start + day
        now = (date >= campaign.start) & (date < campaign.end) & np.isin(element, campaign.elements)
        rows = np.flatnonzero(now & (scene.world.places.municipality[place] == campaign.municipality))
        rows = rows[np.isin(cells_of(lon[rows], lat[rows], 8), scene.treated)]
        odds[rows, 2] *= 6
    steps = np.cumsum(odds, axis=1)
    pick = rng.random(len(day)) * steps[:, -1]
    return (pick[:, None] >= steps[:, :-1]).sum(axis=1).astype(np.int8)


def _time_of_day(channel: npt.NDArray[np.int8], rng: np.random.Generator) -> Floats:
    """Seconds after midnight: staff by day, citizens also in the evening."""
    n = len(channel)
    draw, noise = rng.random(n), rng.normal(0, 1, n)
    working = np.isin(channel, (2, 3))
    hour = np.where(
        working | (draw < 0.5),
        10.5 + 2.2 * noise,
        np.where(draw < 0.92, 19.0 + 2.0 * noise, 24 * (draw - 0.92) / 0.08),
    )
    return (np.mod(hour, 24) * 3600).clip(0, 86399)
