"""The terms of a campaign as short texts, for the address and for kept scenarios.

A scenario is one text: ``name:value`` pairs joined by ``~``, of the terms and of the
filters, without what is at its default. Sets of cells are packed to one or two bytes a
cell. Whatever does not parse, because somebody typed it, becomes the default, as with all
values of the address.
"""

from __future__ import annotations

import base64
import datetime as dt
from collections.abc import Iterable, Mapping
from typing import Any, cast
from urllib.parse import quote, unquote

import h3
import numpy as np

from data.plan import MOST_AREAS, TARGETS, AxisTerms, Base, CampaignTerms, Kind, Target, Terms
from data.query import ReportQuery
from geo.errors import InputError
from layers.hexpack import is_cell, varints

Codes = Mapping[str, str]
KINDS: tuple[Kind, ...] = ("inspection", "community", "axes")
#: (default, low, high) of whole numbers, by kind where the defaults differ.
WHOLE: Mapping[str, Mapping[str, tuple[int, int, int]]] = {
    "days": {"inspection": (15, 1, 366), "community": (2, 1, 366)},
    "teams": {"inspection": (6, 1, 200), "community": (4, 1, 200)},
    "volunteers": {"inspection": (1, 1, 10_000), "community": (20, 1, 10_000)},
    "since": {"inspection": (14, 0, 3660), "community": (14, 0, 3660)},
    "length": {"axes": (1_000, 50, 50_000)},
    "snap": {"axes": (30, 1, 1_000)},
}
DECIMAL: Mapping[str, Mapping[str, tuple[float, float, float]]] = {
    "hours": {"inspection": (6.0, 0.5, 24.0), "community": (4.0, 0.5, 24.0)},
    "msite": {"inspection": (12.0, 0.5, 480.0), "community": (20.0, 0.5, 480.0)},
    "mkm": {"inspection": (2.5, 0.1, 120.0), "community": (12.0, 0.1, 120.0)},
    "km2": {"inspection": (0.0, 0.0, 1_000_000.0), "community": (0.0, 0.0, 1_000_000.0)},
    "budget": {"axes": (20.0, 0.0, 1_000_000.0)},  # million SAR
}
WEIGHT = (1.0, 0.0, 1000.0)
AREAS = (1, MOST_AREAS)  # left out: as many as suit the teams and the weeks
SHARE = (10, 0, 100)  # percent
COST = (1.0, 0.000_001, 100_000.0)  # million SAR per km
FILTERS = {
    "group": "groups",
    "element": "elements",
    "type": "types",
    "municipality": "municipalities",
    "district": "districts",
    "channel": "channels",
    "status": "statuses",
}


NO_WEEKEND = "none"
WEEKENDS = ("45", "4", "56", "6", NO_WEEKEND)  # days of the week without work, Monday is 0


def read_weekend(text: str) -> tuple[int, ...]:
    """Days of the week without work; Friday and Saturday when the text says none."""
    known = text if text in WEEKENDS else WEEKENDS[0]
    return () if known == NO_WEEKEND else tuple(int(digit) for digit in known)


# ---- sets of cells ----


def pack_cells(cells: Iterable[str]) -> str:
    """H3 texts as one text in the URL-safe alphabet; cells that are none are dropped."""
    found = {text for text in cells if is_cell(_index(text))}
    body = b""
    for resolution in sorted({h3.get_resolution(text) for text in found}):
        shift = 3 * (15 - resolution)
        mask = (1 << (7 + 3 * resolution)) - 1
        steps = sorted(_index(t) >> shift & mask for t in found if h3.get_resolution(t) == resolution)
        values = np.array([resolution, len(steps), *np.diff(steps, prepend=0)], dtype=np.int64)
        body += varints(values)
    return base64.urlsafe_b64encode(body).decode("ascii").rstrip("=")


def unpack_cells(packed: str) -> tuple[str, ...]:
    """The H3 texts of ``pack_cells``; nothing when the text is none of its."""
    try:
        numbers = _numbers(base64.urlsafe_b64decode(packed + "=" * (-len(packed) % 4)))
    except ValueError:  # binascii.Error is one
        return ()
    out: list[str] = []
    at = 0
    while at + 1 < len(numbers):
        resolution, n = numbers[at], numbers[at + 1]
        if resolution > 15 or n > len(numbers):
            return ()
        value, shift = 0, 3 * (15 - resolution)
        for step in numbers[at + 2 : at + 2 + n]:
            value += step
            index = 1 << 59 | resolution << 52 | value << shift | ((1 << shift) - 1)
            if not is_cell(index):
                return ()
            out.append(h3.int_to_str(index))
        at += 2 + n
    return tuple(sorted(out))


def _index(text: str) -> int:
    try:
        return int(text, 16)
    except ValueError:
        return 0


def _numbers(body: bytes) -> list[int]:
    """Unsigned varints; a number of more than nine bytes is no cell's."""
    out, value, shift = [], 0, 0
    for byte in body:
        value |= (byte & 127) << shift
        shift += 7
        if shift > 63:
            raise ValueError("not a packed set of cells")
        if byte < 128:
            out.append(value)
            value = shift = 0
    return out


# ---- bases ----


def base_text(bases: Iterable[Base]) -> str:
    """Bases as ``lon_lat_name``, joined by commas."""
    return ",".join(
        f"{b.lon:.5f}_{b.lat:.5f}_{quote(b.name, safe='').replace('_', '%5F').replace('~', '%7E')}"
        for b in bases
    )


def read_bases(text: str) -> tuple[Base, ...]:
    """The bases of ``base_text``; those that are no place are dropped."""
    out = []
    for part in text.split(",")[:200]:
        lon, _, rest = part.partition("_")
        lat, _, name = rest.partition("_")
        try:
            x, y = float(lon), float(lat)
        except ValueError:
            continue
        if abs(x) <= 180 and abs(y) <= 90:
            out.append(Base(unquote(name)[:60], x, y))
    return tuple(out)


# ---- numbers and lists ----


def whole(codes: Codes, key: str, default: int, low: int, high: int) -> int:
    text = codes.get(key, "").removeprefix("-")
    usable = text.isascii() and text.isdecimal() and len(text) <= 12
    return min(max(int(codes[key]), low), high) if usable else default


def decimal(codes: Codes, key: str, default: float, low: float, high: float) -> float:
    try:
        value = float(codes.get(key, ""))
    except ValueError:
        return default
    return min(max(value, low), high) if np.isfinite(value) else default


def items(codes: Codes, key: str) -> list[str]:
    return [part for part in codes.get(key, "").split(",") if part]


def day(codes: Codes, key: str, default: dt.date) -> dt.date:
    try:
        return dt.date.fromisoformat(codes.get(key, ""))
    except ValueError:
        return default


def _ids(codes: Codes, key: str) -> list[int]:
    return [int(t) for t in items(codes, key) if t.isascii() and t.isdecimal() and len(t) < 10]


def _shares(codes: Codes) -> tuple[tuple[int, float], ...]:
    return tuple((i, whole(codes, f"ls_{i}", *SHARE) / 100) for i in _ids(codes, "least"))


# ---- terms ----


def read(kind: Kind, codes: Codes) -> Terms:
    """The terms that texts without the kind's prefix say.

    Raises
    ------
    InputError : values that exclude each other, such as shares of more than everything.
    """
    if kind == "axes":
        return AxisTerms(
            budget=decimal(codes, "budget", *DECIMAL["budget"]["axes"]) * 1e6,
            costs=tuple((c, decimal(codes, f"co_{c}", *COST) * 1e6) for c in items(codes, "costs")),
            length_m=float(whole(codes, "length", *WHOLE["length"]["axes"])),
            snap_m=float(whole(codes, "snap", *WHOLE["snap"]["axes"])),
            least_share=_shares(codes),
            pinned=tuple(items(codes, "pin")),
            dropped=tuple(items(codes, "out")),
            classes=tuple(items(codes, "classes")),
        )

    def n(key: str) -> int:
        return whole(codes, key, *WHOLE[key][kind])

    def x(key: str) -> float:
        return decimal(codes, key, *DECIMAL[key][kind])

    weights: list[tuple[Target, float]] = [
        (cast(Target, t), decimal(codes, f"w_{t}", *WEIGHT)) for t in TARGETS if codes.get(f"w_{t}")
    ]
    resolution = codes.get("size", "")
    return CampaignTerms(
        kind=kind,
        start=day(codes, "start", dt.date.min),
        days=n("days"),
        teams=n("teams"),
        hours=x("hours"),
        minutes_site=x("msite"),
        minutes_km=x("mkm"),
        areas=whole(codes, "areas", AREAS[0], *AREAS) if codes.get("areas") else None,
        most_km2=x("km2") or None,
        weights=tuple(weights),
        severity=tuple((c, decimal(codes, f"sw_{c}", *WEIGHT)) for c in items(codes, "sevs")),
        each_municipality=tuple(_ids(codes, "each")),
        least_share=_shares(codes),
        keep_out=unpack_cells(codes.get("out", "")),
        include=unpack_cells(codes.get("incl", "")),
        pinned=tuple(cells for part in codes.get("pin", "").split(".") if (cells := unpack_cells(part))),
        since_visit=n("since"),
        one_municipality=codes.get("one", "1") != "0",
        resolution=int(resolution) if resolution in {str(r) for r in range(16)} else None,
        bases=read_bases(codes.get("bases", "")),
        volunteers=n("volunteers") if kind == "community" else 1,
        weekend=read_weekend(codes.get("wend", WEEKENDS[0])),
    )


def write(terms: Terms) -> dict[str, str]:
    """The texts that ``read`` makes equal terms of."""
    if isinstance(terms, AxisTerms):
        out = {
            "budget": _num(terms.budget / 1e6),
            "length": _num(terms.length_m),
            "snap": _num(terms.snap_m),
            "costs": ",".join(c for c, _ in terms.costs),
            "classes": ",".join(terms.classes),
            "pin": ",".join(terms.pinned),
            "out": ",".join(terms.dropped),
        }
        out |= {f"co_{c}": _num(v / 1e6) for c, v in terms.costs}
    else:
        out = {
            "start": "" if terms.start == dt.date.min else terms.start.isoformat(),
            "days": str(terms.days),
            "teams": str(terms.teams),
            "hours": _num(terms.hours),
            "msite": _num(terms.minutes_site),
            "mkm": _num(terms.minutes_km),
            "areas": str(terms.areas or ""),
            "km2": _num(terms.most_km2 or 0.0),
            "since": str(terms.since_visit),
            "one": "1" if terms.one_municipality else "0",
            "size": "" if terms.resolution is None else str(terms.resolution),
            "each": ",".join(map(str, terms.each_municipality)),
            "sevs": ",".join(c for c, _ in terms.severity),
            "out": pack_cells(terms.keep_out),
            "incl": pack_cells(terms.include),
            "pin": ".".join(pack_cells(cells) for cells in terms.pinned),
            "bases": base_text(terms.bases),
            "volunteers": str(terms.volunteers),
            "wend": "".join(str(day) for day in terms.weekend) or NO_WEEKEND,
        }
        out |= {f"w_{t}": _num(w) for t, w in terms.weights}
        out |= {f"sw_{c}": _num(w) for c, w in terms.severity}
    if terms.least_share:
        out["least"] = ",".join(str(i) for i, _ in terms.least_share)
        out |= {f"ls_{i}": str(round(100 * s)) for i, s in terms.least_share}
    usual = {name: _num(by[terms.kind][0]) for name, by in {**WHOLE, **DECIMAL}.items() if terms.kind in by}
    usual |= {"one": "1", "wend": WEEKENDS[0]}
    return {key: text for key, text in out.items() if text and text != usual.get(key)}


def _num(value: float) -> str:
    return f"{value:.6f}".rstrip("0").rstrip(".") or "0"


# ---- scenarios: filters and terms in one text ----


def scenario(query: ReportQuery, terms: Terms) -> str:
    """A question with its terms as one text."""
    pairs = {"kind": terms.kind, **_query_codes(query), **write(terms)}
    return "~".join(f"{key}:{text}" for key, text in pairs.items())


def read_scenario(territory_id: int, text: str) -> tuple[ReportQuery, Terms] | None:
    """The question and the terms of ``scenario``; None when the text is none."""
    pairs = dict(part.split(":", 1) for part in text.split("~") if ":" in part)
    kind = _kind(pairs.get("kind", ""))
    if kind is None:
        return None
    try:
        return _query(territory_id, pairs), read(kind, pairs)
    except InputError:  # shares of more than everything, a period that ends before it starts
        return None


def _kind(text: str) -> Kind | None:
    return next((kind for kind in KINDS if kind == text), None)


def kind_of(text: str) -> Kind:
    """The kind of a code; the first one for any other."""
    return _kind(text) or KINDS[0]


def _query_codes(query: ReportQuery) -> dict[str, str]:
    out = {
        "from": query.start.isoformat() if query.start else "",
        "to": query.end.isoformat() if query.end else "",
        "defaults": "1" if query.default_points else "",
    }
    out |= {code: ",".join(str(v) for v in getattr(query, name)) for code, name in FILTERS.items()}
    return {key: text for key, text in out.items() if text}


def _query(territory_id: int, pairs: Codes) -> ReportQuery:
    chosen: dict[str, Any] = {
        name: tuple(items(pairs, code)) if name in ("groups", "elements") else tuple(_ids(pairs, code))
        for code, name in FILTERS.items()
    }
    start, end = (day(pairs, key, dt.date.min) for key in ("from", "to"))
    return ReportQuery(
        territory_id,
        start=None if start == dt.date.min else start,
        end=None if end == dt.date.min else end,
        default_points=pairs.get("defaults") == "1",
        **chosen,
    )
