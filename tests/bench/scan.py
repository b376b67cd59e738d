"""How long a scan takes, and how often it raises an alarm when there is nothing.

Seconds are for 5,000 cells × 90 days × 999 permutations, neighbours and clusters
included. The share of false alarms (p ≤ 0.05 for the most unusual cluster) is counted
over smaller null data sets: places differ, days differ, and nothing flares up.
"""

from __future__ import annotations

import os
import time
from typing import Any

import h3
import numpy as np
from scipy import stats

from geo.scan import scan

DESCRIPTION = "Space-time permutation scan: 5,000 cells × 90 days × 999 permutations, and its false alarms"
CELLS, DAYS, CASES = 5000, 90, 45_000
NULL_CELLS, NULL_DAYS, NULL_CASES = 217, 60, 600
LEVEL = 0.05
SMALL = {"rows": 5000, "permutations": 99, "null_sets": 5}  # when only tried out


def run(
    rows: int | None = None, permutations: int = 999, null_sets: int = 200, workers: int | None = None
) -> dict[str, Any]:
    """Time one scan of ``rows`` cases, then scan ``null_sets`` small data sets without a flare-up.

    false_alarm_low and _high: 95 % interval of the share (Clopper and Pearson).
    """
    cells = disk(41)[:CELLS]
    cases, rng = null_cases(len(cells), DAYS, rows or CASES, 1)
    began = time.perf_counter()
    used = time.process_time()
    found = scan(
        cells, *cases, DAYS, rng, max_radius_m=2500, max_days=30, permutations=permutations, workers=workers
    )
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    small = disk(8)
    alarms = 0
    began = time.perf_counter()
    for seed in range(null_sets):
        cases, rng = null_cases(len(small), NULL_DAYS, NULL_CASES, 10_000 + seed)
        one = scan(
            small,
            *cases,
            NULL_DAYS,
            rng,
            max_radius_m=1500,
            max_days=14,
            permutations=permutations,
            most=1,
            workers=workers,
        )
        alarms += one.clusters[0].p <= LEVEL
    low, high = stats.binomtest(alarms, null_sets).proportion_ci() if null_sets else (0.0, 1.0)
    return {
        "seconds": seconds,
        "processor_seconds": processor,
        "cells": found.cells,
        "days": found.days,
        "cases": found.cases,
        "rings": found.rings,
        "durations": 30,
        "permutations": permutations,
        "false_alarm_share": alarms / null_sets if null_sets else None,
        "false_alarm_low": float(low),
        "false_alarm_high": float(high),
        "level": LEVEL,
        "null_sets": null_sets,
        "null_cells": NULL_CELLS,
        "null_days": NULL_DAYS,
        "null_cases": NULL_CASES,
        "null_seconds": time.perf_counter() - began,
        "processors": os.cpu_count(),
    }


def disk(radius: int) -> np.ndarray:
    """Cells of resolution 9 around Dammam, ascending; the outermost are the last to be told apart."""
    middle = h3.latlng_to_cell(26.42, 50.10, 9)
    return np.sort(np.array([h3.str_to_int(cell) for cell in h3.grid_disk(middle, radius)], dtype=np.int64))


def null_cases(
    cells: int, days: int, cases: int, seed: int
) -> tuple[tuple[np.ndarray, np.ndarray], np.random.Generator]:
    """Place and day of cases whose mean is a product of the two: skewed places, weekly days."""
    rng = np.random.default_rng(seed)
    mean = np.outer(rng.gamma(0.5, size=cells), 1 + 0.4 * (np.arange(days) % 7 < 5))
    counts = rng.poisson(cases * mean / mean.sum())
    place, day = np.nonzero(counts)
    often = counts[place, day]
    return (np.repeat(place, often), np.repeat(day, often)), rng
