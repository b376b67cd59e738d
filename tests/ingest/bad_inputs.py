"""Bad inputs and what a user sees for each: the table behind docs/bad-inputs.md.

A case is a whole file (refused, with words of its error) or one row of the Arabic portal
sheet among good ones. The outcome of a row is either its reasons in quarantine,
or the flags of a kept report. ``RASD_WRITE_DOCS=1 ./test tests/ingest/test_bad_inputs.py`` writes
the document anew.
"""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

HEADER = [
    "رقم البلاغ المجمع", "اسم التصنيف", "حالة البلاغ", "تاريخ البلاغ", "تاريخ الاغلاق",
    "احداثي X", "احداثي Y", "البلدية",
]  # fmt: skip
GOOD = {
    "رقم البلاغ المجمع": "100",
    "اسم التصنيف": "حفر الشوارع",
    "حالة البلاغ": "مغلق نهائيا",
    "تاريخ البلاغ": "2026-03-14 10:00:00",
    "تاريخ الاغلاق": "2026-03-20 10:00:00",
    "احداثي X": "50.10",
    "احداثي Y": "26.40",
    "البلدية": "وسط الدمام",
}
# Rows that settle the day before the month, so that a single odd row is judged alone.
COMPANIONS = [
    GOOD | {"رقم البلاغ المجمع": str(900 + i), "تاريخ البلاغ": f"{13 + i}/03/2026"} for i in range(5)
]


@dataclass(frozen=True)
class RowCase:
    """One row among good ones: refused with ``reasons``, or kept with ``flags``."""

    title: str
    change: dict[str, str]
    reasons: set[str] = field(default_factory=set)
    flags: set[str] = field(default_factory=set)
    note: str = ""  # what a kept row without flags turned into


@dataclass(frozen=True)
class FileCase:
    """A whole file: refused with an error that holds all of ``words``."""

    title: str
    name: str
    write: Callable[[Path], object]
    words: tuple[str, ...]


X, Y, OPENED, CLOSED = "احداثي X", "احداثي Y", "تاريخ البلاغ", "تاريخ الاغلاق"

ROWS = [
    RowCase("No reference number", {"رقم البلاغ المجمع": ""}, {"missing_reference"}),
    RowCase("Opening date is empty", {OPENED: ""}, {"missing_date"}),
    RowCase("Opening date is no date", {OPENED: "أمس"}, {"unreadable_date"}),
    RowCase("31 February", {OPENED: "31/02/2026"}, {"unreadable_date"}),
    RowCase("Month 13 in an ISO date", {OPENED: "2026-13-45"}, {"unreadable_date"}),
    RowCase("Opened in the future", {OPENED: "2031-01-05"}, {"future_date"}),
    RowCase("Hijri year with exchanged digits", {OPENED: "1474/09/05"}, {"hijri_year_implausible"}),
    RowCase("Closing date is no date", {CLOSED: "قريبا"}, flags={"unreadable_date"}),
    RowCase("Closed before it was opened", {CLOSED: "2026-01-02"}, flags={"closed_before_opened"}),
    RowCase("Closing date in the future", {CLOSED: "2031-01-01"}, flags={"future_date"}),
    RowCase("Hijri date with Arabic-Indic digits and هـ", {OPENED: "١٤٤٧/٠٩/٢٥ هـ"}, note="14 March 2026"),
    RowCase("Persian digits", {OPENED: "۲۰۲۶-۰۳-۱۴"}, note="14 March 2026"),
    RowCase("Direction marks around a date", {OPENED: "\u200f2026-03-14\u200e"}, note="14 March 2026"),
    RowCase("Gregorian date with م", {OPENED: "14/03/2026 م"}, note="14 March 2026"),
    RowCase("Coordinates are words", {X: "شرق", Y: "شمال"}, {"unreadable_coordinates"}),
    RowCase("Latitude 126", {Y: "126.4"}, {"out_of_range_coordinates"}),
    RowCase("Point in another country", {X: "2.35", Y: "48.85"}, {"outside_study_area"}),
    RowCase("Point just outside the boundary", {X: "50.310"}, flags={"near_boundary"}),
    RowCase("Coordinates exchanged", {X: "26.40", Y: "50.10"}, flags={"swapped_axes"}),
    RowCase("0, 0 with a known municipality", {X: "0", Y: "0"}, flags={"zero_coordinates"}),
    RowCase("No coordinates, known municipality in another spelling", {X: "", Y: "", "البلدية": "بلديه وسط الدّمام"}, note="counted in its municipality, never drawn as a point"),
    RowCase("Neither coordinates nor a known area", {X: "", Y: "", "البلدية": "المريخ"}, flags={"no_location"}),
    RowCase("Decimal comma", {X: "50,10", Y: "26,40"}, note="50.10, 26.40"),
    RowCase("Arabic decimal separator and digits", {X: "٥٠٫١٠", Y: "٢٦٫٤٠"}, note="50.10, 26.40"),
    RowCase("Degrees, minutes, seconds", {X: "50°06'00\"E", Y: "26°24'00\"N"}, note="50.10, 26.40"),
    RowCase("Unknown status", {"حالة البلاغ": "طار"}, flags={"unknown_status"}),
    RowCase("Misspelt element", {"اسم التصنيف": "حفر الشوراع"}, note="found as R04 by likeness"),
    RowCase("Element of no taxonomy", {"اسم التصنيف": "زحام المركبات الفضائية"}, note="kept as unclassified, for review"),
    RowCase("Several faults at once", {"رقم البلاغ المجمع": "", OPENED: "x", X: "y"},
            {"missing_reference", "unreadable_date", "unreadable_coordinates"}),
    RowCase("A formula as a text", {"البلدية": "=HYPERLINK(\"http://example.org\")"}, note="kept as text; exports make it harmless"),
    RowCase("Markup as a text", {"اسم التصنيف": "<script>alert(1)</script>"}, note="kept as text; screens show it, never run it"),
]  # fmt: skip


def line(row: dict[str, str]) -> str:
    """A CSV line."""
    return ",".join('"' + row[name].replace('"', '""') + '"' for name in HEADER)


def sheet(*rows: dict[str, str]) -> str:
    """A CSV file of the portal's columns."""
    return "\n".join([",".join(HEADER), *map(line, rows)]) + "\n"


def _zip(path: Path, members: dict[str, str]) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in members.items():
            archive.writestr(name, content)


FILES = [
    FileCase("Empty file", "a.csv", lambda p: p.write_bytes(b""), ("empty",)),
    FileCase("Header without rows", "a.csv", lambda p: p.write_text(sheet()), ("no rows",)),
    FileCase("A PDF called .csv", "a.csv", lambda p: p.write_bytes(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj\n"), ("PDF",)),
    FileCase("A web page saved as .csv", "a.csv",
             lambda p: p.write_text("<!DOCTYPE html><html><body>Sign in</body></html>"), ("web page",)),
    FileCase("No column is known", "a.csv", lambda p: p.write_text("foo,bar\n1,2\n3,4\n"),
             ("foo", "bar", "columns:")),
    FileCase("A date column is missing", "a.csv", lambda p: p.write_text("id,type,latitude,longitude\n1,x,1,2\n"),
             ("opened_at",)),
    FileCase("Damaged gzip", "a.csv.gz", lambda p: p.write_bytes(gzip.compress(b"a,b\n1,2\n" * 999)[:-40]),
             ("a.csv.gz",)),
    FileCase("Zip without a table", "a.zip", lambda p: _zip(p, {"readme.md": "hello"}), ("a.zip",)),
    FileCase("Zip with two tables", "a.zip", lambda p: _zip(p, {"a.csv": sheet(GOOD), "b.csv": sheet(GOOD)}),
             ("a.csv", "b.csv")),
    FileCase("A folder", "folder", lambda p: p.mkdir(), ("folder",)),
    FileCase("A file that is not there", "nothing.csv", lambda p: None, ("nothing.csv",)),
    FileCase("Damaged XLSX", "a.xlsx", lambda p: p.write_bytes(b"PK\x03\x04broken"), ("a.xlsx",)),
    FileCase("Damaged GeoPackage", "a.gpkg", lambda p: p.write_bytes(b"SQLite format 3\x00broken"), ("a.gpkg",)),
    FileCase("Damaged Parquet", "a.parquet", lambda p: p.write_bytes(b"PAR1brokenPAR1"), ("a.parquet",)),
    FileCase("GeoJSON cut off", "a.geojson", lambda p: p.write_text('{"type": "FeatureCollection", "features": ['),
             ("a.geojson",)),
    FileCase("Open311 error answer", "a.json",
             lambda p: p.write_text('[{"code": 404, "description": "jurisdiction_id not found"}]'),
             ("jurisdiction_id not found",)),
    FileCase("XML with an entity bomb", "a.xml",
             lambda p: p.write_text('<?xml version="1.0"?><!DOCTYPE x [<!ENTITY a "aaaa">]>'
                                    "<service_requests><request>&a;</request></service_requests>"), ("a.xml",)),
]  # fmt: skip


def document(errors: dict[str, str]) -> str:
    """The text of docs/bad-inputs.md; ``errors`` holds the message of each file case by title."""
    lines = [
        "# Bad inputs, and what a user sees",
        "",
        "Every line is a test (`tests/ingest/bad_inputs.py`). A row with a serious fault is kept whole in",
        "quarantine with all its reasons (`./rasd quarantine`); a lesser oddity is a flag on a report that is",
        "kept. Nothing is changed silently.",
        "",
        "## Rows",
        "",
        "| input | what happens |",
        "|---|---|",
    ]
    for case in ROWS:
        if case.reasons:
            seen = "quarantine: " + ", ".join(f"`{r}`" for r in sorted(case.reasons))
        elif case.flags:
            seen = "kept, flagged " + ", ".join(f"`{f}`" for f in sorted(case.flags))
        else:
            seen = "read; " + (case.note or "nothing to report")
        lines.append(f"| {case.title} | {seen} |")
    lines += [
        "",
        "## Files",
        "",
        "The file is refused, nothing is written, and the error says:",
        "",
        "| input | error |",
        "|---|---|",
    ]
    for case in FILES:
        message = errors[case.title].replace("|", "\\|")
        first = message.split("\n\n")[0].replace("\n", " ")
        lines.append(f"| {case.title} | {first} |")
    return "\n".join(lines) + "\n"
