"""What teams found: visits come in from files or from the page, and go out as hit rates.

A visit is known by its campaign, site (else place, else area), team and time; the same visit
told again with other findings is a correction, told in the same words it changes nothing.
Proposals learn from visits, so every change counts up the territory's data version. Caveat:
a hit rate says how often a visit found something, not how much there was to be found.
"""

from __future__ import annotations

import datetime as dt
from collections.abc import Iterable
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import polars as pl
import xxhash
from sqlalchemy import Connection, text

from data.copying import copy_frame, points
from data.plan import Name
from data.query import AsOf
from geo.cells import Cells, parents
from geo.errors import InputError
from geo.proportions import jeffreys

#: Whether a visit ``v`` had been, and was told, by a moment; see ``known_visit``.
KNOWN_VISIT = """(CAST(:at AS timestamptz) IS NULL OR v.visited_at <= :at)
  AND (CAST(:known AS timestamptz) IS NULL OR v.created_at <= :known)"""
TEXT_MOST = 2_000  # signs of a note; 200 of a team or a photo's reference
#: A visit may be so far ahead of the clock: a day that is over elsewhere.
AHEAD = dt.timedelta(days=1)

# A visit as the ingest hands it over: the point as lon and lat.
VISIT_SCHEMA: dict[str, Any] = {
    "campaign_id": pl.Int32,
    "version": pl.Int32,
    "area": pl.Int32,
    "site": pl.String,
    "target": pl.String,
    "team": pl.String,
    "visited_at": pl.Datetime("us", "UTC"),
    "found": pl.Boolean,
    "element_id": pl.Int16,
    "treated": pl.Boolean,
    "photo": pl.String,
    "note": pl.String,
    "report_id": pl.Int64,
    "cell": pl.Int64,
    "lon": pl.Float64,
    "lat": pl.Float64,
    "line": pl.Int32,
    "digest": pl.Int64,
}
_STORED = (*(name for name in VISIT_SCHEMA if name not in ("lon", "lat")), "geom")
# What makes a visit told again a correction of itself; who told it, and in which line, does not.
_TOLD = tuple(name for name in _STORED if name not in ("digest", "line", "version", "campaign_id"))


@dataclass(frozen=True, slots=True)
class PlannedSite:
    """What a plan says about a site: the newest version that has it.

    Attributes
    ----------
    key : see ``data.plan.Site``; of a stretch along an axis, its own key.
    chance : that something is found; None for a stretch.
    lon, lat : decimal degrees; None for a stretch.
    """

    key: str
    version: int
    area: int
    target: str | None
    report_id: int | None
    lon: float | None
    lat: float | None
    element: str | None
    chance: float | None


@dataclass(frozen=True, slots=True)
class Planned:
    """Sites and areas of a campaign, over all its versions."""

    campaign_id: int
    territory_id: int
    version: int
    status: str
    sites: dict[str, PlannedSite]
    areas: frozenset[int]


@dataclass(frozen=True, slots=True)
class VisitCounts:
    """What a load of visits did; ``stale`` are among ``unchanged``: an older file said otherwise."""

    accepted: int
    updated: int
    unchanged: int
    stale: int


@dataclass(frozen=True, slots=True)
class VisitRecord:
    """One visit as it is kept; ``element_name`` in both languages, empty without an element."""

    id: int
    campaign_id: int | None
    version: int | None
    area: int | None
    site: str | None
    target: str | None
    team: str | None
    visited_at: dt.datetime
    found: bool
    element: str | None
    element_name: Name
    treated: bool | None
    photo: str | None
    note: str | None
    report_id: int | None
    lon: float | None
    lat: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


@dataclass(frozen=True, slots=True)
class HitRate:
    """How often visits found something.

    Attributes
    ----------
    by, key : what is counted together: ("all", ""), ("area", "3"), ("team", "north") or
        ("target", "overdue"); the key is empty where the visits do not say.
    rate : found ÷ visits. low, high : its 95 % interval (Jeffreys).
    planned : finds that the plan expected of these visits; None where it says nothing.
    """

    by: str
    key: str
    visits: int
    found: int
    treated: int
    rate: float
    low: float
    high: float
    planned: float | None

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return asdict(self)


def planned(conn: Connection, campaign_id: int) -> Planned:
    """What the plan of a campaign says about its sites, so that visits can refer to it.

    Raises
    ------
    InputError : there is no such campaign.
    """
    # Served by pk_campaign.
    head = conn.execute(
        text("SELECT territory_id, version, status FROM campaign WHERE id = :id"), {"id": campaign_id}
    ).one_or_none()
    if head is None:
        raise unknown_campaign(campaign_id)
    sites: dict[str, PlannedSite] = {}
    # Served by pk_campaign_version; newer versions come last and win.
    rows = conn.execute(
        text(
            """SELECT v.version, (a->>'number')::integer AS area, s->>'key' AS key, s->>'target' AS target,
                 (s->>'report_id')::bigint AS report_id, (s->>'lon')::float8 AS lon, (s->>'lat')::float8 AS lat,
                 nullif(s->>'element', '') AS element, (s->>'chance')::float8 AS chance
               FROM campaign_version v, jsonb_array_elements(v.document->'areas') a
                 LEFT JOIN LATERAL jsonb_array_elements(a->'sites') s ON true
               WHERE v.campaign_id = :id
               UNION ALL
               SELECT v.version, (a->>'rank')::integer, a->>'key', NULL, NULL, NULL, NULL, NULL, NULL
               FROM campaign_version v, jsonb_array_elements(v.document->'stretches') a
               WHERE v.campaign_id = :id AND (a->>'chosen')::boolean
               ORDER BY version"""
        ),
        {"id": campaign_id},
    ).all()
    for row in rows:
        if row.key is not None:
            sites[row.key] = PlannedSite(
                row.key,
                row.version,
                row.area,
                row.target,
                row.report_id,
                row.lon,
                row.lat,
                row.element,
                row.chance,
            )
    areas = frozenset(row.area for row in rows)
    return Planned(campaign_id, head.territory_id, head.version, head.status, sites, areas)


def plans_of(conn: Connection, campaign_ids: Iterable[int]) -> dict[int, Planned]:
    """``planned`` of those campaigns that exist."""
    # Served by pk_campaign.
    known = conn.execute(
        text("SELECT id FROM campaign WHERE id = ANY(:ids) ORDER BY id"), {"ids": list(campaign_ids)}
    ).scalars()
    return {found: planned(conn, found) for found in known.all()}


def unknown_campaign(campaign_id: int) -> InputError:
    """What to say of a campaign that is not there."""
    return InputError(f"There is no saved campaign {campaign_id}; see ./rasd campaign list.")


def visit_digest(
    campaign_id: int | None,
    site: str | None,
    area: int | None,
    team: str | None,
    visited_at: dt.datetime,
    lon: float | None,
    lat: float | None,
    nth: int = 1,
) -> int:
    """What a visit is known by, as PostgreSQL's bigint.

    ``nth`` numbers several visits of one team to one place at one time, in their order.
    """
    if site:
        place = f"site {site}"
    elif lon is not None and lat is not None:
        place = f"point {lon:.5f} {lat:.5f}"  # about a metre
    else:
        place = f"area {area}"
    moment = visited_at.astimezone(dt.UTC).isoformat(timespec="seconds")
    said = "\x1f".join((str(campaign_id or ""), place, team or "", moment, str(nth)))
    value = xxhash.xxh3_64_intdigest(said.encode())
    return value - (1 << 64) if value >= 1 << 63 else value


def store_visits(
    conn: Connection,
    territory_id: int,
    visits: pl.DataFrame,
    batch_id: int | None = None,
    first_batch: int | None = None,
) -> VisitCounts:
    """Merge visits into the store; the territory's lock must be held, the caller commits.

    Parameters
    ----------
    visits : VISIT_SCHEMA, one row a digest.
    batch_id : of the file; None for visits that were typed in.
    first_batch : that of the same file when it was first read, if it was: what has been
        corrected since is left alone then.
    """
    conn.execute(text("DROP TABLE IF EXISTS stage_visit"))
    conn.execute(
        text(
            f"CREATE TEMP TABLE stage_visit ON COMMIT DROP AS SELECT {', '.join(_STORED)}"
            " FROM visit WITH NO DATA"
        )
    )
    copy_frame(
        conn,
        "stage_visit",
        visits.drop("lon", "lat").with_columns(points(visits["lon"], visits["lat"])),
    )
    conn.execute(text("ANALYZE stage_visit (digest)"))
    same = " AND ".join(f"v.{name} IS NOT DISTINCT FROM s.{name}" for name in _TOLD)
    stale = "(CAST(:first AS integer) IS NOT NULL AND coalesce(v.batch_id, :first + 1) > :first)"
    params = {"territory": territory_id, "batch": batch_id, "first": first_batch}
    # All three are served by uq_visit_territory_id_digest.
    known = conn.execute(
        text(
            f"""SELECT count(*) AS known, count(*) FILTER (WHERE {same}) AS same,
                  count(*) FILTER (WHERE NOT ({same}) AND {stale}) AS stale
                FROM stage_visit s JOIN visit v ON v.territory_id = :territory AND v.digest = s.digest"""
        ),
        params,
    ).one()
    updated = known.known - known.same - known.stale
    if updated:
        told = ", ".join(f"{name} = s.{name}" for name in (*_TOLD, "version", "line"))
        conn.execute(
            text(
                f"""UPDATE visit v SET {told}, batch_id = :batch FROM stage_visit s
                    WHERE v.territory_id = :territory AND v.digest = s.digest
                      AND NOT ({same}) AND NOT {stale}"""
            ),
            params,
        )
    accepted = visits.height - known.known
    if accepted:
        names = ", ".join(_STORED)
        conn.execute(
            text(
                f"""INSERT INTO visit (territory_id, batch_id, {names})
                    SELECT :territory, :batch, {", ".join(f"s.{name}" for name in _STORED)} FROM stage_visit s
                    WHERE NOT EXISTS (SELECT FROM visit v
                                      WHERE v.territory_id = :territory AND v.digest = s.digest)"""
            ),
            params,
        )
    if accepted or updated:
        # Counts the data version up; incidents and packed columns stay current.
        conn.execute(text("SELECT rasd_visited(:territory)"), {"territory": territory_id})
    return VisitCounts(accepted, updated, known.same + known.stale, known.stale)


def known_visit(as_of: AsOf | None) -> dict[str, Any]:
    """Values for ``KNOWN_VISIT``."""
    return {"at": None, "known": None} if as_of is None else {"at": as_of.at, "known": as_of.known}


def visits_of(conn: Connection, campaign_id: int) -> tuple[VisitRecord, ...]:
    """All visits of a campaign, oldest first."""
    # Served by ix_visit_campaign_id and pk_element.
    rows = conn.execute(
        text(
            """SELECT v.id, v.campaign_id, v.version, v.area, v.site, v.target, v.team, v.visited_at, v.found,
                 e.code AS element, coalesce(e.name_ar, '') AS name_ar, coalesce(e.name_en, '') AS name_en,
                 v.treated, v.photo, v.note, v.report_id, ST_X(v.geom) AS lon, ST_Y(v.geom) AS lat
               FROM visit v LEFT JOIN element e ON e.id = v.element_id
               WHERE v.campaign_id = :id ORDER BY v.visited_at, v.id"""
        ),
        {"id": campaign_id},
    )
    made = []
    for row in rows:
        values = dict(row._mapping)
        name = Name(values.pop("name_ar"), values.pop("name_en"))
        made.append(VisitRecord(**values, element_name=name))
    return tuple(made)


def hit_rates_of(conn: Connection, campaign_id: int) -> tuple[HitRate, ...]:
    """How often the visits of a campaign found something: in all, by area, team and target."""
    sites = planned(conn, campaign_id).sites
    chance = {key: site.chance for key, site in sites.items()}
    # Served by ix_visit_campaign_id.
    rows = conn.execute(
        text(
            """SELECT area, team, target, site, count(*) AS visits, count(*) FILTER (WHERE found) AS found,
                 count(*) FILTER (WHERE treated) AS treated
               FROM visit WHERE campaign_id = :id GROUP BY area, team, target, site"""
        ),
        {"id": campaign_id},
    ).all()
    tallies: dict[tuple[str, str], list[float]] = {}
    for row in rows:
        expected = chance.get(row.site)
        keys: tuple[tuple[str, str], ...] = (
            ("all", ""),
            ("area", "" if row.area is None else str(row.area)),
            ("team", row.team or ""),
            ("target", row.target or ""),
        )
        for group in keys:
            tally = tallies.setdefault(group, [0, 0, 0, 0.0, 0])
            tally[0] += row.visits
            tally[1] += row.found
            tally[2] += row.treated
            tally[3] += row.visits * (expected or 0.0)
            tally[4] += row.visits if expected is not None else 0
    order = ("all", "area", "team", "target")
    made = []
    for by, key in sorted(tallies, key=lambda k: (order.index(k[0]), not k[1], len(k[1]), k[1])):
        visits, found, treated, hoped, told = tallies[by, key]
        low, high = jeffreys(found, visits)
        made.append(
            HitRate(
                by=by,
                key=key,
                visits=int(visits),
                found=int(found),
                treated=int(treated),
                rate=found / visits,
                low=float(low),
                high=float(high),
                planned=hoped if told == visits else None,
            )
        )
    return tuple(made)


def visited_cells(conn: Connection, campaign_id: int, resolution: int, as_of: AsOf | None = None) -> Cells:
    """H3 cells in which a campaign's visits were, ascending; ``resolution`` at most 12."""
    # Served by ix_visit_campaign_id.
    fine = conn.execute(
        text(
            f"SELECT DISTINCT cell FROM visit v WHERE campaign_id = :id AND cell IS NOT NULL AND {KNOWN_VISIT}"
        ),
        {"id": campaign_id} | known_visit(as_of),
    ).scalars()
    return np.unique(parents(np.array(fine.all(), dtype=np.int64), resolution))
