"""The simulated portal sheet: the 28 columns that a user of the portal would bring.

Columns and their order come from ``profiles/portal_ar.yaml``; words from the reference
tables. References start with the profile's prefix for simulated rows, and personal
columns hold obvious placeholders. Faults are planted here, as text, from the codes that
the simulation drew; what was planted is counted while it is written.
"""

from __future__ import annotations

import contextlib
import gzip
import io
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, BinaryIO, cast

import numpy as np
import polars as pl
import xlsxwriter
import yaml
import zstandard
from hijridate import Gregorian

from data.reference import read
from geo.errors import InputError
from geo.simulated_life import STATUSES
from geo.simulated_scene import CHANNELS, DIRT_NAMES, EMERGING, Reports
from ingest.demo_owners import DemoOwners
from ingest.demo_world import DemoWorld

PROFILE = Path(__file__).parent / "profiles" / "portal_ar.yaml"
FORMATS = ("csv", "csv.gz", "csv.zst", "xlsx")
XLSX_ROWS = 50_000  # the portal's own limit for one file
NOTICE = "بيانات محاكاة وليست بلاغات حقيقية · Simulated data, no real reports"
# One column, four formats: the first is the portal's, the others are planted.
LAYOUTS = ("%Y-%m-%d %H:%M:%S", "%d/%m/%Y %H:%M", "%d-%m-%Y", "%Y/%m/%d %H:%M")
UNREADABLE = ("26.4.3.1", "N26E50", "؟؟")
_ARABIC_INDIC = str.maketrans("0123456789.", "٠١٢٣٤٥٦٧٨٩٫")
_DATES = ("opened", "assigned", "due", "closed", "updated")

Progress = Callable[[float, int], None]


@dataclass
class Tally:
    """What was really written; filled while writing."""

    rows: int = 0
    dirt: Counter[str] = field(default_factory=Counter)
    spots: Counter[int] = field(default_factory=Counter)
    prevented: int = 0
    duplicates: int = 0
    statuses: Counter[str] = field(default_factory=Counter)
    channels: Counter[str] = field(default_factory=Counter)
    elements: Counter[str] = field(default_factory=Counter)
    misrouted: dict[str, Any] = field(default_factory=dict)

    def add(self, reports: Reports, codes: list[str]) -> None:
        """Count one chunk."""
        self.rows += len(reports)
        self.prevented += int(reports.diverted.sum())
        self.duplicates += int((reports.incident != reports.number).sum())
        for into, values, names in (
            (self.dirt, reports.dirt, DIRT_NAMES),
            (self.statuses, reports.status, STATUSES),
            (self.channels, reports.channel, CHANNELS),
            (self.elements, reports.element, codes),
        ):
            for name, count in zip(names, np.bincount(values, minlength=len(names)), strict=True):
                into[name] += int(count)
        planted = reports.spot[reports.spot >= 0]
        for spot, count in zip(*np.unique(planted, return_counts=True), strict=True):
            self.spots[int(spot)] += int(count)

    @property
    def emerging(self) -> int:
        """Reports of the emerging spot."""
        return self.spots[EMERGING]


class PortalSheet:
    """Turns chunks of reports into rows of the portal's sheet."""

    def __init__(self, demo: DemoWorld) -> None:
        profile = yaml.safe_load(PROFILE.read_text(encoding="utf-8"))
        self.header: list[str] = profile["header"]
        self.prefix: str = profile["simulated_reference_prefix"]
        self.demo = demo
        places = demo.world.places
        words = read("demo_portal_words.csv")
        amana = next(row for row in read("amanat.csv") if row["name_ar"] == demo.amana[0])
        self.default_point = (float(amana["lon"]), float(amana["lat"]))
        self.status = _worded(words, "status", STATUSES)
        self.channel = _worded(words, "channel", CHANNELS)
        self.severity = _column([""] + [_word(words, "severity", str(level)) for level in range(1, 6)])
        units = [row["work_unit"].split(" (")[0] for row in demo.elements]
        self.unit = _column([_word(words, "unit", unit) if unit else "" for unit in units])
        self.group = _column([row["group_ar"] for row in demo.elements])
        self.element = _column([row["element_ar"] for row in demo.elements])
        self.owners = DemoOwners(demo, words)
        self.misspelt = _misspellings(demo)
        self.amana = _column([demo.amana[m] for m in places.municipality])
        self.municipality = _column([demo.world.municipalities[m] for m in places.municipality])
        self.district = _column(places.name_ar)
        self.home = places.municipality
        self.text = _column([f"بلاغ تجريبي عن {row['element_ar']}" for row in demo.elements])
        self.streets = _column([f"شارع {n}" for n in range(1, 100)])
        self.contractors = _column([f"مقاول تجريبي {n}" for n in range(1, 41)])
        self.inspectors = _column([f"مراقب تجريبي {n}" for n in range(1, 61)])

    def contractor_of(self, reports: Reports) -> np.ndarray:
        """Which contractor works on each report, (n,); counted from 0."""
        return np.asarray((self.home[reports.place] * 5 + reports.element % 5) % len(self.contractors))

    def references(self, number: np.ndarray) -> pl.Series:
        """The sheet's key of reports by their number, (n,)."""
        return self.prefix + pl.Series(number).cast(pl.String).str.zfill(8)

    def frame(self, reports: Reports) -> pl.DataFrame:
        """The chunk as 28 text columns; a null is an empty cell."""
        n = len(reports)
        channel, element, place = reports.channel, reports.element, reports.place
        in_field = pl.Series(np.isin(channel, (CHANNELS.index("inspector"),)))
        person = pl.Series(np.isin(channel, (CHANNELS.index("citizen"), CHANNELS.index("call_centre"))))
        contractor = self.contractor_of(reports)
        has_contractor = pl.Series(~np.isnat(reports.assigned))
        quantity = pl.Series(reports.quantity).fill_nan(None)
        reference = self.references(reports.number)
        values: dict[str, pl.Series] = {
            "رقم البلاغ المجمع": reference,
            "رقم البلاغ لدى Crm": "CRM-" + reference,
            "الأمانة": self.amana.gather(place),
            "البلدية": self.municipality.gather(place),
            "الحي": self.district.gather(place),
            "القناة": _choose(self.channel, channel, reports.pick),
            "حالة البلاغ": _choose(self.status, reports.status, reports.pick),
            "تاريخ البلاغ": _stamp(reports.opened),
            "تاريخ الاسناد": _stamp(reports.assigned),
            "تاريخ الاستحقاق": _stamp(reports.due),
            "تاريخ الاغلاق": _stamp(reports.closed),
            "تاريخ اخر تحديث": _stamp(reports.updated),
            "احداثي X": pl.Series(reports.lon).round(6).cast(pl.String),
            "احداثي Y": pl.Series(reports.lat).round(6).cast(pl.String),
            "اسم النطاق": self.group.gather(element),
            "اسم التصنيف": self.element.gather(element),
            "التصنيف الفرعي": _nothing(n),
            "درجة الخطورة": self.severity.gather(reports.severity),
            "الكمية": quantity.cast(pl.String),
            "وحدة القياس": _only(self.unit.gather(element), quantity.is_not_null()),
            "وصف البلاغ": self.text.gather(element),
            "العنوان": self.streets.gather((reports.pick * 1e6).astype(np.int64) % 99),
            "الجهة المسؤولة": self.owners.column(reports),
            "المقاول": _only(self.contractors.gather(contractor), has_contractor),
            "اسم المراقب": _only(
                self.inspectors.gather((reports.pick * 1e4).astype(np.int64) % 60), in_field
            ),
            "اسم المبلغ": _only(_same("مبلغ تجريبي", n), person),
            "رقم الجوال": _only(_same("0500000000", n), person),
            "رقم الهوية": _only(_same("0000000000", n), person),
        }
        strange = set(self.header) ^ set(values)
        if strange:
            raise InputError(
                f"{PROFILE.name}: the simulator does not know the header {', '.join(sorted(strange))}; "
                "the profile's list and PortalSheet.frame must name the same columns."
            )
        frame = pl.DataFrame({name: values[name] for name in self.header})
        return self._soil(frame, reports)

    def _soil(self, frame: pl.DataFrame, reports: Reports) -> pl.DataFrame:
        """Plant the faults, a few rows in a thousand, value by value."""
        rows = np.flatnonzero((reports.dirt > 0) & (reports.dirt != DIRT_NAMES.index("repeated_row")))
        if not len(rows):
            return frame
        new: dict[str, list[Any]] = {name: frame[name].gather(rows).to_list() for name in self.header}
        x, y = new["احداثي X"], new["احداثي Y"]
        dates = dict(
            zip(
                _DATES,
                ("تاريخ البلاغ", "تاريخ الاسناد", "تاريخ الاستحقاق", "تاريخ الاغلاق", "تاريخ اخر تحديث"),
                strict=True,
            )
        )
        for i, row in enumerate(rows):
            fault, pick = DIRT_NAMES[reports.dirt[row]], float(reports.pick[row])
            if fault in ("hijri_date", "arabic_indic_digits", "other_date_format"):
                for name, column in dates.items():
                    new[column][i] = _spoilt_date(getattr(reports, name)[row], fault, pick)
            if fault == "arabic_indic_digits":
                x[i], y[i] = x[i].translate(_ARABIC_INDIC), y[i].translate(_ARABIC_INDIC)
            elif fault == "closed_before_opened":
                early = reports.opened[row] - np.timedelta64(int(86400 * (1 + 9 * pick)), "s")
                new[dates["closed"]][i] = _text(early, LAYOUTS[0])
            elif fault == "swapped_axes":
                x[i], y[i] = y[i], x[i]
            elif fault == "zero_coordinates":
                x[i], y[i] = "0", "0"
            elif fault == "outside":
                x[i] = f"{reports.lon[row] + 8 + 4 * pick:.6f}"
            elif fault == "default_point":
                x[i], y[i] = (str(axis) for axis in self.default_point)
            elif fault == "misspelt_class":
                wordings = self.misspelt[reports.element[row]]
                new["اسم التصنيف"][i] = wordings[int(pick * len(wordings))]
            elif fault == "missing_reference":
                new["رقم البلاغ المجمع"][i] = new["رقم البلاغ لدى Crm"][i] = None
            elif fault == "unreadable_coordinates":
                x[i] = UNREADABLE[int(pick * len(UNREADABLE))]
        return frame.with_columns(
            frame[name].scatter(rows, pl.Series(values, dtype=pl.String)) for name, values in new.items()
        )


def write_portal(
    path: Path,
    chunks: Iterable[Reports],
    demo: DemoWorld,
    format: str = "csv",
    progress: Progress | None = None,
    total: int = 0,
) -> tuple[list[Path], Tally]:
    """Write chunks as the portal's sheet.

    Parameters
    ----------
    path : file to write, without the format's ending; XLSX files are numbered.
    format : one of FORMATS.
    progress : called with (share done, rows) after each chunk, if `total` is known.

    Returns
    -------
    The files, and what was written.
    """
    if format not in FORMATS:
        raise InputError(f"The format {format!r} is not known; choose one of {', '.join(FORMATS)}.")
    sheet, tally = PortalSheet(demo), Tally()

    def frames() -> Iterator[pl.DataFrame]:
        for chunk in chunks:
            tally.add(chunk, demo.habits.codes)
            sheet.owners.count(chunk)
            yield sheet.frame(chunk)
            if progress:
                progress(min(tally.rows / total, 1.0) if total else 0.0, tally.rows)
        tally.misrouted = sheet.owners.truth(demo)

    path.parent.mkdir(parents=True, exist_ok=True)
    if format == "xlsx":
        return _write_xlsx(path, frames(), sheet.header), tally
    out = path.with_name(f"{path.name}.{format}")
    with opened(out, format) as file:
        for i, frame in enumerate(frames()):
            # Handing polars a buffer keeps one copy of a chunk in memory, whatever the compression.
            buffer = io.BytesIO()
            frame.write_csv(buffer, include_header=i == 0)
            file.write(buffer.getbuffer())
    return [out], tally


@contextlib.contextmanager
def opened(path: Path, format: str) -> Iterator[BinaryIO]:
    """A file to write into, compressed as the format says."""
    with path.open("wb") as raw:
        if format == "csv.gz":
            # No name and no time inside: the same reports give the same bytes.
            with gzip.GzipFile("", "wb", compresslevel=4, fileobj=raw, mtime=0) as packed:
                yield cast(BinaryIO, packed)
        elif format == "csv.zst":
            with zstandard.ZstdCompressor(level=3).stream_writer(raw, closefd=False) as squeezed:
                yield cast(BinaryIO, squeezed)
        else:
            yield raw


def _write_xlsx(path: Path, frames: Iterator[pl.DataFrame], header: list[str]) -> list[Path]:
    """Numbered workbooks of at most XLSX_ROWS rows, with a notice above the header."""
    files: list[Path] = []

    def save(whole: pl.DataFrame) -> None:
        files.append(path.with_name(f"{path.name}_{len(files) + 1:03d}.xlsx"))
        _write_book(files[-1], whole, header)

    held: list[pl.DataFrame] = []
    for frame in frames:
        held.append(frame)
        while sum(map(len, held)) >= XLSX_ROWS:
            whole = pl.concat(held)
            save(whole.head(XLSX_ROWS))
            held = [whole.slice(XLSX_ROWS)]
    if sum(map(len, held)):
        save(pl.concat(held))
    return files


def _write_book(path: Path, frame: pl.DataFrame, header: list[str]) -> None:
    options = {"constant_memory": True, "strings_to_formulas": False, "strings_to_urls": False}
    with xlsxwriter.Workbook(str(path), options) as book:
        book.set_properties({"comments": NOTICE})
        page = book.add_worksheet("البلاغات")
        page.right_to_left()
        page.write_string(0, 0, NOTICE)
        for column, name in enumerate(header):
            page.write_string(1, column, name)
        numeric = {header.index(name) for name in ("احداثي X", "احداثي Y", "الكمية")}
        for line, row in enumerate(frame.iter_rows(), start=2):
            for column, value in enumerate(row):
                if value is None:
                    continue
                if column in numeric and _is_number(value):
                    page.write_number(line, column, float(value))
                else:
                    page.write_string(line, column, value)


def _is_number(value: str) -> bool:
    return value.isascii() and value.count(".") <= 1 and value.replace(".", "").isdigit()


def _column(words: list[str]) -> pl.Series:
    """Words to gather from; an empty one becomes an empty cell."""
    return pl.Series([word or None for word in words], dtype=pl.String)


def _nothing(n: int) -> pl.Series:
    return pl.Series([None], dtype=pl.String).new_from_index(0, n)


def _same(word: str, n: int) -> pl.Series:
    return pl.Series([word]).new_from_index(0, n)


def _only(values: pl.Series, where: pl.Series) -> pl.Series:
    return values.zip_with(where, _nothing(len(values)))


def _stamp(times: np.ndarray) -> pl.Series:
    """Times in the portal's own format; the ISO writer is several times faster than a pattern."""
    return pl.Series(times.astype("datetime64[ms]")).dt.to_string(LAYOUTS[0])


@dataclass(frozen=True)
class Stamps:
    """How the dates of a report are written: as its row of the sheet has them, faults and all.

    ``dirt`` and ``pick`` : (n,) of the report that each date belongs to.
    """

    dirt: np.ndarray
    pick: np.ndarray

    def texts(self, times: np.ndarray) -> pl.Series:
        """Dates as texts, (n,)."""
        clean = _stamp(times)
        faults = [
            DIRT_NAMES.index(name) for name in ("hijri_date", "arabic_indic_digits", "other_date_format")
        ]
        rows = np.flatnonzero(np.isin(self.dirt, faults))
        if not len(rows):
            return clean
        spoilt = [_spoilt_date(times[r], DIRT_NAMES[self.dirt[r]], float(self.pick[r])) for r in rows]
        return clean.scatter(rows, pl.Series(spoilt, dtype=pl.String))


def _text(time: np.datetime64, layout: str) -> str | None:
    return None if np.isnat(time) else time.astype("datetime64[s]").item().strftime(layout)


def _spoilt_date(time: np.datetime64, fault: str, pick: float) -> str | None:
    if np.isnat(time):
        return None
    if fault == "other_date_format":
        return _text(time, LAYOUTS[1 + int(pick * (len(LAYOUTS) - 1))])
    if fault == "arabic_indic_digits":
        return str(_text(time, "%Y-%m-%d %H:%M")).translate(_ARABIC_INDIC)
    day = time.astype("datetime64[s]").item()
    hijri = Gregorian(day.year, day.month, day.day).to_hijri()
    text = f"{hijri.day:02d}/{hijri.month:02d}/{hijri.year}"
    return (text.translate(_ARABIC_INDIC) if pick < 0.5 else text) + " هـ"


def _word(words: list[dict[str, str]], kind: str, code: str) -> str:
    found = next((row["word_ar"] for row in words if row["kind"] == kind and row["code"] == code), None)
    if found is None:
        raise InputError(f"demo_portal_words.csv has no word for {kind} {code!r}; add a row.")
    return found


@dataclass(frozen=True)
class _Worded:
    """Words by code, each code with cumulative shares."""

    words: pl.Series
    first: np.ndarray  # (codes,) where a code's words begin
    steps: np.ndarray  # (codes, most words) cumulative shares, 1 beyond the last


def _worded(words: list[dict[str, str]], kind: str, codes: tuple[str, ...]) -> _Worded:
    flat: list[str] = []
    first, shares = [], []
    for code in codes:
        _word(words, kind, code)  # raises when there is none
        mine = [row for row in words if row["kind"] == kind and row["code"] == code]
        first.append(len(flat))
        flat.extend(row["word_ar"] for row in mine)
        share = np.cumsum([float(row["share"]) for row in mine])
        shares.append(share / share[-1])
    steps = np.ones((len(codes), max(map(len, shares))))
    for i, share in enumerate(shares):
        steps[i, : len(share)] = share
    return _Worded(pl.Series(flat), np.array(first), steps)


def _choose(table: _Worded, codes: np.ndarray, pick: np.ndarray) -> pl.Series:
    """A word for each code, by share."""
    offset = (pick[:, None] >= table.steps[codes][:, :-1]).sum(axis=1)
    return table.words.gather(table.first[codes] + offset)


def _misspellings(demo: DemoWorld) -> list[list[str]]:
    """Other wordings of each element: its known aliases, and one slip of the keyboard."""
    aliases: dict[str, list[str]] = {}
    for row in read("element_aliases.csv"):
        aliases.setdefault(row["code"], []).append(row["alias_ar"])
    out = []
    for code, row in zip(demo.habits.codes, demo.elements, strict=True):
        name = row["element_ar"]
        middle = len(name) // 2 - (name[len(name) // 2] == " ")
        out.append([*aliases.get(code, []), name[:middle] + name[middle + 1 :]])
    return out
