"""What an Open311 server holds: its requests of a window of time, or by their numbers.

GeoReport v2 leaves open how many requests an answer may hold and whether there are pages, so
that is found out by asking and remembered (``Traits``). Where there are pages they are
turned; where there are none a full answer is asked for again in halves. Caveat: a request
that is deleted while pages are turned can move another one past unseen; the overlap of the
next pull reads it.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlsplit

from geo.errors import InputError
from ingest.open311_http import Answer, Fetcher
from ingest.readers.open311 import Record, answer_records
from ingest.readers.table import BadRow

MAX_PAGES = 5_000
MAX_RECORDS = 200_000
IDS_AT_ONCE = 50
_IDS_LENGTH = 1_500
_CAP = 50  # no server is known that holds back requests below so many, unless at a round number
_SLACK = dt.timedelta(days=1)
_NOTHING_THEN = dt.datetime(1990, 1, 1, tzinfo=dt.UTC)
_SHORTEST = dt.timedelta(minutes=2)
#: Fields of the specification; they become columns whether an answer has them or not, so that
#: the same request is the same row in every answer.
FIELDS = (
    "service_request_id", "status", "status_notes", "service_name", "service_code", "description",
    "agency_responsible", "service_notice", "requested_datetime", "updated_datetime", "expected_datetime",
    "address", "address_id", "zipcode", "lat", "long", "media_url",
)  # fmt: skip
_CHANNELS = ("extended_attributes.channel", "extended_attributes.source")


@dataclass(slots=True)
class Traits:
    """What was learned of a server.

    Attributes
    ----------
    format : json or xml; "" before the first answer.
    pages : whether it turns pages (``page=2``); None while unknown.
    dates : False when it ignores start_date and end_date.
    ids : whether it takes a list of numbers; None while unknown.
    whole : size of the largest answer that was shown to be whole; smaller ones are, too.
    """

    format: str = ""
    pages: bool | None = None
    dates: bool = True
    ids: bool | None = None
    whole: int = 0

    @classmethod
    def of(cls, kept: dict[str, Any]) -> Traits:
        """From ``to_dict``; keys of other versions are left out."""
        names = {f.name for f in fields(cls)}
        return cls(**{k: v for k, v in kept.items() if k in names})

    def to_dict(self) -> dict[str, Any]:
        return asdict(self)


class Haul:
    """Requests as they come in, each once, written to a file that the pipeline reads."""

    def __init__(self, path: Path, personal: Callable[[list[str]], list[str]]) -> None:
        self.path = path
        self.ids: set[str] = set()
        self.rows = 0
        self._personal = personal
        self._file = path.open("w", encoding="utf-8")

    def take(self, record: Record | BadRow) -> bool:
        """Keep a record unless it is here already; whether it was kept."""
        # What is no record goes on as it is: the pipeline puts it into quarantine.
        row: Any = record.row.get("_text") if isinstance(record, BadRow) else self._row(record)
        key = _id(record) or json.dumps(row)
        if key in self.ids:
            return False
        if self.rows >= MAX_RECORDS:
            raise InputError(
                f"The server has more than {MAX_RECORDS:,} requests in one window of time, or never ends. "
                "Nothing of this window was written; narrow it with a later --since."
            )
        self.ids.add(key)
        self._file.write("[\n" if not self.rows else ",\n")
        self._file.write(json.dumps(row, ensure_ascii=False))
        self.rows += 1
        return True

    def _row(self, record: Record) -> Record:
        """The fields of the specification, and one column with all else but what is personal."""
        own = (*FIELDS, *_CHANNELS)
        dropped = set(self._personal(list(record)))
        other = {k: v for k, v in sorted(record.items()) if v and k not in own and k not in dropped}
        return {
            **{name: record.get(name) for name in own},
            "other": json.dumps(other, ensure_ascii=False) if other else None,
        }

    def __enter__(self) -> Haul:
        return self

    def __exit__(self, *_: object) -> None:
        self._file.write("\n]\n" if self.rows else "[]\n")
        self._file.close()


class Server:
    """One GeoReport endpoint."""

    def __init__(self, fetcher: Fetcher, jurisdiction: str | None, traits: Traits, folder: Path) -> None:
        self.fetcher = fetcher
        self.jurisdiction = jurisdiction or ""
        self.traits = traits
        self.notes: list[str] = []
        self._scratch = folder / "answer"
        self._probed = False
        self._host = urlsplit(fetcher.base).netloc

    # -- by time --------------------------------------------------------------------------

    def window(self, start: dt.datetime, end: dt.datetime, haul: Haul) -> None:
        """All requests made from ``start`` to ``end`` (UTC, at most 90 days apart)."""
        first = self._asked("requests", _between(start, end))
        ids = [_id(record) for record in first]
        new = sum(haul.take(record) for record in first)
        if not first:
            return
        outside = sum(not _within(record, start, end) for record in first)
        if outside > len(first) / 2 and self.traits.dates and not self._probed:
            self._probe_dates()
        if self.traits.pages is not False:
            self._turn_pages(start, end, haul, set(ids), new)
        if self.traits.pages is False:
            self._halve(start, end, haul, len(first))

    def _probe_dates(self) -> None:
        """Ask for a day on which nothing was reported: whoever answers with requests ignores dates."""
        self._probed = True
        if self._asked("requests", _between(_NOTHING_THEN, _NOTHING_THEN + _SLACK)):
            self.traits.dates = False
            self._note(f"{self._host} ignores start_date and end_date: all that it shows is read each time.")

    def _turn_pages(
        self, start: dt.datetime, end: dt.datetime, haul: Haul, first: set[str], new: int
    ) -> None:
        for page in range(2, MAX_PAGES + 1):
            try:
                records = self._asked("requests", {**_between(start, end), "page": str(page)})
            except _NotThere:
                records = []
            ids = {_id(record) for record in records}
            if self.traits.pages is None and ids:
                # The same requests again: it does not know of pages.
                self.traits.pages = not ids <= first
                if not self.traits.pages:
                    return
            if not sum(haul.take(record) for record in records):
                return
        raise InputError(
            f"{self._host} has more than {MAX_PAGES:,} pages for one window of time; they may never end. "
            "Nothing of this window was written."
        )

    def _halve(self, start: dt.datetime, end: dt.datetime, haul: Haul, size: int) -> None:
        """Ask for both halves of a window whose answer may have been cut at a limit."""
        full = size >= _CAP or (size >= 10 and size % 10 == 0)
        if not full or size < self.traits.whole:
            return
        if not self.traits.dates:
            self._note(
                f"{self._host} has neither pages nor dates: only the {size:,} requests that it shows are known."
            )
            return
        if end - start <= _SHORTEST:
            self._note(
                f"{self._host} shows {size:,} requests of {start:%Y-%m-%d %H:%M} and may hold back others."
            )
            return
        middle = start + (end - start) / 2
        before = haul.rows
        self.window(start, middle, haul)
        self.window(middle, end, haul)
        if haul.rows == before and self.traits.dates:
            self.traits.whole = max(self.traits.whole, size)

    def _note(self, sentence: str) -> None:
        if sentence not in self.notes:
            self.notes.append(sentence)

    # -- by number ------------------------------------------------------------------------

    def by_ids(self, ids: Sequence[str], haul: Haul) -> list[str]:
        """The requests with these numbers as they are now; returns those that are not there."""
        lost: list[str] = []
        for part in _parts(ids):
            lost += self._list(part, haul) if self.traits.ids is not False else self._singly(part, haul)
        return lost

    def _list(self, ids: Sequence[str], haul: Haul) -> list[str]:
        if len(ids) == 1:
            return self._singly(ids, haul)
        try:
            records = self._asked("requests", {"service_request_id": ",".join(ids)})
        except _NotThere:
            # One that is gone can spoil the list: find it by halves.
            half = len(ids) // 2
            return self._list(ids[:half], haul) + self._list(ids[half:], haul)
        found = {_id(record) for record in records}
        if found - set(ids):
            return self._no_lists(ids, haul)
        for record in records:
            haul.take(record)
        lost = [each for each in ids if each not in found]
        if lost and self.traits.ids is None:
            still = self._singly(lost[:1], haul)
            if not still:
                return self._no_lists(ids, haul)
        self.traits.ids = True
        return lost

    def _no_lists(self, ids: Sequence[str], haul: Haul) -> list[str]:
        self.traits.ids = False
        self._note(f"{self._host} does not take a list of numbers: requests are asked for one by one.")
        return self._singly(ids, haul)

    def _singly(self, ids: Sequence[str], haul: Haul) -> list[str]:
        lost = []
        for each in ids:
            try:
                records = [r for r in self._asked(f"requests/{quote(each, safe='')}", {}) if _id(r) == each]
            except _NotThere:
                records = []
            for record in records:
                haul.take(record)
            if not records:
                lost.append(each)
        return lost

    # -- one answer -----------------------------------------------------------------------

    def _asked(self, path: str, query: dict[str, str]) -> list[Record | BadRow]:
        """The records of one answer, in the format that the server speaks.

        Raises
        ------
        _NotThere : status 400 or 404 on a question that others of its kind were answered for.
        InputError : the answer is refused, or the server reports an error.
        """
        query = {"jurisdiction_id": self.jurisdiction, **query}
        if self.traits.format:
            return list(self._read(path, query, self.traits.format))
        fault: InputError | None = None
        for name in ("json", "xml"):
            try:
                records = list(self._read(path, query, name))
            except InputError as error:
                fault = fault or error
                continue
            self.traits.format = name
            return records
        raise fault or InputError(f"{self._host} speaks neither JSON nor XML.")

    def _read(self, path: str, query: dict[str, str], name: str) -> Iterator[Record | BadRow]:
        answer = self.fetcher.get(f"{path}.{name}", query)
        if answer.status != 200:
            raise self._refused(f"{path}.{name}", answer)
        self._scratch.write_bytes(answer.body)
        yield from answer_records(self._scratch, f"The answer of {self._host} to {path}.{name}")

    def _refused(self, path: str, answer: Answer) -> InputError:
        message = f"{self._host} answers {path} with status {answer.status} and says: {answer.said}."
        if answer.status in (400, 404, 410, 422) and self.traits.format:
            return _NotThere(message)
        advice = {
            401: "It asks for a key to read.",
            403: "It does not allow it.",
            404: "Check the address and the jurisdiction.",
        }
        return InputError(f"{message} {advice.get(answer.status, 'Check the address.')}")


class _NotThere(InputError):
    """The server knows no such page or request."""


def _id(record: Record | BadRow) -> str:
    return "" if isinstance(record, BadRow) else record.get("service_request_id") or ""


def _between(start: dt.datetime, end: dt.datetime) -> dict[str, str]:
    return {"start_date": f"{start:%Y-%m-%dT%H:%M:%SZ}", "end_date": f"{end:%Y-%m-%dT%H:%M:%SZ}"}


def _within(record: Record | BadRow, start: dt.datetime, end: dt.datetime) -> bool:
    """Whether a record was made in the window, give or take a day; yes when it does not say."""
    text = None if isinstance(record, BadRow) else record.get("requested_datetime")
    try:
        when = dt.datetime.fromisoformat(text or "")
    except ValueError:
        return True
    when = when if when.tzinfo else when.replace(tzinfo=dt.UTC)
    return start - _SLACK <= when <= end + _SLACK


def _parts(ids: Sequence[str]) -> Iterator[list[str]]:
    """Lists short enough for an address; a number with a comma goes alone."""
    part: list[str] = []
    for each in ids:
        if "," in each:
            yield [each]
            continue
        if part and (len(part) == IDS_AT_ONCE or sum(map(len, part)) + len(part) + len(each) > _IDS_LENGTH):
            yield part
            part = []
        part.append(each)
    if part:
        yield part
