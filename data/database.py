"""The way to the database: its address, one engine per process, and transactions.

``DATABASE_URL`` names a database; without it the private cluster is started and held
until this process ends (``data/cluster.py``). Nothing here migrates: that is
``data/schema.py``. Caveat: the engine is made once; a process that forks must make its
own (``engine.cache_clear()``) in the child.
"""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
import threading
from collections.abc import Iterator

from sqlalchemy import Connection, Engine, create_engine
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, OperationalError

from data.cluster import APP_ROLE, Cluster, Lease
from data.settings import settings
from geo.errors import ConfigError, StoreError

_DRIVER = "postgresql+psycopg"
_DIALECTS = {"postgres", "postgresql", "postgis"}

_lock = threading.Lock()
_leases: dict[str, tuple[Lease, str]] = {}


def normalised(url: str) -> str:
    """A database's address as SQLAlchemy wants it: ``postgres://…`` gets our driver.

    Raises
    ------
    ConfigError
        It is not the address of a PostgreSQL database. The message never repeats the
        address, which may hold a password.
    """
    try:
        address = make_url(url)
    except (ArgumentError, ValueError):
        raise ConfigError(
            "DATABASE_URL is not an address of a database. It looks like "
            "postgresql://user:password@host:5432/name."
        ) from None
    dialect = address.drivername.partition("+")[0]
    if dialect not in _DIALECTS:
        raise ConfigError(f"DATABASE_URL names a {dialect} database; Rasd needs PostgreSQL with PostGIS.")
    return address.set(drivername=_DRIVER).render_as_string(hide_password=False)


def cluster() -> Cluster:
    """The private cluster of the current settings, not started."""
    return Cluster(settings().home, pg_bin=settings().pg_bin)


def database_url() -> str:
    """The address of the store; starts the private cluster when no ``DATABASE_URL`` is set."""
    configured = settings().database_url
    if configured:
        return normalised(configured)
    private = cluster()
    with _lock:
        held = _leases.get(str(private.home))
        if held is None:
            held = (private.lease(), private.url())
            _leases[str(private.home)] = held
            atexit.register(_release, str(private.home), os.getpid())
    return held[1]


def release() -> None:
    """Close the engine and leave the private cluster; the last to leave stops it."""
    for held in (engine, app_engine):
        if held.cache_info().currsize:
            held().dispose()
            held.cache_clear()
    for home in list(_leases):
        _release(home, os.getpid())


def _release(home: str, pid: int) -> None:
    if pid != os.getpid():
        return  # a forked child: the lease is its parent's
    with _lock:
        held = _leases.pop(home, None)
    if held is not None:
        held[0].release()


def app_url() -> str:
    """The address of the store as the role ``rasd_app``, which has no way around row-level security.

    Raises
    ------
    ConfigError
        It cannot be derived: the database asks for a password.
    """
    configured = settings().app_database_url
    if configured:
        return normalised(configured)
    owner = make_url(database_url())
    if owner.password is not None or owner.host:
        raise ConfigError(
            "The pages connect to the database as the role rasd_app, which row-level security holds. Give it a "
            "password (ALTER ROLE rasd_app PASSWORD '…') and set RASD_APP_DATABASE_URL to its address: "
            "postgresql://rasd_app:password@host:5432/name."
        )
    return owner.set(username=APP_ROLE).render_as_string(hide_password=False)


@functools.cache
def app_engine() -> Engine:
    """The engine of the pages, as ``rasd_app``. ``app_engine.cache_clear()`` forgets it.

    Raises
    ------
    ConfigError, StoreError
        The address is not known, or the database does not answer.
    """
    store = create_engine(
        app_url(),
        pool_size=5,
        max_overflow=15,
        pool_pre_ping=True,
        pool_recycle=3600,
        connect_args={"application_name": "rasd pages", "connect_timeout": 10},
    )
    _connect(store).close()
    return store


@functools.cache
def engine() -> Engine:
    """The engine of this process, with a small pool. ``engine.cache_clear()`` forgets it.

    Raises
    ------
    StoreError
        The database does not answer.
    """
    store = create_engine(
        database_url(),
        pool_size=5,
        max_overflow=10,
        pool_pre_ping=True,
        pool_recycle=3600,
        connect_args={"application_name": "rasd", "connect_timeout": 10},
    )
    _connect(store).close()
    return store


def _connect(store: Engine) -> Connection:
    try:
        return store.connect()
    except OperationalError as error:
        reason = str(error.orig).strip().partition("\n")[0]
        advice = (
            "Check DATABASE_URL, and that the database runs."
            if settings().database_url
            else "Start it again: ./rasd up"
        )
        raise StoreError(
            f"The database {store.url.render_as_string(hide_password=True)} "
            f"does not answer: {reason}. {advice}"
        ) from error


@contextlib.contextmanager
def connection() -> Iterator[Connection]:
    """One transaction: committed at the end of the block, undone when it raises.

    Raises
    ------
    StoreError
        The database does not answer.
    """
    with _connect(engine()) as conn, conn.begin():
        yield conn
