"""From a chunk of a file to rows for the store: map, parse, check, classify, place.

Works on whole columns (polars, numpy). A row with any serious fault is refused with *all*
its faults; lesser oddities are kept as flags with a proposal where there is one. Nothing
is changed silently. The decisions that need the whole column (order of day and month, axes)
are taken before, in ``ingest/decisions.py``.
"""

from __future__ import annotations

import datetime as dt
import json
from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
import polars as pl
import xxhash

from data.staging import STAGE_SCHEMA
from data.vocabulary import FINAL, LEVELS, Channel, Flag, Status
from ingest.coordinates import parse_numbers, parse_points
from ingest.dates import ParsedDates, parse_dates
from ingest.decisions import Decisions, coordinate_series
from ingest.landing import SEPARATOR, blocks, json_arrays, refused_frame
from ingest.places import Placement, Placer
from ingest.profile import Profile
from ingest.readers import BadRow, Chunk
from ingest.result import Fault
from ingest.text import clean, fold, western_digits

_NO_TEXT = pl.lit(None, pl.String)
FINAL_CODES = np.array(sorted(int(status) for status in FINAL), dtype=np.int16)


@dataclass
class Prepared:
    """A chunk ready for staging, and what there is to say about it."""

    rows: pl.DataFrame  # STAGE_SCHEMA
    raw: pl.DataFrame  # RAW_SCHEMA
    refused: pl.DataFrame  # QUARANTINE_SCHEMA
    located: int
    faults: list[Fault]


@dataclass
class _Faults:
    """Serious faults of a chunk, column by column; rows come out with all of theirs."""

    size: int
    found: list[tuple[str, str | None, np.ndarray, pl.Series | None, pl.Series | None]] = field(
        default_factory=list
    )

    def add(
        self,
        code: str,
        column: str | None,
        mask: np.ndarray,
        values: pl.Series | None = None,
        proposals: pl.Series | None = None,
    ) -> None:
        if mask.any():
            self.found.append((code, column, mask, values, proposals))

    def refused(self) -> np.ndarray:
        total = np.zeros(self.size, dtype=bool)
        for _, _, mask, _, _ in self.found:
            total |= mask
        return total

    def of_row(self, row: int, line: int) -> list[Fault]:
        return [
            Fault(
                line,
                code,
                column,
                None if values is None or values[row] is None else str(values[row]),
                None if proposals is None else proposals[row],
            )
            for code, column, mask, values, proposals in self.found
            if mask[row]
        ]


def as_text(values: pl.Series) -> pl.Series:
    """A column as text; whole numbers of a typed source lose their '.0'."""
    if values.dtype == pl.String:
        return values
    if values.dtype.is_float():
        whole = values.is_not_null() & (values == values.round()) & (values.abs() < 2**53)
        texts = pl.select(
            pl.when(whole)
            .then(values.cast(pl.Int64, strict=False).cast(pl.String))
            .otherwise(values.cast(pl.String))
        ).to_series()
        return texts.alias(values.name)
    return values.cast(pl.String)


class Preparer:
    """Prepares the chunks of one file; keeps the types and words that it meets."""

    def __init__(
        self,
        profile: Profile,
        mapping: dict[str, str],
        header: list[str],
        personal: list[str],
        decisions: Decisions,
        placer: Placer,
        batch_id: int,
        today: dt.date,
        salt: int,
    ) -> None:
        self.profile = profile
        self.mapping = mapping
        self.header = header
        self.personal = personal
        self.kept = [name for name in header if name not in personal]
        self.decisions = decisions
        self.placer = placer
        self.batch_id = batch_id
        self.today = today
        # Folded into every row's digest: another mapping makes the same row a changed one.
        self.salt = salt
        self.types: dict[str, int] = {}
        self.unknown_words: dict[str, dict[str, int]] = {"status": {}, "channel": {}}
        self.reasons: dict[str, int] = {}
        self.flags: dict[str, int] = {}
        self.read = 0
        self._words = {
            "status": _codes(profile.values.get("status", {}), Status),
            "channel": _codes(profile.values.get("channel", {}), Channel),
        }
        constant = profile.constants.get("channel")
        self._channel = Channel[constant.upper()] if constant else Channel.UNKNOWN

    # -- one chunk --------------------------------------------------------------------

    def prepare(self, chunk: Chunk) -> Prepared:
        """Turn a chunk into staged, landed and refused rows."""
        frame = chunk.frame
        n = frame.height
        self.read += n + len(chunk.bad)
        faults = _Faults(n)
        lines = frame["__line"].cast(pl.Int32)
        joined = self._join(frame)
        references = self._references(frame, faults)
        opened, dates, flags, notes = self._dates(frame, faults)
        placed, place_notes, place_flags = self._places(frame, faults)
        flags |= place_flags | placed.flags
        notes.extend(place_notes)
        status, status_flags = self._status(frame, dates.get("closed_at"))
        flags |= status_flags
        closed = dates.get("closed_at")
        if closed is None and self.profile.closed_from_updated and "updated_at" in dates:
            closed = dates["updated_at"]
        if closed is not None:
            final = np.isin(status, FINAL_CODES)
            if self.profile.closed_from_updated and "closed_at" not in dates:
                closed = pl.select(pl.when(pl.Series(final)).then(closed)).to_series()
            flags |= self._closing_flags(opened, closed, notes)
        rows = pl.DataFrame(
            {
                "line": lines,
                "reference": references,
                "content": self._digests(joined),
                "type_no": self._type_numbers(frame),
                "status": status,
                "channel": self._coded(frame, "channel", self._channel),
                "flags": flags,
                "precision": placed.precision,
                "severity": self._severity(frame),
                **{f"{level}_id": _ids(placed, level, n) for level in LEVELS},
                "opened_at": opened,
                "closed_at": closed if closed is not None else _no_dates(n),
                "due_at": dates.get("due_at", _no_dates(n)),
                "status_at": _status_at(status, opened, closed, dates.get("updated_at")),
                "lon": pl.Series(placed.lon).fill_nan(None),
                "lat": pl.Series(placed.lat).fill_nan(None),
                "cell": _nonzero(placed.cells),
                "quantity": self._number(frame, "quantity"),
                "unit": self._words_of(frame, "unit"),
                "agency": self._words_of(frame, "agency"),
                "contractor": self._words_of(frame, "contractor"),
                "notes": _notes(n, notes),
            },
            schema_overrides=STAGE_SCHEMA,
        ).select(pl.col(name).cast(kind) for name, kind in STAGE_SCHEMA.items())
        return self._split(frame, rows, joined, faults, chunk.bad)

    def _split(
        self, frame: pl.DataFrame, rows: pl.DataFrame, joined: pl.Series, faults: _Faults, bad: list[BadRow]
    ) -> Prepared:
        refused = faults.refused()
        kept = ~refused
        first: list[Fault] = []
        records = []
        kept_frame = frame.select(pl.col(name).cast(pl.String) for name in self.kept)
        for row in np.flatnonzero(refused):
            line = rows["line"][int(row)]
            own = faults.of_row(int(row), line)
            first.extend(own)
            whole = dict(zip(self.kept, kept_frame.row(int(row)), strict=True))
            records.append((line, rows["reference"][int(row)], rows["content"][int(row)], own, whole))
        for item in bad:
            whole = self._harmless(item)
            own = [Fault(item.line, item.reason, None, None, item.message)]
            first.extend(own)
            text = json.dumps(whole, ensure_ascii=False, sort_keys=True)
            records.append((item.line, None, self._digest(text), own, whole))
        for _, _, _, own, _ in records:
            for code in {fault.code for fault in own}:
                self.reasons[code] = self.reasons.get(code, 0) + 1
        rows = rows.filter(pl.Series(kept))
        self._count_flags(rows["flags"].to_numpy())
        raw = blocks(self.batch_id, rows["line"], json_arrays(joined.filter(pl.Series(kept))))
        located = int((rows["precision"] > 0).sum())
        return Prepared(rows, raw, refused_frame(records), located, first)

    def _harmless(self, item: BadRow) -> dict[str, str]:
        """What may be kept of a row that could not be read.

        When its cells cannot be told apart for certain, a personal one may stand under another
        header; then only the cells that lie safely before the first personal column are kept.
        """
        if not self.personal:
            return item.row
        if item.reason != "wrong_field_count":
            return {k: v for k, v in item.row.items() if k in self.kept}
        missing = sum(name not in item.row for name in self.header)
        safe = min(self.header.index(name) for name in self.personal) - missing
        return {name: item.row[name] for name in self.header[: max(safe, 0)] if name in item.row}

    # -- identity ---------------------------------------------------------------------

    def _join(self, frame: pl.DataFrame) -> pl.Series:
        cells = [pl.col(name).cast(pl.String).fill_null("") for name in self.kept]
        return frame.select(pl.concat_str(cells, separator=SEPARATOR).alias("row")).to_series()

    def _digest(self, row: str) -> int:
        """64-bit digest of a row as a signed integer (XXH3: stable across versions and machines)."""
        value = xxhash.xxh3_64_intdigest(row.encode(), self.salt)
        return value - (1 << 64) if value >= 1 << 63 else value

    def _digests(self, joined: pl.Series) -> pl.Series:
        digest, salt = xxhash.xxh3_64_intdigest, self.salt
        values = np.fromiter(
            (digest(row, salt) for row in joined.cast(pl.Binary).to_list()), np.uint64, len(joined)
        )
        return pl.Series(values.view(np.int64))

    def _references(self, frame: pl.DataFrame, faults: _Faults) -> pl.Series:
        column = self.mapping.get("reference")
        if column is None:
            fields = [self.mapping[name] for name in self.profile.identity if name in self.mapping]
            cells = [pl.col(name).cast(pl.String).fill_null("") for name in fields]
            cells += [
                pl.col(name).cast(pl.String).fill_null("") for name in ("__lon", "__lat") if name in frame
            ]
            joined = (
                frame.select(pl.concat_str(cells, separator=SEPARATOR).cast(pl.Binary)).to_series().to_list()
            )
            return pl.Series([xxhash.xxh3_128_hexdigest(row) for row in joined], dtype=pl.String)
        values = western_digits(clean(as_text(frame[column])))
        missing = values.is_null().to_numpy()
        if missing.any():
            other = self.mapping.get("alternate_reference")
            proposals = clean(as_text(frame[other])) if other else None
            faults.add("missing_reference", column, missing, None, proposals)
        return values

    # -- what, who, when --------------------------------------------------------------

    def _text(self, frame: pl.DataFrame, name: str) -> pl.Series | None:
        column = self.mapping.get(name)
        return None if column is None else clean(as_text(frame[column]))

    def _words_of(self, frame: pl.DataFrame, name: str) -> pl.Series:
        values = self._text(frame, name)
        return pl.Series([None] * frame.height, dtype=pl.String) if values is None else values

    def _type_numbers(self, frame: pl.DataFrame) -> pl.Series:
        values = self._text(frame, "element") if "element" in self.mapping else self._text(frame, "type")
        if values is None:
            return pl.Series([None] * frame.height, dtype=pl.Int32)
        for name in values.unique().drop_nulls().sort().to_list():
            self.types.setdefault(name, len(self.types))
        return values.replace_strict(
            list(self.types), list(self.types.values()), default=None, return_dtype=pl.Int32
        )

    def _coded(self, frame: pl.DataFrame, name: str, default: int) -> pl.Series:
        """Codes of a column of words (status, channel); unknown words are remembered."""
        values = self._text(frame, name)
        if values is None:
            return pl.Series([int(default)], dtype=pl.Int16).new_from_index(0, frame.height)
        words = values.unique().drop_nulls().to_list()
        codes = {word: self._words[name].get(fold(word)) for word in words}
        unknown = [word for word, code in codes.items() if code is None]
        if unknown:
            counts = values.value_counts(name="n").filter(pl.col(values.name).is_in(unknown))
            for word, count in counts.rows():
                self.unknown_words[name][word] = self.unknown_words[name].get(word, 0) + count
        return values.replace_strict(
            words, [int(codes[word] or 0) for word in words], default=int(default), return_dtype=pl.Int16
        )

    def _status(self, frame: pl.DataFrame, closed: pl.Series | None) -> tuple[np.ndarray, np.ndarray]:
        flags = np.zeros(frame.height, dtype=np.int32)
        if "status" not in self.mapping:
            status = np.full(frame.height, int(Status.RECEIVED), dtype=np.int16)
            if closed is not None:
                status[closed.is_not_null().to_numpy()] = int(Status.CLOSED)
            return status, flags
        status = self._coded(frame, "status", Status.UNKNOWN).to_numpy().copy()
        flags[status == int(Status.UNKNOWN)] |= int(Flag.UNKNOWN_STATUS)
        return status, flags

    def _dates(
        self, frame: pl.DataFrame, faults: _Faults
    ) -> tuple[pl.Series, dict[str, pl.Series], np.ndarray, list[tuple[str, pl.Series]]]:
        n = frame.height
        flags = np.zeros(n, dtype=np.int32)
        notes: list[tuple[str, pl.Series]] = []
        opened = self._parsed(frame, "opened_at")
        column = self.mapping["opened_at"]
        given = clean(as_text(frame[column])).is_not_null().to_numpy()
        faults.add("missing_date", column, ~given)
        fault = opened.fault
        for code in ("unreadable_date", "hijri_year_implausible"):
            faults.add(code, column, _equals(fault, code), frame[column], opened.proposal)
        limit = dt.datetime.combine(self.today, dt.time(), dt.UTC) + dt.timedelta(days=2)
        faults.add("future_date", column, (opened.utc > limit).fill_null(False).to_numpy(), frame[column])
        flags[_equals(fault, "ambiguous_date")] |= int(Flag.AMBIGUOUS_DATE)
        others: dict[str, pl.Series] = {}
        for name in ("closed_at", "due_at", "updated_at"):
            if name not in self.mapping:
                continue
            parsed = self._parsed(frame, name)
            others[name] = parsed.utc
            bad = _equals(parsed.fault, "unreadable_date") | _equals(parsed.fault, "hijri_year_implausible")
            flags[bad] |= int(Flag.UNREADABLE_DATE)
            flags[_equals(parsed.fault, "ambiguous_date")] |= int(Flag.AMBIGUOUS_DATE)
            if bad.any():
                notes.append((f"{name}_proposal", parsed.proposal))
            if name != "due_at":
                flags[(parsed.utc > limit).fill_null(False).to_numpy()] |= int(Flag.FUTURE_DATE)
        return opened.utc, others, flags, notes

    def _parsed(self, frame: pl.DataFrame, name: str) -> ParsedDates:
        return parse_dates(
            frame[self.mapping[name]],
            self.decisions.orders[name],
            self.decisions.hints,
            window=(dt.date(1990, 1, 1), self.today + dt.timedelta(days=366)),
        )

    def _closing_flags(
        self, opened: pl.Series, closed: pl.Series, notes: list[tuple[str, pl.Series]]
    ) -> np.ndarray:
        early = (closed < opened).fill_null(False)
        if early.any():
            proposal = pl.select(
                pl.when(early).then(
                    pl.lit("exchange the dates: opened ")
                    + closed.dt.strftime("%Y-%m-%dT%H:%MZ")
                    + pl.lit(", closed ")
                    + opened.dt.strftime("%Y-%m-%dT%H:%MZ")
                )
            ).to_series()
            notes.append(("closed_before_opened", proposal))
        return np.where(early.to_numpy(), int(Flag.CLOSED_BEFORE_OPENED), 0).astype(np.int32)

    def _number(self, frame: pl.DataFrame, name: str) -> pl.Series:
        column = self.mapping.get(name)
        if column is None:
            return pl.Series([None] * frame.height, dtype=pl.Float64)
        values = frame[column]
        return values.cast(pl.Float64) if values.dtype.is_numeric() else parse_numbers(clean(values))

    def _severity(self, frame: pl.DataFrame) -> pl.Series:
        """Severity as 1 (low) to 5; words are read through the profile's table."""
        column = self.mapping.get("severity")
        if column is None:
            return pl.Series([None] * frame.height, dtype=pl.Int16)
        table = {fold(k): int(v) for k, v in self.profile.values.get("severity", {}).items() if v}
        values = clean(as_text(frame[column]))
        words = values.unique().drop_nulls().to_list()
        codes = {
            w: table.get(fold(w)) or (int(w) if w.isdigit() and 1 <= int(w) <= 5 else None) for w in words
        }
        return values.replace_strict(words, [codes[w] for w in words], default=None, return_dtype=pl.Int16)

    # -- where ------------------------------------------------------------------------

    def _places(
        self, frame: pl.DataFrame, faults: _Faults
    ) -> tuple[Placement, list[tuple[str, pl.Series]], np.ndarray]:
        n = frame.height
        flags = np.zeros(n, dtype=np.int32)
        notes: list[tuple[str, pl.Series]] = []
        columns = coordinate_series(self.mapping, frame)
        if all(column is None for column in columns):
            if "__lon" in frame.columns:
                lon = frame["__lon"].cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
                lat = frame["__lat"].cast(pl.Float64).fill_null(np.nan).to_numpy().copy()
            else:
                lon = lat = np.full(n, np.nan)
        else:
            points = parse_points(*columns, self.decisions.coordinates, self.placer.box)
            shown = next(column for column in columns if column is not None)
            lon, lat = points.lon, points.lat
            for code in ("unreadable_coordinates", "out_of_range_coordinates"):
                faults.add(code, shown.name, _equals(points.fault, code), shown)
            flags[points.swapped] |= int(Flag.SWAPPED_AXES)
            flags[points.zero] |= int(Flag.ZERO_COORDINATES)
        names = {}
        for level in LEVELS:
            values = self._text(frame, level)
            if values is not None:
                names[level] = values
        placed = self.placer.place(lon, lat, names)
        if placed.far.any():
            shown_points = [""] * n
            for row in np.flatnonzero(placed.far):
                shown_points[row] = f"{lon[row]:.5f}, {lat[row]:.5f}"
            where = pl.Series(shown_points)
            named = [column.name for column in columns if column is not None]
            faults.add("outside_study_area", named[0] if named else None, placed.far, where)
        return placed, notes, flags

    def _count_flags(self, flags: np.ndarray) -> None:
        for flag in Flag:
            count = int(np.count_nonzero(flags & int(flag)))
            if count:
                name = str(flag.name).lower()
                self.flags[name] = self.flags.get(name, 0) + count


def _codes(table: Mapping[str, object], kind: type[Status] | type[Channel]) -> dict[str, int]:
    return {fold(word): int(kind[str(name).upper()]) for word, name in table.items()}


def _equals(values: pl.Series, code: str) -> np.ndarray:
    return (values == code).fill_null(False).to_numpy()


def _no_dates(n: int) -> pl.Series:
    return pl.Series([None] * n, dtype=pl.Datetime("us", "UTC"))


def _nonzero(values: np.ndarray) -> pl.Series:
    return pl.select(pl.when(pl.Series(values) != 0).then(pl.Series(values))).to_series()


def _ids(placed: Placement, level: str, n: int) -> pl.Series:
    if level not in placed.areas:
        return pl.Series([None] * n, dtype=pl.Int32)
    return _nonzero(placed.areas[level]).cast(pl.Int32)


def _status_at(
    status: np.ndarray, opened: pl.Series, closed: pl.Series | None, updated: pl.Series | None
) -> pl.Series:
    """When the status was reached: the update's date, else closing (final) or opening (others)."""
    n = len(opened)
    final = pl.Series(np.isin(status, FINAL_CODES))
    ending = closed if closed is not None else _no_dates(n)
    return pl.select(
        pl.coalesce(
            updated if updated is not None else _no_dates(n),
            pl.when(final).then(ending),
            pl.when(pl.Series(status == int(Status.RECEIVED))).then(opened),
        )
    ).to_series()


def _notes(n: int, notes: list[tuple[str, pl.Series]]) -> pl.Series:
    """Proposals as JSON objects; null where there is none."""
    out: list[str | None] = [None] * n
    rows: dict[int, dict[str, str]] = {}
    for code, values in notes:
        for row in values.is_not_null().arg_true().to_list():
            rows.setdefault(row, {})[code] = values[row]
    for row, found in rows.items():
        out[row] = json.dumps(found, ensure_ascii=False)
    return pl.Series(out, dtype=pl.String)
