"""What an ingest did, for the screen, for ``--json`` and for the page."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True)
class Fault:
    """One thing wrong with one row, in words that a person can act on."""

    line: int
    code: str
    column: str | None
    value: str | None
    proposal: str | None

    def to_dict(self) -> dict[str, Any]:
        return {
            "line": self.line,
            "code": self.code,
            "column": self.column,
            "value": self.value,
            "proposal": self.proposal,
        }


@dataclass(frozen=True)
class IngestResult:
    """Outcome of one batch. Read = accepted + updated + unchanged + quarantined."""

    batch: int | None  # None after a dry run
    file: str
    format: str
    profile: str
    profile_reason: str
    territory: str
    simulated: bool
    read: int
    accepted: int
    updated: int
    unchanged: int
    quarantined: int
    located: int
    seconds: float
    dry_run: bool
    duplicate_rows: int
    stale: int
    mapping: dict[str, str]
    unmatched: list[str]
    dropped_personal: list[str]
    reasons: dict[str, int]  # refused rows by reason; a row may have several
    flags: dict[str, int]  # kept rows by flag
    classified: dict[str, int]  # kept rows by how their element was found
    unclassified: dict[str, list[str]]  # type text: suggested element codes
    notes: list[str]
    faults: list[Fault] = field(default_factory=list)  # the first few, for the screen

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready; key order is the reading order."""
        values = dict(self.__dict__)
        values["seconds"] = round(self.seconds, 3)
        values["faults"] = [fault.to_dict() for fault in self.faults]
        return values
