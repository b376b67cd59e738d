"""The users file: who may sign in, as what and where, with hashed passwords.

A YAML file that only its owner may read (``RASD_USERS``). It is the truth about users;
``principal`` in the store is brought in line with it at each sign-in and whenever the file
has changed. Passwords are hashed with Argon2id (RFC 9106, the library's low-memory
profile); an unknown name costs the same time as a wrong password. Caveat: the file knows
areas by name; a name that no area of the store bears, or several, opens nothing.
"""

from __future__ import annotations

import functools
import os
import re
import secrets
import stat
import threading
import unicodedata
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import yaml
from argon2 import PasswordHasher, profiles
from argon2.exceptions import InvalidHashError, VerificationError
from sqlalchemy import Connection, text

from data.access import Place, save_principal
from data.life import Role
from data.settings import settings
from data.vocabulary import LEVELS
from geo.errors import ConfigError, InputError

EVERYWHERE = "*"  # all territories that the store holds
PASSWORD_LEAST = 12
PASSWORD_MOST = 256
_LOGIN = re.compile(r"[\w.@+-]{1,80}")
_KEYS = {"login", "name", "role", "areas", "party", "identity", "password", "active"}
_HASHER = PasswordHasher.from_parameters(profiles.RFC_9106_LOW_MEMORY)
_AT_ONCE = threading.BoundedSemaphore(2)  # a hash takes 64 MiB: many at once would fill the memory


@dataclass(frozen=True, slots=True)
class User:
    """One user of the file.

    Attributes
    ----------
    areas : ``territory``, ``territory/level/name or code``, or ``*`` for all territories.
    party : code of the party in the territory of the first area; None: bound to none.
    identity : what the identity provider's claim says of them; None: their login.
    password : the hash; None: no sign-in with a password.
    """

    login: str
    name: str
    role: Role
    areas: tuple[str, ...] = ()
    party: str | None = None
    identity: str | None = None
    password: str | None = None
    active: bool = True


# ---- the file ----


def users_path() -> Path:
    """Where the users file is, or would be."""
    chosen = settings()
    return chosen.users or chosen.home / "users.yaml"


def folded(login: str) -> str:
    """A login as it is compared: one way to write each letter, no capitals."""
    return unicodedata.normalize("NFKC", login).strip().casefold()


def read_users(path: Path) -> tuple[User, ...]:
    """All users of the file; () when there is none. Read anew only when the file has changed.

    Raises
    ------
    ConfigError : others may read the file, or it is not well formed; all faults are named.
    """
    try:
        seen = path.stat()
    except FileNotFoundError:
        return ()
    except OSError as error:
        raise ConfigError(f"The users file {path} cannot be read: {error.strerror}.") from error
    return _read(path, (seen.st_mtime_ns, seen.st_ctime_ns, seen.st_size, seen.st_ino))


@functools.lru_cache(maxsize=4)
def _read(path: Path, stamp: tuple[int, ...]) -> tuple[User, ...]:
    try:
        with path.open("rb") as file:
            _require_closed(path, os.fstat(file.fileno()))
            content = yaml.safe_load(file)
    except OSError as error:
        raise ConfigError(f"The users file {path} cannot be read: {error.strerror}.") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        where = getattr(error, "problem_mark", None)
        line = f" (line {where.line + 1})" if where else ""
        raise ConfigError(f"The users file {path} is not valid YAML{line}.") from error
    listed = content.get("users") if isinstance(content, dict) else None
    if not isinstance(listed, list):
        raise ConfigError(f"The users file {path} needs a list under `users:`; see docs/access.md.")
    found: list[User] = []
    faults: list[str] = []
    for place, entry in enumerate(listed, start=1):
        try:
            found.append(_user(entry))
        except InputError as error:
            faults.append(f"user {place}: {error}")
    for key, values in (
        ("login", [user.login for user in found]),
        ("identity", [folded(user.identity or user.login) for user in found]),
    ):
        twice = sorted({value for value in values if values.count(value) > 1})
        faults += [f"{key} {value} stands there twice" for value in twice]
    if faults:
        raise ConfigError(f"The users file {path}: {'; '.join(faults)}. See docs/access.md.")
    return tuple(found)


def _require_closed(path: Path, seen: os.stat_result) -> None:
    if stat.S_IMODE(seen.st_mode) & 0o077:
        raise ConfigError(f"Others may read the users file {path}. Close it: chmod 600 {path}")
    if seen.st_uid not in (os.geteuid(), 0):
        raise ConfigError(f"The users file {path} belongs to somebody else, who could change it.")


def _user(entry: Any) -> User:
    """One entry of the file, checked."""
    if not isinstance(entry, dict):
        raise InputError("it is not a mapping")
    unknown = sorted(str(key) for key in entry if key not in _KEYS)
    if unknown:
        raise InputError(f"unknown {', '.join(unknown)}")
    login, role = entry.get("login"), entry.get("role")
    if not isinstance(login, str):
        raise InputError("login is needed")
    if role not in tuple(Role):
        raise InputError(f"{login}: role is one of {', '.join(Role)}")
    areas = entry.get("areas") or []
    if not isinstance(areas, list) or not all(isinstance(area, str) for area in areas):
        raise InputError(f"{login}: areas is a list of texts")
    for key in ("name", "party", "identity", "password"):
        if entry.get(key) is not None and not isinstance(entry[key], str):
            raise InputError(f"{login}: {key} is a text")
    if not isinstance(entry.get("active", True), bool):
        raise InputError(f"{login}: active is true or false")
    return made(
        User(
            login,
            entry.get("name") or login,
            Role(role),
            tuple(areas),
            entry.get("party"),
            entry.get("identity"),
            entry.get("password"),
            entry.get("active", True),
        )
    )


def made(user: User) -> User:
    """A user as the file keeps it.

    Raises
    ------
    InputError : a part of it cannot be; all faults are named.
    """
    login = folded(user.login)
    faults = []
    if not _LOGIN.fullmatch(login):
        faults.append("a login has letters, digits and . @ + - _ only, at most 80")
    if not user.areas:
        faults.append("at least one area is needed (a territory's code, or * for all)")
    for area in user.areas:
        parts = area.split("/", 2)
        if not area or len(parts) == 2 or (len(parts) == 3 and (parts[1] not in LEVELS or not parts[2])):
            faults.append(f"area {area!r} is not territory, territory/level/name or *")
    if user.role is Role.CONTRACTOR and not user.party:
        faults.append("a contractor or entity needs its party")
    if user.party and user.areas and user.areas[0] == EVERYWHERE:
        faults.append("a party belongs to one territory: name it as the first area")
    if user.password and not user.password.startswith("$argon2"):
        faults.append("password is a hash of ./rasd users password, never the password itself")
    if faults:
        raise InputError(f"{login}: {'; '.join(faults)}")
    return replace(user, login=login)


def write_users(path: Path, users: Sequence[User]) -> None:
    """Replace the file in one step, readable by its owner only."""
    entries = []
    for user in users:
        entry: dict[str, Any] = {"login": user.login, "name": user.name, "role": str(user.role)}
        entry["areas"] = list(user.areas)
        more = {"party": user.party, "identity": user.identity, "password": user.password}
        entry |= {key: value for key, value in more.items() if value}
        if not user.active:
            entry["active"] = False
        entries.append(entry)
    draft = path.with_name(f".{path.name}.{secrets.token_hex(6)}")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        handle = os.open(draft, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w", encoding="utf-8") as file:
            yaml.safe_dump({"users": entries}, file, allow_unicode=True, sort_keys=False)
            file.flush()
            os.fsync(file.fileno())
        draft.replace(path)
    except OSError as error:
        draft.unlink(missing_ok=True)
        raise ConfigError(f"The users file {path} cannot be written: {error.strerror}.") from error


# ---- passwords ----


def _prepared(password: str) -> str:
    # One way to write each letter: keyboards differ in how they compose Arabic marks.
    return unicodedata.normalize("NFKC", password)


def hashed(password: str) -> str:
    """The Argon2id hash of a new password.

    Raises
    ------
    InputError : it is too short, too long, or one letter over and over.
    """
    if not PASSWORD_LEAST <= len(password) <= PASSWORD_MOST:
        raise InputError(f"A password has {PASSWORD_LEAST} to {PASSWORD_MOST} characters.")
    if len(set(password)) < 4:
        raise InputError("This password is one that is guessed first: it repeats a few letters.")
    with _AT_ONCE:
        return _HASHER.hash(_prepared(password))


# A hash of nobody's password with the same cost, for names that are not there.
_NOBODY = "$argon2id$v=19$m=65536,t=3,p=4$AAAAAAAAAAAAAAAAAAAAAA$AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA"


def fits(user: User | None, password: str) -> bool:
    """Whether this is the user's password; takes as long for nobody, and for users without one."""
    usable = user is not None and user.active and bool(user.password)
    known = user.password if usable and user is not None and user.password else _NOBODY
    with _AT_ONCE:
        try:
            _HASHER.verify(known, _prepared(password[:PASSWORD_MOST]))
        except InvalidHashError as error:
            if usable:
                name = user.login if user else ""
                raise ConfigError(f"The password of {name} in the users file is no hash of ours.") from error
            return False
        except VerificationError:
            return False
    return usable and len(password) <= PASSWORD_MOST


# ---- the store ----


def places(conn: Connection, user: User) -> tuple[Place, ...]:
    """The user's areas as the store knows them; ``*`` is every territory there is now."""
    found: list[Place] = []
    for area in user.areas:
        if area == EVERYWHERE:
            codes = conn.execute(text("SELECT code FROM territory ORDER BY code")).scalars()
            found += [Place(code) for code in codes]
        else:
            territory, _, rest = area.partition("/")
            level, _, name = rest.partition("/")
            found.append(Place(territory, level or None, name or None))
    return tuple(dict.fromkeys(found))


def keep(conn: Connection, user: User) -> int | None:
    """Bring the store in line with one user of the file; the principal's id, None when disabled.

    Raises
    ------
    InputError : the territory or the party is not in the store.
    """
    if not user.active:
        end(conn, user.login)
        return None
    party = None
    if user.party:
        territory = user.areas[0].partition("/")[0]
        # Served by uq_party_territory_id.
        party = conn.scalar(
            text(
                """SELECT p.id FROM party p JOIN territory t ON t.id = p.territory_id
                   WHERE t.code = :territory AND p.code = :party"""
            ),
            {"territory": territory, "party": user.party},
        )
        if party is None:
            raise InputError(f"{user.login}: there is no party {user.party} in {territory}.")
    return save_principal(conn, user.login, user.name, user.role, places(conn, user), party_id=party)


def unmatched(conn: Connection, user: User) -> list[str]:
    """Areas of the user that open nothing: no current area bears the name or code, or several do."""
    found = []
    for place in places(conn, user):
        if place.level is None:
            continue
        # As rasd_areas() has it (data/guard/1_sessions.sql). Served by ix_area_current.
        there = conn.scalar(
            text(
                """SELECT 1 IN (count(*), count(*) FILTER (WHERE a.code = :area))
                   FROM area a JOIN territory t ON t.id = a.territory_id
                   WHERE t.code = :territory AND a.level = :level AND a.valid_to IS NULL
                     AND :area IN (a.code, a.ministry_code, a.name_ar, a.name_en)"""
            ),
            {"territory": place.territory, "level": place.level, "area": place.area},
        )
        if not there:
            found.append(f"{place.territory}/{place.level}/{place.area}")
    return found


def end(conn: Connection, login: str) -> bool:
    """Close an account in the store, with its sessions; True when there was one open."""
    # Served by uq_principal_login, ix_app_session_principal_id.
    found = conn.scalar(
        text("UPDATE principal SET active = false WHERE login = :login AND active RETURNING id"),
        {"login": login},
    )
    conn.execute(
        text("DELETE FROM app_session USING principal p WHERE p.id = principal_id AND p.login = :login"),
        {"login": login},
    )
    return found is not None


def keep_all(conn: Connection, users: Sequence[User]) -> list[str]:
    """Bring all principals in line with the file; returns what could not be, in sentences.

    Principals that the file does not name are closed, except simulated ones and those of
    services, whose logins have a colon, which a user's cannot have.
    """
    faults: list[str] = []
    for user in users:
        try:
            with conn.begin_nested():
                keep(conn, user)
        except InputError as error:
            faults.append(str(error))
            end(conn, user.login)  # what cannot be checked is not left open
    # Served by a scan: principals are few.
    others = conn.execute(
        text(
            """SELECT login FROM principal WHERE active AND NOT simulated AND strpos(login, ':') = 0
               AND login <> ALL(:known)"""
        ),
        {"known": [user.login for user in users]},
    ).scalars()
    for login in others.all():
        end(conn, login)
    return faults
