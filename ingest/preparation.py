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
from dataclasses import dataclass

import numpy as np
import polars as pl
import xxhash

from data.copying import KNOWN_SCHEMA, STAGE_SCHEMA
from data.reporters import reporter_digest
from data.staging import LoadPlan
from data.vocabulary import LEVELS, Channel, Flag, Status
from ingest.coordinates import parse_numbers, parse_points
from ingest.decisions import Decisions, coordinate_series
from ingest.faults import Faults, equals
from ingest.landing import blocks, json_bodies, refused_frame, row_digest, row_digests
from ingest.places import Placement, Placer
from ingest.profile import Profile
from ingest.readers import BadRow, Chunk
from ingest.report_dates import FINAL_CODES, DateReader, no_dates, status_at
from ingest.result import Fault
from ingest.text import clean, fold, western_digits
from ingest.typed import as_text

_SEPARATOR = "\x1f"  # joins the identifying cells of a row before they are hashed


@dataclass
class Prepared:
    """A chunk ready for staging, and what there is to say about it."""

    rows: pl.DataFrame  # STAGE_SCHEMA
    known: pl.DataFrame  # KNOWN_SCHEMA: rows that the store holds already, just as they are
    raw: pl.DataFrame  # RAW_SCHEMA
    refused: pl.DataFrame  # QUARANTINE_SCHEMA
    types: dict[str, int]  # types first met in this chunk, by name
    located: int
    faults: list[Fault]


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
        plan: LoadPlan,
        secret: bytes = b"",
    ) -> None:
        self.profile = profile
        self.mapping = mapping
        self.header = header
        self.personal = personal
        self.kept = [name for name in header if name not in personal]
        self.decisions = decisions
        self.placer = placer
        self.batch_id = batch_id
        self.date_reader = DateReader(mapping, decisions, today)
        # Folded into every row's digest: another mapping makes the same row a changed one.
        self.salt = salt
        self.plan = plan
        self.secret = secret
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
        self.read += frame.height + len(chunk.bad)
        types_before = len(self.types)
        bodies = json_bodies(frame, self.kept)
        contents = row_digests(bodies, self.salt)
        at = self.plan.known.find(contents.to_numpy())
        same = pl.Series(at >= 0)
        known = self._pass_over(frame.filter(same), contents.filter(same), at[at >= 0])
        located = self.plan.known.located(at[at >= 0])
        if same.any():
            frame, bodies, contents = frame.filter(~same), bodies.filter(~same), contents.filter(~same)
        faults = Faults(frame.height)
        rows = self._rows(frame, contents, faults)
        refused, first = self._refused(frame, rows, faults, chunk.bad)
        kept = pl.Series(~faults.refused())
        rows, bodies = rows.filter(kept), bodies.filter(kept)
        self._count_flags(rows["flags"].to_numpy())
        located += int((rows["precision"] > 0).sum())
        raw = blocks(self.batch_id, rows["line"], bodies)
        types = dict(list(self.types.items())[types_before:])
        return Prepared(rows, known, raw, refused, types, located, first)

    def _pass_over(self, frame: pl.DataFrame, contents: pl.Series, at: np.ndarray) -> pl.DataFrame:
        """Rows that the store holds already, just as they are: counted, not prepared."""
        known = self.plan.known
        self._count_flags(known.flags(at))
        for name in ("status", "channel"):
            self._coded(frame, name, 0)
        return pl.DataFrame(
            {
                "line": frame["__line"],
                "reference": self._references(frame, Faults(frame.height)),
                "content": contents,
                "type_no": self._type_numbers(frame),
                "cell": known.cells[at],
            },
            schema=KNOWN_SCHEMA,
        )

    def _rows(self, frame: pl.DataFrame, contents: pl.Series, faults: Faults) -> pl.DataFrame:
        """All rows as STAGE_SCHEMA; what is seriously wrong with them goes to ``faults``."""
        n = frame.height
        lines = frame["__line"].cast(pl.Int32)
        references = self._references(frame, faults)
        opened, dates, flags, notes = self.date_reader.read(frame, faults)
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
            flags |= self.date_reader.closing_flags(opened, closed, notes)
        return pl.DataFrame(
            {
                "line": lines,
                "reference": references,
                "content": contents,
                "type_no": self._type_numbers(frame),
                "status": status,
                "channel": self._coded(frame, "channel", self._channel),
                "flags": flags,
                "precision": placed.precision,
                "severity": self._severity(frame),
                **{f"{level}_id": _ids(placed, level, n) for level in LEVELS},
                "opened_at": opened,
                "closed_at": closed if closed is not None else no_dates(n),
                "due_at": dates.get("due_at", no_dates(n)),
                "status_at": status_at(status, opened, closed, dates.get("updated_at")),
                "lon": pl.Series(placed.lon).fill_nan(None),
                "lat": pl.Series(placed.lat).fill_nan(None),
                "cell": _nonzero(placed.cells),
                "quantity": self._number(frame, "quantity"),
                "unit": self._words_of(frame, "unit"),
                "agency": self._words_of(frame, "agency"),
                "contractor": self._words_of(frame, "contractor"),
                "reporter": self._reporters(frame),
                "notes": _notes(n, notes),
            },
            schema_overrides=STAGE_SCHEMA,
        ).select(pl.col(name).cast(kind) for name, kind in STAGE_SCHEMA.items())

    def _refused(
        self, frame: pl.DataFrame, rows: pl.DataFrame, faults: Faults, bad: list[BadRow]
    ) -> tuple[pl.DataFrame, list[Fault]]:
        """Refused rows as QUARANTINE_SCHEMA, and their faults in order."""
        first: list[Fault] = []
        records = []
        kept_frame = frame.select(pl.col(name).cast(pl.String) for name in self.kept)
        for row in np.flatnonzero(faults.refused()):
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
            records.append((item.line, None, row_digest(text, self.salt), own, whole))
        for _, _, _, own, _ in records:
            for code in {fault.code for fault in own}:
                self.reasons[code] = self.reasons.get(code, 0) + 1
        return refused_frame(records), first

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

    def _references(self, frame: pl.DataFrame, faults: Faults) -> pl.Series:
        column = self.mapping.get("reference")
        if column is None:
            fields = [self.mapping[name] for name in self.profile.identity if name in self.mapping]
            cells = [pl.col(name).cast(pl.String).fill_null("") for name in fields]
            cells += [
                pl.col(name).cast(pl.String).fill_null("") for name in ("__lon", "__lat") if name in frame
            ]
            joined = (
                frame.select(pl.concat_str(cells, separator=_SEPARATOR).cast(pl.Binary)).to_series().to_list()
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

    def _reporters(self, frame: pl.DataFrame) -> pl.Series:
        """Keyed digests of who sent the reports: equal for one sender, and told to nobody."""
        values = self._text(frame, "reporter")
        if values is None:
            return pl.Series([None] * frame.height, dtype=pl.Int64)
        # Nothing but zeros is how a form says "unknown".
        values = western_digits(values).str.to_lowercase()
        values = values.set(values.str.contains(r"^0+$").fill_null(False), None)
        senders = values.unique().drop_nulls().to_list()
        return values.replace_strict(
            senders, [reporter_digest(s, self.secret) for s in senders], default=None, return_dtype=pl.Int64
        )

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
        self, frame: pl.DataFrame, faults: Faults
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
                faults.add(code, shown.name, equals(points.fault, code), shown)
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


def _nonzero(values: np.ndarray) -> pl.Series:
    return pl.select(pl.when(pl.Series(values) != 0).then(pl.Series(values))).to_series()


def _ids(placed: Placement, level: str, n: int) -> pl.Series:
    if level not in placed.areas:
        return pl.Series([None] * n, dtype=pl.Int32)
    return _nonzero(placed.areas[level]).cast(pl.Int32)


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
