"""What all tests share: a database of their own, real files, and a browser.

``store`` is a fresh, migrated database per test, cloned from a template in a cluster that
is made once per session, for all of its processes together, in a temporary ``RASD_HOME``.
No test sees the settings or the store of whoever runs it.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import uuid
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from sqlalchemy import Engine, NullPool, create_engine, text

from data import database
from data.cluster import Cluster, Lease
from data.settings import settings

ROOT = Path(__file__).resolve().parent.parent
TEMPLATE = "rasd_template"
_OWN = pytest.StashKey[Path]()


def pytest_configure(config: pytest.Config) -> None:
    """Give the session a home; worker processes inherit the one of their parent."""
    for name in (
        "DATABASE_URL",
        "RASD_DATABASE_URL",
        "RASD_APP_DATABASE_URL",
        "RASD_HELD",
        "RASD_TILE_URL",
        "RASD_TILE_ATTRIBUTION",
    ):
        os.environ.pop(name, None)
    if "RASD_TEST_HOME" not in os.environ:
        # In /tmp, because the path of a socket has to be short.
        config.stash[_OWN] = Path(tempfile.mkdtemp(prefix="rasd-test-", dir="/tmp"))
        os.environ["RASD_TEST_HOME"] = str(config.stash[_OWN])
    os.environ["RASD_HOME"] = os.environ["RASD_TEST_HOME"]


def pytest_unconfigure(config: pytest.Config) -> None:
    """The process that made the home removes it, with its cluster."""
    home = config.stash.get(_OWN, None)
    if home is not None:
        Cluster(home).destroy()
        shutil.rmtree(home)
        del os.environ["RASD_TEST_HOME"]


@dataclass(frozen=True)
class Store:
    """A migrated database for one test."""

    name: str
    url: str
    engine: Engine


@dataclass(frozen=True)
class Server:
    """The session's cluster, with the template in it."""

    cluster: Cluster
    admin: Engine

    @contextlib.contextmanager
    def database(self, template: str = TEMPLATE) -> Iterator[Store]:
        """A database cloned from ``template``, dropped at the end of the block."""
        name = f"t_{uuid.uuid4().hex[:16]}"
        with self.admin.connect() as conn:
            conn.execute(text(f"CREATE DATABASE {name} TEMPLATE {template}"))
        url = self.cluster.url(name)
        engine = create_engine(url)
        try:
            yield Store(name, url, engine)
        finally:
            engine.dispose()
            with self.admin.connect() as conn:
                conn.execute(text(f"DROP DATABASE {name} WITH (FORCE)"))


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """The session's PostgreSQL: one for all processes; the first to need it makes it."""
    from data import schema

    home = Path(os.environ["RASD_TEST_HOME"])
    cluster = Cluster(home, durable=False)
    lease: Lease = cluster.lease()
    admin = create_engine(cluster.url("postgres"), isolation_level="AUTOCOMMIT", poolclass=NullPool)
    with (home / "template.lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        with admin.connect() as conn:
            there = conn.execute(
                text("SELECT 1 FROM pg_database WHERE datname = :name"), {"name": TEMPLATE}
            ).scalar()
            if not there:
                conn.execute(text("DROP DATABASE IF EXISTS rasd_draft WITH (FORCE)"))
                conn.execute(text("CREATE DATABASE rasd_draft"))
        if not there:
            draft = create_engine(cluster.url("rasd_draft"), poolclass=NullPool)
            with draft.begin() as conn:
                conn.execute(text("CREATE EXTENSION postgis"))
            schema.upgrade(draft)
            draft.dispose()
            with admin.connect() as conn:
                conn.execute(text(f"ALTER DATABASE rasd_draft RENAME TO {TEMPLATE}"))
    yield Server(cluster, admin)
    admin.dispose()
    lease.release()


def forget_settings() -> None:
    """Drop what ``data`` remembers of the environment, after a test has changed it."""
    for held in (database.engine, database.app_engine):
        if held.cache_info().currsize:
            held().dispose()
            held.cache_clear()
    settings.cache_clear()


@pytest.fixture
def store(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A fresh migrated database; ``DATABASE_URL`` names it, so commands and pages use it too."""
    with server.database() as found:
        monkeypatch.setenv("DATABASE_URL", found.url)
        forget_settings()
        yield found
        forget_settings()


@pytest.fixture(scope="module")
def module_store(server: Server) -> Iterator[Store]:
    """As ``store``, but one for all tests of a module (for loads that take long)."""
    patch = pytest.MonkeyPatch()
    with server.database() as found:
        patch.setenv("DATABASE_URL", found.url)
        forget_settings()
        yield found
        patch.undo()
        forget_settings()


@pytest.fixture
def empty_database(server: Server) -> Iterator[Store]:
    """A database with PostGIS and nothing else, for tests of the migrations."""
    with server.database(template="template1") as found:
        with found.engine.begin() as conn:
            conn.execute(text("CREATE EXTENSION postgis"))
        yield found


@pytest.fixture(scope="session")
def shared_data() -> Path:
    """The folder of real reports and boundaries, which is beside the checkout, not in it."""
    folder = Path(os.environ.get("RASD_SHARED_DATA") or ROOT.parent / "shared" / "data")
    if not folder.is_dir():
        pytest.skip(f"real files are not here ({folder}); RASD_SHARED_DATA names their folder")
    return folder


@pytest.fixture(scope="session")
def chromium() -> str:
    """The machine's browser. Its absence is a failure: browser tests are never left out silently."""
    names = ("chromium", "chromium-browser", "google-chrome", "google-chrome-stable")
    found = os.environ.get("RASD_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if found is None:
        pytest.fail("no Chromium on this machine; type: sudo apt-get install chromium", pytrace=False)
    return found


@pytest.fixture(scope="session")
def browser(chromium: str) -> Iterator[object]:
    """A headless browser (playwright.sync_api.Browser) for the session."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        # Chromium's own sandbox does not work for root; in containers its shared memory is small.
        running = playwright.chromium.launch(
            executable_path=chromium, args=["--no-sandbox", "--disable-dev-shm-usage"]
        )
        yield running
        running.close()
