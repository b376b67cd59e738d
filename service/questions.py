"""What a caller asks for, read from the address or the form; all that is wrong is said at once.

An argument that is empty counts as not sent (GeoReport v2). Caveat: a plus sign in an
address means a blank, so the offset of a time that was not encoded is mended here.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Mapping
from dataclasses import dataclass
from urllib.parse import parse_qs, urlsplit

from data.filing import NOTE_MOST
from geo.errors import InputError

SPAN = dt.timedelta(days=90)
MOST = 1000
MOST_OFFSET = 1_000_000
BODY_MOST = 64 << 10
_FIELDS_MOST = 100
_LINK_MOST = 500


@dataclass(frozen=True, slots=True)
class Query:
    """The arguments of ``GET requests``.

    Attributes
    ----------
    codes : service codes, () for all; open : None for both.
    page : from 1.
    """

    numbers: tuple[str, ...]
    codes: tuple[str, ...]
    start: dt.datetime
    end: dt.datetime
    open: bool | None
    page: int
    size: int


@dataclass(frozen=True, slots=True)
class Posted:
    """The arguments of ``POST requests``; ``key`` is the api_key."""

    key: str
    jurisdiction: str
    code: str
    lon: float
    lat: float
    note: str
    severity: int | None
    quantity: float | None
    name: str
    phone: str


def query(given: Mapping[str, str], now: dt.datetime) -> Query:
    """The question of ``GET requests``.

    Raises
    ------
    InputError : arguments are wrong, or the span is longer than 90 days.
    """
    faults: list[str] = []
    start, end = _moment(given, "start_date", faults), _moment(given, "end_date", faults)
    if end is None:
        end = now if start is None else min(start + SPAN, max(now, start))
    if start is None:
        start = end - SPAN
    if end < start:
        faults.append("end_date lies before start_date")
    if end - start > SPAN + dt.timedelta(seconds=1):
        faults.append("start_date and end_date are more than 90 days apart")
    states = set(_list(given, "status"))
    if states - {"open", "closed"}:
        faults.append("status is open, closed, or both with a comma")
    page, size = _whole(given, "page", 1, faults), _whole(given, "page_size", MOST, faults)
    if size > MOST:
        faults.append(f"page_size is at most {MOST:,}")
    if page * size > MOST_OFFSET:
        faults.append("the page lies too far back: narrow start_date and end_date")
    numbers = _list(given, "service_request_id")
    if len(numbers) > MOST:
        faults.append(f"service_request_id lists more than {MOST:,} numbers")
    if faults:
        raise InputError("; ".join(faults))
    wanted = None if len(states) != 1 else states == {"open"}
    return Query(numbers, _list(given, "service_code"), start, end, wanted, page, size)


def form(body: bytes) -> dict[str, str]:
    """The arguments of a form (``application/x-www-form-urlencoded``), the empty ones left out.

    Raises
    ------
    InputError : it is no form in UTF-8, or names an argument twice.
    """
    try:
        found = parse_qs(body.decode("utf-8"), max_num_fields=_FIELDS_MOST, encoding="utf-8", errors="strict")
    except ValueError:
        raise InputError(
            f"the body is no form of at most {_FIELDS_MOST} arguments in UTF-8 (application/x-www-form-urlencoded)"
        ) from None
    twice = sorted(name for name, values in found.items() if len(values) > 1)
    if twice:
        raise InputError(f"{', '.join(twice)}: given more than once")
    if any("\x00" in values[0] for values in found.values()):
        raise InputError("an argument holds a zero character, which no text has")
    return {name: values[0] for name, values in found.items() if values[0].strip()}


def posted(given: Mapping[str, str]) -> Posted:
    """A report to file.

    Raises
    ------
    InputError : something is missing or wrong; all of it is told.
    """
    faults: list[str] = []
    if "service_code" not in given:
        faults.append("service_code is missing")
    lat, lon = _degrees(given, "lat", 90.0, faults), _degrees(given, "long", 180.0, faults)
    if lat is None and lon is None and ("address_string" in given or "address_id" in given):
        faults.append("an address alone cannot be placed here: send lat and long")
    elif lat is None or lon is None:
        faults.append("lat and long are needed, in decimal degrees (WGS84)")
    for name in given:
        inner = re.fullmatch(r"attribute\[(.*?)\](\[\])?", name)
        if inner and inner[1] not in ("severity", "quantity"):
            faults.append(f"{name} is no attribute of this service")
    severity = given.get("attribute[severity]", "").strip()
    if severity and severity not in set("12345"):
        faults.append("attribute[severity] is a key from 1 to 5")
    quantity = _positive(given, "attribute[quantity]", faults)
    note = _note(given, faults)
    if faults:
        raise InputError("; ".join(faults))
    return Posted(
        given.get("api_key", ""),
        given.get("jurisdiction_id", ""),
        given["service_code"].strip(),
        lon or 0.0,
        lat or 0.0,
        note,
        int(severity) if severity else None,
        quantity,
        " ".join(given[part].strip() for part in ("first_name", "last_name") if part in given),
        given.get("phone", "").strip(),
    )


def _note(given: Mapping[str, str], faults: list[str]) -> str:
    """The description, and the address and link as lines of it: neither is looked up or fetched."""
    lines = [given.get("description", "").replace("\r\n", "\n").strip()]
    if "address_string" in given:
        lines.append(given["address_string"].strip())
    link = given.get("media_url", "").strip()
    if link:
        if len(link) > _LINK_MOST or not _is_link(link):
            faults.append(f"media_url is an http address of at most {_LINK_MOST} characters")
        lines.append(link)
    note = "\n".join(line for line in lines if line)
    if len(note) > NOTE_MOST:
        faults.append(f"description (with address_string and media_url) is at most {NOTE_MOST:,} characters")
    return note


def _is_link(text: str) -> bool:
    try:
        parts = urlsplit(text)
    except ValueError:
        return False
    return parts.scheme in ("http", "https") and bool(parts.netloc) and text.isprintable() and " " not in text


def _list(given: Mapping[str, str], name: str) -> tuple[str, ...]:
    parts = (part.strip() for part in given.get(name, "").split(","))
    return tuple(dict.fromkeys(part for part in parts if part))


def _moment(given: Mapping[str, str], name: str, faults: list[str]) -> dt.datetime | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    # A blank before an offset was a plus sign.
    text = re.sub(r" (\d\d:?\d\d)$", r"+\1", text)
    try:
        when = dt.datetime.fromisoformat(text)
        if when.tzinfo is not None and 1900 <= when.year <= 2200:
            return when.astimezone(dt.UTC)
    except (ValueError, OverflowError):
        pass
    faults.append(f"{name} is a time with its zone, as in 2026-01-31T00:00:00Z")
    return None


def _whole(given: Mapping[str, str], name: str, default: int, faults: list[str]) -> int:
    text = given.get(name, "").strip()
    if not text:
        return default
    if text.isascii() and text.isdigit() and 0 < len(text) <= 7 and int(text) > 0:
        return int(text)
    faults.append(f"{name} is a whole number from 1 on")
    return default


def _degrees(given: Mapping[str, str], name: str, most: float, faults: list[str]) -> float | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    if re.fullmatch(r"[+-]?\d{1,3}(\.\d{1,20})?", text, re.ASCII) and abs(float(text)) <= most:
        return float(text)
    faults.append(f"{name} is a number of decimal degrees between -{most:.0f} and {most:.0f}")
    return 0.0


def _positive(given: Mapping[str, str], name: str, faults: list[str]) -> float | None:
    text = given.get(name, "").strip()
    if not text:
        return None
    if re.fullmatch(r"\d{1,9}(\.\d{1,6})?", text, re.ASCII) and float(text) > 0:
        return float(text)
    faults.append(f"{name} is a number above 0")
    return None
