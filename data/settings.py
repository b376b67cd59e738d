"""The settings of Rasd: one class, read from the environment, each with a type and a default.

Every field is an environment variable with the prefix ``RASD_`` (``port`` is
``RASD_PORT``); the database may also come as plain ``DATABASE_URL``. An empty variable
counts as unset. Each setting is explained in docs/settings.md, and a test fails when
one is missing there. Read them through ``settings()``, which reads the environment once.
"""

from __future__ import annotations

import functools
import os
import sys
from pathlib import Path
from typing import Literal

from pydantic import AliasChoices, Field, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from geo.errors import ConfigError


def default_home() -> Path:
    """The folder for local state that suits the platform and the user."""
    if os.geteuid() == 0:
        # Root's own home is closed to the unprivileged user who runs the cluster.
        return Path("/var/lib/rasd")
    if sys.platform == "darwin":
        return Path.home() / "Library" / "Application Support" / "Rasd"
    data_home = os.environ.get("XDG_DATA_HOME", "")
    # The XDG standard: a relative path there is to be ignored.
    base = Path(data_home) if os.path.isabs(data_home) else Path.home() / ".local" / "share"
    return base / "rasd"


class Settings(BaseSettings):
    """All settings; see docs/settings.md for what each is good for."""

    model_config = SettingsConfigDict(env_prefix="RASD_", env_ignore_empty=True, extra="ignore")

    home: Path = Field(
        default_factory=default_home,
        description="Folder of the private cluster and of all local state.",
    )
    port: int = Field(default=8501, ge=1, le=65535, description="The app's TCP port.")
    address: str = Field(default="127.0.0.1", description="The address the app listens on.")
    demo_reports: int = Field(
        default=100_000,
        ge=1000,
        le=10_000_000,
        description="Simulated reports that ./run loads into an empty store.",
    )
    database_url: str | None = Field(
        default=None,
        validation_alias=AliasChoices("RASD_DATABASE_URL", "DATABASE_URL"),
        description="A PostgreSQL + PostGIS database to use in place of the private cluster.",
    )
    app_database_url: str | None = Field(
        default=None,
        description="The same database as the role rasd_app, for the pages; not needed on a unix socket.",
    )
    pg_bin: Path | None = Field(
        default=None,
        description="Folder of initdb, pg_ctl and postgres, where they are not in a usual place.",
    )
    tile_url: str | None = Field(
        default=None,
        description="Background tiles as a template with {z}, {x} and {y}; none is used without it.",
    )
    tile_attribution: str | None = Field(
        default=None, description="The credit line that the tile server's owner asks for."
    )

    photo_mb: float = Field(default=15.0, gt=0, le=100, description="The largest photo that is taken in, MB.")
    photos_a_day: int = Field(default=200, ge=0, description="Photos that one user may store in 24 hours.")
    keep_contacts: bool = Field(
        default=False, description="Whether name and phone of who reported may be kept with a report."
    )

    access: Literal["oidc", "local", "demo"] | None = Field(
        default=None, description="How people sign in; found from the users file and the address when unset."
    )
    users: Path | None = Field(
        default=None,
        description="The file of users, their roles and areas; users.yaml in RASD_HOME when unset.",
    )
    session_hours: float = Field(
        default=12.0, gt=0, le=168, description="Hours after which a session ends by itself."
    )
    oidc_claim: str = Field(
        default="email", description="The claim of the identity provider by which a user is known."
    )
    open311: Literal["off", "read", "write"] = Field(
        default="off",
        description="What the Open311 service allows: nothing, reading by everybody, or filing with a key too.",
    )
    open311_notes: bool = Field(
        default=False, description="Whether the Open311 service shows descriptions and reasons to everybody."
    )
    open311_a_minute: int = Field(
        default=120, ge=1, description="Questions a minute that the Open311 service takes from one address."
    )
    proxies: str = Field(
        default="", description="Addresses of reverse proxies whose X-Forwarded-For is believed, with commas."
    )

    @field_validator("home", "pg_bin", "users")
    @classmethod
    def _absolute(cls, value: Path | None) -> Path | None:
        return None if value is None else Path(os.path.abspath(value.expanduser()))

    @model_validator(mode="after")
    def _tiles_are_complete(self) -> Settings:
        if self.tile_url and not all(part in self.tile_url for part in ("{z}", "{x}", "{y}")):
            raise ValueError("RASD_TILE_URL needs the parts {z}, {x} and {y}")
        if self.tile_url and not self.tile_attribution:
            raise ValueError("RASD_TILE_URL needs RASD_TILE_ATTRIBUTION: tile owners ask to be named")
        return self


@functools.cache
def settings() -> Settings:
    """The settings of this process. ``settings.cache_clear()`` reads the environment anew.

    Raises
    ------
    ConfigError
        A variable has a value that cannot work; all faults are named at once.
    """
    try:
        return Settings()
    except ValidationError as error:
        faults = "; ".join(_describe(dict(fault)) for fault in error.errors())
        raise ConfigError(f"{faults}. The settings are explained in docs/settings.md.") from None


def _describe(fault: dict[str, object]) -> str:
    """One fault in words. The value of the database is left out: it may hold a password."""
    message = str(fault["msg"]).removeprefix("Value error, ")
    place = fault["loc"]
    if not isinstance(place, tuple) or not place:
        return message
    name = str(place[0])
    variable = name if name.isupper() else f"RASD_{name.upper()}"
    value = "" if "DATABASE" in variable else f" is {fault['input']!r}"
    return f"{variable}{value}: {message}"
