"""How a written date is laid out: which bytes are day, month, year, time and offset.

A *shape* is a value with every digit written as 0 ("00/00/0000 00:00:00 AM"). A column of
a million dates has a handful of shapes, so the grammar below runs once for each shape, in
plain Python, and ``ingest/dates.py`` then does arithmetic on whole byte columns. A shape
says nothing about values: whether 05/06 is in May or June is settled elsewhere.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from functools import lru_cache
from typing import Literal

import numpy as np
import polars as pl
import pyarrow as pa
from numpy.typing import NDArray

from ingest.calendars import Ints
from ingest.text import clean, fold, western_digits

Calendar = Literal["gregorian", "hijri"]
Bytes = NDArray[np.uint8]
Span = tuple[int, int]  # first byte, and one past the last

_GREGORIAN = (
    "january|jan|يناير|جانفي|كانون الثاني",
    "february|feb|فبراير|فيفري|شباط",
    "march|mar|مارس|اذار",
    "april|apr|ابريل|افريل|نيسان",
    "may|مايو|ماي|ايار",
    "june|jun|يونيو|يونيه|جوان|حزيران",
    "july|jul|يوليو|يوليه|جويليه|تموز",
    "august|aug|اغسطس|اوت|اب",
    "september|sept|sep|سبتمبر|ايلول",
    "october|oct|اكتوبر|تشرين الاول",
    "november|nov|نوفمبر|تشرين الثاني",
    "december|dec|ديسمبر|كانون الاول",
)
_HIJRI = (
    "محرم|المحرم|muharram",
    "صفر|safar",
    "ربيع الاول|ربيع اول|rabi al awwal|rabi al awal|rabi i",
    "ربيع الاخر|ربيع الثاني|ربيع اخر|ربيع ثاني|rabi al thani|rabi al akhir|rabi ii",
    "جمادي الاولي|جمادي الاول|جمادي اولي|جماد الاول|جماد اول|jumada al ula|jumada al awwal|jumada i",
    "جمادي الاخره|جمادي الثانيه|جمادي الاخر|جمادي الثاني|جماد الاخر|جماد الثاني|جماد ثاني"
    "|jumada al akhirah|jumada al akhira|jumada al thani|jumada ii",
    "رجب|rajab",
    "شعبان|shaban|shaaban",
    "رمضان|ramadan|ramadhan",
    "شوال|shawwal|shawal",
    "ذو القعده|ذي القعده|ذوالقعده|ذيالقعده|القعده|dhu al qadah|dhul qadah|dhu al qidah|dhul qidah",
    "ذو الحجه|ذي الحجه|ذوالحجه|ذيالحجه|الحجه|dhu al hijjah|dhul hijjah|dhu al hijja|dhul hijja",
)
_TABLES: tuple[tuple[Calendar, tuple[str, ...]], ...] = (("gregorian", _GREGORIAN), ("hijri", _HIJRI))
_MONTHS: dict[str, tuple[Calendar, int]] = {
    fold(name): (calendar, number)
    for calendar, table in _TABLES
    for number, names in enumerate(table, start=1)
    for name in names.split("|")
}
_CALENDARS: dict[str, Calendar] = {
    **dict.fromkeys(("ه", "هجري", "هجريه", "ah", "h"), "hijri"),
    **dict.fromkeys(("م", "ميلادي", "ميلاديه", "ad", "ce"), "gregorian"),
}
_FILLERS = frozenset(
    [
        "t",
        "at",
        "on",
        "of",
        "the",
        "st",
        "nd",
        "rd",
        "th",
        "في",
        "يوم",
        "الساعه",
        "تاريخ",
        "بتاريخ",
        "mon",
        "tue",
        "tues",
        "wed",
        "thu",
        "thur",
        "thurs",
        "fri",
        "sat",
        "sun",
        "monday",
        "tuesday",
        "wednesday",
        "thursday",
        "friday",
        "saturday",
        "sunday",
        "الاحد",
        "الاثنين",
        "الاثنين",
        "الثلاثاء",
        "الاربعاء",
        "الخميس",
        "الجمعه",
        "السبت",
    ]
)
_HALVES: dict[str, Literal["am", "pm"]] = {
    **dict.fromkeys(("am", "a.m.", "a.m", "ص", "صباحا", "صباحاً"), "am"),
    **dict.fromkeys(("pm", "p.m.", "p.m", "م", "مساء", "مساءً"), "pm"),
}
# Minutes east of Greenwich, as RFC 822 defines these abbreviations. Others ("AST" is Arabia
# to one and the Atlantic to another) are not guessed.
_ZONES = {"z": 0, "utc": 0, "gmt": 0, "est": -300, "edt": -240, "cst": -360, "cdt": -300}
_ZONES |= {"mst": -420, "mdt": -360, "pst": -480, "pdt": -420}

_HALF = "|".join(sorted(map(re.escape, _HALVES), key=len, reverse=True))
_ZONE = "|".join(sorted(_ZONES, key=len, reverse=True))
_TAIL = (
    rf"(?:\s*(?P<half>{_HALF})(?!\w))?"
    rf"(?:\s*(?:(?P<zone>{_ZONE})(?!\w))?\s*(?:(?P<sign>[+\-−])(?P<oh>0{{1,2}})(?::?(?P<om>00))?)?)?"
)
_CLOCKS = tuple(
    re.compile(pattern, re.IGNORECASE)
    for pattern in (
        rf"(?<!0)(?P<h>0{{1,2}}):(?P<m>00)(?::(?P<s>00)(?:[.,:](?P<f>0{{1,9}}))?)?{_TAIL}(?!0)",
        # Only where a date and a T or a blank stand before: 20240115T103000Z, 15.01.2024 10.30
        rf"(?<=[0 ]T)(?P<h>00)(?P<m>00)(?:(?P<s>00)(?:[.,](?P<f>0{{1,9}}))?)?{_TAIL}$",
        rf"(?<=0[T \-])(?P<h>00)\.(?P<m>00)(?:\.(?P<s>00)(?:[.,](?P<f>0{{1,9}}))?)?{_TAIL}$",
        r"(?<=0 )(?P<h>0{1,2})(?P<m>)(?P<s>)(?P<f>)\s*(?P<half>am|pm|صباحا|مساء)(?P<zone>)(?P<sign>)$",
    )
)
_TOKEN = re.compile(r"0+|[^\W\d_]+(?:\u0651|[\u064b-\u0652])*|.", re.DOTALL)
_NUMBERS = re.compile(r"(0+)(?:\.(0+))?")
_BOTH_CALENDARS = re.compile(r"الموافق|موافق|الموافقة")


@dataclass(frozen=True)
class Layout:
    """Where the parts of a date stand in the bytes of a value, and what its words say."""

    numbers: tuple[Span, ...]  # the date's numbers in written order: three, or two with `month`
    year: int | None  # which of them is the year; None: two digits, told by the order
    family: str  # values of one family are written by one habit: separator, clock, year digits
    month: int | None = None
    calendar: Calendar | None = None
    hour: Span | None = None
    minute: Span | None = None
    second: Span | None = None
    fraction: Span | None = None
    half: Literal["am", "pm"] | None = None
    offset: int | None = None  # minutes east that words say ("Z")
    offset_sign: int = 0  # ±1 where offset_hour follows
    offset_hour: Span | None = None
    offset_minute: Span | None = None
    count: Literal["excel", "seconds", "milliseconds", "microseconds"] | None = None  # days or ticks


def _number(shape: str) -> Layout | None:
    """A value that is one number: compact date, serial day or epoch."""
    match = _NUMBERS.fullmatch(shape)
    if not match:
        return None
    whole = match.end(1)
    tail: Span | None = (match.start(2), match.end(2)) if match[2] else None
    if whole == 5:
        return Layout(((0, 5),), None, "count", fraction=tail, count="excel")
    ticks = {10: "seconds", 13: "milliseconds", 16: "microseconds"}.get(whole)
    if ticks and (tail is None or whole == 10 or tail[1] - tail[0] == 1):
        return Layout(((0, whole),), None, "count", fraction=tail, count=ticks)  # type: ignore[arg-type]
    # A spreadsheet's column of whole numbers often comes as 20240115.0
    if whole in (8, 12, 14) and (tail is None or tail[1] - tail[0] == 1):
        layout = Layout(((0, 4), (4, 6), (6, 8)), 0, "compact")
        if whole > 8:
            layout = replace(layout, hour=(8, 10), minute=(10, 12))
        return replace(layout, second=(12, 14)) if whole == 14 else layout
    return None


def _words(tokens: list[tuple[str, int, int]], at: int) -> tuple[int, int, Calendar] | None:
    """The longest month name that starts at token ``at``: (tokens used, month, calendar)."""
    for length in (5, 3, 1):  # words and the blanks between them
        part = tokens[at : at + length]
        if len(part) == length and all(t[0].isalpha() or t[0] in " -" for t in part):
            found = _MONTHS.get(fold("".join(t[0] for t in part)))
            if found:
                return length, found[1], found[0]
    return None


def _date(text: str, base: int, clock: bool) -> Layout | None:
    """The date part of a shape, ``base`` bytes into the value."""
    tokens, at = [], base
    for match in _TOKEN.finditer(text):
        width = len(match[0].encode())
        tokens.append((match[0], at, at + width))
        at += width
    numbers: list[Span] = []
    month: int | None = None
    month_at = 0
    calendars: set[Calendar] = set()
    separator = ""
    i = 0
    while i < len(tokens):
        word, start, stop = tokens[i]
        if word[0] == "0":
            numbers.append((start, stop))
        elif word[0].isalpha():
            named = _words(tokens, i)
            folded = fold(word)
            if named:
                if month is not None:
                    return None
                used, month, calendar = named
                month_at = len(numbers)
                calendars.add(calendar)
                i += used - 1
            elif folded in _CALENDARS and numbers + ([(0, 0)] if month else []):
                calendars.add(_CALENDARS[folded])
            elif folded not in _FILLERS:
                return None
        elif word not in " /-.,،\\_'\"–−ـ":
            return None
        elif len(numbers) == 1 and word != " " and not separator:
            separator = word
        i += 1
    if len(calendars) > 1:
        return None
    if month is None and len(numbers) == 1 and numbers[0][1] - numbers[0][0] == 8:
        start = numbers[0][0]
        numbers = [(start, start + 4), (start + 4, start + 6), (start + 6, start + 8)]
    digits = [stop - start for start, stop in numbers]
    calendar_said = next(iter(calendars), None)
    if len(numbers) != (3 if month is None else 2) or any(d not in (1, 2, 4) for d in digits):
        return None
    longs = [i for i, d in enumerate(digits) if d == 4]
    if len(longs) > 1 or (month is None and longs == [1]):
        return None
    year = longs[0] if longs else None
    if month is not None:
        # With the month in words two short numbers are day and year, in this order.
        year = 1 if year is None else year
        return Layout(tuple(numbers), year, f"name{month_at}", month=month, calendar=calendar_said)
    family = (
        "first" if year == 0 else f"{separator or 'blank'}{'+' if clock else ''}{'2' if year is None else ''}"
    )
    return Layout(tuple(numbers), year, family, calendar=calendar_said)


def _single(shape: str, base: int) -> Layout | None:
    clock = None
    for pattern in _CLOCKS:
        clock = pattern.search(shape)
        if clock:
            break
    if clock is None:
        return _date(shape, base, clock=False)

    def span(name: str) -> Span | None:
        if not clock.groupdict().get(name):
            return None
        start = base + len(shape[: clock.start(name)].encode())
        return start, start + len(clock[name])

    before, after = shape[: clock.start()], shape[clock.end() :]
    # The clock is blanked out, so that the positions of what stands behind it stay true.
    blank = " " * len(clock[0].encode())
    half = _HALVES.get((clock["half"] or "").lower())
    date = _date(before + blank + after, base, clock=half is not None)
    if date is None:
        return None
    zone = clock["zone"]
    signed = bool(clock["sign"])
    return replace(
        date,
        hour=span("h"),
        minute=span("m"),
        second=span("s"),
        fraction=span("f"),
        half=half,
        offset=_ZONES[zone.lower()] if zone and not signed else None,
        offset_sign=0 if not signed else (1 if clock["sign"] == "+" else -1),
        offset_hour=span("oh") if signed else None,
        offset_minute=span("om") if signed else None,
    )


@lru_cache(maxsize=4096)
def layout_of(shape: str) -> Layout | None:
    """The layout of a shape; None when it is no date.

    ``shape``: cleaned text with ASCII digits, each written as 0. Where a value gives one
    day in both calendars ("1446/07/15 هـ الموافق 2025/01/15"), the Gregorian one counts.
    """
    # Free text is turned away before the grammar sees it.
    if len(shape) > 90 or shape.count("0") < 3:
        return None
    base = 0
    bare = re.sub(r"\s*(\([^()]*\)|\[[^\[\]]*\])$", "", shape)
    both = _BOTH_CALENDARS.search(bare)
    if both:
        parts = (
            _single(bare[: both.start()], 0),
            _single(bare[both.end() :], len(bare[: both.end()].encode())),
        )
        if None in parts:
            return None
        told = {part.calendar: part for part in parts if part}
        if "gregorian" in told:
            return told["gregorian"]
        return told.get(None) if "hijri" in told else None
    return _number(bare) or _single(bare, base)


def shaped(text: pl.Series) -> Iterator[tuple[Ints, Layout | None, Bytes]]:
    """Split the values of a String Series by layout.

    Yields (row numbers (k,), layout, bytes (width, k)). Missing values are left out; the
    rest appears once, with layout None where no date was recognised. Values are cleaned
    where needed: a column with any non-ASCII byte at once, otherwise only what failed.
    """
    for rows, layout, data in _split(text):
        if layout is not None:
            yield rows, layout, data
            continue
        for inner, better, bytes_ in _split(_tidy(text.gather(pl.Series(rows))), tidy=True):
            yield rows[inner], better, bytes_


def _tidy(text: pl.Series) -> pl.Series:
    tidy = western_digits(clean(text))
    return tidy.set(tidy.str.contains(r"^0+$").fill_null(False), None)


def _split(text: pl.Series, tidy: bool = False) -> Iterator[tuple[Ints, Layout | None, Bytes]]:
    """``shaped`` for text as it stands; unless `tidy`, a column with non-ASCII bytes is left as one part."""
    rows = text.is_not_null().arg_true().to_numpy().astype(np.int64)
    if not len(rows):
        return
    whole = text if len(rows) == len(text) else text.gather(pl.Series(rows))
    array = whole.to_arrow(compat_level=pl.CompatLevel.oldest())
    _, ends, content = array.buffers()
    kind = np.int64 if array.type == pa.large_string() else np.int32
    offsets = np.frombuffer(ends, kind)[array.offset : array.offset + len(rows) + 1].astype(np.int64)
    data = np.frombuffer(content, np.uint8)[: offsets[-1]] if content else np.zeros(0, np.uint8)
    if not tidy and len(data) and data[offsets[0] :].max() > 127:
        yield rows, None, np.zeros((0, len(rows)), np.uint8)
        return
    starts, widths = offsets[:-1], np.diff(offsets)
    for width in np.flatnonzero(np.bincount(widths)).tolist():
        here = np.flatnonzero(widths == width)
        if not 4 <= width <= 120:
            yield rows[here], None, np.zeros((0, len(here)), np.uint8)
            continue
        if len(here) == len(rows):
            values = data[starts[0] : starts[0] + width * len(rows)].reshape(-1, width)
        else:
            values = np.lib.stride_tricks.sliding_window_view(data, width)[starts[here]]
        yield from _peel(rows[here], np.ascontiguousarray(values.T))


def _peel(rows: Ints, data: Bytes) -> Iterator[tuple[Ints, Layout | None, Bytes]]:
    """Take one shape after the other off the values of one width."""
    digit = (data - np.uint8(48)) < 10
    for _ in range(48):  # more shapes than that of one width: no column of dates
        if not len(rows):
            return
        same = np.ones(len(rows), bool)
        for place in range(len(data)):
            same &= digit[place] if digit[place, 0] else data[place] == data[place, 0]
        shape = np.where(digit[:, 0], np.uint8(48), data[:, 0]).tobytes().decode()
        if same.all():
            yield rows, layout_of(shape), data
            return
        taken, left = np.flatnonzero(same), np.flatnonzero(~same)
        yield rows[taken], layout_of(shape), data.take(taken, axis=1)
        rows, data, digit = rows[left], data.take(left, axis=1), digit.take(left, axis=1)
    shapes = np.ascontiguousarray(np.where(digit, np.uint8(48), data).T)
    distinct, which = np.unique(shapes.view(f"V{len(data)}").ravel(), return_inverse=True)
    layouts = [layout_of(shape.tobytes().decode()) for shape in distinct]
    kinds = {layout: number for number, layout in enumerate(dict.fromkeys(layouts))}
    kind = np.array([kinds[layout] for layout in layouts])[which]
    for layout, number in kinds.items():
        yield rows[kind == number], layout, data[:, kind == number]


def integer(data: Bytes, span: Span | None) -> Ints:
    """The numbers (k,) that stand in one span of the bytes (width, k); zeros without a span."""
    if span is None:
        return np.zeros(data.shape[1], np.int64)
    # Small numbers are added up in 32 bits: half the memory traffic of the hot loop.
    out = np.zeros(data.shape[1], np.int32 if span[1] - span[0] <= 9 else np.int64)
    for place in range(*span):
        np.multiply(out, 10, out=out)
        np.add(out, data[place] - np.uint8(48), out=out)
    return out.astype(np.int64)
