"""Reading reports from an Open311 server, a window of time after the other, and their course.

A window (at most 90 days, GeoReport v2) becomes one batch of the ordinary pipeline, and how
far the server has been read is written in the same transaction; so a crash at any moment
costs one window at most. Then the requests that the store holds as open are asked for
again by number. Caveat: GeoReport has no date of closing but the last update, and says
nothing of requests that were deleted: those stay open here and are counted as gone.
"""

from __future__ import annotations

import datetime as dt
import re
import tempfile
from collections.abc import Callable
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from sqlalchemy import Engine

from data import pulls
from geo.errors import InputError
from ingest.open311_http import Fetcher, Manners, checked_address
from ingest.open311_server import Haul, Server, Traits
from ingest.pipeline import ingest_reports
from ingest.profile import Profile, load_profile
from ingest.result import IngestResult

LONGEST = dt.timedelta(days=90)
FIRST = LONGEST  # read at the first pull when --since does not say
OVERLAP = dt.timedelta(days=2)  # read again: servers show some requests late
ROWS_A_WINDOW = 5_000
IDS_A_BATCH = 1_000
SINGLY_A_RUN = 200  # of a server that takes no lists, so many are asked for in one run
_SHORTEST_DAYS = 0.25
_SECOND = dt.timedelta(seconds=1)


@dataclass(slots=True)
class PullResult:
    """What a pull did. Read = accepted + updated + unchanged + quarantined.

    Attributes
    ----------
    batches : ids of the batches, one a window or part of the open ones that had requests.
    through : until when (of requested_datetime, UTC) the server has been read.
    refreshed, gone : open requests asked for again, and those that the server no longer has.
    """

    url: str
    jurisdiction: str | None
    territory: str | None = None
    batches: list[int] = field(default_factory=list)
    through: dt.datetime | None = None
    windows: int = 0
    requests: int = 0
    read: int = 0
    accepted: int = 0
    updated: int = 0
    unchanged: int = 0
    quarantined: int = 0
    refreshed: int = 0
    gone: int = 0
    notes: list[str] = field(default_factory=list)

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; key order is the reading order."""
        return asdict(self)

    def add(self, batch: IngestResult) -> None:
        self.territory = batch.territory
        self.batches.append(batch.batch or 0)
        for name in ("read", "accepted", "updated", "unchanged", "quarantined"):
            setattr(self, name, getattr(self, name) + getattr(batch, name))
        self.notes += [note for note in batch.notes if note not in self.notes]


@dataclass(slots=True)
class _State:
    """What is remembered of a server between pulls (``open311_pull.state``)."""

    traits: Traits
    asked_since: str | None = None  # the --since that ``through`` began from
    through: dt.datetime | None = None
    days: float = 30.0  # length of the next window
    ended: bool = False  # whether the last pull came to its end
    after: int = 0  # the last open report that was asked for again; 0: from the beginning

    @classmethod
    def of(cls, kept: dict[str, Any]) -> _State:
        through = kept.get("through")
        return cls(
            Traits.of(kept.get("traits", {})),
            kept.get("asked_since"),
            dt.datetime.fromisoformat(through) if through else None,
            float(kept.get("days", 30.0)),
            bool(kept.get("ended", False)),
            int(kept.get("after", 0)),
        )

    def to_dict(self) -> dict[str, Any]:
        return {
            "traits": self.traits.to_dict(),
            "asked_since": self.asked_since,
            "through": self.through.isoformat() if self.through else None,
            "days": self.days,
            "ended": self.ended,
            "after": self.after,
        }


def pull(
    engine: Engine,
    url: str,
    *,
    jurisdiction: str | None = None,
    territory: str | None = None,
    since: dt.datetime | None = None,
    timezone: str | None = None,
    refresh: bool = True,
    manners: Manners | None = None,
    progress: Callable[[float, int], None] | None = None,
    now: dt.datetime | None = None,
    fetcher: Fetcher | None = None,
) -> PullResult:
    """Read what is new on an Open311 server, and what became of the open requests.

    Parameters
    ----------
    url : up to the version, as in ``https://city.example/open311/v2``.
    territory : code; found by where the first points lie, then remembered.
    since : with a time zone; where to begin, else where the last pull ended (90 days at the
        first). The same ``since`` again goes on, another one begins there.
    refresh : ask again for open requests.
    progress : called with (share of the time read, rows so far).

    Raises
    ------
    InputError : the address, the server or an answer cannot be used; what was read before stays.
    """
    base = checked_address(url)
    now = (now or dt.datetime.now(dt.UTC)).astimezone(dt.UTC).replace(microsecond=0)
    if since is not None and (since.tzinfo is None or since >= now):
        raise InputError("--since is a moment in the past, with its time zone.")
    with (
        pulls.alone(engine, base, jurisdiction),
        tempfile.TemporaryDirectory(prefix="rasd-open311-") as folder,
    ):
        run = _Run(
            engine,
            base,
            jurisdiction,
            territory,
            timezone,
            now,
            Path(folder),
            fetcher or Fetcher(base, manners),
        )
        run.windows(since, progress)
        if refresh:
            run.refresh()
        return run.finish()


class _Run:
    """One pull; exists so that the steps share their state by name."""

    def __init__(
        self,
        engine: Engine,
        url: str,
        jurisdiction: str | None,
        territory: str | None,
        timezone: str | None,
        now: dt.datetime,
        folder: Path,
        fetcher: Fetcher,
    ) -> None:
        self.engine, self.url, self.jurisdiction, self.now = engine, url, jurisdiction, now
        self.timezone, self.folder, self.fetcher = timezone, folder, fetcher
        with engine.connect() as conn:
            known = pulls.find(conn, url, jurisdiction, territory)
        self.source_id = known.source_id if known else None
        self.territory = known.territory if known else territory
        self.state = _State.of(known.state if known else {})
        self.server = Server(fetcher, jurisdiction, self.state.traits, folder)
        self.result = PullResult(url, jurisdiction, self.territory)
        self.profile = _profile(url, jurisdiction)
        self.began = now  # where the windows of this run begin

    def windows(self, since: dt.datetime | None, progress: Callable[[float, int], None] | None) -> None:
        """Read from where the last pull ended until now."""
        state, now = self.state, self.now
        since = None if since is None else since.astimezone(dt.UTC)
        if since is not None and since.isoformat() != state.asked_since:
            state.asked_since, state.through, start = since.isoformat(), None, since
        elif state.through is not None:
            start = min(state.through, now) - (OVERLAP if state.ended else dt.timedelta())
        else:
            start = now - FIRST
        began = self.began = start
        while start < now:
            length = min(LONGEST - _SECOND, dt.timedelta(days=state.days))
            end = min(start + length, now)
            with self._haul(f"{start:%Y-%m-%d}_{end:%Y-%m-%d}") as haul:
                self.server.window(start, end, haul)
            # Whoever ignores dates has shown everything at once.
            end = end if state.traits.dates else now
            state.through, state.ended = end, end == now
            state.days = _next_length(state.days, haul.rows)
            self.result.windows += 1
            self._keep(haul)
            if progress:
                progress((end - began) / max(now - began, _SECOND), self.result.read)
            start = end

    def refresh(self) -> None:
        """Ask again for the open requests that the windows have not just read."""
        if self.source_id is None or not self.state.traits.dates:
            return
        left = SINGLY_A_RUN
        while True:
            limit = IDS_A_BATCH if self.state.traits.ids is not False else min(left, IDS_A_BATCH)
            with self.engine.connect() as conn:
                found = pulls.open_reports(
                    conn, self.source_id, after=self.state.after, before=self.began, limit=limit
                )
            if self.state.traits.ids is None:
                found = found[:SINGLY_A_RUN]
            with self._haul(f"open_{self.state.after}") as haul:
                gone = self.server.by_ids([report.reference for report in found], haul)
            self.result.refreshed += len(found) - len(gone)
            self.result.gone += len(gone)
            self.state.after = found[-1].id if found else 0
            self._keep(haul)
            left -= len(found)
            if not found:
                return
            if self.state.traits.ids is False and left <= 0:
                self.result.notes.append(
                    f"{len(found):,} open requests were asked for one by one; the next pull goes on after them."
                )
                return

    def _haul(self, name: str) -> Haul:
        host = re.sub(r"[^\w.-]", "_", urlsplit(self.url).netloc)
        return Haul(self.folder / f"{host}_{name}.json", self.profile.personal_columns)

    def _keep(self, haul: Haul) -> None:
        """Bring a haul in, and remember in the same transaction that it was."""
        if haul.rows:
            batch = ingest_reports(
                self.engine,
                haul.path,
                profile=self.profile,
                territory=self.territory,
                timezone=self.timezone,
                now=self.now,
                seal=self._seal,
            )
            self.territory = batch.territory
            self.result.add(batch)
        elif self.source_id is not None:
            with self.engine.begin() as conn:
                self._seal(conn, self.source_id)
        haul.path.unlink()

    def _seal(self, conn: Any, source_id: int) -> None:
        pulls.save(conn, source_id, self.url, self.jurisdiction, self.state.to_dict())
        self.source_id = source_id

    def finish(self) -> PullResult:
        self.result.through = self.state.through
        self.result.requests = self.fetcher.requests
        self.result.notes += [n for n in self.server.notes if n not in self.result.notes]
        return self.result


def _profile(url: str, jurisdiction: str | None) -> Profile:
    """The profile of GeoReport, with the server as the source: numbers are unique on one server only."""
    parts = urlsplit(url)
    code = f"open311:{parts.netloc}{parts.path}" + (f"?{jurisdiction}" if jurisdiction else "")
    title = f"Open311 {parts.netloc}"
    return load_profile("open311").model_copy(
        update={"source": code, "title": {"ar": title, "en": title}, "territory": None}
    )


def _next_length(days: float, rows: int) -> float:
    """Days of the next window, so that it holds about ``ROWS_A_WINDOW``; at most twice as long."""
    wanted = days * ROWS_A_WINDOW / rows if rows else 2 * days
    return min(max(min(wanted, 2 * days), _SHORTEST_DAYS), float(LONGEST.days))
