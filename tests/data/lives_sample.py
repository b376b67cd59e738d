"""A small store whose reports have long, odd histories, and the same told by walking through them.

``Life`` is written without any of the code that it is compared with: it asks, for one report
at a time, what the last event told was among those that count at a moment.
"""

from __future__ import annotations

import datetime as dt
import functools
from dataclasses import dataclass, field
from typing import Any
from zoneinfo import ZoneInfo

import h3
import numpy as np
from sqlalchemy import Connection, insert, text

from data.models import ReportEvent
from data.vocabulary import Status
from tests.data.people import add_party
from tests.data.reports_sample import ZONE, Sample, make_sample

TOLD = dt.datetime(2025, 12, 1, 12, tzinfo=dt.UTC)  # when the store learned of the histories
_STEPS = [1, 2, 3, 4, 4, 5, 6, 6, 7, 7, 7, 8, 9, 10, 11, 12, 14, 15]
_ZERO = dt.datetime(2000, 1, 1, tzinfo=dt.UTC)


def minute(moment: dt.datetime) -> int:
    """The minute in which a moment lies."""
    return (moment - _ZERO) // dt.timedelta(minutes=1)


@dataclass
class Life:
    """One report and its events (time, status) in the order of telling."""

    id: int
    opened: dt.datetime
    due: dt.datetime | None
    element: str | None
    group: str | None
    municipality: int | None
    agency: int | None
    contractor: int | None
    place: str | None
    events: list[tuple[dt.datetime, int]] = field(default_factory=list)

    @functools.cached_property
    def standing(self) -> list[tuple[int, int, int]]:
        """(minute, status, status before) of the events that are ever the answer, in order of time."""
        out: list[tuple[int, int, int]] = []
        before = int(Status.RECEIVED)
        for at in sorted({when for when, _ in self.events}):
            said = [number for number, (when, _) in enumerate(self.events) if when <= at]
            when, status = self.events[said[-1]]
            if when == at:
                out.append((minute(at), status, before))
                before = status
        return out

    @functools.cached_property
    def turns(self) -> list[tuple[int, str]]:
        """(minute, what it was from then on)."""
        out, kind = [], "open"
        for at, status, _ in self.standing:
            now = {7: "closed", 8: "aside", 9: "aside", 10: "referred"}.get(status, "open")
            if now != kind:
                out.append((at, now))
            kind = now
        return out

    def stood(self, until: int) -> tuple[str, int]:
        """What it was before a minute, and since when."""
        told = [(kind, at) for at, kind in self.turns if at < until]
        return told[-1] if told else ("open", minute(self.opened))

    def closings(self, start: int, end: int) -> list[tuple[int, int | None]]:
        """(closed, reopened or None) of the closings told in some minutes."""
        turns, out = self.turns, []
        for number, (at, kind) in enumerate(turns):
            if kind == "closed" and start <= at < end:
                after = turns[number + 1] if number + 1 < len(turns) else (None, "")
                out.append((at, after[0] if after[1] == "open" else None))
        return out

    def limit(self) -> int | None:
        """Its limit; one at midnight runs to the end of the day."""
        if self.due is None:
            return None
        local = self.due.astimezone(ZoneInfo(ZONE))
        return minute(self.due) + (1439 if (local.hour, local.minute) == (0, 0) else 0)


@dataclass(frozen=True)
class City:
    sample: Sample
    lives: list[Life]
    parties: dict[str, int]


def make_city(conn: Connection, rows: int = 400, seed: int = 3) -> City:
    """Fill a migrated store; histories are told by the batch of the sample."""
    rng = np.random.default_rng(seed)
    sample = make_sample(conn, rows=rows, seed=seed)
    parties = {
        code: add_party(conn, sample.territory, code, kind)
        for code, kind in (
            ("roads", "department"), ("parks", "department"), ("power", "entity"),
            ("firm one", "contractor"), ("firm two", "contractor"),
        )
    }  # fmt: skip
    # Some corners see the same things again and again.
    corners = [(49.5 + 0.01 * k, 26.3) for k in range(4)]
    lives, events = [], []
    for row in sample.frame.to_dict("records"):
        life = _life(rng, row, parties)
        if life.place is not None and rng.random() < 0.6:
            lon, lat = corners[int(rng.integers(0, len(corners)))]
            cell = h3.latlng_to_cell(lat, lon, 12)
            life.place = h3.cell_to_parent(cell, 11)
            conn.execute(
                text("UPDATE report SET cell = :cell, geom = ST_Point(:lon, :lat, 4326) WHERE id = :id"),
                {"cell": h3.str_to_int(cell), "lon": lon, "lat": lat, "id": life.id},
            )
        lives.append(life)
        events += _history(rng, life, sample.batch)
    conn.execute(text("DELETE FROM report_event"))
    conn.execute(insert(ReportEvent), events)
    conn.execute(
        text(
            """UPDATE report SET opened_at = :opened, due_at = :due, agency_id = :agency, contractor_id = :contractor,
                 status = :status, recorded_at = NULL WHERE id = :id"""
        ),
        [
            {
                "id": one.id,
                "opened": one.opened,
                "status": one.events[-1][1] if one.events else 1,
                "due": one.due,
                "agency": one.agency,
                "contractor": one.contractor,
            }
            for one in lives
        ],
    )
    return City(sample, lives, parties)


def _life(rng: np.random.Generator, row: dict[str, Any], parties: dict[str, int]) -> Life:
    opened = dt.datetime(2025, 1, 5, tzinfo=dt.UTC) + dt.timedelta(seconds=int(rng.integers(0, 160 * 86_400)))
    due = None
    if rng.random() < 0.8:
        due = opened + dt.timedelta(minutes=int(rng.integers(60, 40_000)))
        if rng.random() < 0.4:
            due = dt.datetime.combine(due.astimezone(ZoneInfo(ZONE)).date(), dt.time(), ZoneInfo(ZONE))
    known = row["precision"] == 2 and not row["default_point"]
    agencies = [parties["roads"], parties["parks"], parties["power"], None]
    firms = [parties["firm one"], parties["firm two"], None]
    return Life(
        id=int(row["id"]),
        opened=opened,
        due=due,
        element=row["element"] if isinstance(row["element"], str) else None,
        group=row["group"] if isinstance(row["group"], str) else None,
        municipality=None if np.isnan(row["municipality_id"] or np.nan) else int(row["municipality_id"]),
        agency=agencies[int(rng.integers(0, 4))],
        contractor=firms[int(rng.integers(0, 3))],
        place=h3.cell_to_parent(row["cell_text"], 11) if known and row["cell_text"] else None,
    )


def _history(rng: np.random.Generator, life: Life, batch: int) -> list[dict[str, Any]]:
    """Up to nine events: mostly forward, some back in time, some without a date, some at one go."""
    at, out = life.opened, []
    for seq in range(1, int(rng.integers(0, 10)) + 1):
        step = int(rng.choice([rng.integers(0, 8), rng.integers(10, 3000), rng.integers(1000, 30_000)]))
        at = at + dt.timedelta(minutes=step, seconds=int(rng.integers(1, 59)))
        told: dt.datetime | None = at
        chance = rng.random()
        if chance < 0.04:
            told = at - dt.timedelta(minutes=int(rng.integers(100, 20_000)), seconds=7)
        elif chance < 0.07 and seq > 1:
            told = None
        elif chance < 0.12:
            told = dt.datetime.combine(at.astimezone(ZoneInfo(ZONE)).date(), dt.time(), ZoneInfo(ZONE))
        status = int(rng.choice(_STEPS))
        if 0.12 <= chance < 0.2:
            # Once a month somebody closes whatever is on the desk.
            told, status = at.replace(day=15, hour=11, minute=11, second=seq * 6), 7
        elif chance > 0.97 and seq == 1:
            told, status = life.opened + dt.timedelta(minutes=4), 7
        counts = TOLD + dt.timedelta(seconds=seq) if told is None else told
        if any(when == counts for when, _ in life.events):
            continue
        life.events.append((counts, status))
        out.append(
            {
                "report_id": life.id, "seq": len(life.events), "status": status, "batch_id": batch,
                "at": told, "recorded_at": TOLD + dt.timedelta(seconds=seq),
            }
        )  # fmt: skip
    return out
