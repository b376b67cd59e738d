"""The schema of the store, as GeoAlchemy2 models.

Source of truth for the migrations: a test fails when autogenerate finds a difference.
Fixed-width columns of ``report`` come first, because PostgreSQL reads a tuple from left
to right and the map's scan touches only those. Codes are in ``data/vocabulary.py``.
Storage CRS is EPSG:4326.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from geoalchemy2 import Geometry
from sqlalchemy import (
    REAL,
    BigInteger,
    Boolean,
    CheckConstraint,
    DateTime,
    Double,
    ForeignKey,
    Identity,
    Index,
    Integer,
    LargeBinary,
    MetaData,
    SmallInteger,
    Text,
    UniqueConstraint,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, JSON, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column

from data.vocabulary import FINAL, LEVELS, Status

NAMES = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s",
    "pk": "pk_%(table_name)s",
}
# Ends at which nobody can take a further step; a referral still waits for its answer.
_ENDED = ", ".join(str(int(status)) for status in sorted(FINAL - {Status.REFERRED}))
_LEVEL_CHECK = "level IN (" + ", ".join(f"'{level}'" for level in LEVELS) + ")"


class Base(DeclarativeBase):
    metadata = MetaData(naming_convention=NAMES)
    type_annotation_map = {  # noqa: RUF012
        str: Text,
        dt.datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[str]: ARRAY(Text),
    }


class StoreNote(Base):
    """What the store remembers about itself, such as the digest of its reference files."""

    __tablename__ = "store_note"
    key: Mapped[str] = mapped_column(primary_key=True)
    value: Mapped[str]


class Territory(Base):
    """A city or region with a study area of its own."""

    __tablename__ = "territory"
    id: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    code: Mapped[str] = mapped_column(unique=True)
    name_ar: Mapped[str]
    name_en: Mapped[str]
    timezone: Mapped[str] = mapped_column(server_default="Asia/Riyadh")
    simulated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    # Grows by one with every change that a screen could show: the key of all caches.
    data_version: Mapped[int] = mapped_column(BigInteger, server_default=text("0"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    # Union of the current areas; NULL while none are loaded (then nothing is "outside").
    study_area: Mapped[Any | None] = mapped_column(Geometry("MULTIPOLYGON", srid=4326))


class AreaSet(Base):
    """One load of boundaries of one level."""

    __tablename__ = "area_set"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), index=True)
    level: Mapped[str]
    file_name: Mapped[str]
    file_digest: Mapped[str]
    # Derived for a demonstration, not official: said wherever they are drawn.
    illustrative: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    read: Mapped[int]
    accepted: Mapped[int]
    repaired: Mapped[int]
    overlap_km2: Mapped[float] = mapped_column(Double)
    gap_km2: Mapped[float] = mapped_column(Double)
    notes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    valid_from: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    valid_to: Mapped[dt.datetime | None]
    __table_args__ = (CheckConstraint(_LEVEL_CHECK, name="level"),)


class Area(Base):
    """One boundary. Current while ``valid_to`` is NULL; old ones stay for history."""

    __tablename__ = "area"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    area_set_id: Mapped[int] = mapped_column(ForeignKey("area_set.id"), index=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"))
    parent_id: Mapped[int | None] = mapped_column(ForeignKey("area.id"), index=True)
    level: Mapped[str]
    code: Mapped[str | None]  # the file's own code
    ministry_code: Mapped[str | None]
    iso_code: Mapped[str | None]
    name_ar: Mapped[str]
    name_en: Mapped[str]
    # Folded spellings that a report may use for this area (see ingest/text.py).
    folded_names: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    area_km2: Mapped[float] = mapped_column(Double)
    valid_from: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    valid_to: Mapped[dt.datetime | None]
    geom: Mapped[Any] = mapped_column(Geometry("MULTIPOLYGON", srid=4326))
    __table_args__ = (
        CheckConstraint(_LEVEL_CHECK, name="level"),
        Index("ix_area_current", "territory_id", "level", postgresql_where=text("valid_to IS NULL")),
    )


class Element(Base):
    """One element of the urban-scene taxonomy, in one version of it."""

    __tablename__ = "element"
    id: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    version: Mapped[str]
    code: Mapped[str]
    group_code: Mapped[str]
    group_ar: Mapped[str]
    group_en: Mapped[str]
    name_ar: Mapped[str]
    name_en: Mapped[str]
    responsible: Mapped[str | None]
    work_unit: Mapped[str | None]
    vpi_units_per_report: Mapped[float] = mapped_column(Double, server_default=text("1"))
    management_group: Mapped[str | None]
    source: Mapped[str]
    __table_args__ = (UniqueConstraint("version", "code"),)


class ElementAlias(Base):
    """Another wording of an element, seen in real files."""

    __tablename__ = "element_alias"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    element_id: Mapped[int] = mapped_column(ForeignKey("element.id"))
    alias: Mapped[str]
    source: Mapped[str]
    __table_args__ = (UniqueConstraint("element_id", "alias"),)


class Gazetteer(Base):
    """A published place name: amana, governorate, municipality or neighbourhood."""

    __tablename__ = "gazetteer"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    kind: Mapped[str]
    code: Mapped[str | None]
    iso_code: Mapped[str | None]
    name_ar: Mapped[str]
    name_en: Mapped[str]
    parent: Mapped[str | None]  # as the source says: a region, an amana's id, a governorate
    locality: Mapped[str | None]
    area_km2: Mapped[float | None] = mapped_column(Double)
    note: Mapped[str | None]
    source: Mapped[str]
    point: Mapped[Any | None] = mapped_column(Geometry("POINT", srid=4326))
    __table_args__ = (
        CheckConstraint("kind IN ('amana', 'governorate', 'municipality', 'neighbourhood')", name="kind"),
    )


class Source(Base):
    """A system that sends reports to a territory. A report's key is source + reference."""

    __tablename__ = "source"
    id: Mapped[int] = mapped_column(SmallInteger, Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"))
    code: Mapped[str]
    title: Mapped[str]
    __table_args__ = (UniqueConstraint("territory_id", "code"),)


class SourceType(Base):
    """A type as its source names it; ``element_id`` where it maps to the taxonomy."""

    __tablename__ = "source_type"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"))
    name: Mapped[str]
    element_id: Mapped[int | None] = mapped_column(ForeignKey("element.id"))
    method: Mapped[int] = mapped_column(SmallInteger)  # vocabulary.Classified
    score: Mapped[float | None] = mapped_column(REAL)
    suggestions: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    __table_args__ = (UniqueConstraint("source_id", "name"),)


class Batch(Base):
    """One finished run of the ingest over one file."""

    __tablename__ = "batch"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), index=True)
    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"))
    profile: Mapped[str]
    file_name: Mapped[str]
    file_digest: Mapped[str]
    simulated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    started_at: Mapped[dt.datetime]
    finished_at: Mapped[dt.datetime | None]
    read: Mapped[int] = mapped_column(server_default=text("0"))
    accepted: Mapped[int] = mapped_column(server_default=text("0"))
    updated: Mapped[int] = mapped_column(server_default=text("0"))
    unchanged: Mapped[int] = mapped_column(server_default=text("0"))
    quarantined: Mapped[int] = mapped_column(server_default=text("0"))
    located: Mapped[int] = mapped_column(server_default=text("0"))
    seconds: Mapped[float] = mapped_column(Double, server_default=text("0"))
    # Headers of the kept columns, in the order of the values in report_raw.row.
    columns: Mapped[list[str]] = mapped_column(server_default=text("'{}'"))
    notes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    __table_args__ = (
        CheckConstraint("read = accepted + updated + unchanged + quarantined", name="counts_add_up"),
    )


class Report(Base):
    """One report. Fixed-width columns first; the landed row is in ``report_raw``."""

    __tablename__ = "report"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    cell: Mapped[int | None] = mapped_column(BigInteger)  # H3, resolution 12
    opened_at: Mapped[dt.datetime]
    territory_id: Mapped[int] = mapped_column(SmallInteger)
    element_id: Mapped[int | None] = mapped_column(SmallInteger)
    status: Mapped[int] = mapped_column(SmallInteger)
    channel: Mapped[int] = mapped_column(SmallInteger)
    type_id: Mapped[int | None]
    flags: Mapped[int] = mapped_column(server_default=text("0"))
    municipality_id: Mapped[int | None]
    district_id: Mapped[int | None]
    governorate_id: Mapped[int | None]
    amana_id: Mapped[int | None]
    region_id: Mapped[int | None]
    precision: Mapped[int] = mapped_column(SmallInteger)
    severity: Mapped[int | None] = mapped_column(SmallInteger)
    source_id: Mapped[int] = mapped_column(SmallInteger)
    closed_at: Mapped[dt.datetime | None]
    due_at: Mapped[dt.datetime | None]
    status_at: Mapped[dt.datetime | None]
    content: Mapped[int] = mapped_column(BigInteger)  # digest of what the source said
    # The batch of the last change; with `line` the key of report_raw. NULL: filed in Rasd.
    batch_id: Mapped[int | None]
    line: Mapped[int | None]
    quantity: Mapped[float | None] = mapped_column(Double)
    # Keyed digest of who reported, where a source says it; never the person's own id.
    reporter: Mapped[int | None] = mapped_column(BigInteger)
    # Compared byte by byte: the unique index is built three times faster than by locale.
    reference: Mapped[str] = mapped_column(Text(collation="C"))
    unit: Mapped[str | None]
    agency: Mapped[str | None]  # as the source writes it; who it is: agency_id
    contractor: Mapped[str | None]
    notes: Mapped[dict[str, Any] | None]  # proposals and conflicts, by code
    geom: Mapped[Any | None] = mapped_column(Geometry("POINT", srid=4326, spatial_index=False))
    # party.id of the responsible department or entity, and of who does the work.
    agency_id: Mapped[int | None]
    contractor_id: Mapped[int | None]
    rule_id: Mapped[int | None]  # routing_rule.id that decided
    duplicate_of: Mapped[int | None] = mapped_column(BigInteger)
    # When the store learned of it; NULL: before that was kept, so it counts as always known.
    recorded_at: Mapped[dt.datetime | None] = mapped_column(server_default=text("statement_timestamp()"))
    __table_args__ = (
        UniqueConstraint("source_id", "reference"),
        Index("ix_report_opened", "territory_id", "opened_at"),
        Index("ix_report_cell", "territory_id", "cell"),
        Index("ix_report_geom", "geom", postgresql_using="gist"),
        # What can still go on is a small part of all reports. The inbox reads only this index: it
        # holds every column that its questions and the policy on reports name.
        Index(
            "ix_report_waiting",
            "territory_id",
            "status",
            "due_at",
            postgresql_include=[
                "id",
                "severity",
                "opened_at",
                "element_id",
                "cell",
                "municipality_id",
                "district_id",
                "governorate_id",
                "amana_id",
                "region_id",
                "agency_id",
                "contractor_id",
            ],
            postgresql_where=text(f"status NOT IN ({_ENDED})"),
        ),
        Index("ix_report_referred", "agency_id", postgresql_where=text(f"status = {int(Status.REFERRED)}")),
        Index("ix_report_contractor_id", "contractor_id", postgresql_where=text("contractor_id IS NOT NULL")),
        Index("ix_report_duplicate_of", "duplicate_of", postgresql_where=text("duplicate_of IS NOT NULL")),
        # Of a report filed here, `content` says who filed it with which key: once only.
        Index(
            "uq_report_filed",
            "territory_id",
            "content",
            unique=True,
            postgresql_where=text("batch_id IS NULL AND content <> 0"),
        ),
    )


class ReportRaw(Base):
    """Landed rows in blocks of some hundred, personal fields dropped.

    ``rows`` is a JSON array of arrays of texts, headers in ``batch.columns``; ``lines``
    says which line each came from. In blocks, because PostgreSQL then compresses them to
    a tenth and a million rows land in a third of the time. ``data/landing.py`` gives the
    row of a report as an object.
    """

    __tablename__ = "report_raw"
    batch_id: Mapped[int] = mapped_column(Integer, primary_key=True)
    first_line: Mapped[int] = mapped_column(Integer, primary_key=True)
    last_line: Mapped[int]
    lines: Mapped[list[int]] = mapped_column(ARRAY(Integer))
    # JSON and not JSONB: a block is read as a whole, and landing is a third faster.
    rows: Mapped[Any] = mapped_column(JSON)


class ReportEvent(Base):
    """Append-only history of a report after its opening, which is ``report.opened_at``.

    ``data/events.py`` derives the current status from it: the last event, or "received"
    while there is none. Events of a batch are what a source told; those without one were
    made in Rasd, and a trigger holds them to ``data/life.py``.
    """

    __tablename__ = "report_event"
    report_id: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    seq: Mapped[int] = mapped_column(SmallInteger, primary_key=True)
    status: Mapped[int] = mapped_column(SmallInteger)
    batch_id: Mapped[int | None]
    at: Mapped[dt.datetime | None]  # when it happened, if the source says
    action: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))  # data.life.Action
    actor_id: Mapped[int | None]  # principal.id
    # When the store learned of it: a past month is asked for as it was known then.
    recorded_at: Mapped[dt.datetime] = mapped_column(server_default=text("statement_timestamp()"))
    detail: Mapped[dict[str, Any] | None]  # keys of data.life.DETAILS
    __table_args__ = (
        # What was done in Rasd since a moment; imports count up the data version instead.
        Index("ix_report_event_recorded", "recorded_at", postgresql_where=text("batch_id IS NULL")),
        # What somebody filed (action 1), for their own list.
        Index("ix_report_event_filed", "actor_id", "recorded_at", postgresql_where=text("action = 1")),
        # What somebody has taken a step on.
        Index(
            "ix_report_event_actor_id", "actor_id", "report_id", postgresql_where=text("actor_id IS NOT NULL")
        ),
    )


class Quarantine(Base):
    """A refused row, whole, with every reason."""

    __tablename__ = "quarantine"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"), index=True)
    line: Mapped[int]
    reasons: Mapped[list[str]]
    # One entry a reason: {"code", "column", "value", "proposal"}.
    details: Mapped[Any] = mapped_column(JSONB)
    row: Mapped[dict[str, Any]]
    reference: Mapped[str | None]
    digest: Mapped[int] = mapped_column(BigInteger)  # of the row: the same row is kept once
    # Set when a later batch brought the same row (source + reference) and it was taken.
    resolved_by: Mapped[int | None] = mapped_column(ForeignKey("batch.id"))


class ReportColumn(Base):
    """One column of a territory's reports as packed numbers, for questions about all of them.

    Written by ``data/columns.py`` from ``report``, valid while ``data_version`` is the
    territory's; ``report`` stays the truth.
    """

    __tablename__ = "report_column"
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), primary_key=True)
    name: Mapped[str] = mapped_column(primary_key=True)
    data_version: Mapped[int] = mapped_column(BigInteger)
    data: Mapped[bytes] = mapped_column(LargeBinary)
    made_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))


class DefaultPoint(Base):
    """A point on which reports of many kinds pile up: a geocoder's default, not a place."""

    __tablename__ = "default_point"
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), primary_key=True)
    lon: Mapped[float] = mapped_column(Double, primary_key=True)
    lat: Mapped[float] = mapped_column(Double, primary_key=True)
    reports: Mapped[int]
    kinds: Mapped[int]
    batch_id: Mapped[int] = mapped_column(ForeignKey("batch.id"))


class ExposureSet(Base):
    """One load of what reports are measured against: people, buildings, roads, or water."""

    __tablename__ = "exposure_set"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"))
    kind: Mapped[str]
    label: Mapped[str]
    unit: Mapped[str]
    # Made up for a demonstration: said wherever a rate is shown.
    simulated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    file_name: Mapped[str]
    file_digest: Mapped[str]
    resolution: Mapped[int] = mapped_column(SmallInteger)
    cells: Mapped[int]
    total: Mapped[float] = mapped_column(Double)
    notes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    valid_from: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    valid_to: Mapped[dt.datetime | None]
    __table_args__ = (
        Index(
            "ix_exposure_set_current",
            "territory_id",
            "kind",
            unique=True,
            postgresql_where=text("valid_to IS NULL"),
        ),
    )


class ExposureCell(Base):
    """Exposure of one H3 cell, at the resolution of its set."""

    __tablename__ = "exposure_cell"
    set_id: Mapped[int] = mapped_column(ForeignKey("exposure_set.id"), primary_key=True)
    cell: Mapped[int] = mapped_column(BigInteger, primary_key=True)
    value: Mapped[float] = mapped_column(Double)


class Incident(Base):
    """Reports of one kind that are near each other in space and time: one thing, many reports."""

    __tablename__ = "incident"
    # That of its first report: it stays the same when incidents are found anew.
    id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    territory_id: Mapped[int] = mapped_column(SmallInteger)
    cell: Mapped[int] = mapped_column(BigInteger)  # of its first report, resolution 12
    first_at: Mapped[dt.datetime]
    last_at: Mapped[dt.datetime]
    closed_at: Mapped[dt.datetime | None]  # see geo/incidents.py; NULL while it is open
    element_id: Mapped[int | None] = mapped_column(SmallInteger)
    type_id: Mapped[int | None]
    reports: Mapped[int]
    lon: Mapped[float] = mapped_column(Double)
    lat: Mapped[float] = mapped_column(Double)


class ReportIncident(Base):
    """The incident and the place of a report; its first report (``lead``) has the incident's id.

    A place is where incidents of one kind lie close together whenever they happened
    (``geo.incidents.places``); it has the id of its first incident. Reports without a point
    have no row.
    """

    __tablename__ = "report_incident"
    report_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    incident_id: Mapped[int] = mapped_column(BigInteger)
    place_id: Mapped[int] = mapped_column(BigInteger)
    lead: Mapped[bool] = mapped_column(Boolean)
    __table_args__ = (
        Index("ix_report_incident_incident_id", "incident_id", postgresql_where=text("NOT lead")),
    )


class IncidentRun(Base):
    """When the incidents of a territory were found, for which data and with which settings."""

    __tablename__ = "incident_run"
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), primary_key=True)
    data_version: Mapped[int] = mapped_column(BigInteger)
    settings: Mapped[dict[str, Any]]
    reports: Mapped[int]
    incidents: Mapped[int]
    seconds: Mapped[float] = mapped_column(Double)
    finished_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))


class Analysis(Base):
    """The result of a long computation, kept while the territory's data version is its own."""

    __tablename__ = "analysis"
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), primary_key=True)
    kind: Mapped[str] = mapped_column(primary_key=True)
    key: Mapped[str] = mapped_column(primary_key=True)  # digest of the question and its settings
    data_version: Mapped[int] = mapped_column(BigInteger)
    made_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    result: Mapped[dict[str, Any]]


class RoadSet(Base):
    """One load of road lines; one is current, older ones keep their row without roads."""

    __tablename__ = "road_set"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"))
    label: Mapped[str]
    simulated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    file_name: Mapped[str]
    file_digest: Mapped[str]
    read: Mapped[int]
    accepted: Mapped[int]
    km: Mapped[float] = mapped_column(Double)
    notes: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    valid_from: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    valid_to: Mapped[dt.datetime | None]
    __table_args__ = (
        Index(
            "ix_road_set_current",
            "territory_id",
            unique=True,
            postgresql_where=text("valid_to IS NULL"),
        ),
    )


class Road(Base):
    """One line between two ends, as its source gives it (multi-part lines are taken apart)."""

    __tablename__ = "road"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    set_id: Mapped[int] = mapped_column(ForeignKey("road_set.id"), index=True)
    name_ar: Mapped[str | None]
    name_en: Mapped[str | None]
    ref: Mapped[str | None]  # route number
    road_class: Mapped[str]  # geo.roads.CLASSES, from OSM's highway tag or the source's own
    source_class: Mapped[str | None]
    direction: Mapped[int] = mapped_column(SmallInteger)  # 0 both ways, 1 along the line, -1 against it
    length_m: Mapped[float] = mapped_column(Double)
    geom: Mapped[Any] = mapped_column(Geometry("LINESTRING", srid=4326))


class Campaign(Base):
    """A saved plan: its current version and status. History is in the two tables below."""

    __tablename__ = "campaign"
    id: Mapped[int] = mapped_column(Integer, Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), index=True)
    kind: Mapped[str]
    title: Mapped[str]
    status: Mapped[str] = mapped_column(server_default=text("'proposed'"))
    version: Mapped[int]
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    actor_id: Mapped[int | None]  # principal.id, filled in by the store; NULL: a command
    __table_args__ = (
        CheckConstraint("kind IN ('inspection', 'community', 'axes')", name="kind"),
        CheckConstraint("status IN ('proposed', 'approved', 'running', 'done', 'withdrawn')", name="status"),
    )


class CampaignVersion(Base):
    """One version of a plan, never changed: inputs, data version and results (``data/plan.py``)."""

    __tablename__ = "campaign_version"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    version: Mapped[int] = mapped_column(Integer, primary_key=True)
    data_version: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str]  # of the document: the same plan saved again is the same version
    document: Mapped[dict[str, Any]]
    note: Mapped[str | None]
    made_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    actor_id: Mapped[int | None]  # principal.id, filled in by the store; NULL: a command


class CampaignEvent(Base):
    """Append-only course of a plan: which status from when, and why."""

    __tablename__ = "campaign_event"
    campaign_id: Mapped[int] = mapped_column(ForeignKey("campaign.id"), primary_key=True)
    seq: Mapped[int] = mapped_column(Integer, primary_key=True)
    status: Mapped[str]
    version: Mapped[int]
    note: Mapped[str | None]
    at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    actor_id: Mapped[int | None]  # principal.id, filled in by the store; NULL: a command


class Visit(Base):
    """What a team found at one place. Read again, the same row is the same visit (``digest``)."""

    __tablename__ = "visit"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"))
    campaign_id: Mapped[int | None] = mapped_column(ForeignKey("campaign.id"), index=True)
    version: Mapped[int | None]
    area: Mapped[int | None]  # its number in the plan
    site: Mapped[str | None]  # its key in the plan
    target: Mapped[str | None]  # a code of data.plan.TARGETS; None outside a plan
    team: Mapped[str | None]
    visited_at: Mapped[dt.datetime]
    found: Mapped[bool] = mapped_column(Boolean)
    element_id: Mapped[int | None] = mapped_column(ForeignKey("element.id"))
    treated: Mapped[bool | None] = mapped_column(Boolean)
    photo: Mapped[str | None]  # a reference, not the picture
    note: Mapped[str | None]
    report_id: Mapped[int | None] = mapped_column(BigInteger)
    cell: Mapped[int | None] = mapped_column(BigInteger)  # H3, resolution 12
    geom: Mapped[Any | None] = mapped_column(Geometry("POINT", srid=4326))
    batch_id: Mapped[int | None] = mapped_column(ForeignKey("batch.id"))  # None: typed on the page
    line: Mapped[int | None]
    digest: Mapped[int] = mapped_column(BigInteger)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("statement_timestamp()"))
    actor_id: Mapped[int | None]  # principal.id, filled in by the store; NULL: a command
    __table_args__ = (
        UniqueConstraint("territory_id", "digest"),
        Index("ix_visit_when", "territory_id", "visited_at"),
    )


# The rest of the schema is in modules of its own, which register with the same Base.
from data import models_access, models_life  # noqa: E402, F401
