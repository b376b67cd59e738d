"""One report a reference: rows of one file that repeat each other.

Rows that say the same are one; of rows that differ the one that knows most wins (the
latest status date, then the later line) and the conflict is noted on it. Staged rows stand
in the table (or view) ``stage``; rows that the store holds already are not staged and take
part through their reports.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, text

from data.tally import Twins
from data.vocabulary import Flag


@dataclass(frozen=True, slots=True)
class Repeats:
    """Staged rows that were taken out (id, reference, line, cell), and those that lost a conflict.

    ``won`` counts staged rows that won over a row that is in the store.
    """

    taken: Sequence[Any] = ()
    losers: Sequence[tuple[str, int]] = ()  # reference, line
    won: int = 0


def settle_repeats(conn: Connection, lines: list[int], *, digest_keys: bool) -> Repeats:
    """Keep one staged row a reference; ``lines`` are those of all rows that may share one.

    With ``digest_keys`` rows that share a reference and differ are different reports,
    numbered in file order.
    """
    if not lines:
        return Repeats()
    # One pass over the staged rows, as their lines are hashed.
    conn.execute(
        text(
            """CREATE TEMP TABLE repeated ON COMMIT DROP AS
               SELECT s.id, s.reference, s.content, s.line, s.status_at,
                      row_number() OVER (PARTITION BY s.reference, s.content ORDER BY s.line) AS nth
               FROM stage s WHERE s.line = ANY(CAST(:lines AS integer[]))"""
        ),
        {"lines": lines},
    )
    exact = conn.execute(
        text(
            """DELETE FROM stage s USING repeated r WHERE s.id = r.id AND r.nth > 1
               RETURNING s.id, s.reference, s.line, s.cell"""
        )
    ).all()
    if digest_keys:
        conn.execute(
            text(
                """UPDATE stage s SET reference = s.reference || '#' || d.nth FROM (
                     SELECT id, row_number() OVER (PARTITION BY reference ORDER BY line) AS nth
                     FROM repeated WHERE nth = 1) AS d
                   WHERE s.id = d.id AND d.nth > 1"""
            )
        )
        return Repeats(exact)
    losers = conn.execute(
        text(
            """DELETE FROM stage s USING (
                 SELECT id, row_number() OVER (PARTITION BY reference
                          ORDER BY status_at DESC NULLS LAST, line DESC) AS nth
                 FROM repeated WHERE nth = 1) AS d
               WHERE s.id = d.id AND d.nth > 1
               RETURNING s.id, s.reference, s.line, s.cell"""
        )
    ).all()
    lost = [(row.reference, row.line) for row in losers]
    _note_conflicts(conn, lost)
    return Repeats([*exact, *losers], lost)


def settle_twins(conn: Connection, source_id: int, twins: Twins, repeats: Repeats) -> Repeats:
    """The same between a staged row and a row of the file that the store holds already."""
    if not len(twins.staged):
        return Repeats()
    params = {
        "lines": twins.staged.tolist(),
        "known": twins.known.tolist(),
        "contents": twins.content.tolist(),
        "source": source_id,
    }
    pairs = """unnest(CAST(:lines AS integer[]), CAST(:known AS integer[]), CAST(:contents AS bigint[]))
                 AS t (line, known, content), report r
               WHERE s.line = t.line AND r.source_id = :source AND r.reference = s.reference
                 AND r.content = t.content"""
    # Served by uq_report_source_id_reference.
    taken = conn.execute(
        text(
            f"""DELETE FROM stage s USING {pairs}
                  AND (s.status_at < r.status_at OR (s.status_at IS NULL AND r.status_at IS NOT NULL)
                       OR (s.status_at IS NOT DISTINCT FROM r.status_at AND s.line < t.known))
                RETURNING s.id, s.reference, s.line, s.cell"""
        ),
        params,
    ).all()
    won = conn.execute(text(f"SELECT s.reference, t.known FROM stage s, {pairs}"), params).all()
    references = {row.reference for row in won}
    earlier = [loser for loser in repeats.losers if loser[0] in references]
    _note_conflicts(conn, [*earlier, *((row.reference, row.known) for row in won)])
    return Repeats(taken, won=len(won))


def _note_conflicts(conn: Connection, losers: Sequence[tuple[str, int]]) -> None:
    """Flag the staged rows that won, and note the lines that they won over."""
    if not losers:
        return
    conn.execute(
        text(
            """UPDATE stage s SET flags = flags | :flag,
                 notes = coalesce(notes, '{}'::jsonb) ||
                   jsonb_build_object('duplicate_conflict', jsonb_build_object('lines', d.lines))
               FROM (SELECT reference, jsonb_agg(line ORDER BY line) AS lines
                     FROM unnest(CAST(:references AS text[]), CAST(:lines AS integer[]))
                          AS u(reference, line) GROUP BY reference) AS d
               WHERE s.reference = d.reference"""
        ),
        {
            "flag": int(Flag.DUPLICATE_CONFLICT),
            "references": [reference for reference, _ in losers],
            "lines": [line for _, line in losers],
        },
    )
