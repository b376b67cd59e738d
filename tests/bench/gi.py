"""How fast hot spots are found, and how many are found where there are none.

Gi* with two-sided p (exact null), false discovery rate and classes over all cells, against
``esda.G_Local`` with 999 permutations on the same cells and counts, on all cores, after a
warm-up that compiles it. The z of both must be equal. Not counted on either side: making
the neighbourhoods. The second part looks at maps of scattered counts with no hot spot in
them: in how many is a cell called "95 % hot" all the same?
"""

from __future__ import annotations

import importlib.util
import statistics
import time
import warnings
from typing import Any

import h3.api.numpy_int as h3
import numpy as np
from esda import G_Local
from libpysal.weights import WSP

from geo.hotspots import gi_star
from geo.neighbours import Neighbourhood, neighbourhood

DESCRIPTION = "Gi* and FDR on 100,000 cells, against esda with 999 permutations; false alarms"
SMALL = {"rows": 3_000}
SEED = 7
# esda compiles its permutations where numba is installed (it is no requirement of ours).
COMPILED = ", with numba" if importlib.util.find_spec("numba") else ", without numba"


def run(
    rows: int | None = None, permutations: int = 999, rounds: int = 7, maps: int = 400, k: int = 1
) -> dict[str, Any]:
    """Seconds (median of ``rounds``) for ``rows`` cells; ``maps`` maps without hot spots."""
    number = rows or 100_000
    rng = np.random.default_rng(SEED)
    near = city(number, k)
    # Busy and quiet quarters, skewed counts.
    busy = np.exp(near.matrix @ rng.normal(0, 0.3, number))
    counts = rng.poisson(3 * busy)
    seconds, normal = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        found = gi_star(counts, near)
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        gi_star(counts, near, "normal")
        normal.append(time.perf_counter() - began)
    theirs, peer_seconds = peer(counts, near, permutations)
    worst = float(np.abs(found.z - theirs.Zs).max())
    if worst > 1e-9:
        raise AssertionError(f"The z of esda differ by {worst}.")
    small = city(min(number, 2_000), k)
    alarms = dict.fromkeys(("exact", "normal"), 0)
    for _ in range(maps):
        nothing = rng.poisson(2.0, len(small.cells))
        for name in alarms:
            alarms[name] += bool((gi_star(nothing, small, name).classes >= 2).any())  # type: ignore[arg-type]
    return {
        "seconds": statistics.median(seconds),
        "ratio_to_peer": peer_seconds / statistics.median(seconds),
        "peer_seconds": peer_seconds,
        "peer": f"esda.G_Local, transform B, star, {permutations} permutations, all cores{COMPILED}",
        "seconds_normal_null": statistics.median(normal),
        "largest_difference_of_z": worst,
        "cells": number,
        "hot_95": int((found.classes >= 2).sum()),
        "maps_without_hot_spots": maps,
        "share_of_them_with_a_95_percent_hot_cell": alarms["exact"] / maps,
        "the_same_with_normal_p": alarms["normal"] / maps,
    }


def city(number: int, k: int) -> Neighbourhood:
    """The neighbourhoods of ``number`` cells around a point."""
    radius = int(np.ceil(np.sqrt(number / 3))) + 1
    disk = np.asarray(h3.grid_disk(h3.latlng_to_cell(26.4, 50.0, 9), radius)).astype(np.int64)
    return neighbourhood(np.sort(disk[:number]), k)


def peer(counts: np.ndarray, near: Neighbourhood, permutations: int) -> tuple[G_Local, float]:
    """esda's answer, and its seconds without those of compiling."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        tiny = city(50, 1)
        arguments = {"transform": "B", "star": True, "seed": 12345, "keep_simulations": False}
        G_Local(np.arange(50.0), _weights(tiny), permutations=9, **arguments)
        weights = _weights(near)
        values = counts.astype(np.float64)
        began = time.perf_counter()
        answer = G_Local(values, weights, permutations=permutations, **arguments)
        return answer, time.perf_counter() - began


def _weights(near: Neighbourhood) -> Any:
    return WSP(near.matrix).to_W(silence_warnings=True)
