"""How fast reports become incidents, against DBSCAN on the same space-time neighbourhood.

The reports are those of the demo's simulation, clean ones with a point, so their density is
that of a province with busy corners. The peer is scikit-learn's DBSCAN with one report
enough for a cluster, kind by kind, on (x / metres, y / metres, t / days) with the maximum
metric: the nearest thing to ST-DBSCAN in a library. It is timed on a sample, ours on the same.
Caveat: its clusters chain and ours do not; ``largest`` and ``peer_largest`` show it.
"""

from __future__ import annotations

import datetime as dt
import time
from dataclasses import fields
from typing import Any

import numpy as np
from sklearn.cluster import DBSCAN

from data.incidents import metres_of, reaches
from geo.incidents import first_reports, lives, places
from geo.simulated_life import DUPLICATE, REJECTED
from geo.simulated_scene import Reports
from geo.simulation import simulate
from ingest.demo import demo_scene

DESCRIPTION = "Incidents of 1,000,000 reports, and scikit-learn's DBSCAN on a sample"
PEER = "scikit-learn DBSCAN(min_samples=1) on the scaled space-time metric, per kind"
SAMPLE = 100_000


def run(rows: int | None = None) -> dict[str, Any]:
    """Time incidents, places and the peer; ``rows`` reports, one million unless said."""
    n = rows or 1_000_000
    demo, scene = demo_scene(n, 940, 24, dt.date(2025, 10, 31))
    parts = list(simulate(scene, 100_000))
    all_of = Reports(**{f.name: np.concatenate([getattr(p, f.name) for p in parts]) for f in fields(Reports)})
    known = reaches()
    reach = [known.get(code, known["*"]) for code in demo.habits.codes]
    metres = np.array([r.metres for r in reach])[all_of.element]
    days = np.array([r.days for r in reach])[all_of.element]
    x, y = metres_of(all_of.lon, all_of.lat)
    zero = np.datetime64("2000-01-01", "s")
    t = (all_of.opened - zero).astype(np.float64) / 86_400
    ended = np.isnat(all_of.closed) | np.isin(all_of.status, (REJECTED, DUPLICATE))
    closed = np.where(ended, np.nan, (all_of.closed - zero).astype(np.float64) / 86_400)
    ids = np.arange(len(t))

    began, used = time.perf_counter(), time.process_time()
    leads = first_reports(x, y, t, all_of.element, ids, metres=metres, days=days, closed=closed)
    seconds, processor = time.perf_counter() - began, time.process_time() - used
    course = lives(leads, t, closed)
    first = course.first
    began = time.perf_counter()
    places(x[first], y[first], t[first], all_of.element[first], ids[first], metres=metres[first])
    places_seconds = time.perf_counter() - began

    some = slice(0, min(SAMPLE, n))
    began = time.perf_counter()
    sample = first_reports(
        x[some], y[some], t[some], all_of.element[some], ids[some],
        metres=metres[some], days=days[some], closed=closed[some],
    )  # fmt: skip
    mine = time.perf_counter() - began
    began = time.perf_counter()
    largest = 0
    for kind in np.unique(all_of.element[some]):
        one = np.flatnonzero(all_of.element[some] == kind)
        scaled = np.column_stack([x[one] / metres[one], y[one] / metres[one], t[one] / days[one]])
        found = DBSCAN(eps=1.0, min_samples=1, metric="chebyshev", algorithm="kd_tree").fit(scaled)
        largest = max(largest, int(np.bincount(found.labels_).max()))
    peer = time.perf_counter() - began
    return {
        "rows": len(t),
        "seconds": round(seconds, 3),
        "processor_seconds": round(processor, 3),
        "incidents": len(first),
        "largest": int(course.reports.max()),
        "places_seconds": round(places_seconds, 3),
        "peer": PEER,
        "sample": len(sample),
        "sample_seconds": round(mine, 3),
        "peer_seconds": round(peer, 3),
        "ratio_to_peer": round(peer / mine, 2),
        "peer_largest": largest,
    }
