"""How fast the histories of a large city are told: Gi*, FDR, Mann-Kendall, Sen, 17 patterns.

The peer is a loop over ``pymannkendall.original_test``, which does the Mann-Kendall and Sen
part only. It takes minutes for all cells, so it runs on an even sample of them, on the
very same z, and its time is scaled up to all; every answer of the sample must agree.
``ratio_to_peer`` sets the peer's part against the whole of ours; ``ratio_like_for_like``
sets it against our Mann-Kendall and Sen alone.
"""

from __future__ import annotations

import statistics
import time
from typing import Any

import numpy as np
import pymannkendall

from geo.cells import centres
from geo.kendall import mann_kendall, sens_slope
from geo.neighbours import neighbourhood
from geo.trends import emerging_hot_spots

DESCRIPTION = "Emerging hot spots of 50,000 cells x 36 months, against a loop over pymannkendall"
SEED = 36


def run(rows: int | None = None, months: int = 36, sample: int = 500, rounds: int = 5) -> dict[str, Any]:
    """Seconds (median of ``rounds``) for ``rows`` cells; the peer on ``sample`` of them, scaled."""
    import h3.api.numpy_int as h3

    n = rows or 50_000
    rng = np.random.default_rng(SEED)
    radius = int(np.ceil(np.sqrt(n / 3))) + 1
    disk = np.asarray(h3.grid_disk(h3.latlng_to_cell(26.4, 50.0, 9), radius)).astype(np.int64)
    cells = np.sort(disk)[:n]
    if len(cells) != n:
        raise AssertionError(f"The disk has {len(cells)} cells, not {n}.")
    near = neighbourhood(cells, 1)
    # Busy and quiet quarters, some of which grow: smooth in space, skewed, and whole numbers.
    lon, lat = centres(cells)
    busy = np.exp(1.5 * np.sin(40 * lon) * np.cos(50 * lat))
    growth = 1 + np.maximum(np.sin(25 * lon + 31 * lat), 0)[:, None] * np.arange(months) / months
    counts = rng.poisson(0.8 * busy[:, None] * growth)
    seconds, own = [], []
    for _ in range(rounds):
        began = time.perf_counter()
        found = emerging_hot_spots(counts, near)
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
        trend, slopes = mann_kendall(found.z), sens_slope(found.z)
        own.append(time.perf_counter() - began)
    picked = np.linspace(0, n - 1, min(sample, n)).astype(np.int64)
    peers = []
    for i in picked:
        series = found.z[i]
        began = time.perf_counter()
        peer = pymannkendall.original_test(series)
        peers.append(time.perf_counter() - began)
        ours = (trend.z[i], trend.p[i], slopes[i])
        if not np.allclose(ours, (peer.z, peer.p, peer.slope), rtol=0, atol=1e-9):
            raise AssertionError(f"Cell {i}: ours {ours}, theirs {(peer.z, peer.p, peer.slope)}.")
    whole = statistics.fmean(peers) * n
    return {
        "seconds": statistics.median(seconds),
        "ratio_to_peer": whole / statistics.median(seconds),
        "kendall_seconds": statistics.median(own),
        "ratio_like_for_like": whole / statistics.median(own),
        "peer_seconds_scaled": whole,
        "peer_sample": len(picked),
        "cells": n,
        "months": months,
        "patterns_found": len(np.unique(found.patterns[found.patterns > 0])),
        "cells_with_pattern": int(np.count_nonzero(found.patterns)),
    }
