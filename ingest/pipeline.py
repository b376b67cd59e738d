"""A file of reports into the store: the one way in, for every format and every source.

Read, map, parse, check, classify, place, COPY; then one merge. All of it in a single
transaction: a crash leaves nothing behind and the next run completes. While one chunk is
written, the next is prepared, so memory holds two chunks however long the file is.
"""

from __future__ import annotations

import datetime as dt
import itertools
import json
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, replace
from pathlib import Path

import xxhash
from sqlalchemy import Connection, Engine

from data import areas as area_store
from data import batches, columns, schema, territories
from data.copying import loading_engine
from data.elements import alias_pairs, element_entries
from data.reporters import reporter_secret
from data.source_types import TypeEntry
from data.staging import MergeCounts, Stage, plan_load
from data.vocabulary import Classified
from geo.errors import InputError, StoreError
from ingest import decisions as deciding
from ingest.classify import ElementClassifier, ElementEntry, Match
from ingest.destination import choose_territory, is_simulated
from ingest.places import Placer
from ingest.preparation import Prepared, Preparer
from ingest.profile import Detection, Profile, detect, load_profile, load_profiles
from ingest.readers import Chunk, Table, file_digest, open_table
from ingest.result import Fault, IngestResult

CHUNK_ROWS = 32_768
SHOWN_FAULTS = 20

Progress = Callable[[float, int], None]
Seal = Callable[[Connection, int], None]


def ingest_reports(
    engine: Engine,
    path: Path,
    *,
    profile: str | Path | Profile | None = None,
    territory: str | None = None,
    timezone: str | None = None,
    dry_run: bool = False,
    progress: Progress | None = None,
    now: dt.datetime | None = None,
    sheet: str | None = None,
    layer: str | None = None,
    encoding: str | None = None,
    delimiter: str | None = None,
    keep_personal: bool = False,
    seal: Seal | None = None,
) -> IngestResult:
    """Ingest one file of reports.

    Parameters
    ----------
    profile : name of a shipped profile or path of a YAML file; detected when not given.
    territory : code of the territory; found by where the points lie when not given.
    timezone : IANA zone of the file's wall times; else the profile's, else the territory's.
    dry_run : do everything, show everything, write nothing.
    progress : called with (share of the file read, rows so far).
    now : the present, for judging future dates.
    seal : called with the connection and the source's id before the commit; what it writes is
        kept or lost with the batch.

    Raises
    ------
    InputError : the file cannot be read as reports; the message says what to do.
    StoreError : the store changed under the ingest (boundaries replaced meanwhile).
    """
    began = time.monotonic()
    now = now or dt.datetime.now(dt.UTC)
    path = Path(path)
    reader = {"sheet": sheet, "layer": layer, "encoding": encoding, "delimiter": delimiter}
    with open_table(path, **reader) as table, loading_engine(engine).connect() as conn:
        schema.require_current(conn)
        found = _fit(table, profile)
        if keep_personal:
            found = replace(found, profile=found.profile.model_copy(update={"keep_personal": True}))
        chunks = table.chunks(CHUNK_ROWS)
        first = next(chunks, None)
        if first is None or (first.frame.is_empty() and not first.bad):
            raise InputError(f"{path.name} has a header and no rows: there is nothing to ingest.")
        simulated = is_simulated(first, found)
        place = choose_territory(conn, path, first, found, territory, timezone, simulated)
        run = _Run(conn, path, table, found, place, simulated, now, dry_run)
        run.prepare(first, lambda: _reopened(path, reader), timezone)
        counts = run.load(first, chunks, progress)
        result = run.finish(counts, time.monotonic() - began)
        if dry_run:
            conn.rollback()
        else:
            if seal is not None:
                seal(conn, run.source_id)
            conn.commit()
        return result


class _Run:
    """One file on its way in; exists so that the steps share their state by name."""

    def __init__(
        self,
        conn: Connection,
        path: Path,
        table: Table,
        found: Detection,
        territory: territories.Territory,
        simulated: bool,
        now: dt.datetime,
        dry_run: bool,
    ) -> None:
        self.conn = conn
        self.path = path
        self.table = table
        self.found = found
        self.territory = territory
        self.simulated = simulated
        self.now = now
        self.dry_run = dry_run
        self.notes = list(table.notes)
        self.located = 0
        self.faults: list[Fault] = []
        self.matches: list[Match] = []
        personal = found.profile.personal_columns(table.columns, found.mapping.get("reporter"))
        self.personal = [] if found.profile.keep_personal else personal
        self.kept = [name for name in table.columns if name not in self.personal]

    def prepare(self, first: Chunk, reopen: Callable[[], Iterator[Chunk]], timezone: str | None) -> None:
        """Settle the columns, load the boundaries, open the batch."""
        conn, profile = self.conn, self.found.profile
        zone = timezone or profile.dates.timezone or self.territory.timezone
        if zone != self.territory.timezone:
            if territories.adopt_timezone(conn, self.territory.id, zone):
                self.notes.append(f"The territory {self.territory.code} now counts its days in {zone}.")
            else:
                self.notes.append(
                    f"The file's times are read in {zone}, the territory {self.territory.code} counts its "
                    f"days in {self.territory.timezone}: days near midnight can differ."
                )
        self.source_id = batches.find_or_create_source(
            conn, self.territory.id, profile.source, profile.title["en"]
        )
        plan = plan_load(
            conn,
            territory_id=self.territory.id,
            source_id=self.source_id,
            expected_rows=self._expected_rows(first),
            content_is_key=self.found.mapping.get("reference") in self.kept,
            may_lock=not self.dry_run,
        )
        # The file's digest is taken while the boundaries are made ready.
        with ThreadPoolExecutor(1) as pool:
            digest = pool.submit(file_digest, self.path)
            self.placer = _placer(conn, self.territory)
        rest = reopen() if first.frame.height >= CHUNK_ROWS else iter(())
        decisions = deciding.decide(profile, self.found.mapping, zone, first.frame, rest, self.placer.box)
        self.notes.extend(decisions.describe(self.found.mapping))
        if not self.placer.levels:
            self.notes.append(
                f"No boundaries are loaded for {self.territory.code}: no point can be called outside, and "
                "no area is assigned. Load them with: ./rasd ingest areas FILE --level municipality "
                f"--territory {self.territory.code}"
            )
        self.batch_id = batches.begin(
            conn,
            territory_id=self.territory.id,
            source_id=self.source_id,
            profile=profile.name,
            file_name=self.path.name,
            file_digest=digest.result(),
            simulated=self.simulated,
            started_at=self.now,
            columns=self.kept,
        )
        self.preparer = Preparer(
            profile,
            self.found.mapping,
            self.table.columns,
            self.personal,
            decisions,
            self.placer,
            self.batch_id,
            self.now.date(),
            _mapping_salt(profile, self.found.mapping, self.kept),
            plan,
            reporter_secret(conn) if "reporter" in self.found.mapping else b"",
        )
        self.stage = Stage(
            conn, plan, batch_id=self.batch_id, source_id=self.source_id, territory_id=self.territory.id
        )
        self.classifier = ElementClassifier(
            [ElementEntry(**asdict(entry)) for entry in element_entries(conn)],
            alias_pairs(conn),
            profile_map={
                k: None if v is None else str(v) for k, v in profile.values.get("element", {}).items()
            },
            own_taxonomy=profile.own_taxonomy,
        )

    def _expected_rows(self, first: Chunk) -> int:
        """Rows of the file, from the share of it that the first chunk took."""
        if first.frame.height < CHUNK_ROWS:
            return first.frame.height
        return round(first.frame.height / max(self.table.position(), 1e-4))

    def load(self, first: Chunk, chunks: Iterator[Chunk], progress: Progress | None) -> MergeCounts:
        """Stage all chunks, then merge under the territory's lock."""
        stage = self.stage

        def prepare_next() -> tuple[Prepared, float] | None:
            found = next(stream, None)
            return None if found is None else (self.preparer.prepare(found[0]), found[1])

        # One thread reads, one prepares, this one writes: each is a chunk ahead of the next.
        with ThreadPoolExecutor(1) as pool, ThreadPoolExecutor(1) as reading:
            stream = _ahead(itertools.chain([first], chunks), self.table, reading)
            pending = pool.submit(prepare_next)
            while (item := pending.result()) is not None:
                pending = pool.submit(prepare_next)
                prepared, share = item
                types = self._classify(prepared.types)
                stage.write(prepared.rows, prepared.known, prepared.raw, prepared.refused, types)
                self.located += prepared.located
                self.faults.extend(prepared.faults[: SHOWN_FAULTS - len(self.faults)])
                if progress:
                    progress(min(share, 1.0) * 0.7, stage.rows)
        territories.lock_territory(self.conn, self.territory.id)
        if area_store.current_ids(self.conn, self.territory.id) != self.placer.area_ids:
            raise StoreError(
                f"The boundaries of {self.territory.code} were replaced while {self.path.name} was read. "
                "Nothing was written; run the same command again."
            )
        counts = stage.merge(digest_keys="reference" not in self.found.mapping)
        if progress:
            progress(1.0, stage.rows)
        return counts

    def _classify(self, names: dict[str, int]) -> list[TypeEntry]:
        """The elements of types that no earlier chunk had; ``names`` gives their numbers."""
        matches = self.classifier.classify_unique(names)
        self.matches.extend(matches)
        return [
            TypeEntry(
                names[match.text],
                match.text,
                match.element_id,
                int(match.method),
                match.score,
                tuple(match.suggestions),
            )
            for match in matches
        ]

    def finish(self, counts: MergeCounts, seconds: float) -> IngestResult:
        """Write the batch's outcome and say it."""
        # Readers learn more while they read: blank lines, quotes never closed, error cells.
        self.notes.extend(note for note in self.table.notes if note not in self.notes)
        self._describe(counts)
        flags = dict(self.preparer.flags)
        if counts.default_point_reports:
            flags["default_point"] = counts.default_point_reports
        result = IngestResult(
            batch=None if self.dry_run else self.batch_id,
            file=self.path.name,
            format=self.table.format,
            profile=self.found.profile.name,
            profile_reason=self.found.reason,
            territory=self.territory.code,
            simulated=self.simulated,
            read=self.preparer.read,
            accepted=counts.accepted,
            updated=counts.updated,
            unchanged=counts.unchanged,
            quarantined=counts.quarantined,
            located=self.located,
            seconds=seconds,
            dry_run=self.dry_run,
            duplicate_rows=counts.duplicate_rows,
            stale=counts.stale,
            mapping=self.found.mapping,
            unmatched=self.found.unmatched,
            dropped_personal=self.personal,
            reasons=self.preparer.reasons,
            flags=flags,
            classified=_by_method(self.matches),
            unclassified={
                m.text: list(m.suggestions) for m in self.matches if m.method == Classified.UNCLASSIFIED
            },
            notes=self.notes,
            faults=self.faults,
        )
        batches.finish(
            self.conn,
            self.batch_id,
            read=result.read,
            located=result.located,
            counts=counts,
            seconds=seconds,
            finished_at=dt.datetime.now(dt.UTC),
            notes={"flags": flags, "reasons": result.reasons, "sentences": self.notes},
        )
        if counts.accepted or counts.updated or counts.earlier:
            territories.bump_version(self.conn, self.territory.id)
            columns.refresh(self.conn, self.territory.id)
        return result

    def _describe(self, counts: MergeCounts) -> None:
        if counts.duplicate_rows:
            self.notes.append(
                f"{counts.duplicate_rows:,} rows repeat another row of this file; each report is kept once."
            )
        if counts.stale:
            self.notes.append(f"{counts.stale:,} rows are older than what the store holds: left alone.")
        if counts.default_point_reports:
            self.notes.append(
                f"{counts.default_point_reports:,} reports lie on a geocoder's default point: kept, flagged, "
                "and left out of heat maps and statistics by default."
            )
        for field, words in self.preparer.unknown_words.items():
            if words:
                column = self.found.mapping[field]
                shown = ", ".join(f"{w!r} ({n:,})" for w, n in sorted(words.items(), key=lambda i: -i[1])[:8])
                self.notes.append(f"{column}: not in the profile's table, kept as unknown: {shown}.")


def _ahead(chunks: Iterator[Chunk], table: Table, pool: ThreadPoolExecutor) -> Iterator[tuple[Chunk, float]]:
    """Each chunk with the share of the file read by then; the next one is read meanwhile."""

    def read() -> tuple[Chunk, float] | None:
        chunk = next(chunks, None)
        return None if chunk is None else (chunk, table.position())

    pending = pool.submit(read)
    while (found := pending.result()) is not None:
        pending = pool.submit(read)
        yield found


def _fit(table: Table, profile: str | Path | Profile | None) -> Detection:
    """The profile that was asked for, or the one that fits the header."""
    asked = profile if profile is None or isinstance(profile, Profile) else load_profile(profile)
    candidates = [asked] if asked else load_profiles(None)
    return detect(table.columns, table.format, candidates)


def _reopened(path: Path, reader: dict[str, str | None]) -> Iterator[Chunk]:
    """The file's chunks after the first, read a second time."""
    with open_table(path, **reader) as again:
        yield from itertools.islice(again.chunks(CHUNK_ROWS), 1, None)


def _placer(conn: Connection, territory: territories.Territory) -> Placer:
    return Placer(
        area_store.current_areas(conn, territory.id),
        area_store.area_names(conn, territory.id),
        territories.study_area(conn, territory.id),
    )


def _mapping_salt(profile: Profile, mapping: dict[str, str], kept: list[str]) -> int:
    """A digest of everything that turns a row into a report: a changed profile changes it."""
    said = json.dumps(
        [mapping, kept, profile.model_dump(mode="json")], ensure_ascii=False, sort_keys=True, default=str
    )
    return xxhash.xxh3_64_intdigest(said.encode())


def _by_method(matches: list[Match]) -> dict[str, int]:
    counts: dict[str, int] = {}
    for match in matches:
        name = Classified(match.method).name.lower()
        counts[name] = counts.get(name, 0) + 1
    return counts
