"""The rows of a file of histories, read and checked: which report, which step, when, by whom, why.

Whole columns at a time. A row with any fault is refused with all of them. A row says a status,
a step (``data.life.Action``) or both; a step alone leads where the life cycle says. Personal
columns go nowhere: of who acted only the role is kept, and only where it is one of ours.
"""

from __future__ import annotations

import datetime as dt
from dataclasses import dataclass
from typing import Any

import numpy as np
import polars as pl
from numpy.typing import NDArray
from sqlalchemy import Connection

from data.histories import known_reports
from data.history_steps import HISTORY_SCHEMA
from data.life import BY_ACTION, Action, Role
from data.parties import Wordings
from data.vocabulary import Status
from ingest.dates import DateEvidence, DateHints, parse_dates
from ingest.faults import Faults, equals
from ingest.profile import Profile
from ingest.readers import LINE
from ingest.text import clean, fold, western_digits
from ingest.typed import as_text, joined_clock

Flags = NDArray[np.bool_]
_EARLIEST = dt.date(1990, 1, 1)
_AHEAD = dt.timedelta(days=1)
TEXT_MOST = 4_000
# Where the entity of a row does the work, and where it is the one responsible. Elsewhere it
# may be either: then it is kept as written.
_WORK = (Status.IN_PROGRESS, Status.TREATED)
_OWNED = (Status.ASSIGNED, Status.REFERRED)
_OWNER_STEPS = (Action.ANSWER, Action.RETURN)


@dataclass
class HistoryRows:
    """What a file's rows came to.

    Attributes
    ----------
    steps : HISTORY_SCHEMA, of rows without a fault, in the order of the file; ``line`` says which.
    lines : (n,) of the file. refused : (n,) rows that have faults; ``faults`` knows which.
    references : (n,) what ties a refused row to its corrected one.
    arrived : the same, of rows that were taken.
    undated : rows taken without a date.
    """

    steps: pl.DataFrame
    lines: NDArray[np.int64]
    refused: Flags
    faults: Faults
    references: pl.Series
    arrived: list[str]
    undated: int


class Reader:
    """Reads the rows of one file, in parts.

    Parameters
    ----------
    dates : the whole column of dates, as ``dates_of`` gives it: day and month are told apart once.
    source_id : the source whose references the file uses. batch_id : of this load.
    mapping : the file's column of each field. words : of ``history_words.yaml``.
    profiles : whose words for statuses count, the first first.
    timezone : of wall times. now : judges future dates.
    watched : keys of rows that wait in quarantine; only these can be settled.
    """

    def __init__(
        self,
        conn: Connection,
        territory_id: int,
        source_id: int,
        mapping: dict[str, str],
        dates: pl.Series | None,
        words: dict[str, Any],
        profiles: list[Profile],
        timezone: str,
        now: dt.datetime,
        watched: tuple[str, ...] = (),
    ) -> None:
        self.conn = conn
        self.watched = watched
        self.territory_id = territory_id
        self.source_id = source_id
        self.mapping = mapping
        self.now = now
        self.hints = DateHints(timezone=timezone)
        evidence = DateEvidence()
        if dates is not None:
            evidence.update(dates)
        self.order = evidence.settle(self.hints)
        # What the notes at the end are made of.
        self.turned = False
        self.lost_originals = 0
        self.unknown: dict[str, set[str]] = {"status": set(), "action": set(), "role": set()}
        self.actions = _folded(words["actions"], Action)
        self.roles = {fold(w): str(Role(code)) for code, own in words["roles"].items() for w in own}
        self.statuses = _folded(words["statuses"], Status)
        for profile in profiles:
            for word, code in profile.values.get("status", {}).items():
                self.statuses.setdefault(fold(word), int(Status[str(code).upper()]))

    def read(self, frame: pl.DataFrame) -> HistoryRows:
        """All rows of a file, its lines in the column ``__line``."""
        faults = Faults(frame.height)
        reference = western_digits(self._text(frame, "reference"))
        faults.add("missing_reference", self.mapping["reference"], reference.is_null().to_numpy())
        reports = self._reports(reference, "reference", faults, required=True)
        status, action = self._steps(frame, faults)
        at = self._dates(frame, faults)
        details = {
            "reason": self._limited(frame, "reason", faults),
            "note": self._limited(frame, "note", faults),
            "role": self._roles(frame),
        }
        original = western_digits(self._text(frame, "of"))
        of = self._reports(original, "of", faults, required=False)
        itself = (of == reports).fill_null(False).to_numpy()
        faults.add("duplicate_of_itself", self.mapping.get("of"), itself, original)
        entity = self._text(frame, "entity")
        refused = faults.refused()
        # Only rows that are taken make parties.
        entity = entity.set(pl.Series(refused), None) if refused.any() else entity
        works = pl.Series(np.isin(status, _WORK))
        owns = pl.Series(np.isin(status, _OWNED) | np.isin(action, _OWNER_STEPS))
        agency, contractor = self._parties(entity, owns, works)
        lines = frame[LINE].cast(pl.Int64).to_numpy()
        details["of_reference"] = original.set(of.is_not_null(), None)
        details["entity"] = entity.set(owns | works, None)
        steps = pl.DataFrame(
            {
                "line": lines,
                "report_id": reports,
                "status": status,
                "action": action,
                "at": at,
                "agency_id": agency,
                "contractor_id": contractor,
                "of": of,
                **details,
            }
        ).select(pl.col(name).cast(kind) for name, kind in HISTORY_SCHEMA.items())
        keys = self._keys(reference, at, frame)
        taken = self._in_order(steps.filter(pl.Series(~refused)))
        return HistoryRows(
            taken,
            lines,
            refused,
            faults,
            keys[0],
            self._arrived(keys, refused),
            int(taken["at"].is_null().sum()),
        )

    def notes(self) -> list[str]:
        """What is to be said of all rows that were read."""
        out = []
        counts = self.order.counts
        if counts.dmy or counts.mdy or counts.ambiguous:
            out.append(f"{self.mapping['date']}: {self.order.describe()}")
        for name in ("status", "action"):
            if self.unknown[name]:
                shown = ", ".join(map(repr, sorted(self.unknown[name])[:8]))
                out.append(f"{self.mapping[name]}: not known as a {name}: {shown}.")
        if self.unknown["role"]:
            # Not shown and not kept: such a cell may hold somebody's name.
            out.append(
                f"{self.mapping['role']}: {len(self.unknown['role']):,} different texts are no role that Rasd "
                "knows; they were left out."
            )
        if self.lost_originals:
            out.append(
                f"{self.mapping['of']}: {self.lost_originals:,} rows name a report that is not in the store: "
                "the step is kept with the reference as written."
            )
        if self.turned:
            out.append("The file has the newest step first: rows of one moment were read from below.")
        return out

    def _in_order(self, steps: pl.DataFrame) -> pl.DataFrame:
        """Steps in the order of telling: a file that has the newest first is turned round."""
        dated = steps.filter(pl.col("at").is_not_null()).sort("report_id", maintain_order=True)
        gap = pl.col("at").diff().filter(pl.col("report_id").diff() == 0)
        down, up = dated.select(
            (gap < pl.duration(seconds=0)).sum(), (gap > pl.duration(seconds=0)).sum().alias("up")
        ).row(0)
        if down <= up:
            return steps
        self.turned = True
        return steps.reverse()

    # -- columns --------------------------------------------------------------------------

    def _text(self, frame: pl.DataFrame, name: str) -> pl.Series:
        column = self.mapping.get(name)
        if column is None:
            return pl.Series(name, [None], dtype=pl.String).new_from_index(0, frame.height)
        return clean(as_text(frame[column])).alias(name)

    def _reports(self, references: pl.Series, name: str, faults: Faults, *, required: bool) -> pl.Series:
        """Ids of the reports with these references, (n,); null where there is none."""
        given = references.is_not_null()
        if not given.any():
            return pl.Series(name, [None], dtype=pl.Int64).new_from_index(0, len(references))
        known = known_reports(self.conn, self.source_id, references.unique().drop_nulls())
        ids = (
            pl.DataFrame({"reference": references})
            .join(known, on="reference", how="left", maintain_order="left")["report_id"]
            .alias(name)
        )
        lost = (given & ids.is_null()).to_numpy()
        if required:
            faults.add("unknown_report", self.mapping[name], lost, references)
        else:
            self.lost_originals += int(lost.sum())
        return ids

    def _steps(self, frame: pl.DataFrame, faults: Faults) -> tuple[NDArray[np.int16], NDArray[np.int16]]:
        """Status and action of each row, (n,) each."""
        said, done = self._text(frame, "status"), self._text(frame, "action")
        status = self._coded("status", said, self.statuses, faults)
        action = self._coded("action", done, self.actions, faults)
        neither = (said.is_null() & done.is_null()).to_numpy()
        faults.add("missing_status", self.mapping.get("status") or self.mapping.get("action"), neither)
        leads = np.zeros(max(Action) + 1, dtype=np.int16)
        for step, transition in BY_ACTION.items():
            leads[step] = int(transition.target or Status.UNKNOWN)
        filled = np.where(status >= 0, status, leads[np.clip(action, 0, None)])
        return filled.astype(np.int16), np.clip(action, 0, None).astype(np.int16)

    def _coded(
        self, name: str, values: pl.Series, table: dict[str, int], faults: Faults
    ) -> NDArray[np.int16]:
        """Codes of words, (n,); -1 where the row says nothing."""
        words = values.unique().drop_nulls().sort().to_list()
        codes = {word: table.get(fold(word)) for word in words}
        unknown = [word for word, code in codes.items() if code is None]
        if unknown:
            column = self.mapping[name]
            faults.add(f"unknown_{name}", column, values.is_in(unknown).fill_null(False).to_numpy(), values)
            self.unknown[name] |= set(unknown)
        return values.replace_strict(
            words, [codes[word] if codes[word] is not None else -1 for word in words],
            default=-1, return_dtype=pl.Int16,
        ).fill_null(-1).to_numpy()  # fmt: skip

    def _dates(self, frame: pl.DataFrame, faults: Faults) -> pl.Series:
        column = self.mapping.get("date")
        if column is None:
            return pl.Series("at", [None], dtype=pl.Datetime("us", "UTC")).new_from_index(0, frame.height)
        values = dates_of(frame, self.mapping)
        parsed = parse_dates(
            values, self.order, self.hints, window=(_EARLIEST, self.now.date() + dt.timedelta(days=366))
        )
        for code in ("unreadable_date", "hijri_year_implausible"):
            faults.add(code, column, equals(parsed.fault, code), as_text(values), parsed.proposal)
        given = clean(as_text(values)).is_not_null()
        lost = (given & parsed.utc.is_null() & parsed.fault.is_null()).to_numpy()
        faults.add("unreadable_date", column, lost, as_text(values))
        late = (parsed.utc > self.now + _AHEAD).fill_null(False).to_numpy()
        faults.add("future_date", column, late, as_text(values))
        return parsed.utc.alias("at")

    def _limited(self, frame: pl.DataFrame, name: str, faults: Faults) -> pl.Series:
        values = self._text(frame, name)
        long = (values.str.len_chars() > TEXT_MOST).fill_null(False).to_numpy()
        faults.add("text_too_long", self.mapping.get(name), long, values.str.slice(0, 80))
        return values

    def _roles(self, frame: pl.DataFrame) -> pl.Series:
        values = self._text(frame, "role")
        words = values.unique().drop_nulls().sort().to_list()
        known = {word: self.roles.get(fold(word)) for word in words}
        self.unknown["role"] |= {word for word, code in known.items() if code is None}
        return values.replace_strict(words, [known[w] for w in words], default=None, return_dtype=pl.String)

    def _parties(self, entity: pl.Series, owns: pl.Series, works: pl.Series) -> tuple[pl.Series, pl.Series]:
        """``party.id`` of the responsible and of who works, (n,) each."""
        wordings = Wordings(self.conn, self.territory_id)
        agency = entity.set(~owns, None)
        contractor = entity.set(~works, None)
        return (
            wordings.ids(wordings.numbers(agency, "agency"), "agency"),
            wordings.ids(wordings.numbers(contractor, "contractor"), "contractor"),
        )

    # -- what ties a corrected row to its refused one -----------------------------------------

    def _keys(self, reference: pl.Series, at: pl.Series, frame: pl.DataFrame) -> tuple[pl.Series, pl.Series]:
        """Report and date, or report and word where the date is not there; then report and word; (n,) each."""
        word = pl.coalesce(pl.col("status"), pl.col("action"))
        cells = pl.DataFrame(
            {
                "reference": reference,
                "at": at.dt.to_string("%Y-%m-%dT%H:%M:%S"),
                "status": self._text(frame, "status"),
                "action": self._text(frame, "action"),
            }
        )
        found = cells.select(
            pl.concat_str(pl.col("reference"), pl.lit(" @ "), pl.col("at")).alias("dated"),
            pl.concat_str(pl.col("reference"), pl.lit(" = "), word).alias("worded"),
        )
        return found.select(pl.coalesce("dated", "worded")).to_series(), found["worded"]

    def _arrived(self, keys: tuple[pl.Series, pl.Series], refused: Flags) -> list[str]:
        if not self.watched:
            return []
        taken = pl.Series(~refused)
        both = pl.concat([keys[0].filter(taken), keys[1].filter(taken)]).unique()
        return both.filter(both.is_in(self.watched)).to_list()


def dates_of(frame: pl.DataFrame, mapping: dict[str, str]) -> pl.Series:
    """The column of dates, with the time of day where that has a column of its own."""
    values = frame[mapping["date"]]
    if "time" not in mapping:
        return values
    return joined_clock(values, clean(as_text(frame[mapping["time"]])))


def _folded(words: dict[str, list[str]], kind: type[Action] | type[Status]) -> dict[str, int]:
    return {fold(word): int(kind[code.upper()]) for code, own in words.items() for word in own}
