"""A file of histories into the store: the steps that reports took, as their source tells them.

Any table that the readers open, with Arabic or English headers (docs/histories.md): one row a
step, by the reference of a report that is in the store already. Steps are put in the order of
their dates, those of one report that are known already are left alone, and the same file again
changes nothing. A row with any fault goes to quarantine with all its faults; a step that life
cannot take is kept and flagged.
"""

from __future__ import annotations

import datetime as dt
import time
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from sqlalchemy import Connection, Engine, text

from data import batches, columns, quarantine, schema, territories
from data.copying import loading_engine
from data.histories import HistoryCounts, store_steps
from data.staging import MergeCounts
from data.territories import Territory
from geo.errors import InputError
from ingest.history_rows import HistoryRows, Reader, dates_of
from ingest.landing import json_bodies, refused_frame, row_digests
from ingest.profile import SHIPPED, Profile, load_profile, matched
from ingest.readers import LINE, BadRow, file_digest, open_table
from ingest.result import Fault, IngestResult

SOURCE = PROFILE = "histories"
SHOWN_FAULTS = 20
PART_ROWS = 500_000  # rows that are read and merged at a time, to bound memory
_WORDS = Path(__file__).parent / "history_words.yaml"


@dataclass
class _File:
    """A file as it was read: its columns by field, all its rows, and those that could not be read."""

    path: Path
    format: str
    columns: list[str]
    mapping: dict[str, str]
    frame: pl.DataFrame
    bad: list[BadRow]
    notes: list[str] = field(default_factory=list)

    @property
    def kept(self) -> list[str]:
        """Columns that may stand in quarantine. Any other could name people, that of roles too."""
        return [name for field, name in self.mapping.items() if field != "role"]


@dataclass(frozen=True, slots=True)
class _Source:
    """Whose references the file uses."""

    id: int
    code: str
    place: Territory
    profiles: tuple[Profile, ...]


@lru_cache(maxsize=1)
def history_words() -> dict[str, Any]:
    """Names of columns, and words for steps, statuses and roles."""
    said = _WORDS.read_text(encoding="utf-8")
    words: dict[str, Any] = yaml.load(said, Loader=yaml.BaseLoader)  # noqa: S506 - knows texts only
    return words


def ingest_histories(
    engine: Engine,
    path: Path | str,
    *,
    source: str | None = None,
    territory: str | None = None,
    timezone: str | None = None,
    dry_run: bool = False,
    now: dt.datetime | None = None,
    sheet: str | None = None,
    layer: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> IngestResult:
    """Load histories.

    Parameters
    ----------
    source : code of the source whose references the rows name; the only one that has reports
        when left out.
    territory : code; needed only where several have a source of that code.
    timezone : IANA zone of the file's wall times; the territory's when left out.
    dry_run : do everything, show everything, write nothing.
    now : the present, for judging future dates.

    Raises
    ------
    InputError : the file cannot be read as histories, or its source is not known; the message
        says what to do.
    """
    began = time.monotonic()
    now = now or dt.datetime.now(dt.UTC)
    options = {"sheet": sheet, "layer": layer, "encoding": encoding, "delimiter": delimiter}
    file = _read(Path(path), options)
    own = loading_engine(engine)
    try:
        with own.connect() as conn:
            schema.require_current(conn)
            found = _source(conn, file, source, territory)
            if timezone is not None:
                territories.require_timezone(timezone)
            result = _load(conn, file, found, timezone or found.place.timezone, now, began, dry_run)
            if dry_run:
                conn.rollback()
            else:
                conn.commit()
            return result
    finally:
        own.dispose()


def _read(path: Path, options: dict[str, str | None]) -> _File:
    with open_table(path, **options) as table:
        mapping = matched(table.columns, history_words()["columns"])
        lacks = [] if "reference" in mapping else ["the report's reference"]
        lacks += [] if {"status", "action"} & mapping.keys() else ["its status or step"]
        if lacks:
            raise InputError(
                f"{path.name} cannot be read as histories: no column for {' and '.join(lacks)} was recognised "
                f"among {', '.join(table.columns)}. Name the columns as docs/histories.md says."
            )
        frames, bad = [], []
        for chunk in table.chunks():
            frames.append(chunk.frame.select(*mapping.values(), LINE))
            bad.extend(chunk.bad)
        if not sum(frame.height for frame in frames) and not bad:
            raise InputError(f"{path.name} has a header and no rows: there are no steps in it.")
        frame = pl.concat(frames, how="vertical_relaxed")
        return _File(path, table.format, list(table.columns), mapping, frame, bad, list(table.notes))


def _source(conn: Connection, file: _File, code: str | None, territory: str | None) -> _Source:
    # Served by uq_report_source_id_reference, once a source; `batch` has one row a file.
    rows = conn.execute(
        text(
            """SELECT s.id, s.code, t.code AS territory,
                 (SELECT array_agg(DISTINCT b.profile) FROM batch b WHERE b.source_id = s.id) AS profiles
               FROM source s JOIN territory t ON t.id = s.territory_id
               WHERE EXISTS (SELECT FROM report r WHERE r.source_id = s.id) ORDER BY t.code, s.code"""
        )
    ).all()
    fitting = [row for row in rows if code in (None, row.code) and territory in (None, row.territory)]
    if len(fitting) != 1:
        listed = ", ".join(f"{row.code} (territory {row.territory})" for row in rows) or "none yet"
        said = "is none" if not fitting else "are several"
        raise InputError(
            f"{file.path.name}: there {said} to which its references can belong. Name one with --source, and "
            f"--territory where several have it. Sources with reports: {listed}."
        )
    row = fitting[0]
    place = territories.find(conn, row.territory)
    if place is None:
        raise InputError(f"The territory {row.territory} was removed meanwhile.")
    names = [name for name in row.profiles or () if (SHIPPED / f"{name}.yaml").exists()]
    names += [name for name in ("portal_ar", "generic") if name not in names]
    return _Source(row.id, row.code, place, tuple(load_profile(name) for name in names))


def _load(
    conn: Connection,
    file: _File,
    source: _Source,
    timezone: str,
    now: dt.datetime,
    began: float,
    dry_run: bool,
) -> IngestResult:
    """Write steps and refused rows as one batch, and say what was done."""
    place = source.place
    own = batches.find_or_create_source(conn, place.id, SOURCE, "Histories of reports")
    batch = batches.begin(
        conn,
        territory_id=place.id,
        source_id=own,
        profile=PROFILE,
        file_name=file.path.name,
        file_digest=file_digest(file.path) if file.path.is_file() else "",
        simulated=place.simulated,
        started_at=now,
        columns=file.kept,
    )
    territories.lock_territory(conn, place.id)
    dates = dates_of(file.frame, file.mapping) if "date" in file.mapping else None
    reader = Reader(
        conn,
        place.id,
        source.id,
        file.mapping,
        dates,
        history_words(),
        list(source.profiles),
        timezone,
        now,
        quarantine.watched(conn, own),
    )
    counts, undated = HistoryCounts(), 0
    refused, faults = _unread(file)
    arrived: list[str] = []
    for part in _parts(file):
        rows = reader.read(part)
        counts += store_steps(conn, place.id, batch, rows.steps)
        undated += rows.undated
        arrived += rows.arrived
        more, own_faults = _refused(file, part, rows)
        refused, faults = pl.concat([refused, more]), faults + own_faults
    quarantine.keep_refused(conn, batch, own, refused, arrived)
    done = MergeCounts(
        accepted=counts.accepted,
        updated=0,
        unchanged=counts.unchanged,
        quarantined=refused.height,
        duplicate_rows=counts.repeated,
        stale=0,
        default_point_reports=0,
    )
    result = _result(file, source, done, counts, faults, _notes(file, reader, counts, undated))
    result = replace(
        result, batch=None if dry_run else batch, seconds=time.monotonic() - began, dry_run=dry_run
    )
    batches.finish(
        conn,
        batch,
        read=result.read,
        located=0,
        counts=done,
        seconds=result.seconds,
        finished_at=dt.datetime.now(dt.UTC),
        notes={"flags": result.flags, "reasons": result.reasons, "sentences": result.notes},
    )
    if counts.accepted:
        # Closings move incidents; steps that change no status leave the columns as they are.
        territories.bump_version(conn, place.id, incidents_hold=not counts.moved)
        (columns.refresh if counts.moved else columns.carry)(conn, place.id)
    return result


def _result(
    file: _File,
    source: _Source,
    done: MergeCounts,
    counts: HistoryCounts,
    faults: list[list[Fault]],
    notes: list[str],
) -> IngestResult:
    """What is said of a load, before its number and its time are known."""
    return IngestResult(
        batch=None,
        file=file.path.name,
        format=file.format,
        profile=PROFILE,
        profile_reason=f"Histories of the reports of {source.code}: {len(file.mapping)} of {len(file.columns)} "
        "columns recognised.",
        territory=source.place.code,
        simulated=source.place.simulated,
        read=done.accepted + done.unchanged + done.quarantined,
        accepted=done.accepted,
        updated=0,
        unchanged=done.unchanged,
        quarantined=done.quarantined,
        located=0,
        seconds=0.0,
        dry_run=False,
        duplicate_rows=done.duplicate_rows,
        stale=0,
        mapping=file.mapping,
        unmatched=[],
        dropped_personal=[],
        reasons=dict(Counter(code for own in faults for code in sorted({fault.code for fault in own}))),
        flags={"impossible_sequence": counts.impossible} if counts.impossible else {},
        classified={},
        unclassified={},
        notes=notes,
        faults=[fault for own in faults for fault in own][:SHOWN_FAULTS],
    )


def _parts(file: _File) -> Iterator[pl.DataFrame]:
    """The rows in parts of bounded size; all rows of a report are in one of them, in their order."""
    number = -(-file.frame.height // PART_ROWS)
    if number == 1:
        yield file.frame
        return
    part = file.frame[file.mapping["reference"]].cast(pl.String).hash(seed=1) % number
    for i in range(number):
        yield file.frame.filter((part == i).fill_null(i == 0))


def _refused(file: _File, part: pl.DataFrame, rows: HistoryRows) -> tuple[pl.DataFrame, list[list[Fault]]]:
    """Refused rows of a part as QUARANTINE_SCHEMA, and the faults of each."""
    kept = file.kept
    at = np.flatnonzero(rows.refused)
    texts = part[at].select(pl.col(name).cast(pl.String) for name in kept)
    contents = row_digests(json_bodies(texts, kept), 0) if len(at) else pl.Series([], dtype=pl.Int64)
    records: list[tuple[int, str | None, int, list[Fault], dict[str, str]]] = []
    for i, (row, content) in enumerate(zip(at, contents, strict=True)):
        whole = dict(zip(kept, texts.row(i), strict=True))
        own = rows.faults.of_row(int(row), int(rows.lines[row]))
        records.append((int(rows.lines[row]), rows.references[int(row)], int(content), own, whole))
    return refused_frame(records), [own for _, _, _, own, _ in records]


def _unread(file: _File) -> tuple[pl.DataFrame, list[list[Fault]]]:
    """Rows that could not be read at all, likewise."""
    records: list[tuple[int, str | None, int, list[Fault], dict[str, str]]] = []
    for item in file.bad:
        whole = {name: value for name, value in item.row.items() if name in file.kept}
        own = [Fault(item.line, item.reason, None, None, item.message)]
        body = pl.DataFrame({"v": [f"{item.line}|{sorted(whole.items())}"]})
        records.append((item.line, None, int(row_digests(json_bodies(body, ["v"]), 0)[0]), own, whole))
    return refused_frame(records), [own for _, _, _, own, _ in records]


def _notes(file: _File, reader: Reader, counts: HistoryCounts, undated: int) -> list[str]:
    notes = [*file.notes, *reader.notes()]
    unread = [name for name in file.columns if name not in file.mapping.values()]
    if unread:
        notes.append(f"Not read and not kept, since such columns may name people: {', '.join(unread)}.")
    said = (
        (counts.repeated, "rows repeat another row of this file; each step is kept once."),
        (undated, "steps have no date: they stay behind the step before, and count from today."),
        (
            counts.again,
            "steps were known and stand behind a new one: told again, so that the order is right.",
        ),
        (counts.moved, "reports stand elsewhere, or since another date, than before."),
        (counts.impossible, "reports have a step that life cannot take; see: ./rasd histories --impossible"),
        (counts.circular, "reports repeat each other in a circle: the link was dropped."),
    )
    return notes + [f"{number:,} {sentence}" for number, sentence in said if number]
