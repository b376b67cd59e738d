"""Saved plans of campaigns: kept with everything that made them, changed only by adding.

A version of a plan is never altered and nothing is deleted: a changed plan is a new version,
a new status a new event, so that what was approved can be read word for word years later.
The same plan saved again is the same version (digest of the document without the solver's
seconds). Caveat: who approved is not known to the store, which has no sign-in; the note of
an event can say it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import json
from dataclasses import dataclass, replace
from typing import Any, Literal

from sqlalchemy import Connection, text

from data import territories
from data.plan import CampaignPlan, from_json
from data.visits import unknown_campaign
from geo.errors import InputError, StoreError

Status = Literal["proposed", "approved", "running", "done", "withdrawn"]
STATUSES: tuple[Status, ...] = ("proposed", "approved", "running", "done", "withdrawn")
#: Which status may follow which.
STEPS: dict[str, tuple[Status, ...]] = {
    "proposed": ("approved", "withdrawn"),
    "approved": ("running", "withdrawn"),
    "running": ("done", "withdrawn"),
    "done": (),
    "withdrawn": (),
}
#: While it has one of these, a plan may still be changed; an approved one must be approved again.
CHANGEABLE = ("proposed", "approved")
TITLE_MOST = 200


class PlanConflict(StoreError):
    """Somebody else changed the saved plan meanwhile; load it again and decide anew."""


@dataclass(frozen=True, slots=True)
class Saved:
    """One version of a saved plan.

    Attributes
    ----------
    version, latest : of this plan, and the newest there is; ``status`` is the campaign's.
    digest : of the document; two versions with the same digest hold the same plan.
    changed : saving made this version; False: the plan was saved like this already.
    made_at : of the version, UTC; ``created_at`` of the first one.
    """

    id: int
    territory_id: int
    kind: str
    title: str
    status: Status
    version: int
    latest: int
    digest: str
    note: str
    created_at: dt.datetime
    made_at: dt.datetime
    plan: CampaignPlan
    changed: bool = False

    @property
    def next_steps(self) -> tuple[Status, ...]:
        """Statuses that may come next."""
        return STEPS[self.status]


@dataclass(frozen=True, slots=True)
class Listed:
    """A saved plan in a list, its newest version.

    Attributes
    ----------
    areas : of the plan, or its chosen stretches. finds, hours : expected and planned; 0 for axes.
    start, days : first day (None where the terms have none) and working days.
    visits, found : that came back so far.
    """

    id: int
    territory_id: int
    territory: str
    kind: str
    title: str
    status: Status
    version: int
    data_version: int
    simulated: bool
    created_at: dt.datetime
    made_at: dt.datetime
    areas: int
    finds: float
    hours: float
    start: dt.date | None
    days: int | None
    visits: int
    found: int

    def to_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return {name: getattr(self, name) for name in self.__slots__}


@dataclass(frozen=True, slots=True)
class Version:
    """One version in the history of a plan."""

    version: int
    data_version: int
    digest: str
    note: str
    made_at: dt.datetime
    actor: str = ""


@dataclass(frozen=True, slots=True)
class Event:
    """One step in the course of a plan: its status from ``at`` (UTC) on, and of which version."""

    seq: int
    status: Status
    version: int
    note: str
    at: dt.datetime
    actor: str = ""


@dataclass(frozen=True, slots=True)
class History:
    """All versions and all events of a plan, oldest first.

    ``actor`` of each is the name of who did it; "" for a command.
    """

    versions: tuple[Version, ...]
    events: tuple[Event, ...]


def digest_of(plan: CampaignPlan) -> str:
    """SHA-256 of a plan's document, its keys sorted, without the seconds that solving took."""
    document = json.loads(plan.to_json())
    if document.get("proof"):
        del document["proof"]["seconds"]
    said = json.dumps(document, ensure_ascii=False, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(said.encode()).hexdigest()


def save(
    conn: Connection,
    plan: CampaignPlan,
    title: str,
    note: str = "",
    *,
    campaign_id: int | None = None,
    expected: int | None = None,
) -> Saved:
    """Keep a plan: as a new campaign, or as the next version of one; the caller commits.

    Parameters
    ----------
    title : of the campaign, at most 200 signs; a later save may change it.
    note : why this version was made.
    campaign_id : of the campaign whose plan this is; None makes a new one.
    expected : the version that the change was made from; when another one is the newest by
        now, nothing is written.

    Returns
    -------
    Saved. ``changed`` is False where the newest version holds this plan already.

    Raises
    ------
    InputError : no title, no such campaign or territory, another kind of plan, a plan that
        could not be read again, or a campaign that runs, is done or was withdrawn (its plan
        stays what the teams were given).
    PlanConflict : somebody saved another version meanwhile.
    """
    title = _title(title)
    document = plan.to_json()
    from_json(document)  # what could not be read again, such as a number that is not finite, is not kept
    place = territories.find(conn, plan.territory)
    if place is None:
        raise InputError(f"The plan is of the territory '{plan.territory}', which is not in this store.")
    if campaign_id is None:
        return _begun(conn, plan, document, place.id, title, note)
    row = _locked(conn, campaign_id)
    if (row.territory_id, row.kind) != (place.id, plan.kind):
        raise InputError(
            f"Campaign {campaign_id} is of another territory or kind; save this plan as a campaign of its own."
        )
    if expected is not None and expected != row.version:
        raise PlanConflict(
            f"Campaign {campaign_id} has version {row.version} by now, and your change was made from version "
            f"{expected}. Load it again, look at what changed, and save then."
        )
    return _continued(conn, row, plan, document, title, note)


def _begun(
    conn: Connection, plan: CampaignPlan, document: str, territory_id: int, title: str, note: str
) -> Saved:
    """A new campaign with its first version."""
    # Served by pk_campaign.
    made = conn.execute(
        text(
            """INSERT INTO campaign (territory_id, kind, title, version)
               VALUES (:territory, :kind, :title, 1) RETURNING id"""
        ),
        {"territory": territory_id, "kind": plan.kind, "title": title},
    ).scalar_one()
    _write_version(conn, made, 1, plan, document, digest_of(plan), note)
    _write_event(conn, made, "proposed", 1, note)
    return _marked(get(conn, made))


def _continued(conn: Connection, row: Any, plan: CampaignPlan, document: str, title: str, note: str) -> Saved:
    """The next version of a campaign, whose row is held; the newest one where that is the same plan."""
    digest = digest_of(plan)
    # Served by pk_campaign_version.
    newest = conn.execute(
        text("SELECT digest FROM campaign_version WHERE campaign_id = :id AND version = :version"),
        {"id": row.id, "version": row.version},
    ).scalar_one()
    if title != row.title:
        conn.execute(
            text("UPDATE campaign SET title = :title WHERE id = :id"), {"title": title, "id": row.id}
        )
    if newest == digest:
        return get(conn, row.id)
    if row.status not in CHANGEABLE:
        raise InputError(
            f"Campaign {row.id} is {row.status}: its plan stays as it is. Save the changed plan as a new campaign."
        )
    version = row.version + 1
    _write_version(conn, row.id, version, plan, document, digest, note)
    # What was approved is another plan: the new version starts as a proposal.
    conn.execute(
        text("UPDATE campaign SET version = :version, status = 'proposed' WHERE id = :id"),
        {"version": version, "id": row.id},
    )
    _write_event(conn, row.id, "proposed", version, note)
    return _marked(get(conn, row.id))


def get(conn: Connection, campaign_id: int, version: int | None = None) -> Saved:
    """A saved plan, in its newest version or in the one named.

    Raises
    ------
    InputError : there is no such campaign, or no such version of it.
    """
    # Served by pk_campaign and pk_campaign_version.
    row = conn.execute(
        text(
            """SELECT c.id, c.territory_id, c.kind, c.title, c.status, c.version AS latest, c.created_at,
                 v.version, v.digest, v.document::text AS document, v.note, v.made_at
               FROM campaign c LEFT JOIN campaign_version v
                 ON v.campaign_id = c.id AND v.version = coalesce(CAST(:version AS integer), c.version)
               WHERE c.id = :id"""
        ),
        {"id": campaign_id, "version": version},
    ).one_or_none()
    if row is None:
        raise unknown_campaign(campaign_id)
    if row.version is None:
        raise InputError(
            f"Campaign {campaign_id} has versions 1 to {row.latest}; there is no version {version}."
        )
    return Saved(
        id=row.id,
        territory_id=row.territory_id,
        kind=row.kind,
        title=row.title,
        status=row.status,
        version=row.version,
        latest=row.latest,
        digest=row.digest,
        note=row.note or "",
        created_at=row.created_at,
        made_at=row.made_at,
        plan=from_json(row.document),
    )


def get_then(conn: Connection, campaign_id: int, known: dt.datetime | None) -> Saved:
    """A saved plan in the status and version that it had at a moment; None takes the present.

    Raises
    ------
    InputError : there is no such campaign, or there was none yet.
    """
    # Served by pk_campaign_event.
    row = conn.execute(
        text(
            """SELECT version, status FROM campaign_event WHERE campaign_id = :id
                 AND (CAST(:known AS timestamptz) IS NULL OR at <= :known) ORDER BY seq DESC LIMIT 1"""
        ),
        {"id": campaign_id, "known": known},
    ).one_or_none()
    if row is None:
        raise unknown_campaign(campaign_id)
    return replace(get(conn, campaign_id, row.version), status=row.status)


def listed(
    conn: Connection, territory_id: int | None = None, *, statuses: tuple[str, ...] = (), limit: int = 500
) -> tuple[Listed, ...]:
    """Saved plans, newest first: of one territory or of all, with some statuses or with any."""
    # Served by ix_campaign_territory_id, pk_campaign_version and ix_visit_campaign_id.
    rows = conn.execute(
        text(
            """SELECT c.id, c.territory_id, t.code AS territory, c.kind, c.title, c.status, c.version,
                 v.data_version, (v.document->>'simulated')::boolean AS simulated, c.created_at, v.made_at,
                 a.areas + s.areas AS areas, a.finds, a.hours,
                 nullif(v.document->'terms'->>'start', '0001-01-01')::date AS start,
                 (v.document->'terms'->>'days')::integer AS days, w.visits, w.found
               FROM campaign c
               JOIN territory t ON t.id = c.territory_id
               JOIN campaign_version v ON v.campaign_id = c.id AND v.version = c.version
               CROSS JOIN LATERAL (
                 SELECT count(*) AS areas, coalesce(sum((e->>'finds')::float8), 0) AS finds,
                        coalesce(sum((e->>'hours')::float8), 0) AS hours
                 FROM jsonb_array_elements(v.document->'areas') e) a
               CROSS JOIN LATERAL (
                 SELECT count(*) AS areas FROM jsonb_array_elements(v.document->'stretches') e
                 WHERE (e->>'chosen')::boolean) s
               CROSS JOIN LATERAL (
                 SELECT count(*) AS visits, count(*) FILTER (WHERE x.found) AS found
                 FROM visit x WHERE x.campaign_id = c.id) w
               WHERE (CAST(:territory AS integer) IS NULL OR c.territory_id = :territory)
                 AND (:any_status OR c.status = ANY(:statuses))
               ORDER BY c.created_at DESC, c.id DESC LIMIT :limit"""
        ),
        {
            "territory": territory_id,
            "any_status": not statuses,
            "statuses": list(statuses),
            "limit": limit,
        },
    )
    return tuple(Listed(**row._mapping) for row in rows)


def history(conn: Connection, campaign_id: int) -> History:
    """Every version and every event of a campaign.

    Raises
    ------
    InputError : there is no such campaign.
    """
    # Served by pk_campaign_version and pk_campaign_event.
    versions = conn.execute(
        text(
            """SELECT v.version, v.data_version, v.digest, coalesce(v.note, '') AS note, v.made_at,
                      coalesce(a.name, '') AS actor
               FROM campaign_version v LEFT JOIN rasd_campaign_actors(:id) a ON a.id = v.actor_id
               WHERE v.campaign_id = :id ORDER BY v.version"""
        ),
        {"id": campaign_id},
    ).all()
    if not versions:
        raise unknown_campaign(campaign_id)
    events = conn.execute(
        text(
            """SELECT e.seq, e.status, e.version, coalesce(e.note, '') AS note, e.at,
                      coalesce(a.name, '') AS actor
               FROM campaign_event e LEFT JOIN rasd_campaign_actors(:id) a ON a.id = e.actor_id
               WHERE e.campaign_id = :id ORDER BY e.seq"""
        ),
        {"id": campaign_id},
    ).all()
    return History(
        tuple(Version(**row._mapping) for row in versions), tuple(Event(**row._mapping) for row in events)
    )


def change_status(
    conn: Connection,
    campaign_id: int,
    to: str,
    note: str = "",
    *,
    version: int | None = None,
    status: str | None = None,
) -> Saved:
    """Take a campaign one step further; the caller commits.

    Parameters
    ----------
    to : the next status; ``STEPS`` says which may follow which.
    version, status : what the person saw who decided; where the store has another one by now,
        nothing is written.

    Raises
    ------
    InputError : no such campaign or status, or the step is not allowed.
    PlanConflict : version or status changed meanwhile.
    """
    if to not in STATUSES:
        raise InputError(f"'{to}' is no status of a campaign; use one of {', '.join(STATUSES)}.")
    row = _locked(conn, campaign_id)
    if (version is not None and version != row.version) or (status is not None and status != row.status):
        raise PlanConflict(
            f"Campaign {campaign_id} is {row.status} in version {row.version} by now; you decided on "
            f"{status or row.status} in version {version or row.version}. Load it again and decide then."
        )
    if to not in STEPS[row.status]:
        allowed = ", ".join(STEPS[row.status]) or "nothing: this is its end"
        raise InputError(f"Campaign {campaign_id} is {row.status}; what may follow is {allowed}, not {to}.")
    conn.execute(
        text("UPDATE campaign SET status = :status WHERE id = :id"), {"status": to, "id": campaign_id}
    )
    _write_event(conn, campaign_id, to, row.version, note)
    return _marked(get(conn, campaign_id))


def _locked(conn: Connection, campaign_id: int) -> Any:
    """The campaign's row, held until the transaction ends: two changes at once come one by one."""
    # Served by pk_campaign.
    row = conn.execute(
        text("SELECT id, territory_id, kind, title, status, version FROM campaign WHERE id = :id FOR UPDATE"),
        {"id": campaign_id},
    ).one_or_none()
    if row is None:
        raise unknown_campaign(campaign_id)
    return row


def _write_version(
    conn: Connection,
    campaign_id: int,
    version: int,
    plan: CampaignPlan,
    document: str,
    digest: str,
    note: str,
) -> None:
    conn.execute(
        text(
            """INSERT INTO campaign_version (campaign_id, version, data_version, digest, document, note)
               VALUES (:id, :version, :data, :digest, CAST(:document AS jsonb), nullif(:note, ''))"""
        ),
        {
            "id": campaign_id,
            "version": version,
            "data": plan.data_version,
            "digest": digest,
            "document": document,
            "note": _storable(note),
        },
    )


def _write_event(conn: Connection, campaign_id: int, status: str, version: int, note: str) -> None:
    # clock_timestamp(): two steps of one transaction have two times. Served by pk_campaign_event.
    conn.execute(
        text(
            """INSERT INTO campaign_event (campaign_id, seq, status, version, note, at)
               SELECT :id, coalesce(max(seq), 0) + 1, :status, :version, nullif(:note, ''), clock_timestamp()
               FROM campaign_event WHERE campaign_id = :id"""
        ),
        {"id": campaign_id, "status": status, "version": version, "note": _storable(note)},
    )


def _marked(saved: Saved) -> Saved:
    return Saved(**{name: getattr(saved, name) for name in saved.__slots__} | {"changed": True})


def _title(title: str) -> str:
    said = " ".join(_storable(title).split())
    if not 0 < len(said) <= TITLE_MOST:
        raise InputError(f"A saved plan needs a title of at most {TITLE_MOST} signs.")
    return said


def _storable(said: str) -> str:
    """Without NUL, which PostgreSQL cannot hold."""
    return said.replace("\x00", "␀")
