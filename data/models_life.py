"""The schema of a report's life: steps, parties, routing, targets, photos, packs, pulls.

Part of the models in ``data/models.py``; who may read or write what is in ``data/rights.py``.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Date,
    Double,
    ForeignKey,
    Identity,
    Index,
    SmallInteger,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from data.models import Base


class TransitionRow(Base):
    """``data.life.TRANSITIONS`` in the store, one row a source state; read by the trigger."""

    __tablename__ = "transition"
    action: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    source: Mapped[int] = mapped_column(SmallInteger, primary_key=True, autoincrement=False)
    target: Mapped[int | None] = mapped_column(SmallInteger)  # NULL keeps the state
    roles: Mapped[list[str]]
    needs: Mapped[list[str]]
    offers: Mapped[list[str]]
    party: Mapped[str | None]  # the column of report that names the acting party


class Party(Base):
    """Who is responsible for reports or treats them: a department, an entity, a contractor."""

    __tablename__ = "party"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"))
    code: Mapped[str]
    kind: Mapped[str]
    name_ar: Mapped[str]
    name_en: Mapped[str]
    active: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    source: Mapped[str | None]  # where it is known from; NULL: met in a file
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (
        UniqueConstraint("territory_id", "code"),
        CheckConstraint(
            "kind IN ('municipality', 'department', 'entity', 'contractor', 'unsorted')", name="kind"
        ),
    )


class PartyName(Base):
    """A wording of a party, folded (see the folding of Arabic), as files use it."""

    __tablename__ = "party_name"
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), primary_key=True)
    # 'agency' or 'contractor': the column it stands in. One firm may be both.
    column: Mapped[str] = mapped_column("col", primary_key=True)
    folded: Mapped[str] = mapped_column(primary_key=True)
    party_id: Mapped[int] = mapped_column(ForeignKey("party.id"), index=True)


class RoutingRule(Base):
    """Which party is responsible for an element (or group, or anything) in an area, from when to when."""

    __tablename__ = "routing_rule"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"))
    element_id: Mapped[int | None] = mapped_column(ForeignKey("element.id"))
    group_code: Mapped[str | None]
    area_id: Mapped[int | None] = mapped_column(ForeignKey("area.id"))  # NULL: everywhere
    party_id: Mapped[int] = mapped_column(ForeignKey("party.id"))
    priority: Mapped[int] = mapped_column(server_default=text("0"))  # the higher goes first
    due_hours: Mapped[float | None] = mapped_column(Double)
    assumed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))  # the limit is nobody's rule
    note: Mapped[str | None]
    valid_from: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    valid_to: Mapped[dt.datetime | None]
    principal_id: Mapped[int | None]  # who wrote it; NULL: loaded by a command
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (
        CheckConstraint("element_id IS NULL OR group_code IS NULL", name="element_or_group"),
        CheckConstraint("valid_to IS NULL OR valid_to >= valid_from", name="validity"),
        Index("ix_routing_rule_territory_id", "territory_id", "element_id"),
    )


class PartyWorks(Base):
    """Kilometres of works of an entity in a month, where it tells them."""

    __tablename__ = "party_works"
    party_id: Mapped[int] = mapped_column(ForeignKey("party.id"), primary_key=True)
    month: Mapped[dt.date] = mapped_column(Date, primary_key=True)
    km: Mapped[float] = mapped_column(Double)


class Target(Base):
    """What an indicator is to reach, for the territory or one of its parts, from when to when."""

    __tablename__ = "target"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), index=True)
    indicator: Mapped[str]
    area_id: Mapped[int | None] = mapped_column(ForeignKey("area.id"))
    group_code: Mapped[str | None]
    party_id: Mapped[int | None] = mapped_column(ForeignKey("party.id"))
    value: Mapped[float] = mapped_column(Double)
    assumed: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    valid_from: Mapped[dt.date] = mapped_column(Date)
    valid_to: Mapped[dt.date | None] = mapped_column(Date)
    principal_id: Mapped[int | None]


class ReportFollower(Base):
    """Who wants to know what becomes of a report. Moves to the other one with a duplicate."""

    __tablename__ = "report_follower"
    report_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    principal_id: Mapped[int] = mapped_column(ForeignKey("principal.id"), primary_key=True, index=True)
    # The report that was followed first, where it has moved.
    first_report_id: Mapped[int | None] = mapped_column(BigInteger)
    since: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))


class ReportContact(Base):
    """How to reach who reported: kept only where RASD_KEEP_CONTACTS says so, read by few roles."""

    __tablename__ = "report_contact"
    report_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    name: Mapped[str | None]
    phone: Mapped[str | None]
    given_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))


class Photo(Base):
    """One picture of a report, kept as a file by digest, without metadata."""

    __tablename__ = "photo"
    digest: Mapped[str] = mapped_column(primary_key=True)
    report_id: Mapped[int] = mapped_column(BigInteger, primary_key=True, autoincrement=False)
    mime: Mapped[str]
    width: Mapped[int]
    height: Mapped[int]
    bytes: Mapped[int]
    taken_at: Mapped[dt.datetime | None]  # as the camera said; offered, not trusted
    principal_id: Mapped[int | None]
    stored_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (
        Index("ix_photo_report_id", "report_id"),
        # For the limit on photos of one user a day.
        Index("ix_photo_principal_id", "principal_id", "stored_at"),
    )


class Pack(Base):
    """A weekly pack as it was handed out: the document is never changed."""

    __tablename__ = "pack"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"), index=True)
    first_day: Mapped[dt.date] = mapped_column(Date)
    last_day: Mapped[dt.date] = mapped_column(Date)
    known_at: Mapped[dt.datetime]
    data_version: Mapped[int] = mapped_column(BigInteger)
    digest: Mapped[str]
    document: Mapped[dict[str, Any]]
    principal_id: Mapped[int | None]
    made_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (UniqueConstraint("territory_id", "digest"),)


class Open311Pull(Base):
    """How far a source has been read from an Open311 server; written with each batch."""

    __tablename__ = "open311_pull"
    source_id: Mapped[int] = mapped_column(ForeignKey("source.id"), primary_key=True)
    url: Mapped[str]
    jurisdiction: Mapped[str | None]
    state: Mapped[dict[str, Any]]
    changed_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
