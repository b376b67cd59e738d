"""Who a caller acts as: the public of a territory, or the principal of a key; and how often.

For each territory that is served there is a principal ``open311:<code>`` of the role viewer;
keys have their own (``data/keys.py``). Sessions are opened here and shown to the database,
which decides what is open. Caveat: the limit on questions counts in the memory of this one
process; a restart forgets it.
"""

from __future__ import annotations

import datetime as dt
import hashlib
import threading
import time
from collections import OrderedDict
from collections.abc import Callable
from dataclasses import dataclass

from data import access, audit, keys, sign_in, territories
from data.access import Place, Session
from data.database import connection
from data.life import Role
from data.territories import Territory
from geo.errors import InputError, Refused

_EARLY = dt.timedelta(minutes=5)  # a session is renewed so long before it ends
_CALLERS = 10_000


class Sessions:
    """Open sessions by login, renewed when they end."""

    def __init__(self) -> None:
        self._open: dict[str, Session] = {}
        self._lock = threading.Lock()

    def get(self, login: str, made: Callable[[], Session]) -> Session:
        with self._lock:
            held = self._open.get(login)
            if held is None or held.expires_at - _EARLY < dt.datetime.now(dt.UTC):
                held = self._open[login] = made()
            return held

    def forget(self, login: str) -> None:
        """Drop a session that the store no longer knows."""
        with self._lock:
            self._open.pop(login, None)

    def close(self) -> None:
        """End all of them in the store."""
        with self._lock, connection() as conn:
            for session in self._open.values():
                access.close_session(conn, session)
            self._open.clear()


@dataclass(frozen=True, slots=True)
class Doors:
    """What is served, and the sessions to serve it with."""

    served: tuple[Territory, ...]
    sessions: Sessions

    def territory(self, jurisdiction: str) -> Territory:
        """The territory of a ``jurisdiction_id``, which is its code.

        Raises
        ------
        Missing : several are served and none is named.
        Unknown : it is not served.
        """
        if not jurisdiction and len(self.served) == 1:
            return self.served[0]
        listed = ", ".join(territory.code for territory in self.served)
        if not jurisdiction:
            raise Missing(f"jurisdiction_id is missing; served are: {listed}")
        found = next((t for t in self.served if t.code == jurisdiction), None)
        if found is None:
            raise Unknown(f"jurisdiction_id is unknown; served are: {listed}")
        return found

    def public(self, territory: Territory) -> Session:
        """The session of whoever reads without a key."""
        login = f"open311:{territory.code}"

        def made() -> Session:
            with connection() as conn:
                access.save_principal(
                    conn,
                    login,
                    "Open311",
                    Role.VIEWER,
                    [Place(territory.code)],
                    simulated=territory.simulated,
                )
                return access.open_session(conn, login)

        return self.sessions.get(login, made)

    def keyed(self, key: str, address: str) -> Session:
        """The session of a key.

        Raises
        ------
        Refused : there is no such key in use. After many wrong ones ``data.sign_in.NotYet``.
        """
        with connection() as conn:
            login = keys.login_of(conn, key) if key else None
        if login is None:
            guess = f"key {hashlib.sha256(key.encode('utf-8', 'replace')).hexdigest()[:16]}"
            # Counted like a wrong password, so that strangers cannot fill the trail.
            with connection() as conn:
                sign_in.reserve(conn, guess, address)
                audit.of_command(conn, "sign_in_failed", "api_key", {"address": address}, login=guess)
            raise Refused("api_key is missing, unknown or ended")
        known = login

        def made() -> Session:
            with connection() as conn:
                return access.open_session(conn, known, address=address)

        return self.sessions.get(known, made)


class Missing(InputError):
    """An argument is missing: status 400."""


class Unknown(InputError):
    """What is asked for does not exist here: status 404."""


def open_doors(codes: tuple[str, ...]) -> Doors:
    """Serve these territories, or all there are.

    Raises
    ------
    InputError : there is no such territory, or none at all.
    """
    with connection() as conn:
        known = territories.all_territories(conn)
    unknown = sorted(set(codes) - {territory.code for territory in known})
    if unknown or not known:
        listed = ", ".join(t.code for t in known) or "none yet"
        raise InputError(f"There is no territory {', '.join(unknown)} to serve; the store holds: {listed}.")
    return Doors(tuple(t for t in known if not codes or t.code in codes), Sessions())


class Limiter:
    """At most so many questions a minute from one address (a token bucket for each)."""

    def __init__(self, a_minute: int, clock: Callable[[], float] = time.monotonic) -> None:
        self._rate = a_minute / 60.0
        self._most = float(a_minute)
        self._clock = clock
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()
        self._lock = threading.Lock()

    def wait(self, address: str) -> float:
        """Take one; 0, or the seconds until there is one to take."""
        with self._lock:
            now = self._clock()
            left, since = self._buckets.pop(address, (self._most, now))
            left = min(self._most, left + (now - since) * self._rate)
            taken = left >= 1.0
            self._buckets[address] = (left - 1.0 if taken else left, now)
            if len(self._buckets) > _CALLERS:  # the one that was quiet longest
                self._buckets.popitem(last=False)
            return 0.0 if taken else (1.0 - left) / self._rate
