"""The schema of access: who there is, where they may look, sessions, tries, the audit trail.

Part of the models in ``data/models.py``. Passwords are not here: the users file or the
identity provider holds them. Sessions are known by the digest of their token only.
"""

from __future__ import annotations

import datetime as dt
from typing import Any

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    ForeignKey,
    Identity,
    Index,
    LargeBinary,
    UniqueConstraint,
    text,
)
from sqlalchemy.orm import Mapped, mapped_column

from data.life import Role
from data.models import Base

_ROLES = ", ".join(f"'{role}'" for role in Role)


class PrincipalRow(Base):
    """A person (or a key) that may sign in, with one role."""

    __tablename__ = "principal"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    login: Mapped[str] = mapped_column(unique=True)
    name: Mapped[str]
    role: Mapped[str]
    # A contractor or entity sees its own reports only; others may be bound to a party too.
    party_id: Mapped[int | None] = mapped_column(ForeignKey("party.id"))
    active: Mapped[bool] = mapped_column(Boolean, server_default=text("true"))
    simulated: Mapped[bool] = mapped_column(Boolean, server_default=text("false"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (
        CheckConstraint(f"role IN ({_ROLES})", name="role"),
        CheckConstraint("role <> 'contractor' OR party_id IS NOT NULL", name="contractor_has_party"),
    )


class PrincipalArea(Base):
    """Where a principal may look: a whole territory, or an area of it by level and code or name.

    By code and not by id, because new boundaries bring new ids.
    """

    __tablename__ = "principal_area"
    id: Mapped[int] = mapped_column(Identity(), primary_key=True)
    principal_id: Mapped[int] = mapped_column(ForeignKey("principal.id"), index=True)
    territory_id: Mapped[int] = mapped_column(ForeignKey("territory.id"))
    level: Mapped[str | None]  # NULL: the whole territory
    area: Mapped[str | None]  # code, or the Arabic or English name
    __table_args__ = (
        UniqueConstraint("principal_id", "territory_id", "level", "area"),
        CheckConstraint("(level IS NULL) = (area IS NULL)", name="level_with_area"),
    )


class AppSession(Base):
    """A signed-in session. The token itself is only in the app's memory."""

    __tablename__ = "app_session"
    token: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)  # SHA-256 of it
    principal_id: Mapped[int] = mapped_column(ForeignKey("principal.id"), index=True)
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    expires_at: Mapped[dt.datetime]
    address: Mapped[str | None]


class SignInTry(Base):
    """A try to sign in, for the limit on them."""

    __tablename__ = "sign_in_try"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    login: Mapped[str]
    address: Mapped[str]
    accepted: Mapped[bool] = mapped_column(Boolean)
    at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    __table_args__ = (
        Index("ix_sign_in_try_login", "login", "at"),
        Index("ix_sign_in_try_address", "address", "at"),
    )


class AuditRow(Base):
    """Who changed or took out what. Only ever appended to."""

    __tablename__ = "audit"
    id: Mapped[int] = mapped_column(BigInteger, Identity(), primary_key=True)
    at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    principal_id: Mapped[int | None]  # NULL: a command on the machine itself
    login: Mapped[str]  # as it was then; of a command, the user of the machine
    role: Mapped[str]
    action: Mapped[str]
    object: Mapped[str]
    detail: Mapped[dict[str, Any]] = mapped_column(server_default=text("'{}'::jsonb"))
    __table_args__ = (Index("ix_audit_at", "at"),)


class ApiKey(Base):
    """A key of another system, by digest; it acts as its principal."""

    __tablename__ = "api_key"
    digest: Mapped[bytes] = mapped_column(LargeBinary, primary_key=True)  # SHA-256 of the key
    label: Mapped[str]
    principal_id: Mapped[int] = mapped_column(ForeignKey("principal.id"))
    created_at: Mapped[dt.datetime] = mapped_column(server_default=text("now()"))
    ended_at: Mapped[dt.datetime | None]
