"""The simulated histories: the portal's second sheet, one row a step of a report.

It goes with ``simulated_reports.*`` and through the ordinary ingest (``./rasd ingest
histories``). Courses are drawn by ``geo/simulated_histories.py``; the shares planted here are
written into ``truth.json`` with what came of them, so that indicators can be judged. Rows that
the ingest of the reports refuses have no history. Every number is an assumption.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any, BinaryIO

import numpy as np
import polars as pl

from data.reference import read
from geo.simulated_histories import STEPS, Faults, Steps, steps
from geo.simulated_scene import DIRT_NAMES, Reports
from ingest.demo_files import PortalSheet, Stamps
from ingest.demo_world import DemoWorld

COLUMNS = ("رقم البلاغ المجمع", "الإجراء", "الحالة", "تاريخ الإجراء", "الدور", "الجهة", "السبب", "مكرر من")
CONTRACTORS = 40
# Planted: shares of all, and of those that are worse. Contractors by their number in the
# sheet; municipalities by the rank of their assumed population, the largest being 0.
FAIL, FAIL_WORSE = 0.08, {7: 0.30, 23: 0.24, 37: 0.27}
REOPENED, REOPENED_WORSE = 0.03, {2: 0.12, 5: 0.10}
UNTREATED, UNTREATED_WORSE = 0.01, {3: 0.15}
_REFUSED = ("repeated_row", "outside", "missing_reference", "unreadable_coordinates")
_ROLES = {
    "classify": "call_centre", "assign": "supervisor", "inspect": "inspector", "dispatch": "supervisor",
    "treat": "contractor", "submit": "inspector", "pass": "quality", "fail": "quality", "reject": "inspector",
    "duplicate": "call_centre", "refer": "supervisor", "answer": "contractor", "return": "contractor",
    "enforce": "inspector", "settle": "inspector", "reopen": "call_centre",
}  # fmt: skip
_CODE = {name: code for code, name in enumerate(STEPS)}


@dataclass
class HistoryTally:
    """What was really written; filled while writing."""

    rows: int = 0
    reports: int = 0
    steps: Counter[str] = field(default_factory=Counter)
    checks: Counter[int] = field(default_factory=Counter)  # by contractor's number
    fails: Counter[int] = field(default_factory=Counter)
    closings: Counter[int] = field(default_factory=Counter)  # by municipality's index
    reopened: Counter[int] = field(default_factory=Counter)
    untreated: Counter[int] = field(default_factory=Counter)
    referred: Counter[str] = field(default_factory=Counter)  # by party
    impossible: int = 0


class HistorySheet:
    """Turns chunks of reports into rows of steps."""

    def __init__(self, demo: DemoWorld, seed: int) -> None:
        self.demo = demo
        self.seed = seed
        self.portal = PortalSheet(demo)
        self.tally = HistoryTally()
        places = demo.world.places
        people = np.bincount(
            places.municipality, weights=places.population, minlength=len(demo.world.municipalities)
        )
        self.rank = np.argsort(-people, kind="stable")
        shares = {row["code"]: float(row["share"]) for row in read("demo_referrals.csv")}
        self.referred = np.array([shares.get(code, 0.0) for code in demo.habits.codes])
        self.faults = Faults(
            fail=_planted(CONTRACTORS, FAIL, {number - 1: chance for number, chance in FAIL_WORSE.items()}),
            reopened=self._by_rank(REOPENED, REOPENED_WORSE),
            untreated=self._by_rank(UNTREATED, UNTREATED_WORSE),
        )
        words = read("demo_portal_words.csv")
        self.words = pl.Series([_words(words, "step", name)[:1] or [None] for name in STEPS]).list.first()
        self.roles = pl.Series(
            [_words(words, "role", _ROLES[name])[0] if name in _ROLES else None for name in STEPS]
        )
        self.reasons = [_words(words, "reason", name) for name in STEPS]
        self.closed = _words(words, "status", "closed")[0]
        self.own = _words(words, "responsible", "municipality")[0]

    def _by_rank(self, usual: float, worse: dict[int, float]) -> np.ndarray:
        there = {int(self.rank[at]): chance for at, chance in worse.items() if at < len(self.rank)}
        return _planted(len(self.rank), usual, there)

    def frame(self, chunk: Reports) -> pl.DataFrame:
        """The steps of a chunk as text columns; a null is an empty cell."""
        refused = [DIRT_NAMES.index(name) for name in _REFUSED]
        reports = chunk.take(np.flatnonzero(~np.isin(chunk.dirt, refused)))
        municipality = self.demo.world.places.municipality[reports.place]
        contractor = self.portal.contractor_of(reports)
        fined = self.demo.habits.fined[reports.element]
        owner = self.portal.owners.column(reports)
        # Only what the sheet gives to a public body is referred to it.
        referred = np.where((owner != self.own).to_numpy(), self.referred[reports.element], 0.0)
        found = steps(reports, contractor, municipality, fined, referred, self.faults, self.seed)
        self._count(found, contractor, municipality, owner)
        step, row = found.step, found.row
        entity = self._entities(found, contractor, owner)
        reference = self.portal.references(reports.number)
        original = self.portal.references(reports.incident)
        duplicate = pl.Series(step == _CODE["duplicate"])
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(found))
        done = pl.Series(step != _CODE["closed"])
        stamps = Stamps(reports.dirt[row], reports.pick[row])
        values = (
            reference.gather(row),
            self.words.gather(step),
            pl.Series([self.closed]).new_from_index(0, len(found)).zip_with(~done, nothing),
            stamps.texts(found.at),
            self.roles.gather(step),
            entity,
            self._reasons(step, reports.pick[row]),
            original.gather(row).zip_with(duplicate, nothing),
        )
        return pl.DataFrame(dict(zip(COLUMNS, values, strict=True)))

    def _entities(self, found: Steps, contractor: np.ndarray, owner: pl.Series) -> pl.Series:
        """The owner where one is told: the department or entity, and who does the work."""
        step, row = found.step, found.row
        owns = pl.Series(np.isin(step, [_CODE[name] for name in ("assign", "refer", "answer", "return")]))
        works = pl.Series(np.isin(step, [_CODE[name] for name in ("dispatch", "treat")]))
        nothing = pl.Series([None], dtype=pl.String).new_from_index(0, len(found))
        firms = self.portal.contractors.gather(contractor[row]).zip_with(works, nothing)
        return owner.gather(row).zip_with(owns, firms)

    def _reasons(self, step: np.ndarray, pick: np.ndarray) -> pl.Series:
        out: list[str | None] = [None] * len(step)
        for code, words in enumerate(self.reasons):
            if words:
                for at in np.flatnonzero(step == code):
                    out[at] = words[int(pick[at] * 997) % len(words)]
        return pl.Series(out, dtype=pl.String)

    def _count(
        self, found: Steps, contractor: np.ndarray, municipality: np.ndarray, owner: pl.Series
    ) -> None:
        tally, step, row = self.tally, found.step, found.row
        tally.rows += len(found)
        tally.reports += len(np.unique(row))
        for code, count in enumerate(np.bincount(step, minlength=len(STEPS))):
            tally.steps[STEPS[code]] += int(count)

        def add(into: Counter[Any], by: np.ndarray, *names: str) -> None:
            rows = row[np.isin(step, [_CODE[name] for name in names])]
            for value, count in zip(*np.unique(by[rows], return_counts=True), strict=True):
                into[value.item()] += int(count)

        add(tally.checks, contractor + 1, "pass", "fail")
        add(tally.fails, contractor + 1, "fail")
        add(tally.closings, municipality, "pass", "closed", "answer", "settle")
        add(tally.reopened, municipality, "reopen")
        add(tally.untreated, municipality, "closed")
        add(tally.referred, owner.to_numpy().astype(str), "refer")
        # Treated right after a passed check.
        follows = (step[1:] == _CODE["treat"]) & (step[:-1] == _CODE["pass"]) & (row[1:] == row[:-1])
        tally.impossible += int(follows.sum())

    def truth(self) -> dict[str, Any]:
        """What was planted and what came of it, JSON-ready."""
        tally, names = self.tally, self.demo.world.municipalities

        def shares(
            planted: np.ndarray,
            usual: float,
            names: list[str],
            first: int,
            hits: Counter[int],
            of: Counter[int],
        ) -> dict[str, Any]:
            worse = [
                {
                    "name": names[at],
                    "planted": float(planted[at]),
                    "hits": hits[at + first],
                    "of": of[at + first],
                }
                for at in np.flatnonzero(planted != usual).tolist()
            ]
            return {"usual": usual, "worse": worse, "hits": sum(hits.values()), "of": sum(of.values())}

        firms = self.portal.contractors.to_list()
        return {
            "steps": dict(tally.steps),
            "rows": tally.rows,
            "reports": tally.reports,
            "checks_failed": shares(self.faults.fail, FAIL, firms, 1, tally.fails, tally.checks),
            "closings_reopened": shares(
                self.faults.reopened, REOPENED, names, 0, tally.reopened, tally.closings
            ),
            "closings_without_work": shares(
                self.faults.untreated, UNTREATED, names, 0, tally.untreated, tally.closings
            ),
            "referred": dict(tally.referred),
            "returned_share": self.faults.returned,
            "impossible_sequences": tally.impossible,
        }


def write_histories(file: BinaryIO, sheet: HistorySheet, chunks: Iterable[Reports]) -> Iterator[Reports]:
    """Pass chunks through, writing their histories as CSV on the way."""
    for i, chunk in enumerate(chunks):
        sheet.frame(chunk).write_csv(file, include_header=i == 0)
        yield chunk


def _planted(size: int, usual: float, worse: dict[int, float]) -> np.ndarray:
    out = np.full(size, usual)
    for at, chance in worse.items():
        out[at] = chance
    return out


def _words(words: list[dict[str, str]], kind: str, code: str) -> list[str]:
    return [row["word_ar"] for row in words if row["kind"] == kind and row["code"] == code]
