"""The benchmark of incidents runs small here: its answers are checked, its times are not."""

from __future__ import annotations

from tools import bench


def test_the_incidents_benchmark_compares_with_dbscan_on_the_same_reports() -> None:
    figures = bench.load("incidents").run(rows=3000)
    assert figures["rows"] == figures["sample"] == 3000
    assert 0.8 * 3000 < figures["incidents"] < 3000
    assert figures["largest"] <= figures["peer_largest"] + 1
    assert figures["seconds"] > 0 and figures["peer_seconds"] > 0 and figures["ratio_to_peer"] > 0
