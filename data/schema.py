"""Bringing a database to the schema of this version: migrations, reference tables, rights.

Migrations are Alembic's, in ``data/migrations``. Two programs that migrate at the same
time wait for each other on an advisory lock, so a second ``./run`` does no harm. The
reference tables (taxonomy, gazetteer) are loaded from ``data/reference/*.csv`` whenever
those files have changed.
"""

from __future__ import annotations

from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

from data import parties, reference, rights
from geo.errors import StoreError

_LOCK = "SELECT pg_advisory_lock(hashtext('rasd.schema'))"
_UNLOCK = "SELECT pg_advisory_unlock(hashtext('rasd.schema'))"


def _config(conn: Connection) -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    config.attributes["connection"] = conn
    return config


def head() -> str:
    """The newest revision that this version of Rasd knows."""
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    found = ScriptDirectory.from_config(config).get_current_head()
    if found is None:
        raise StoreError("No migrations were found in data/migrations: the checkout is incomplete.")
    return found


def current(conn: Connection) -> str | None:
    """The revision that the database is at; None when it is empty."""
    return MigrationContext.configure(conn).get_current_revision()


def upgrade(engine: Engine, revision: str = "head") -> None:
    """Migrate to ``revision`` and load the reference tables; does nothing when all is current."""
    with engine.connect() as conn:
        conn.execute(text(_LOCK))
        conn.commit()
        try:
            _refuse_newer(conn)
            if current(conn) != head() or revision != "head":
                if current(conn) is not None:
                    rights.withdraw(conn)
                    _withdraw_layers(conn)
                command.upgrade(_config(conn), revision)
                conn.commit()
            if revision == "head":
                reference.load(conn)
                parties.adopt_once(conn)
                rights.apply(conn, head())
                conn.commit()
        finally:
            conn.rollback()
            conn.execute(text(_UNLOCK))
            conn.commit()


def downgrade(engine: Engine, revision: str = "base") -> None:
    """Undo migrations down to ``revision``. Data in tables that go is lost."""
    with engine.connect() as conn:
        rights.withdraw(conn)
        _withdraw_layers(conn)
        command.downgrade(_config(conn), revision)
        conn.commit()


def require_current(conn: Connection) -> None:
    """Raise StoreError unless the database has the schema of this version."""
    found = current(conn)
    if found != head():
        raise StoreError(
            f"The store's schema is {found or 'empty'}, this version needs {head()}. Type: ./rasd up"
        )


def _refuse_newer(conn: Connection) -> None:
    found = current(conn)
    if found is None:
        return
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent / "migrations"))
    known = {script.revision for script in ScriptDirectory.from_config(config).walk_revisions()}
    if found not in known:
        raise StoreError(
            f"The store was made by a newer Rasd (schema {found}); this version knows up to {head()}. "
            "Update the checkout, or point RASD_HOME or DATABASE_URL at another store."
        )


def _withdraw_layers(conn: Connection) -> None:
    """Take the layers of QGIS away, which hold on to what they show (``data/qgis.py`` makes them)."""
    conn.exec_driver_sql(
        """DO $$ DECLARE v record; BEGIN
             FOR v IN SELECT viewname FROM pg_views WHERE schemaname = 'qgis' LOOP
               EXECUTE format('DROP VIEW IF EXISTS qgis.%%I CASCADE', v.viewname);
             END LOOP; END $$""",
        (),
    )
