"""The benchmark of the map runs small here: its answers are checked, its times are not."""

from __future__ import annotations

from typing import Any

from data import database
from tools import bench


def test_the_map_benchmark_answers_rightly_on_a_small_store(store: Any) -> None:
    assert database.engine().url.database == store.name
    figures = bench.load("map").run(rows=2000, queries=12)
    assert figures["queries"] == 12
    assert 1500 < figures["rows"] <= 2000
    assert 0 < figures["payload_mb"] < 1.5
    assert figures["p50_ms"] <= figures["p95_ms"] <= figures["max_ms"]
    assert figures["cells_max"] > 0
