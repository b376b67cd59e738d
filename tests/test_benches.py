"""Benchmarks run small, on a store of its own, and gives figures.

In a file of its own, so that it shares no worker with the commands at the top of the checkout.
"""

from __future__ import annotations

import json
from typing import Any

import pytest

from tools import bench

# Read as text: importing all of them would take every worker seconds to collect its tests.
TRIED = [
    name for name in bench.names() if "\nSMALL = None" not in (bench.FOLDER / f"{name}.py").read_text("utf-8")
]


@pytest.mark.slow
@pytest.mark.parametrize("name", TRIED)
def test_each_benchmark_runs_small_and_gives_figures(
    name: str, store: Any, request: pytest.FixtureRequest
) -> None:
    module = bench.load(name)
    if getattr(module, "REAL", False):
        request.getfixturevalue("shared_data")  # skips, saying so, where the real files are absent
    figures = bench.call(module, getattr(module, "SMALL", {"rows": 5000}))
    assert figures
    assert json.loads(json.dumps(figures, default=float))
