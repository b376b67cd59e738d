"""Whom the demo's portal names as responsible: the element's owner, and sometimes another.

A few reports everywhere, and many in three municipalities, carry an owner that the rules do
not name: what belongs to a public body stays with the municipality, and water leaks and
electrical boxes go to the companies that people think of. Planted, so that the analysis of
misrouting can be judged by it. Every share is made up.
"""

from __future__ import annotations

from typing import Any

import numpy as np
import polars as pl

from data.reference import read
from geo.simulated_scene import Reports
from ingest.demo_world import DemoWorld

USUAL_SHARE, CARELESS_SHARE = 0.02, 0.22
CARELESS = 3  # municipalities
#: What people take for an entity's, although the municipality is named responsible for it.
MISTAKEN = {"R07": "water", "R09": "electricity", "L06": "electricity", "R11": "traffic"}


class DemoOwners:
    """The column of responsible bodies."""

    def __init__(self, demo: DemoWorld, words: list[dict[str, str]]) -> None:
        names = {row["code"]: row["name_ar"] for row in read("parties.csv")}
        names |= {row["code"]: row["word_ar"] for row in words if row["kind"] == "responsible"}
        usual = [row["responsible"] for row in demo.elements]
        other = [
            MISTAKEN.get(row["code"], "") if row["responsible"] == "municipality" else "municipality"
            for row in demo.elements
        ]
        self._usual = pl.Series([names[code] for code in usual], dtype=pl.String)
        self._other = pl.Series([names.get(code) for code in other], dtype=pl.String)
        self._can = np.array([code != "" for code in other])
        self._home = demo.world.places.municipality
        counts = np.bincount(self._home, minlength=len(demo.world.municipalities))
        # Those with most places among the odd ones: many reports, and the same in every run.
        odd = np.arange(1, len(counts), 2)
        self.careless = np.sort(odd[np.argsort(-counts[odd], kind="stable")[:CARELESS]])
        self.misrouted = 0

    def _wrong(self, reports: Reports) -> np.ndarray:
        share = np.where(np.isin(self._home[reports.place], self.careless), CARELESS_SHARE, USUAL_SHARE)
        # Digits of the report's own draw that nothing else uses.
        return np.asarray(((reports.pick * 1e5) % 1 < share) & self._can[reports.element])

    def column(self, reports: Reports) -> pl.Series:
        """The responsible body of each report, (n,) as the portal writes it."""
        wrong = pl.Series(self._wrong(reports))
        return self._other.gather(reports.element).zip_with(wrong, self._usual.gather(reports.element))

    def count(self, reports: Reports) -> None:
        """Count what was planted in a chunk that is written."""
        self.misrouted += int(self._wrong(reports).sum())

    def truth(self, demo: DemoWorld) -> dict[str, Any]:
        """What was planted, JSON-ready; ``rows`` counts those written so far."""
        return {
            "rows": self.misrouted,
            "municipalities": [demo.world.municipalities[m] for m in self.careless],
            "share_there": CARELESS_SHARE,
            "share_elsewhere": USUAL_SHARE,
        }
