"""The landed row of a report: what the source said, as an object of header and text.

Landed rows stand in blocks (``report_raw``); this is the one place that takes one out.
Personal fields were dropped before the row landed, unless the profile keeps them.
"""

from __future__ import annotations

from sqlalchemy import Connection, text


def landed_row(conn: Connection, report_id: int) -> dict[str, str] | None:
    """The landed row of a report's last change, or None for an unknown report."""
    # pk_report, then the block through pk_report_raw (batch_id, first_line).
    found = conn.execute(
        text(
            """SELECT b.columns, w.rows -> (array_position(w.lines, r.line) - 1) AS cells
               FROM report r JOIN batch b ON b.id = r.batch_id
               JOIN report_raw w ON w.batch_id = r.batch_id AND r.line BETWEEN w.first_line AND w.last_line
               WHERE r.id = :id AND r.line = ANY (w.lines)"""
        ),
        {"id": report_id},
    ).first()
    if found is None or found.cells is None:
        return None
    return dict(zip(found.columns, found.cells, strict=True))
