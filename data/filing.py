"""Filing a report: where it lies, who gets it, and one transaction that keeps all of it.

A report filed here belongs to the source ``rasd`` of its territory and gets a reference such
as R-2026-000123; number, time, areas and flags are set by the trigger in
``data/guard/3_filing.sql``, whatever the client says. Element, rule, photos and note go into
its first event (``Action.FILE``). Sent twice with one key it is one report. Caveat: a point
up to 2 km outside the study area is taken and waits in the queue of reports without an area.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from data import actions, photos, routing
from data.life import Action, Role
from data.settings import settings
from data.vocabulary import LEVELS, Channel, Precision, Status
from geo.cells import cells_of
from geo.errors import InputError, Refused
from geo.locate import NEAR_METRES

NOTE_MOST = 4000
CONTACT_MOST = 120
_KEY_MOST = 200
#: Through which channel a role's reports come, where the filing does not say.
CHANNELS = {
    Role.CALL_CENTRE: Channel.CALL_CENTRE,
    Role.INSPECTOR: Channel.INSPECTOR,
    Role.SUPERVISOR: Channel.STAFF,
}
_UNIQUE, _NO_RIGHT = "23505", "42501"


@dataclass(frozen=True, slots=True)
class Filing:
    """What somebody reports.

    Attributes
    ----------
    lon, lat : decimal degrees, EPSG:4326.
    key : chosen by the client for this filing; sent again with it, nothing new is made.
    element_id : None when the reporter cannot say: somebody classifies it.
    severity : 1 (low) to 5. quantity : in the element's unit, above 0.
    photos : at most 20, from ``data.photos.prepare``.
    channel : None for the usual one of the role (CHANNELS).
    contact_name, contact_phone : kept only where RASD_KEEP_CONTACTS says so.
    """

    territory_id: int
    lon: float
    lat: float
    key: str
    element_id: int | None = None
    severity: int | None = None
    quantity: float | None = None
    note: str = ""
    photos: tuple[photos.Photo, ...] = ()
    channel: Channel | None = None
    contact_name: str = ""
    contact_phone: str = ""


@dataclass(frozen=True, slots=True)
class Filed:
    """A report that was filed; ``again`` when this filing had been taken before."""

    report_id: int
    reference: str
    again: bool = False


@dataclass(frozen=True, slots=True)
class AreaName:
    """An area that holds a place."""

    id: int
    level: str
    name_ar: str
    name_en: str


@dataclass(frozen=True, slots=True)
class Spot:
    """What the store knows of a place before anything is filed there.

    Attributes
    ----------
    areas : current areas that hold it, the largest first.
    inside : within the study area, or no areas are loaded.
    metres : to the study area, where it lies outside.
    open : whether a report filed here would be open to the user.
    """

    areas: tuple[AreaName, ...]
    inside: bool
    metres: float
    open: bool

    @property
    def near(self) -> bool:
        """Whether a report is taken here: inside, or at most 2 km outside."""
        return self.inside or self.metres <= NEAR_METRES

    def area(self, level: str) -> AreaName | None:
        """The area of a level, the smallest where several hold the place."""
        return next((area for area in reversed(self.areas) if area.level == level), None)


def spot(conn: Connection, territory_id: int, lon: float, lat: float) -> Spot:
    """Where a place lies, by the same rule as the trigger: the smallest of areas that overlap.

    Raises
    ------
    InputError : it is no place on Earth.
    """
    _cell(lon, lat)
    params = {"territory": territory_id, "lon": lon, "lat": lat}
    point = "ST_SetSRID(ST_MakePoint(:lon, :lat), 4326)"
    # Served by ix_area_current; a territory has some hundred areas.
    rows = conn.execute(
        text(
            f"""SELECT id, level, name_ar, name_en FROM area WHERE territory_id = :territory
                AND valid_to IS NULL AND ST_Covers(geom, {point}) ORDER BY ST_Area(geom) DESC, id DESC"""
        ),
        params,
    )
    areas = tuple(AreaName(*row) for row in rows)
    # Served by pk_territory; the distance is worked out for points outside only.
    ground = conn.execute(
        text(
            f"""SELECT inside, CASE WHEN inside THEN 0 ELSE
                  ST_Distance(ST_Segmentize(study_area, 0.05)::geography, {point}::geography) END AS metres,
                  rasd_may_file(id, CAST(:areas AS integer[])) AS open
                FROM (SELECT id, study_area, coalesce(ST_Covers(study_area, {point}), true) AS inside
                      FROM territory WHERE id = :territory) t"""
        ),
        params | {"areas": [area.id for area in areas]},
    ).one_or_none()
    if ground is None:
        raise Refused(f"There is no territory {territory_id} that is open to you.")
    return Spot(areas, bool(ground.inside), float(ground.metres), bool(ground.open))


def file_report(conn: Connection, filing: Filing) -> Filed:
    """Keep a report, its photos and its first event, as the signed-in user; the caller commits.

    Raises
    ------
    InputError : something is wrong with it; all faults are told at once. A photo beyond the
        limit of a day is ``data.photos.PhotoRefused``.
    Refused : the role may not file, or the place is not within the user's areas.
    """
    who, role = _who(conn)
    cell = _checked(conn, filing)
    content = _content(who, filing)
    before = _filed_before(conn, filing.territory_id, content)
    if before is not None:
        return before
    if filing.photos:
        photos.write(conn, filing.photos)  # before the number is drawn, whose lock others wait for
    try:
        with conn.begin_nested():
            row = _insert(conn, filing, cell, content, filing.channel or CHANNELS.get(role, Channel.STAFF))
    except DBAPIError as error:
        if getattr(error.orig, "sqlstate", "") == _UNIQUE:
            # The other click was quicker; its report is there now.
            before = _filed_before(conn, filing.territory_id, content)
            if before is not None:
                return before
        raise _told(error) from error
    detail = _detail(conn, filing, row)
    for photo in filing.photos:
        photos.store(conn, row.id, photo)
    actions.act(conn, row.id, Action.FILE, 0, detail)
    _keep_contact(conn, row.id, filing)
    return Filed(row.id, row.reference)


def _who(conn: Connection) -> tuple[int, Role]:
    """Id and role of the signed-in user, as the database sees them."""
    row = conn.execute(text("SELECT rasd_principal_id() AS id, current_setting('role') AS role")).one()
    if row.id is None:
        raise Refused("Sign in to file a report.")
    return int(row.id), Role(row.role.removeprefix("rasd_"))


def _cell(lon: float, lat: float) -> int:
    cell = int(cells_of(np.array([lon]), np.array([lat]))[0])
    if not cell:
        raise InputError(f"{lon}, {lat} is no place on Earth.")
    return cell


def _checked(conn: Connection, filing: Filing) -> int:
    """The cell of a filing; raises with everything that is wrong with it."""
    cell, faults = 0, []
    try:
        cell = _cell(filing.lon, filing.lat)
    except InputError as error:
        faults.append(str(error).rstrip("."))
    if not 0 < len(filing.key) <= _KEY_MOST:
        faults.append(f"its key has {len(filing.key)} characters, not 1 to {_KEY_MOST}")
    if filing.severity is not None and filing.severity not in range(1, 6):
        faults.append(f"severity {filing.severity} is not from 1 to 5")
    if filing.quantity is not None and not 0 < filing.quantity <= 1e9:
        faults.append(f"quantity {filing.quantity} is not above 0")
    if len(filing.note) > NOTE_MOST:
        faults.append(f"the note is longer than {NOTE_MOST:,} characters")
    if len(filing.photos) > 20:
        faults.append(f"{len(filing.photos)} photos are more than 20")
    if max(len(filing.contact_name), len(filing.contact_phone)) > CONTACT_MOST:
        faults.append(f"name or phone is longer than {CONTACT_MOST} characters")
    # Served by pk_element.
    if filing.element_id is not None and not conn.scalar(
        text("SELECT EXISTS (SELECT FROM element WHERE id = :id)"), {"id": filing.element_id}
    ):
        faults.append(f"there is no element {filing.element_id}")
    if faults:
        raise InputError("The report cannot be filed: " + "; ".join(faults) + ".")
    return cell


def _content(who: int, filing: Filing) -> int:
    """64 bits of who filed with which key, never 0: what tells a second click from a second report."""
    said = f"{who}\x1f{filing.territory_id}\x1f{filing.key}".encode()
    return int.from_bytes(hashlib.blake2b(said, digest_size=8).digest(), signed=True) or 1


def _filed_before(conn: Connection, territory_id: int, content: int) -> Filed | None:
    # Served by uq_report_filed.
    row = conn.execute(
        text(
            """SELECT id, reference FROM report
               WHERE territory_id = :territory AND content = :content AND batch_id IS NULL AND content <> 0"""
        ),
        {"territory": territory_id, "content": content},
    ).one_or_none()
    return None if row is None else Filed(row.id, row.reference, again=True)


def _insert(conn: Connection, filing: Filing, cell: int, content: int, channel: Channel) -> Any:
    """The row; reference, source, time, areas and flags are the trigger's."""
    return conn.execute(
        text(
            f"""INSERT INTO report (territory_id, cell, geom, precision, element_id, severity, quantity, unit,
                  channel, status, flags, opened_at, source_id, reference, content)
                VALUES (:territory, :cell, ST_SetSRID(ST_MakePoint(:lon, :lat), 4326), :point, :element,
                  :severity, :quantity, (SELECT work_unit FROM element WHERE id = :element), :channel,
                  :received, 0, now(), 0, '', :content)
                RETURNING id, reference, opened_at, {", ".join(f"{level}_id" for level in LEVELS)}"""
        ),
        {
            "territory": filing.territory_id,
            "cell": cell,
            "lon": filing.lon,
            "lat": filing.lat,
            "point": int(Precision.POINT),
            "element": filing.element_id,
            "severity": filing.severity,
            "quantity": filing.quantity,
            "channel": int(channel),
            "received": int(Status.RECEIVED),
            "content": content,
        },
    ).one()


def _detail(conn: Connection, filing: Filing, row: Any) -> Mapping[str, Any]:
    """What the first event carries."""
    detail: dict[str, Any] = {
        "element_id": filing.element_id,
        "severity": filing.severity,
        "quantity": filing.quantity,
        "note": filing.note.replace("\x00", "␀").strip(),
        "photos": list(dict.fromkeys(photo.digest for photo in filing.photos)),
    }
    found = routing.route(
        conn,
        filing.territory_id,
        filing.element_id,
        areas=[found for level in LEVELS if (found := getattr(row, f"{level}_id")) is not None],
        at=row.opened_at,
    )
    if found is not None:
        due = None if found.due_at is None else found.due_at.isoformat()
        detail |= {"agency_id": found.party_id, "rule_id": found.rule_id, "due_at": due}
    return {key: value for key, value in detail.items() if value not in (None, "", [])}


def _keep_contact(conn: Connection, report_id: int, filing: Filing) -> None:
    name, phone = filing.contact_name.strip(), filing.contact_phone.strip()
    if not settings().keep_contacts or not (name or phone):
        return
    conn.execute(
        text("INSERT INTO report_contact (report_id, name, phone) VALUES (:report, :name, :phone)"),
        {"report": report_id, "name": name or None, "phone": phone or None},
    )


def _told(error: DBAPIError) -> Exception:
    """What the database refused, as one of our errors; anything else stays what it is."""
    code = getattr(error.orig, "sqlstate", "") or ""
    said = str(error.orig).partition("\n")[0].removeprefix("ERROR: ").strip()
    if code == "RS400":
        return InputError(f"The report cannot be filed: {said}.")
    if code == _NO_RIGHT:
        return Refused(
            "The report cannot be filed: your role may not, or the place is not within your areas."
        )
    return error
