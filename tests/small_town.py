"""A town of one municipality with a few reports, written straight into the store."""

from __future__ import annotations

import datetime as dt

from sqlalchemy import Connection, text

WEST = "SRID=4326;MULTIPOLYGON(((50 26,50.2 26,50.2 26.2,50 26.2,50 26)))"
WHOLE = "SRID=4326;MULTIPOLYGON(((50 26,50.4 26,50.4 26.2,50 26.2,50 26)))"


def fill(conn: Connection, now: dt.datetime) -> None:
    """The territory ``town``: one municipality, and ten reports, one each ten days before ``now``.

    Every third is open, closed, or a draft; number 3 has no element, number 4 lies on a
    default point.
    """
    statements = """INSERT INTO territory (code, name_ar, name_en, study_area) VALUES ('town', 'بلدة', 'Town', :whole);
               INSERT INTO area_set (territory_id, level, file_name, file_digest, read, accepted, repaired,
                 overlap_km2, gap_km2) SELECT id, 'municipality', 'x', 'x', 1, 1, 0, 0, 0 FROM territory;
               INSERT INTO area (area_set_id, territory_id, level, code, name_ar, name_en, area_km2, geom)
                 SELECT s.id, s.territory_id, 'municipality', 'w', 'بلدية الغرب', 'West & Sons', 400, :west
                 FROM area_set s;
               INSERT INTO source (territory_id, code, title) SELECT id, 'file', 'File' FROM territory;
               INSERT INTO batch (territory_id, source_id, profile, file_name, file_digest, started_at)
                 SELECT s.territory_id, s.id, 'x', 'x', 'x', now() FROM source s;
               INSERT INTO report (territory_id, source_id, batch_id, line, reference, content, opened_at, status,
                 status_at, channel, precision, flags, element_id, municipality_id, agency, geom)
               SELECT b.territory_id, b.source_id, b.id, n, 'ref-' || n, n, :now - make_interval(days => n * 10),
                 (ARRAY[1, 7, 13])[1 + n % 3], CASE WHEN n % 3 = 1 THEN :now END, 1, 2,
                 CASE WHEN n = 4 THEN 4 ELSE 0 END,
                 CASE WHEN n <> 3 THEN (SELECT min(id) FROM element WHERE code = 'R04') END, a.id, E'Water\x07 <co>',
                 ST_SetSRID(ST_MakePoint(50.05, 26.05), 4326)
               FROM batch b, area a, generate_series(1, 10) n"""
    for statement in statements.split(";"):
        conn.execute(text(statement), {"west": WEST, "whole": WHOLE, "now": now})
