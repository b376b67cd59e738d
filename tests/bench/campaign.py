"""How long areas take to choose, how good they are proven to be, and what the rivals find.

A simulated city: rates of violations are log-normal on hot spots of several widths, sites
are drawn from them, a round through a cell finds some more (three passes, each a share of
what is left). Teams have 15 days of 6 hours from bases in a grid of municipalities.
``seconds`` is from the curves to the chosen areas; ``gap`` over the candidates; ``free_gap``
to the bound without contiguity. The rivals' ratios say what the plan finds more than they.
"""

from __future__ import annotations

import os
import time
from typing import Any

import h3.api.numpy_int as h3
import numpy as np

from geo.cells import areas_km2, centres
from geo.effort import Effort
from geo.patches import Limits
from geo.rivals import Days, rivals
from geo.selection import candidates, choose

DESCRIPTION = "Choice of 10 areas among 20,000 cells: seconds, proven gap, rivals (--rows, --areas, --seed)"
MINUTES_KM, MINUTES_SITE, DETOUR = 2.5, 12.0, 1.3
DAYS = Days(hours=90.0, days=15.0)
MOST_SECONDS, MOST_GAP = 30.0, 0.05


def run(rows: int | None = None, areas: int = 10, seed: int = 0) -> dict[str, Any]:
    """Choose ``areas`` areas among ``rows`` cells; the processor's seconds stand beside the clock's."""
    effort, limits, counts = city(rows or 20_000, areas, np.random.default_rng(seed))
    began, used = time.perf_counter(), time.process_time()
    among = candidates(effort, limits)
    choice = choose(effort, limits, among)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    began = time.perf_counter()
    beside = rivals(effort, limits, choice, among, counts, MINUTES_KM / 60_000 * DETOUR, DAYS)
    compared = time.perf_counter() - began
    if choice.gap > MOST_GAP:
        raise AssertionError(f"The gap is {choice.gap:.1%}, more than {MOST_GAP:.0%}.")
    others = {code: getattr(beside, code) for code in ("top_cells", "municipality_share", "greedy")}
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "within_time": seconds <= MOST_SECONDS,
        "gap": choice.gap,
        "free_gap": 1 - choice.objective / choice.free_bound,
        "objective": choice.objective,
        "bound": choice.bound,
        "free_bound": choice.free_bound,
        "candidates": choice.candidates,
        "status": choice.status,
        "cells": len(effort.cells),
        "areas": len(choice.patches),
        "cells_of_areas": [len(patch.members) for patch in choice.patches],
        "least_compactness": min(patch.compactness for patch in choice.patches),
        **{f"plan_over_{code}": beside.plan.value / other.value for code, other in others.items()},
        "rivals_seconds": compared,
        "load_average": os.getloadavg()[0],
    }


def city(number: int, areas: int, rng: np.random.Generator) -> tuple[Effort, Limits, np.ndarray]:
    """Curves, limits and the number of sites of each cell."""
    radius = int(np.ceil(np.sqrt(number / 3))) + 1
    disk = np.asarray(h3.grid_disk(h3.latlng_to_cell(26.4, 50.0, 9), radius)).astype(np.int64)
    cells = np.sort(disk[:number])
    lon, lat = centres(cells)
    x, y = (lon - 50.0) * 99.7, (lat - 26.4) * 110.8  # km
    side = float(np.abs(x).max())
    heat = np.zeros(number)
    for _ in range(max(3, number // 150)):
        apart = np.hypot(x - rng.uniform(-side, side), y - rng.uniform(-side, side))
        heat += rng.lognormal(0, 0.9) * np.exp(-0.5 * (apart / rng.lognormal(-0.3, 0.5)) ** 2)
    rate = (0.15 + 2 * heat) * rng.lognormal(0, 0.8, number)
    sites = rng.poisson(rate)
    km = np.sqrt(areas_km2(cells))
    hour_km = MINUTES_KM / 60 * DETOUR
    # Sites: minutes on the place and the way from the one before; weights of severity and lateness.
    of_site = np.repeat(np.arange(number), sites)
    site_hours = MINUTES_SITE / 60 + 0.7124 * km[of_site] / np.sqrt(sites[of_site]) * hour_km
    # Rounds: half an hour of streets a pass; each finds a share of what is left.
    of_pass, turn = np.repeat(np.arange(number), 3), np.tile(np.arange(3), number)
    pass_value = 0.3 * rate[of_pass] * np.exp(-turn) * (1 - np.exp(-1))
    step_cell = np.concatenate([of_site, of_pass])
    step_hours = np.concatenate([site_hours, np.full(len(of_pass), 0.5)])
    step_value = np.concatenate([rng.gamma(2, 0.5, len(of_site)), pass_value])
    order = np.lexsort((-step_value / step_hours, step_cell))
    effort = Effort(cells, 1.0746 * km * hour_km, step_cell[order], step_hours[order], step_value[order])
    row, column = (np.clip((p + side) / side * 1.5, 0, 2.999).astype(np.int64) for p in (x, y))
    group = 3 * row + column
    way = np.empty(number)
    for one in np.unique(group):
        here = group == one
        base = (
            np.average(x[here], weights=sites[here] + 1e-9),
            np.average(y[here], weights=sites[here] + 1e-9),
        )
        way[here] = np.hypot(x[here] - base[0], y[here] - base[1]) * hour_km
    capacity = DAYS.hours - 2 * DAYS.days * way
    limits = Limits(areas=areas, capacity=capacity, group=group, closed=capacity <= 0)
    return effort, limits, sites
