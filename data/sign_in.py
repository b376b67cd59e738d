"""Signing in: in which way, how often it may be tried, and the session that comes of it.

Three ways: an identity provider (the page has asked it already), the users file with
passwords, or a demonstration on one machine. Tries are counted in the store by login and
address, so a restart forgets none; the wait after failures doubles. Source: OWASP
Authentication Cheat Sheet. Caveat: behind a proxy that ``RASD_PROXIES`` does not name,
everybody has the proxy's address, and one person's failures slow all others down.
"""

from __future__ import annotations

import ipaddress
from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from urllib.parse import urlsplit

from sqlalchemy import Connection, text

from data import audit, demo_users, users
from data.access import Session, close_session, open_session
from data.database import connection
from data.settings import Settings, settings
from geo.errors import ConfigError, Refused

HOURS_COUNTED = 1.0  # failures that are older count no more
DAYS_KEPT = 30
FIRST_WAIT = 5.0  # s after the last free failure; doubles with each further one
LONGEST_WAIT = 900.0
#: Failures that cost nothing: of one login at one address, of a login anywhere, of an address.
FREE_PAIR, FREE_LOGIN, FREE_ADDRESS = 4, 10, 20
_FORWARDED = ("Forwarded", "X-Forwarded-For", "X-Forwarded-Host", "X-Real-Ip", "Via")


class Mode(StrEnum):
    """How people sign in."""

    OIDC = "oidc"
    LOCAL = "local"
    DEMO = "demo"


class NotYet(Refused):
    """Too many failures: try again later. ``seconds`` says when."""

    def __init__(self, seconds: float) -> None:
        super().__init__(f"Too many tries. Try again in {max(1, round(seconds))} seconds.")
        self.seconds = seconds


class Unknown(Refused):
    """The name or the password is wrong, or nobody of this name may sign in; it is not said which."""

    def __init__(self) -> None:
        super().__init__("The name or the password is wrong.")


# ---- which way ----


def is_loopback(host: str) -> bool:
    """Whether a host (no port) is this machine's own name or address."""
    name = host.strip().strip("[]").rstrip(".").casefold()
    if name == "localhost":
        return True
    try:
        return ipaddress.ip_address(name).is_loopback
    except ValueError:
        return False


def mode(chosen: Settings | None = None) -> Mode:
    """How people sign in.

    Raises
    ------
    ConfigError : no way is open that would be safe on the app's address.
    """
    chosen = chosen or settings()
    loopback = is_loopback(chosen.address)
    if chosen.access == "demo" and not loopback:
        raise ConfigError(
            f"RASD_ACCESS=demo lets everybody be anybody, and RASD_ADDRESS={chosen.address} is open to others. "
            "Use RASD_ACCESS=local or oidc (docs/access.md), or RASD_ADDRESS=127.0.0.1."
        )
    if chosen.access is not None:
        found = Mode(chosen.access)
    elif users.users_path().exists():
        found = Mode.LOCAL
    elif loopback:
        found = Mode.DEMO
    else:
        raise ConfigError(
            f"RASD_ADDRESS={chosen.address} is open to others, and nobody has said who may sign in. Make users "
            "(./rasd users add --help) or set RASD_ACCESS=oidc: docs/access.md."
        )
    if found is not Mode.DEMO and not users.read_users(users.users_path()):
        raise ConfigError(
            f"RASD_ACCESS={found} needs a users file, and {users.users_path()} names nobody. "
            "Make the first user: ./rasd users add --help"
        )
    return found


def demo_fault(headers: Mapping[str, str], peer: str | None, listens: str) -> str | None:
    """Why a demonstration must not answer this browser, in a sentence; None when it may.

    Parameters
    ----------
    headers : of the browser's request; {} where there is no browser (tests).
    peer : address of who called; None for this machine.
    listens : the address that the server listens on.
    """
    if not is_loopback(listens):
        return f"the server listens on {listens}"
    if peer is not None and not is_loopback(peer):
        return f"the browser calls from {peer}"
    # A name that leads here without being ours (DNS rebinding), or a proxy in front.
    host = headers.get("Host", "localhost")
    try:
        name = urlsplit(f"//{host}").hostname or ""
    except ValueError:
        name = ""
    if not is_loopback(name):
        return f"the browser asked for {host}"
    passed = [key for key in _FORWARDED if headers.get(key)]
    if passed:
        return f"a proxy is in front ({', '.join(passed)})"
    return None


def caller(headers: Mapping[str, str], peer: str | None, proxies: str) -> str:
    """The address of who is calling, for the limit on tries; believes only the proxies named."""
    trusted = {part.strip() for part in proxies.split(",") if part.strip()}
    address = peer or "127.0.0.1"
    chain = [part.strip() for part in headers.get("X-Forwarded-For", "").split(",") if part.strip()]
    # Each proxy adds, on the right, the address that called it.
    while address in trusted and chain:
        address = chain.pop()
    try:
        return str(ipaddress.ip_address(address))
    except ValueError:
        return peer or "127.0.0.1"  # what a trusted proxy passed on is no address


# ---- the limit on tries ----


@dataclass(frozen=True, slots=True)
class Failures:
    """Failures of the last hour, and the seconds since the newest of each kind."""

    pair: int
    login: int
    address: int
    since_pair: float
    since_login: float
    since_address: float
    known: bool  # this login has come in from this address before


def wait(found: Failures) -> float:
    """Seconds until the next try is taken; 0 when now."""
    waits = [_wait(found.pair, FREE_PAIR, found.since_pair)]
    waits.append(_wait(found.address, FREE_ADDRESS, found.since_address))
    if not found.known:  # else anybody could keep the rightful user out
        waits.append(_wait(found.login, FREE_LOGIN, found.since_login))
    return max(waits)


def _wait(failures: int, free: int, since: float) -> float:
    if failures < free:
        return 0.0
    return max(0.0, min(FIRST_WAIT * 2.0 ** min(failures - free, 20), LONGEST_WAIT) - since)


def reserve(conn: Connection, login: str, address: str) -> int:
    """Count a try as failed before it is judged, so that many at once are many; returns its id.

    Raises
    ------
    NotYet : it is too early for another try. Nothing is counted then.
    """
    # Tries of one login, and of one address, take turns; always in this order.
    for kind, name in (("login", login), ("address", address)):
        conn.execute(
            text("SELECT pg_advisory_xact_lock(hashtext('rasd.try.' || :kind), hashtext(:name))"),
            {"kind": kind, "name": name},
        )
    # Served by ix_sign_in_try_login and ix_sign_in_try_address.
    row = conn.execute(
        text(
            """WITH recent AS (
                 SELECT login = :login AS mine, address = :address AS here, accepted, at FROM sign_in_try
                 WHERE (login = :login OR address = :address) AND at > now() - make_interval(secs => :seconds)
               ), success AS (
                 SELECT max(at) FILTER (WHERE mine AND here) AS pair FROM recent WHERE accepted
               ), failed AS (
                 SELECT r.*, r.mine AND r.here AND r.at > coalesce(s.pair, '-infinity') AS pair
                 FROM recent r, success s WHERE NOT r.accepted
               )
               SELECT count(*) FILTER (WHERE pair) AS pair, count(*) FILTER (WHERE mine) AS login,
                 count(*) FILTER (WHERE here) AS address,
                 coalesce(extract(epoch FROM clock_timestamp() - max(at) FILTER (WHERE pair)), 0) AS since_pair,
                 coalesce(extract(epoch FROM clock_timestamp() - max(at) FILTER (WHERE mine)), 0) AS since_login,
                 coalesce(extract(epoch FROM clock_timestamp() - max(at) FILTER (WHERE here)), 0) AS since_address,
                 EXISTS (SELECT FROM sign_in_try WHERE login = :login AND address = :address AND accepted
                         AND at > now() - make_interval(days => :days)) AS known
               FROM failed"""
        ),
        {"login": login, "address": address, "seconds": HOURS_COUNTED * 3600, "days": DAYS_KEPT},
    ).one()
    seconds = wait(
        Failures(
            row.pair, row.login, row.address,
            float(row.since_pair), float(row.since_login), float(row.since_address), row.known,
        )
    )  # fmt: skip
    if seconds > 0:
        raise NotYet(seconds)
    return int(
        conn.execute(
            text(
                "INSERT INTO sign_in_try (login, address, accepted, at)"
                " VALUES (:login, :address, false, clock_timestamp()) RETURNING id"
            ),
            {"login": login, "address": address},
        ).scalar_one()
    )


def _accept(conn: Connection, attempt: int) -> None:
    """A try was right after all; old ones are forgotten on the way."""
    # Served by pk_sign_in_try; the table is kept short by the line after.
    conn.execute(text("UPDATE sign_in_try SET accepted = true WHERE id = :id"), {"id": attempt})
    conn.execute(
        text("DELETE FROM sign_in_try WHERE at < now() - make_interval(days => :days)"), {"days": DAYS_KEPT}
    )


# ---- the three ways in ----


def by_password(login: str, password: str, address: str) -> Session:
    """A session for a user of the file who knows their password.

    Raises
    ------
    Unknown : the name or the password is wrong, or the user is disabled.
    NotYet : there were too many failures.
    """
    name = users.folded(login)[:80]
    # Its own transaction: the try stays counted whatever becomes of the rest.
    with connection() as conn:
        attempt = reserve(conn, name, address)
    user = next((u for u in users.read_users(users.users_path()) if u.login == name), None)
    if not users.fits(user, password) or user is None:
        with connection() as conn:
            audit.of_command(conn, "sign_in_failed", name, {"address": address}, login=name)
        raise Unknown
    with connection() as conn:
        _accept(conn, attempt)
        return _open(conn, user, address, Mode.LOCAL)


def by_claim(claims: Mapping[str, object], address: str) -> Session:
    """A session for a user whom the identity provider has named.

    Raises
    ------
    Refused : the claim is missing, not verified, or names no user of the file.
    """
    key = settings().oidc_claim
    said = claims.get(key)
    if not isinstance(said, str) or not said.strip():
        raise Refused(f"The identity provider does not say {key}. Ask who runs it, or set RASD_OIDC_CLAIM.")
    # Some providers send it as a text, some (which own the addresses) not at all.
    if key == "email" and str(claims.get("email_verified", True)).lower() != "true":
        raise Refused(f"The identity provider has not verified the address {said}.")
    known = users.read_users(users.users_path())
    user = next((u for u in known if folded_identity(u) == users.folded(said) and u.active), None)
    with connection() as conn:
        if user is not None:
            return _open(conn, user, address, Mode.OIDC)
        # Limited like passwords, or a stranger could fill the trail.
        reserve(conn, users.folded(said)[:80], address)
        audit.of_command(conn, "sign_in_failed", said[:200], {"address": address}, login=said[:80])
    raise Refused(f"{said} is signed in at the identity provider, but is not a user here.")


def folded_identity(user: users.User) -> str:
    """What the identity provider must say of a user."""
    return users.folded(user.identity or user.login)


def by_choice(login: str, *, otherwise: bool = False) -> Session:
    """A session of a simulated user; the page has made sure that the browser is on this machine.

    ``otherwise`` takes the first simulated user when there is none of that name.

    Raises
    ------
    Refused : the app is no demonstration, or there is no such simulated user.
    """
    if mode() is not Mode.DEMO:
        raise Refused("This is no demonstration: sign in.")
    with connection() as conn:
        if login not in demo_users.offered(conn):
            if not otherwise:
                raise Refused(f"There is no simulated user {login}.")
            login = demo_users.DEFAULT
        return open_session(conn, login, hours=settings().session_hours)


def _open(conn: Connection, user: users.User, address: str, way: Mode) -> Session:
    users.keep(conn, user)
    session = open_session(conn, user.login, hours=settings().session_hours, address=address)
    audit.of_principal(conn, session.principal, "sign_in", user.login, {"way": str(way), "address": address})
    return session


def leave(session: Session) -> None:
    """End a session at the wish of who has it."""
    with connection() as conn:
        close_session(conn, session)
        audit.of_principal(conn, session.principal, "sign_out", session.principal.login, {})
