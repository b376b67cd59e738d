"""What the store holds of a source already, so that unchanged rows are told at once.

A row's digest covers all its kept cells and the profile. Where the reference is among the
kept cells, an equal digest means the same report with the same content: such a row is not
parsed, placed or written again, only counted. 20 bytes a report.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray
from sqlalchemy import Connection

from data.copying import packed
from data.vocabulary import Flag

_LOCATED = 1 << 30  # beside the flags
# Set by the merge, not by the row.
_LATER = int(Flag.DEFAULT_POINT) | int(Flag.DUPLICATE_CONFLICT)


def _none(kind: type[np.signedinteger]) -> NDArray:
    return np.zeros(0, dtype=kind)


@dataclass(frozen=True, slots=True)
class KnownReports:
    """Reports of a source in order of content, (k,) each.

    Attributes
    ----------
    contents : digests of their rows.
    cells : H3 cells, resolution 12; 0 for none.
    states : the flags that a row brings by itself, and whether it is located.
    """

    contents: NDArray[np.int64]
    cells: NDArray[np.int64]
    states: NDArray[np.int32]

    @classmethod
    def none(cls) -> KnownReports:
        return cls(_none(np.int64), _none(np.int64), _none(np.int32))

    def find(self, contents: NDArray[np.int64]) -> NDArray[np.int64]:
        """Where each of (n,) digests stands, (n,); -1 for those that are new."""
        if not len(self.contents):
            return np.full(len(contents), -1, dtype=np.int64)
        at = np.minimum(np.searchsorted(self.contents, contents), len(self.contents) - 1)
        return np.where(self.contents[at] == contents, at, -1)

    def flags(self, at: NDArray[np.int64]) -> NDArray[np.int32]:
        return self.states[at] & ~np.int32(_LOCATED)

    def located(self, at: NDArray[np.int64]) -> int:
        return int(np.count_nonzero(self.states[at] & _LOCATED))


def known_reports(conn: Connection, source_id: int, without: Sequence[str]) -> KnownReports:
    """All reports of a source but those with the references ``without``."""
    parts: tuple[list[NDArray], ...] = ([], [], [])
    fields = (
        "int8send(r.content)",
        "int8send(coalesce(r.cell, 0))",
        f"int8send((r.flags & ~{_LATER}) | CASE WHEN r.precision > 0 THEN {_LOCATED} ELSE 0 END)",
    )
    condition = "r.source_id = %(source)s AND NOT r.reference = ANY(%(without)s)"
    for contents, cells, states in packed(
        conn, fields, condition, {"source": source_id, "without": list(without)}
    ):
        parts[0].append(contents)
        parts[1].append(cells)
        parts[2].append(states.astype(np.int32))
    if not parts[0]:
        return KnownReports.none()
    order = np.argsort(np.concatenate(parts[0]))
    # Column by column, so that no more than one is held twice.
    ordered = []
    for part in parts:
        ordered.append(np.concatenate(part)[order])
        part.clear()
    return KnownReports(*ordered)
