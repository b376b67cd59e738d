"""The layers that QGIS is given: for each a view, and a sentence for each of its columns.

Views show no reporter, contact, note or photo. Times are with time zone, places EPSG:4326.
Counts are of reports with a point that is not a geocoder's default point, as on the map.
"""

from __future__ import annotations

from dataclasses import dataclass

from data.query import parent_sql
from data.vocabulary import OPEN, Channel, Flag, Precision, Status

RESOLUTIONS = (6, 7, 8, 9)
DAYS = 90


@dataclass(frozen=True, slots=True)
class Layer:
    """One view of the schema ``qgis``; its key is ``id``, its geometry ``geom``.

    Attributes
    ----------
    geometry : type of PostGIS. sql : the SELECT. columns : sentence of each, in order.
    """

    name: str
    geometry: str
    title: str
    sql: str
    columns: dict[str, str]


def _words(kind: type[Status] | type[Channel], column: str) -> str:
    cases = " ".join(f"WHEN {int(code)} THEN '{code.name.lower()}'" for code in kind)
    return f"CASE {column} {cases} END"


_HERE = "{t}.territory_id = ANY ((SELECT qgis.territories())::smallint[])"
_OPEN = f"r.status IN ({', '.join(str(int(status)) for status in sorted(OPEN))})"
_LATE = f"({_OPEN} AND r.due_at < now())"
_SEEN = f"r.precision = {int(Precision.POINT)} AND r.flags & {int(Flag.DEFAULT_POINT)} = 0"
_COUNTS = f"""count(*)::integer AS reports, count(*) FILTER (WHERE {_OPEN})::integer AS open,
  count(*) FILTER (WHERE {_LATE})::integer AS overdue,
  count(*) FILTER (WHERE r.opened_at > now() - interval '{DAYS} days')::integer AS recent,
  max(r.opened_at) AS newest_at"""
_COUNTED = {
    "reports": "Reports, all times",
    "open": "of them open now",
    "overdue": "of them open and past their limit",
    "recent": f"opened in the last {DAYS} days",
    "newest_at": "when the newest was opened",
}
_TERRITORY = {"territory": "Code of the territory"}
_ELEMENT = {
    "element": "Code of the element; empty for another taxonomy",
    "element_ar": "Element, Arabic",
    "element_en": "Element, English",
}

REPORTS = Layer(
    "report",
    "Point",
    "Reports",
    f"""SELECT r.id, t.code AS territory, r.reference, e.code AS element, e.name_ar AS element_ar,
      e.name_en AS element_en, e.group_en AS element_group, y.name AS type,
      {_words(Status, "r.status")} AS status,
      CASE WHEN {_LATE} THEN 'overdue' WHEN {_OPEN} THEN 'open' ELSE 'closed' END AS state,
      r.opened_at, r.status_at, r.closed_at, r.due_at, {_words(Channel, "r.channel")} AS channel,
      r.severity, r.quantity, r.unit, m.name_ar AS municipality_ar, m.name_en AS municipality_en,
      d.name_ar AS district_ar, d.name_en AS district_en,
      coalesce(a.name_ar, r.agency) AS responsible_ar, coalesce(a.name_en, r.agency) AS responsible_en,
      coalesce(c.name_ar, r.contractor) AS contractor_ar, coalesce(c.name_en, r.contractor) AS contractor_en,
      r.duplicate_of, r.flags & {int(Flag.DEFAULT_POINT)} <> 0 AS default_point, r.geom
    FROM report r JOIN territory t ON t.id = r.territory_id LEFT JOIN element e ON e.id = r.element_id
    LEFT JOIN source_type y ON y.id = r.type_id LEFT JOIN area m ON m.id = r.municipality_id
    LEFT JOIN area d ON d.id = r.district_id LEFT JOIN party a ON a.id = r.agency_id
    LEFT JOIN party c ON c.id = r.contractor_id
    WHERE r.geom IS NOT NULL AND {_HERE.format(t="r")}""",
    {"id": "Number of the report in the store", **_TERRITORY, "reference": "Its number at its source",
     **_ELEMENT, "element_group": "Group of the element", "type": "Type as the source names it",
     "status": "Status (data/vocabulary.py), in small letters", "state": "overdue, open or closed",
     "opened_at": "When it was opened", "status_at": "When its status last changed",
     "closed_at": "When it ended", "due_at": "Its limit", "channel": "Who sent it",
     "severity": "1 (low) to 5", "quantity": "Amount, in the unit beside it", "unit": "Unit of the amount",
     "municipality_ar": "Municipality, Arabic", "municipality_en": "Municipality, English",
     "district_ar": "District, Arabic", "district_en": "District, English",
     "responsible_ar": "Responsible party, Arabic; else what the source wrote",
     "responsible_en": "Responsible party, English; else what the source wrote",
     "contractor_ar": "Contractor, Arabic; else what the source wrote",
     "contractor_en": "Contractor, English; else what the source wrote",
     "duplicate_of": "id of the report that it repeats",
     "default_point": "Whether it lies on a geocoder's default point: no place",
     "geom": "Where it is"},
)  # fmt: skip


def _hexagons(resolution: int) -> Layer:
    return Layer(
        f"hexagons_{resolution}",
        "Polygon",
        f"Hexagons of resolution {resolution}",
        f"""SELECT t.code || ' ' || to_hex(n.cell) AS id, t.code AS territory, to_hex(n.cell) AS cell, n.reports,
          n.open, n.overdue, n.recent, n.newest_at, s.geom
        FROM (SELECT r.territory_id, {parent_sql(resolution)} AS cell, {_COUNTS} FROM report r
              WHERE r.cell IS NOT NULL AND {_SEEN} AND {_HERE.format(t="r")} GROUP BY 1, 2) n
        JOIN territory t ON t.id = n.territory_id LEFT JOIN qgis.cell_shape s ON s.cell = n.cell""",
        {"id": "Territory and cell", **_TERRITORY, "cell": "H3 cell", **_COUNTED,
         "geom": "Outline of the cell; empty for a cell that is new since ./rasd qgis refresh"},
    )  # fmt: skip


MUNICIPALITIES = Layer(
    "municipality",
    "MultiPolygon",
    "Municipalities",
    f"""SELECT m.id, t.code AS territory, m.code, m.name_ar, m.name_en, m.area_km2 AS km2,
      coalesce(n.reports, 0) AS reports, coalesce(n.open, 0) AS open, coalesce(n.overdue, 0) AS overdue,
      coalesce(n.recent, 0) AS recent, n.newest_at, coalesce(n.reports, 0) / nullif(m.area_km2, 0) AS per_km2,
      100.0 * n.overdue / nullif(n.open, 0) AS overdue_percent, m.geom
    FROM area m JOIN territory t ON t.id = m.territory_id LEFT JOIN (
      SELECT r.municipality_id, {_COUNTS} FROM report r WHERE {_HERE.format(t="r")} GROUP BY 1
    ) n ON n.municipality_id = m.id
    WHERE m.level = 'municipality' AND m.valid_to IS NULL AND {_HERE.format(t="m")}""",
    {"id": "Number of the area in the store", **_TERRITORY, "code": "Code of the municipality",
     "name_ar": "Name, Arabic", "name_en": "Name, English", "km2": "Area, km²", **_COUNTED,
     "per_km2": "Reports per km²", "overdue_percent": "Share of the open ones that are past their limit, %",
     "geom": "Its boundary"},
)  # fmt: skip

INCIDENTS = Layer(
    "incident",
    "Point",
    "Incidents",
    f"""SELECT i.id, t.code AS territory, e.code AS element, e.name_ar AS element_ar, e.name_en AS element_en,
      y.name AS type, i.reports, i.first_at, i.last_at, i.closed_at, i.closed_at IS NULL AS open,
      ST_SetSRID(ST_MakePoint(i.lon, i.lat), 4326)::geometry(Point, 4326) AS geom
    FROM incident i JOIN territory t ON t.id = i.territory_id
    JOIN incident_run u ON u.territory_id = t.id AND u.data_version = t.data_version
    LEFT JOIN element e ON e.id = i.element_id LEFT JOIN source_type y ON y.id = i.type_id
    WHERE {_HERE.format(t="i")}""",
    {"id": "Number of its first report", **_TERRITORY, **_ELEMENT, "type": "Type as the source names it",
     "reports": "Reports of it", "first_at": "When the first was opened", "last_at": "When the last was opened",
     "closed_at": "When all had ended; empty while it is open", "open": "Whether it is open",
     "geom": "Middle of its reports"},
)  # fmt: skip

CAMPAIGNS = Layer(
    "campaign_area",
    "MultiPolygon",
    "Areas of campaigns",
    f"""SELECT format('%s.%s', c.id, a.number) AS id, t.code AS territory, c.id AS campaign, c.title, c.kind,
      c.status, c.version, a.number::integer AS area, (a.value->>'team')::integer AS team,
      (a.value->>'finds')::double precision AS finds, (a.value->>'low')::double precision AS low,
      (a.value->>'high')::double precision AS high, (a.value->>'hours')::double precision AS hours,
      (a.value->>'km2')::double precision AS km2, jsonb_array_length(a.value->'sites') AS sites,
      (SELECT ST_Multi(ST_UnaryUnion(ST_Collect(s.geom))) FROM jsonb_array_elements_text(a.value->'cells') x
       JOIN qgis.cell_shape s ON s.cell = ('x' || lpad(x, 16, '0'))::bit(64)::bigint
      )::geometry(MultiPolygon, 4326) AS geom
    FROM campaign c JOIN territory t ON t.id = c.territory_id
    JOIN campaign_version v ON v.campaign_id = c.id AND v.version = c.version,
    jsonb_array_elements(v.document->'areas') WITH ORDINALITY a(value, number)
    WHERE c.kind <> 'axes' AND {_HERE.format(t="c")}""",
    {"id": "Campaign and area", **_TERRITORY, "campaign": "Number of the campaign", "title": "Its title",
     "kind": "inspection or community", "status": "proposed, approved, running, done or withdrawn",
     "version": "Version of the plan", "area": "Number of the area in the plan", "team": "Team that works it",
     "finds": "Finds expected", "low": "80 % interval, lower end", "high": "80 % interval, upper end",
     "hours": "Hours of work", "km2": "Area, km²", "sites": "Sites to visit",
     "geom": "Its cells together; empty for cells that are new since ./rasd qgis refresh"},
)  # fmt: skip

LAYERS: tuple[Layer, ...] = (REPORTS, *map(_hexagons, RESOLUTIONS), MUNICIPALITIES, INCIDENTS, CAMPAIGNS)
