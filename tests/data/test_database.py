"""The way to the database: addresses, one engine, transactions, errors without passwords."""

from __future__ import annotations

from typing import Any

import pytest
from sqlalchemy import text

from data import database
from data.settings import settings
from geo.errors import ConfigError, StoreError


@pytest.mark.parametrize(
    "given",
    [
        "postgres://u:p@h:5433/d",
        "postgresql://u:p@h:5433/d",
        "postgresql+psycopg2://u:p@h:5433/d",
        "postgis://u:p@h:5433/d",
    ],
)
def test_every_way_to_write_the_address_gets_our_driver(given: str) -> None:
    assert database.normalised(given) == "postgresql+psycopg://u:p@h:5433/d"


@pytest.mark.parametrize("given", ["mysql://u:secret@h/d", "u:secret@h", "postgresql://u:secret@h:port/d"])
def test_an_address_that_cannot_work_is_refused_without_repeating_its_password(given: str) -> None:
    with pytest.raises(ConfigError) as caught:
        database.normalised(given)
    assert "secret" not in str(caught.value)


def test_a_transaction_is_kept_at_the_end_and_undone_by_an_error(store: Any) -> None:
    with database.connection() as conn:
        conn.execute(text("CREATE TABLE t (n int)"))
        conn.execute(text("INSERT INTO t VALUES (1)"))
    with pytest.raises(ZeroDivisionError), database.connection() as conn:
        conn.execute(text("INSERT INTO t VALUES (2)"))
        raise ZeroDivisionError
    with database.connection() as conn:
        assert conn.execute(text("SELECT array_agg(n) FROM t")).scalar() == [1]


def test_one_engine_serves_the_process_and_follows_the_settings(store: Any) -> None:
    assert database.engine() is database.engine()
    assert database.engine().url.database == store.name


def test_a_database_that_does_not_answer_is_said_without_its_password(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://u:secret@127.0.0.1:1/d")
    settings.cache_clear()
    database.engine.cache_clear()
    try:
        with pytest.raises(StoreError, match="Check DATABASE_URL") as caught, database.connection():
            pass
        assert "secret" not in str(caught.value)
    finally:
        settings.cache_clear()
        database.engine.cache_clear()
