"""A file of visits into the store: what the teams of a campaign found.

Any table that the readers open, with Arabic or English headers (docs/visits.md); a hand-out
that was filled in loads as it is. Rows that nobody filled in are passed over; a row with any
fault goes to quarantine with all its faults. The same file again changes nothing, and a file
that says otherwise about the same visit corrects it.
"""

from __future__ import annotations

import contextlib
import datetime as dt
import time
from collections import Counter
from dataclasses import dataclass, field, replace
from functools import lru_cache
from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import yaml
from sqlalchemy import Connection, Engine

from data import batches, schema, territories
from data.quarantine import keep_refused
from data.staging import MergeCounts
from data.territories import Territory
from data.visits import Planned, VisitCounts, plans_of, store_visits, unknown_campaign
from geo.errors import InputError
from ingest.landing import json_bodies, refused_frame, row_digests
from ingest.profile import load_profile, matched
from ingest.readers import BadRow, Table, file_digest, open_table
from ingest.readers.spreadsheet import SheetTable
from ingest.result import Fault, IngestResult
from ingest.visit_rows import FAR_METRES, Reader, VisitRows

SOURCE = PROFILE = "visits"
SHOWN_FAULTS = 20
_WORDS = Path(__file__).parent / "visit_words.yaml"


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
    def personal(self) -> list[str]:
        """Columns that name people, and go nowhere."""
        mapped = self.mapping.values()
        named = load_profile("generic").personal_columns(self.columns)
        return [name for name in named if name not in mapped]

    @property
    def kept(self) -> list[str]:
        """All others."""
        personal = self.personal
        return [name for name in self.columns if name not in personal]


@lru_cache(maxsize=1)
def visit_words() -> dict[str, Any]:
    """Names of columns, and words for yes and no."""
    # Every word is a text: "no" and "x" are not what YAML makes of them.
    text = _WORDS.read_text(encoding="utf-8")
    words: dict[str, Any] = yaml.load(text, Loader=yaml.BaseLoader)  # noqa: S506 - knows texts only
    return words


def ingest_visits(
    engine: Engine,
    path: Path | str,
    *,
    campaign: int | None = None,
    territory: str | None = None,
    timezone: str | None = None,
    dry_run: bool = False,
    now: dt.datetime | None = None,
    sheet: str | None = None,
    layer: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
) -> IngestResult:
    """Load visits.

    Parameters
    ----------
    campaign : of rows that name none.
    territory : code; when left out, that of the campaigns, else the only one there is.
    timezone : IANA zone of the file's wall times; the territory's when left out.
    dry_run : do everything, show everything, write nothing.
    now : the present, for judging future dates.

    Raises
    ------
    InputError : the file cannot be read as visits; the message says what to do.
    """
    began = time.monotonic()
    now = now or dt.datetime.now(dt.UTC)
    file = _read(Path(path), sheet, layer, encoding, delimiter)
    with engine.connect() as conn:
        schema.require_current(conn)
        plans = _plans(conn, file, campaign)
        place = _territory(conn, file, plans, territory)
        if timezone is not None:
            territories.require_timezone(timezone)
        reader = Reader(
            conn, place, plans, file.mapping, visit_words(), timezone or place.timezone, now, campaign
        )
        result = _load(conn, file, reader.read(file.frame), place, now, began, dry_run)
        if dry_run:
            conn.rollback()
        else:
            conn.commit()
        return result


def _read(
    path: Path, sheet: str | None, layer: str | None, encoding: str | None, delimiter: str | None
) -> _File:
    """All rows of the file; of a workbook, those of the sheet that looks like visits."""
    options = {"layer": layer, "encoding": encoding, "delimiter": delimiter}
    with contextlib.ExitStack() as stack:
        table = stack.enter_context(open_table(path, sheet=sheet, **options))
        mapping = _mapping(table)
        if sheet is None and isinstance(table, SheetTable) and len(table.sheets) > 1:
            for name in table.sheets:
                other = _sheet(path, name, options)
                if other is None:
                    continue
                stack.enter_context(other)
                found = _mapping(other)
                if _fits(found) > _fits(mapping):
                    table, mapping = other, found
        # A time without a date is on no day.
        lacks = [name for name in ("found", "date") if name not in mapping]
        if lacks:
            raise InputError(
                f"{path.name} cannot be read as visits: no column for {' and '.join(lacks)} was recognised among "
                f"{', '.join(table.columns)}. Name the columns as docs/visits.md says."
            )
        frames, bad = [], []
        for chunk in table.chunks():
            frames.append(chunk.frame)
            bad.extend(chunk.bad)
        if not frames or (not sum(frame.height for frame in frames) and not bad):
            raise InputError(f"{path.name} has a header and no rows: there are no visits in it.")
        frame = pl.concat(frames, how="vertical_relaxed")
        return _File(path, table.format, list(table.columns), mapping, frame, bad, list(table.notes))


def _sheet(path: Path, name: str, options: dict[str, str | None]) -> Table | None:
    try:
        return open_table(path, sheet=name, **options)
    except InputError:
        return None  # an empty sheet, or one without a header: it holds no visits


def _mapping(table: Table) -> dict[str, str]:
    return matched(table.columns, visit_words()["columns"])


def _fits(mapping: dict[str, str]) -> int:
    return len(mapping) if {"found", "date"} <= mapping.keys() else 0


def _plans(conn: Connection, file: _File, campaign: int | None) -> dict[int, Planned]:
    """The plans that the file's rows name, as far as they exist, and the one named for it."""
    numbers = set() if campaign is None else {campaign}
    if "campaign" in file.mapping:
        texts = file.frame[file.mapping["campaign"]].cast(pl.String).unique().drop_nulls()
        numbers |= {found for said in texts.to_list() if (found := Reader.campaign_number(said)) is not None}
    plans = plans_of(conn, numbers)
    if campaign is not None and campaign not in plans:
        raise unknown_campaign(campaign)
    return plans


def _territory(conn: Connection, file: _File, plans: dict[int, Planned], code: str | None) -> Territory:
    known = territories.all_territories(conn)
    listed = ", ".join(each.code for each in known) or "none yet"
    own = {plan.territory_id for plan in plans.values()}
    if code is not None:
        found = [each for each in known if each.code == code]
        if not found:
            raise InputError(f"There is no territory '{code}' in the store; it holds: {listed}.")
        return found[0]
    if len(own) == 1:
        return next(each for each in known if each.id in own)
    if len(known) == 1:
        return known[0]
    raise InputError(
        f"{file.path.name} cannot be matched to a territory by its campaigns; name it with --territory. The store "
        f"holds: {listed}."
    )


def _load(
    conn: Connection,
    file: _File,
    rows: VisitRows,
    place: Territory,
    now: dt.datetime,
    began: float,
    dry_run: bool,
) -> IngestResult:
    """Write visits and refused rows as one batch, and say what was done."""
    digest = file_digest(file.path) if file.path.is_file() else ""  # a folder has none
    source = batches.find_or_create_source(conn, place.id, SOURCE, "Field visits")
    batch = batches.begin(
        conn,
        territory_id=place.id,
        source_id=source,
        profile=PROFILE,
        file_name=file.path.name,
        file_digest=digest,
        simulated=place.simulated,
        started_at=now,
        columns=file.kept,
    )
    territories.lock_territory(conn, place.id)
    # All folders share the empty digest: one is not the other read again.
    first = batches.first_of_file(conn, source, digest, before=batch) if digest else None
    counts = store_visits(conn, place.id, rows.visits, batch, first)
    refused, faults = _refused(file, rows, file.kept)
    keep_refused(conn, batch, source, refused, rows.arrived)
    done = MergeCounts(
        accepted=counts.accepted,
        updated=counts.updated,
        unchanged=counts.unchanged + rows.duplicates,
        quarantined=refused.height,
        duplicate_rows=rows.duplicates,
        stale=counts.stale,
        default_point_reports=0,
        earlier=0,
    )
    result = _result(file, rows, place, done, faults, _notes(file, rows, counts))
    result = replace(
        result, batch=None if dry_run else batch, seconds=time.monotonic() - began, dry_run=dry_run
    )
    batches.finish(
        conn,
        batch,
        read=result.read,
        located=result.located,
        counts=done,
        seconds=result.seconds,
        finished_at=dt.datetime.now(dt.UTC),
        notes={"reasons": result.reasons, "sentences": result.notes},
    )
    return result


def _result(
    file: _File,
    rows: VisitRows,
    place: Territory,
    done: MergeCounts,
    faults: list[list[Fault]],
    notes: list[str],
) -> IngestResult:
    """What is said of a load, before its number and its time are known."""
    return IngestResult(
        batch=None,
        file=file.path.name,
        format=file.format,
        profile=PROFILE,
        profile_reason=f"Visits: {len(file.mapping)} of {len(file.columns)} columns recognised.",
        territory=place.code,
        simulated=place.simulated,
        read=done.accepted + done.updated + done.unchanged + done.quarantined,
        accepted=done.accepted,
        updated=done.updated,
        unchanged=done.unchanged,
        quarantined=done.quarantined,
        located=int(rows.visits["cell"].is_not_null().sum()),
        seconds=0.0,
        dry_run=False,
        duplicate_rows=done.duplicate_rows,
        stale=done.stale,
        mapping=file.mapping,
        unmatched=[name for name in file.kept if name not in file.mapping.values()],
        dropped_personal=file.personal,
        reasons=dict(Counter(code for own in faults for code in sorted({fault.code for fault in own}))),
        flags={},
        classified={},
        unclassified={},
        notes=notes,
        faults=[fault for own in faults for fault in own][:SHOWN_FAULTS],
    )


def _refused(file: _File, rows: VisitRows, kept: list[str]) -> tuple[pl.DataFrame, list[list[Fault]]]:
    """Refused rows as QUARANTINE_SCHEMA, and the faults of each."""
    texts = file.frame.select(pl.col(name).cast(pl.String) for name in kept)
    at = np.flatnonzero(rows.refused)
    contents = row_digests(json_bodies(texts[at], kept), 0) if len(at) else pl.Series([], dtype=pl.Int64)
    records: list[tuple[int, str | None, int, list[Fault], dict[str, str]]] = []
    for row, content in zip(at, contents, strict=True):
        whole = dict(zip(kept, texts.row(int(row)), strict=True))
        own = rows.faults.of_row(int(row), int(rows.lines[row]))
        records.append((int(rows.lines[row]), rows.references[row], int(content), own, whole))
    for item in file.bad:
        whole = {name: value for name, value in item.row.items() if name in kept or name.startswith("_")}
        own = [Fault(item.line, item.reason, None, None, item.message)]
        body = pl.DataFrame({"v": [f"{item.line}|{sorted(whole.items())}"]})
        records.append((item.line, None, int(row_digests(json_bodies(body, ["v"]), 0)[0]), own, whole))
    return refused_frame(records), [own for _, _, _, own, _ in records]


def _notes(file: _File, rows: VisitRows, counts: VisitCounts) -> list[str]:
    notes = [*file.notes, *rows.notes]
    if rows.blank:
        notes.append(f"{rows.blank:,} rows are not filled in: passed over, and not counted as read.")
    if rows.duplicates:
        notes.append(f"{rows.duplicates:,} rows repeat another row of this file; each visit is kept once.")
    if counts.stale:
        notes.append(
            f"{counts.stale:,} visits were corrected after this file was first read: left as they are."
        )
    if rows.far:
        notes.append(
            f"{rows.far:,} visits lie more than {FAR_METRES:.0f} m from the site that they name: kept where they "
            "were made."
        )
    return notes
