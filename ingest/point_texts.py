"""Numbers, angles and points inside text: decimal commas, 26°25'30"N, "(lat, lon)", WKT.

Three grammars over polars Series, from the plain to the odd: plain numbers are cast at
once, the rest goes through regular expressions, and only location texts that are left are
read one by one, each distinct text once. Nothing here knows a reference system or a place;
``ingest/coordinates.py`` decides what the numbers mean.
"""

from __future__ import annotations

import math
import re
from dataclasses import dataclass
from typing import Literal

import numpy as np
import polars as pl
import shapely
from numpy.typing import NDArray

from ingest.text import clean, western_digits

Floats = NDArray[np.float64]
Flags = NDArray[np.bool_]
Comma = Literal["auto", "decimal", "thousands"]

_UNITS = (
    r"(?i)(?:°|º|˚|m²|m2|m³|m3|km|metres?|meters?|feet|ft|deg(?:rees)?|degree|units?|sar|"
    r"متر(?: مربع| مكعب| طولي)?|م[23²³]?|كم|درجة|درجه|ريال|٪|%)\.?$"
)
_LON, _LAT = 1, 2  # codes of axes; 0 is unknown


def parse_numbers(values: pl.Series, comma: Comma = "auto") -> pl.Series:
    """Numbers as people write them: (n,) of any dtype in, (n,) Float64 out, null where none.

    Arabic-Indic and Persian digits, ٫ and ٬, decimal comma, grouping by comma, point, blank
    or apostrophe, a unit or degree sign behind. One comma before three digits ("1,250")
    could be either: `comma` says what it is; 'auto' takes it for grouping unless another
    value of the column has a comma that can only be decimal. Infinite is no number.
    """
    if values.dtype.is_numeric():
        plain = values.cast(pl.Float64)
        return plain.set(~plain.is_finite().fill_null(True), None)
    text = values if values.dtype == pl.String else values.cast(pl.String)
    numbers = text.cast(pl.Float64, strict=False)
    numbers = numbers.set(~numbers.is_finite().fill_null(True), None)
    odd = (numbers.is_null() & text.is_not_null()).arg_true()
    if odd.is_empty():
        return numbers
    rest = text.gather(odd)
    if comma == "decimal":
        # The whole column may be written so: one cheap try before the grammar.
        read = rest.str.replace(",", ".", literal=True).cast(pl.Float64, strict=False)
        left = (~read.is_finite().fill_null(False)).arg_true()
        if len(left):
            read = read.scatter(left, _odd_numbers(rest.gather(left), comma))
        return numbers.scatter(odd, read)
    return numbers.scatter(odd, _odd_numbers(rest, comma))


def _odd_numbers(text: pl.Series, comma: Comma) -> pl.Series:
    tidy = (
        western_digits(clean(text))
        .str.replace_all("−", "-", literal=True)
        .str.replace_all("،", ",", literal=True)
    )
    tidy = tidy.str.replace(_UNITS, "").str.strip_chars(" '\"")
    # Digits in groups of three by blanks or apostrophes are one number; any other blank is not.
    grouped = tidy.str.contains(r"^[-+]?\d{1,3}(?:[ '’]\d{3})+(?:[.,]\d+)?$").fill_null(False)
    tidy = pl.select(pl.when(grouped).then(tidy.str.replace_all(r"[ '’]", "")).otherwise(tidy)).to_series()
    either = tidy.str.contains(r"^[-+]?[1-9]\d{0,2},\d{3}$").fill_null(False)
    many = tidy.str.contains(r"^[-+]?\d{1,3}(?:,\d{3})+\.\d*$|^[-+]?\d{1,3}(?:,\d{3}){2,}$").fill_null(False)
    points = tidy.str.contains(r"^[-+]?\d{1,3}(?:\.\d{3})+,\d*$|^[-+]?\d{1,3}(?:\.\d{3}){2,}$").fill_null(
        False
    )
    decimal = tidy.str.contains(r"^[-+]?\d*,\d*$").fill_null(False) & ~either
    if comma == "auto":
        comma = "decimal" if decimal.any() and not many.any() else "thousands"
    read = pl.select(
        pl.when(many).then(tidy.str.replace_all(",", "", literal=True))
        .when(points).then(tidy.str.replace_all(".", "", literal=True).str.replace(",", ".", literal=True))
        .when(decimal).then(tidy.str.replace(",", ".", literal=True))
        .when(either).then(tidy.str.replace(",", "." if comma == "decimal" else "", literal=True))
        .otherwise(tidy)
    ).to_series()  # fmt: skip
    numbers = read.cast(pl.Float64, strict=False)
    return numbers.set(~numbers.is_finite().fill_null(True), None)


@dataclass(frozen=True)
class Angles:
    """(n,) each: one coordinate a row."""

    value: Floats  # nan where nothing could be read
    given: Flags
    axis: NDArray[np.int8]  # 1 longitude, 2 latitude by its letter; 0 unknown
    degrees: Flags  # written as an angle, not as a bare number


_DEGREE = r"(?:°|º|˚|d|deg|degrees|درجة|درجه|[ :_\-])"
_MINUTE = r"(?:'|′|’|‘|`|´|m|min|دقيقة|دقيقه|[ :_\-])"
_SECOND = r"(?:\"|″|”|“|''|′′|’’|s|sec|ثانية|ثانيه)"
_VOWELS = "[\u064b-\u0652]"  # written over the letters: شمالاً is شمالا
_LETTER = (
    r"north|south|east|west|n|s|e|w|شمالا|شمالي|شمال|جنوبا|جنوبي|جنوب|"
    r"شرقا|شرقي|شرق|غربا|غربي|غرب|ش|ج|ق|غ"
)
_ANGLE = (
    rf"(?i)^(?P<before>{_LETTER})?\s*(?P<sign>[-+])?(?P<deg>\d{{1,3}}(?:\.\d+)?)\s*"
    rf"(?:{_DEGREE}\s*(?:(?P<min>\d{{1,2}}(?:\.\d+)?)\s*(?:{_MINUTE}\s*(?:(?P<sec>\d{{1,2}}(?:\.\d+)?)\s*"
    rf"{_SECOND}?)?)?)?)?\s*(?P<after>{_LETTER})?\.?$"
)


_ANGLE_PATTERN = re.compile(_ANGLE)


def _axis_of(letter: str) -> tuple[int, int]:
    """(axis, sign) of a hemisphere's letter or word."""
    head = letter[:1].lower()
    if letter in ("ق",) or letter.startswith("شر") or head == "e":
        return _LON, 1
    if letter.startswith("غ") or head == "w":
        return _LON, -1
    if letter.startswith("ش") or head == "n":
        return _LAT, 1
    return _LAT, -1


def _angle(text: str) -> tuple[float, int, bool] | None:
    """(value, axis, written as an angle) of one coordinate; ``parse_angles`` for one text."""
    plain = text.replace(",", ".", 1)
    if _PLAIN.fullmatch(plain):
        return float(plain), 0, False
    match = _ANGLE_PATTERN.match(plain)
    if not match or (match["before"] and match["after"]):
        return None
    degrees, minutes, seconds = (float(match[name] or 0) for name in ("deg", "min", "sec"))
    if minutes > 60 or seconds > 60:
        return None
    if (match["min"] and degrees % 1) or (match["sec"] and minutes % 1):
        return None
    axis, sign = _axis_of(match["before"] or match["after"]) if match["before"] or match["after"] else (0, 1)
    if match["sign"] == "-":
        if axis and sign > 0:
            return None
        sign = -1
    return sign * (degrees + minutes / 60 + seconds / 3600), axis, True


def parse_angles(values: pl.Series) -> Angles:
    """One coordinate a row: a number in any spelling, or degrees, minutes and seconds.

    Hemispheres in English (N, S, E, W) or Arabic (شمال, جنوب, شرق, غرب) set sign and axis.
    More than sixty minutes or seconds, and a minus before N or E, are unreadable.
    """
    number = parse_numbers(values, comma="decimal")
    value = number.fill_null(np.nan).to_numpy().copy()
    axis = np.zeros(len(value), np.int8)
    degrees = np.zeros(len(value), bool)
    if values.dtype.is_numeric():
        written = values.is_not_null() & ~(values.cast(pl.Float64).is_nan().fill_null(False))
        return Angles(value, written.to_numpy(), axis, degrees)
    text = values if values.dtype == pl.String else values.cast(pl.String)
    given = text.is_not_null().to_numpy().copy()
    signed = text.str.contains("[°º˚]").fill_null(False).to_numpy() & np.isfinite(value)
    degrees |= signed
    odd = np.flatnonzero(given & ~np.isfinite(value))
    if not len(odd):
        return Angles(value, given, axis, degrees)
    tidy = western_digits(clean(text.gather(pl.Series(odd))))
    given[odd] = tidy.is_not_null().to_numpy()
    tidy = tidy.str.replace_all("−", "-", literal=True).str.replace_all(r"(\d),(\d)", "$1.$2")
    tidy = tidy.str.replace_all(_VOWELS, "")
    parts = tidy.str.extract_groups(_ANGLE).struct.unnest()
    read = {name: parts[name].cast(pl.Float64, strict=False).to_numpy() for name in ("deg", "min", "sec")}
    whole = np.nan_to_num(read["min"]) / 60 + np.nan_to_num(read["sec"]) / 3600
    angle = read["deg"] + whole
    # Minutes beside a degree with decimals, and more than 60 of them, are no angle; 60.00
    # itself is what rounding makes of 59.999.
    bad = (np.nan_to_num(read["min"]) > 60) | (np.nan_to_num(read["sec"]) > 60)
    bad |= np.isfinite(read["min"]) & (read["deg"] != np.floor(read["deg"]))
    bad |= np.isfinite(read["sec"]) & (read["min"] != np.floor(read["min"]))
    sides, sign = np.zeros(len(odd), np.int8), np.ones(len(odd))
    for column in ("before", "after"):
        for letter in parts[column].drop_nulls().unique().to_list():
            here = (parts[column] == letter).fill_null(False).to_numpy()
            side, direction = _axis_of(letter)
            bad |= here & (sides != 0)
            sides[here], sign[here] = side, direction
    minus = (parts["sign"] == "-").fill_null(False).to_numpy()
    bad |= minus & (sides != 0) & (sign > 0)
    angle = np.where(minus, -angle, angle * sign)
    value[odd] = np.where(bad, np.nan, angle)
    axis[odd] = np.where(bad, 0, sides)
    degrees[odd] = np.isfinite(value[odd])
    return Angles(value, given, axis, degrees)


@dataclass(frozen=True)
class Pairs:
    """(n,) each: two numbers a row. Where `named`, first is longitude and second latitude."""

    first: Floats
    second: Floats
    given: Flags
    named: Flags
    degrees: Flags


_NUMBER = r"[-+]?(?:\d+\.?\d*|\.\d+)(?:[eE][-+]?\d+)?"
_PLAIN = re.compile(_NUMBER)
_WKT = re.compile(
    rf"^(?:SRID\s*=\s*\d+\s*;)?\s*POINT\s*(?:Z|M|ZM)?\s*\(\s*({_NUMBER})[\s,]+({_NUMBER})(?:[\s,]+{_NUMBER})*\s*\)$",
    re.I,
)
_GEOJSON = re.compile(rf"coordinates[\"']?\s*:\s*\[\s*({_NUMBER})\s*,\s*({_NUMBER})", re.I)
_SAYS = rf"[\"']?\s*[:=]?\s*[\"']?({_NUMBER})"
_LABEL = (
    (_LAT, re.compile(rf"(?:\b(?:latitude|lat|y)|خط العرض|دائرة العرض|العرض|عرض){_SAYS}", re.I)),
    (_LON, re.compile(rf"(?:\b(?:longitude|long|lon|lng|x)|خط الطول|الطول|طول){_SAYS}", re.I)),
)
_LINK = re.compile(
    rf"(?:[?&](?:q|ll|query|center|destination|daddr|sll)=(?:loc:)?|/@|^geo:|place/)\s*({_NUMBER})(?:,|%2C)\s*\+?({_NUMBER})",
    re.I,
)
_SPLITS = (r"\s*[;|\n]\s*", r"\s*/\s*", r",\s+", r"\s+-\s+", r",", r"\s+")
_TWO_ANGLES = r"(?i)^[(\[]?(\d[^a-z]*?[NSEW])[\s,;/]*(\d[^a-z]*?[NSEW])[)\]]?$"
_HEX = re.compile(r"^[0-9a-f]{42,}$", re.I)
_NOTHING = (math.nan, math.nan, False, False)


def parse_pairs(values: pl.Series) -> Pairs:
    """Two coordinates from one text a row.

    "lat, lon" with or without brackets, WKT and EWKT points, hexadecimal WKB, GeoJSON,
    dictionaries and labels that name latitude and longitude, map links, angles with
    hemispheres. Where nothing names the axes the numbers come in written order.
    """
    text = values if values.dtype == pl.String else values.cast(pl.String)
    n = len(text)
    first, second = np.full(n, np.nan), np.full(n, np.nan)
    named, degrees = np.zeros(n, bool), np.zeros(n, bool)
    given = text.is_not_null().to_numpy().copy()

    if text.str.starts_with("SRID").any():
        text = text.str.replace(r"^SRID\s*=\s*\d+\s*;\s*", "")
    wkt = text.str.starts_with("POINT").fill_null(False)
    inner = (
        text.str.strip_prefix("POINT").str.strip_chars(" ()[]")
        if wkt.any()
        else text.str.strip_chars(" ()[]")
    )
    for rows, separator in ((wkt, " "), (~wkt & text.is_not_null(), ",")):
        at = rows.arg_true()
        if at.is_empty():
            continue
        # str.splitn leaves what is too much in the last part, which then is no number.
        halves = inner.gather(at).str.splitn(separator, 2).struct.unnest()
        a, b = (halves[c].str.strip_chars(" ").cast(pl.Float64, strict=False) for c in halves.columns)
        both = (a.is_finite() & b.is_finite()).fill_null(False).to_numpy()
        places = at.to_numpy()[both]
        first[places], second[places] = a.to_numpy()[both], b.to_numpy()[both]
        named[places] = separator == " "

    odd = np.flatnonzero(given & ~np.isfinite(first))
    if len(odd):
        tidy = western_digits(clean(text.gather(pl.Series(odd)))).str.replace_all("،", ",", literal=True)
        given[odd] = tidy.is_not_null().to_numpy()
        # Two angles with their hemispheres behind: the usual odd form, read as columns.
        halves = tidy.str.extract_groups(_TWO_ANGLES).struct.unnest()
        one, two = (parse_angles(halves[name]) for name in halves.columns)
        good = np.isfinite(one.value) & np.isfinite(two.value) & (one.axis + two.axis == _LON + _LAT)
        good &= (one.axis != 0) & (two.axis != 0)
        east_first = one.axis == _LON
        at = odd[good]
        first[at] = np.where(east_first, one.value, two.value)[good]
        second[at] = np.where(east_first, two.value, one.value)[good]
        named[at] = degrees[at] = True
        odd, tidy = odd[~good], tidy.filter(pl.Series(~good))
        # What is left is read one by one, each distinct text once.
        distinct = tidy.drop_nulls().unique()
        known = dict(zip(distinct.to_list(), (_one_pair(t) for t in distinct.to_list()), strict=True))
        for row, value in zip(odd.tolist(), tidy.to_list(), strict=True):
            if value is not None:
                first[row], second[row], named[row], degrees[row] = known[value]
    return Pairs(first, second, given, named, degrees)


def _one_pair(text: str) -> tuple[float, float, bool, bool]:
    """(first, second, axes named, written as angles) of one location text."""
    text = re.sub(_VOWELS, "", text.replace("−", "-"))
    for pattern in (_WKT, _GEOJSON):
        match = pattern.search(text)
        if match:
            return float(match[1]), float(match[2]), True, False
    if _HEX.match(text):
        point = shapely.from_wkb(text, on_invalid="ignore")
        if isinstance(point, shapely.Point) and not point.is_empty:
            return point.x, point.y, True, False
        return _NOTHING
    link = _LINK.search(text)
    if link:
        return float(link[2]), float(link[1]), True, False
    labels = {axis: match for axis, pattern in _LABEL if (match := pattern.search(text))}
    if len(labels) == 2:
        return float(labels[_LON][1]), float(labels[_LAT][1]), True, False
    bare = text.strip(" ()[]{}")
    # Behind a hemisphere the first angle is over, with or without a separator.
    halves = re.split(r"(?i)(?<=[NSEW])[\s,;/]+(?=\d)|(?<=[NSEW])(?=\d)|(?<=شمال|جنوب)ا?[\s,;/]*(?=\d)", bare)
    candidates = [halves] if len(halves) == 2 else []
    candidates += [re.split(pattern, bare) for pattern in _SPLITS]
    middle = bare.split()
    if len(middle) in (4, 6):  # 26 25 30 50 05 10, with or without signs
        half = len(middle) // 2
        candidates.append([" ".join(middle[:half]), " ".join(middle[half:])])
    for parts in candidates:
        if len(parts) != 2:
            continue
        one, two = _angle(parts[0].strip()), _angle(parts[1].strip())
        if one is None or two is None:
            continue
        (a, side, signed), (b, other, other_signed) = one, two
        if side and side == other:
            return _NOTHING
        if side == _LON or other == _LAT:
            return a, b, True, True
        if side == _LAT or other == _LON:
            return b, a, True, True
        return a, b, False, signed or other_signed
    return _NOTHING
